"""Shared weights in ONNX: the same network from codebooks and indices, in fewer bytes."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest
import torch

import evoconv
from evoconv.cli import main
from evoconv.compression.network_tensors import number_tensors
from evoconv.compression.tensors import DenseTensor, SharedTensor, StoredTensor
from evoconv.data.batches import Standardisation
from evoconv.data.image_set import Preprocessing
from evoconv.export.check_onnx import check_onnx
from evoconv.export.classifier import Classifier
from evoconv.export.evo_file import read_evo, write_evo
from evoconv.export.model_file import ModelDescription, save_model
from evoconv.export.onnx_file import onnx_model, save_onnx
from evoconv.export.shared_onnx import narrowest_bits, share_weights
from evoconv.genomes.layers import Convolution, Dense
from evoconv.genomes.topology import Topology
from evoconv.networks.initialise import initialise
from evoconv.networks.weights import weights_to_bytes
from evoconv.units import format_bytes
from tests.small_studies import write_stripes

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytest.importorskip("constriction")

# 693 and 1,287 weights and so on: the last byte of packed indices is not full.
TOPOLOGY = Topology(
    features=(
        Convolution(filters=11, kernel=(5, 5), stride=(2, 2)),
        Convolution(filters=13, kernel=(3, 3), normalisation="batch"),
        Convolution(filters=21, kernel=(3, 3)),
    ),
    classifier=(Dense(units=61), Dense(units=33)),
)
FIRST, SECOND, THIRD = (f"features.{number}.convolution.weight" for number in range(3))
LARGE, MIDDLE, LAST = "classifier.0.linear.weight", "classifier.1.linear.weight", "output.weight"


class Subject:
    """A network of random weights, of which those of some layers are shared, and its ONNX."""

    def __init__(self, folder: Path, shared: Mapping[str, SharedTensor]) -> None:
        description = described()
        self.tensors: dict[str, StoredTensor] = {
            name: DenseTensor(values=one.numpy().copy())
            for name, one in number_tensors(random_network(description)).items()
        }
        self.tensors |= shared
        self.file = folder / "model.evo"
        write_evo(self.file, description, self.tensors)
        self.classifier = Classifier(self.file)
        self.dense = onnx_model(self.classifier)
        size = (64, 10, 9, 3)
        self.pixels = np.random.default_rng(0).integers(0, 256, size).astype(np.uint8)
        self.logits = self.classifier.logits(self.pixels)


def described(
    channels: int = 3, width: int = 9, classes: tuple[str, ...] = ("a", "b", "c")
) -> ModelDescription:
    return ModelDescription(
        architecture=TOPOLOGY,
        classes=classes,
        preprocessing=Preprocessing(height=10, width=width, channels=channels, bit_depth=8),
        standardisation=Standardisation(mean=(120.0,) * channels, std=(70.0,) * channels),
    )


def random_network(description: ModelDescription) -> torch.nn.Module:
    network = description.network()
    generator = torch.Generator().manual_seed(1)
    initialise(network, "he-normal", generator)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_var is not None
            module.running_var.uniform_(0.5, 2.0, generator=generator)
            torch.nn.init.normal_(module.weight, generator=generator)
    return network


def shared(
    shape: tuple[int, ...], clusters: int, *, rows: int = 1, zero: bool = False
) -> SharedTensor:
    """Return a tensor of so many different values, of the size that weights have."""
    rng = np.random.default_rng(clusters)
    spread = (2 / np.prod(shape[1:])) ** 0.5
    codebooks = rng.normal(0, spread, (rows, clusters)).astype(np.float32)
    indices = rng.integers(0, clusters, shape)
    if zero:
        codebooks[:, 0] = 0
        indices[1], indices[:, 2] = 0, 0
    return SharedTensor(codebooks=codebooks, indices=indices, has_zero=zero)


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """One codebook for each layer: 3, 5, 20, 300, 4 with zeros, and 60 values."""
    return Subject(
        tmp_path_factory.mktemp("one"),
        {
            FIRST: shared((11, 3, 5, 5), 3),
            SECOND: shared((13, 11, 3, 3), 5),
            THIRD: shared((21, 13, 3, 3), 20),
            LARGE: shared((61, 21 * 5 * 5), 300),
            MIDDLE: shared((33, 61), 4, zero=True),
            LAST: shared((3, 33), 60),
        },
    )


@pytest.fixture(scope="module")
def by_rows(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """A codebook for each row: 3, 5 with zeros, 20 values."""
    return Subject(
        tmp_path_factory.mktemp("rows"),
        {
            FIRST: shared((11, 3, 5, 5), 3, rows=11),
            SECOND: shared((13, 11, 3, 3), 5, rows=13, zero=True),
            LARGE: shared((61, 21 * 5 * 5), 20, rows=61),
        },
    )


def run(model: "ModelProto", pixels: npt.NDArray[np.uint8], *names: str) -> list[np.ndarray]:
    """Return outputs of the model, and tensors within it that are float32."""
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    for name in names:
        asked.graph.output.append(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        )
    session = onnxruntime.InferenceSession(
        asked.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found: list[np.ndarray] = session.run(["logits", *names], {"images": pixels})
    return found


def constants(model: "ModelProto") -> dict[str, "TensorProto"]:
    return {one.name: one for one in model.graph.initializer}


@pytest.mark.parametrize("narrowest", [2, 4, 8, 16])
def test_onnxruntime_gives_torch_s_logits(subject: Subject, narrowest: int) -> None:
    if narrowest < narrowest_bits():
        pytest.skip("the installed packages don't know such indices")
    found = share_weights(subject.dense, subject.tensors, narrowest=narrowest)
    assert found.shared == (FIRST, SECOND, THIRD, LARGE, MIDDLE)
    (logits,) = run(found.model, subject.pixels)
    assert np.abs(logits - subject.logits).max() <= 1e-5
    (operators,) = found.model.opset_import
    assert operators.version == {2: 25, 4: 21}.get(narrowest, subject.dense.opset_import[0].version)


def test_the_weights_are_the_same_bit_for_bit(subject: Subject) -> None:
    found = share_weights(subject.dense, subject.tensors, narrowest=narrowest_bits())
    # What follows a normalisation is scaled by it, and rounded anew.
    untouched = (FIRST, THIRD, LARGE, MIDDLE)
    names = [f"network.{name}" for name in untouched]
    _, *weights = run(found.model, subject.pixels, *names)
    for name, values in zip(untouched, weights, strict=True):
        np.testing.assert_array_equal(values, subject.tensors[name].values)
    _, scaled = run(found.model, subject.pixels, f"network.{SECOND}")
    folded = onnx.numpy_helper.to_array(constants(subject.dense)[f"network.{SECOND}"])
    assert not np.allclose(folded, subject.tensors[SECOND].values, rtol=0.01)
    np.testing.assert_allclose(scaled, folded, rtol=1e-6)


def test_indices_have_the_narrowest_type_that_holds_them(subject: Subject) -> None:
    found = share_weights(subject.dense, subject.tensors, narrowest=narrowest_bits())
    held = constants(found.model)
    narrow = f"UINT{narrowest_bits()}"
    four = f"UINT{max(4, narrowest_bits())}"
    eight = f"UINT{max(8, narrowest_bits())}"
    wanted = {FIRST: narrow, SECOND: four, THIRD: eight, LARGE: "UINT16", MIDDLE: narrow}
    kinds = onnx.TensorProto.DataType
    for name, kind in wanted.items():
        assert f"network.{name}" not in held
        indices, codebook = (held[f"network.{name}.{part}"] for part in ("indices", "codebook"))
        assert kinds.Name(indices.data_type) == kind
        assert kinds.Name(codebook.data_type) == "FLOAT"
        tensor = subject.tensors[name]
        assert isinstance(tensor, SharedTensor)
        assert tuple(indices.dims) == tensor.values.shape
        assert len(indices.raw_data) == -(-tensor.values.size * int(kind[4:]) // 8)
        np.testing.assert_array_equal(onnx.numpy_helper.to_array(codebook), tensor.codebooks[0])
    assert f"network.{SECOND}.scale" in held
    assert f"network.{FIRST}.scale" not in held


def test_it_is_smaller_by_what_indices_save(subject: Subject) -> None:
    found = share_weights(subject.dense, subject.tensors, narrowest=8)
    # 16 bits in place of 32 for the large layer, 8 bits for the others.
    saved = sum(
        one.values.size * (2 if name == LARGE else 3)
        for name, one in subject.tensors.items()
        if name in found.shared
    )
    codebooks = 4 * (3 + 5 + 20 + 300 + 4)
    spent = subject.dense.ByteSize() - saved + codebooks
    assert spent < found.model.ByteSize() < spent + 400 * len(found.shared)
    if narrowest_bits() < 8:
        less = share_weights(subject.dense, subject.tensors, narrowest=narrowest_bits())
        assert less.model.ByteSize() < found.model.ByteSize()


def test_each_row_may_have_a_codebook_of_its_own(by_rows: Subject) -> None:
    found = share_weights(by_rows.dense, by_rows.tensors, narrowest=narrowest_bits())
    assert found.shared == (FIRST, SECOND, LARGE)
    assert found.left_dense == ()
    logits, first, large = run(found.model, by_rows.pixels, f"network.{FIRST}", f"network.{LARGE}")
    assert np.abs(logits - by_rows.logits).max() <= 1e-5
    np.testing.assert_array_equal(first, by_rows.tensors[FIRST].values)
    np.testing.assert_array_equal(large, by_rows.tensors[LARGE].values)
    assert constants(found.model)[f"network.{FIRST}.codebook"].dims == [11, 3]
    assert found.model.ByteSize() < by_rows.dense.ByteSize()


def test_small_and_changed_tensors_stay_whole_and_are_named(subject: Subject) -> None:
    found = share_weights(subject.dense, subject.tensors, narrowest=narrowest_bits())
    # 99 weights take less than what would make them.
    assert found.left_dense == (LAST,)
    assert f"network.{LAST}" in constants(found.model)

    changed = onnx.ModelProto()
    changed.CopyFrom(subject.dense)
    del changed.graph.value_info[:]
    held = constants(changed)
    for name, values in (
        (FIRST, subject.tensors[FIRST].values + np.float32(0.001)),
        (MIDDLE, subject.tensors[MIDDLE].values.T.copy()),
    ):
        held[f"network.{name}"].CopyFrom(onnx.numpy_helper.from_array(values, f"network.{name}"))
    held[f"network.{THIRD}"].name = "val_1"
    for node in changed.graph.node:
        node.input[:] = ["val_1" if one == f"network.{THIRD}" else one for one in node.input]
        if f"network.{MIDDLE}" in node.input:
            (attribute,) = [one for one in node.attribute if one.name == "transB"]
            attribute.i = 0
    left = share_weights(changed, subject.tensors, narrowest=narrowest_bits())
    assert left.shared == (SECOND, LARGE)
    assert left.left_dense == (FIRST, THIRD, MIDDLE, LAST)
    (logits,) = run(left.model, subject.pixels)
    np.testing.assert_allclose(logits, run(changed, subject.pixels)[0], atol=1e-5)


def test_without_shared_tensors_the_model_stays_what_it_is(subject: Subject) -> None:
    dense = {name: DenseTensor(values=one.values) for name, one in subject.tensors.items()}
    before = subject.dense.SerializeToString()
    found = share_weights(subject.dense, dense)
    assert (found.shared, found.left_dense) == ((), ())
    assert found.model.SerializeToString() == before
    share_weights(subject.dense, subject.tensors)
    assert subject.dense.SerializeToString() == before


def test_the_file_runs_in_a_fresh_process_and_tells_what_it_is(
    subject: Subject, tmp_path: Path
) -> None:
    file = tmp_path / "model.onnx"
    found = share_weights(subject.dense, subject.tensors, narrowest=narrowest_bits())
    save_onnx(found.model, file)
    assert check_onnx(file, subject.pixels, subject.logits) <= 1e-5
    assert onnx.load(file).metadata_props == subject.dense.metadata_props
    assert len(subject.dense.metadata_props) == 2


def test_the_file_names_no_path_of_this_machine(subject: Subject) -> None:
    assert str(Path(evoconv.__file__).parent).encode() not in subject.dense.SerializeToString()


def test_a_compression_is_exported_with_its_shared_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = write_stripes(tmp_path / "stripes.npz")
    trained, packed = tmp_path / "best", tmp_path / "packed"
    description = described(channels=1, width=10, classes=("0", "1", "2"))
    save_model(trained, description, weights_to_bytes(random_network(description)))
    evoconv.compress(
        trained, images, out=packed, max_accuracy_drop=1.0, seed=1, evaluations=1, workers=1
    )
    assert main(["export", str(packed)]) == 0
    said = capsys.readouterr().out
    file, evo = packed / "best" / "model.onnx", packed / "model.evo"
    told = re.search(
        r"model\.onnx: (.*) with (\d+) tensors as codebook and indices"
        r" \(with all weights one by one: (.*); model\.evo: (.*)\); the same labels for"
        r" 30 test images in onnxruntime",
        said,
    )
    assert told is not None, said
    dense = onnx_model(Classifier(evo))
    sizes = (file.stat().st_size, dense.ByteSize(), evo.stat().st_size)
    assert sizes[0] < sizes[1]
    assert [told[1], told[3], told[4]] == [format_bytes(one) for one in sizes]
    held = constants(onnx.load(file))
    made = [name for name in read_evo(evo)[1] if f"network.{name}.indices" in held]
    assert len(made) == int(told[2]) > 0
