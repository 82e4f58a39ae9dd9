"""Compressed networks in one file: exact, small, and safe to open whatever it holds."""

import json
import subprocess
import sys
import tempfile
import time
import zlib
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import evoconv
from evoconv.compression.clustering import LayerClusterings
from evoconv.compression.folding import fold_normalisations
from evoconv.compression.network_tensors import number_tensors, set_tensors, shareable_names
from evoconv.compression.number_formats import rounded
from evoconv.compression.sharing import Shareable
from evoconv.compression.tensors import Bits, DenseTensor, SharedTensor, StoredTensor
from evoconv.data.batches import Standardisation
from evoconv.data.image_set import Preprocessing
from evoconv.errors import DataError, MissingExtra
from evoconv.export.evo_file import (
    evo_bytes,
    load_evo,
    read_evo,
    require_same,
    tensor_shapes,
    write_evo,
)
from evoconv.export.model_file import ModelDescription
from evoconv.genomes.architecture import Architecture
from evoconv.genomes.backbone_cut import BackboneCut
from evoconv.genomes.layers import Convolution, Dense
from evoconv.genomes.reference import REFERENCES
from evoconv.genomes.topology import Topology
from evoconv.networks.build import build_network
from evoconv.networks.initialise import initialise
from evoconv.networks.traced import traced
from tests.export.evo_decoder import dictionary_of, read
from tests.genomes.strategies import input_shapes, topologies

LENET = REFERENCES["lenet5-tanh"].topology


def described(
    architecture: Architecture = LENET,
    shape: tuple[int, int, int] = (1, 28, 28),
    classes: tuple[str, ...] = tuple("0123456789"),
) -> ModelDescription:
    channels, height, width = shape
    return ModelDescription(
        architecture=architecture,
        classes=classes,
        preprocessing=Preprocessing(
            height=height, width=width, channels=channels, bit_depth=8, resize="fit"
        ),
        standardisation=Standardisation(mean=(33.318,) * channels, std=(78.567,) * channels),
    )


def network_of(description: ModelDescription, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build_network(
        description.architecture, description.input_shape, len(description.classes)
    ).eval()


def shared(network: nn.Module, clusters: int = 4) -> dict[str, StoredTensor]:
    """Return the network's tensors: matrices in clusters, all else in half precision."""
    found: dict[str, StoredTensor] = {}
    for name, tensor in number_tensors(network).items():
        values = tensor.numpy()
        if values.ndim > 1:
            layer = LayerClusterings(values)
            clustering = layer.clustering(min(clusters, layer.most))
            codebook = rounded(clustering.centroids, 16)[None]
            found[name] = SharedTensor(
                codebooks=codebook, indices=clustering.indices(values), bits=16
            )
        else:
            found[name] = DenseTensor(values=rounded(values, 16).reshape(values.shape), bits=16)
    return found


def with_checksum(content: bytes) -> bytes:
    return content[:4] + zlib.crc32(content[8:]).to_bytes(4, "big") + content[8:]


@given(st.data(), st.integers(2, 12), st.integers(0, 2**31))
def test_any_network_comes_back_as_it_was_shared(
    data: st.DataObject, num_classes: int, seed: int
) -> None:
    shape = (data.draw(st.sampled_from([1, 3])), *data.draw(input_shapes)[1:])
    classes = tuple(f"class {number}" for number in range(num_classes))
    description = described(data.draw(topologies(shape)), shape, classes)
    network = network_of(description, seed)
    tensors = shared(network)
    network.load_state_dict(
        {name: torch.from_numpy(one.values) for name, one in tensors.items()}, strict=False
    )
    back = _through_bytes(description, tensors)
    images = torch.rand(2, *shape)
    with torch.no_grad():
        assert torch.equal(back(images), network(images))


def _through_bytes(description: ModelDescription, tensors: dict[str, StoredTensor]) -> nn.Module:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.evo"
        assert write_evo(path, description, tensors) == path.stat().st_size
        found, network = load_evo(path)
    assert found == description
    assert not network.training
    return network


def test_a_cut_backbone_comes_back(tmp_path: Path) -> None:
    cut = BackboneCut(backbone="densenet-small", included=5, excited_from=3, dropout=0.25)
    description = described(cut, (3, 32, 32), ("scratch", "crack"))
    network = network_of(description)
    write_evo(tmp_path / "a.evo", description, shared(network, 16))
    found, back = load_evo(tmp_path / "a.evo")
    assert found == description
    with torch.no_grad():
        away = (back(torch.zeros(1, 3, 32, 32)) - network(torch.zeros(1, 3, 32, 32))).abs().max()
    assert 0 < away < 1


def test_folded_normalisations_come_back_and_take_little(tmp_path: Path) -> None:
    layer = Convolution(filters=60, kernel=(3, 3), normalisation="batch")
    description = described(Topology(features=(layer, layer)), (1, 8, 8))
    network = network_of(description)
    initialise(network, "torch", torch.Generator().manual_seed(0))
    images = torch.rand(3, 1, 8, 8)
    assert len(fold_normalisations(network, images)) == 2
    numbers = {name: one.numpy().copy() for name, one in number_tensors(network).items()}
    shareable = Shareable(
        numbers, {name: (name,) for name in shareable_names(network)}, bits=16, dense_bits=16
    )
    tensors = shareable.stored((5, 5, 5))
    set_tensors(network, tensors)
    path = tmp_path / "model.evo"
    size = write_evo(path, description, tensors)
    require_same(path, description, network)
    whole = {
        name: DenseTensor(values=one.values, bits=16) if one.values.ndim == 1 else one
        for name, one in tensors.items()
    }
    saved = len(evo_bytes(description, whole)) - size
    # Of both layers the bias, and the scale, mean and variance after it: 60 values of two bytes
    # each. Where they are equal these take less than eight bits even if stored one by one.
    assert 150 < saved < 2 * 4 * 60 * 2


def test_what_a_file_says_beside_its_weights_takes_less_than_a_hundred_bytes() -> None:
    description = described()
    nothing: dict[str, StoredTensor] = {
        name: SharedTensor(
            codebooks=np.zeros((1, 1), np.float32),
            indices=np.zeros(shape, np.int64),
            has_zero=True,
        )
        for name, shape in tensor_shapes(description).items()
    }
    assert len(evo_bytes(description, nothing)) < 100


def test_the_description_of_a_module_of_ones_own_is_short() -> None:
    network = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(
            nn.Conv2d(16, 32, 3),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(32, 10),
        ),
    )
    graph, weights = traced(network.eval(), (1, 28, 28), 10)
    assert len(graph.to_json()) > 800
    numbers = {name: one for name, one in weights.items() if one.is_floating_point()}
    nothing: dict[str, StoredTensor] = {
        name: SharedTensor(
            codebooks=np.zeros((1, 1), np.float32),
            indices=np.zeros(one.shape, np.int64),
            has_zero=True,
        )
        for name, one in numbers.items()
    }
    assert len(evo_bytes(described(graph), nothing)) < 300


def test_a_fresh_process_reads_the_same_bits(tmp_path: Path) -> None:
    description = described()
    tensors = shared(network_of(description))
    write_evo(tmp_path / "a.evo", description, tensors)
    code = (
        "import sys; from pathlib import Path; from hashlib import sha256\n"
        "from evoconv.export.evo_file import read_evo\n"
        "_, tensors = read_evo(Path(sys.argv[1]))\n"
        "print(sha256(b''.join(one.values.tobytes() for one in tensors.values())).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.evo")],
        capture_output=True,
        text=True,
        check=True,
    )
    mine = sha256(b"".join(one.values.tobytes() for one in tensors.values())).hexdigest()
    assert done.stdout.strip() == mine


@pytest.fixture(scope="module")
def whole() -> bytes:
    small = Topology(features=(), classifier=(Dense(units=3),))
    description = described(small, (1, 4, 4), ("a", "b"))
    return evo_bytes(description, shared(network_of(description)))


def opened(content: bytes, folder: Path) -> dict[str, StoredTensor]:
    path = folder / "some.evo"
    path.write_bytes(content)
    return read_evo(path)[1]


def test_every_flipped_bit_and_every_cut_is_noticed(whole: bytes, tmp_path: Path) -> None:
    assert opened(whole, tmp_path)
    for place in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(DataError, match="is no compressed network, or damaged"):
            opened(bytes(damaged), tmp_path)
    for length in range(len(whole)):
        with pytest.raises(DataError, match="is no compressed network, or damaged"):
            opened(whole[:length], tmp_path)


def test_a_forged_checksum_gives_an_error_or_a_network_never_more(
    whole: bytes, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    num_read, messages = 0, set()
    for _ in range(2_000):
        forged = bytearray(whole)
        for place in rng.integers(8, len(whole), rng.integers(1, 4)):
            forged[place] = rng.integers(256)
        try:
            opened(with_checksum(bytes(forged)), tmp_path)
            num_read += 1
        except DataError as error:
            messages.add(str(error))
    assert all(one.count("\n") == 0 for one in messages)
    assert 0 < num_read < 2_000


@given(st.binary(max_size=200))
def test_any_body_gives_an_error_or_a_network(body: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            opened(with_checksum(b"EVO\x02" + bytes(4) + body), Path(folder))
        except DataError as error:
            message = str(error)
            assert "some.evo is no compressed network, or damaged" in message


def _with_description(text: bytes) -> bytes:
    deflate = zlib.compressobj(9, wbits=-15)
    head = deflate.compress(text) + deflate.flush()
    size = len(head)
    varint = bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14])
    return with_checksum(b"EVO\x02" + bytes(4) + varint + head)


def _with_values(**changed: list[float]) -> bytes:
    content = described().to_dict()
    content["standardisation"] |= changed
    return _with_description(json.dumps(content).encode())


def _with_wide_layers() -> bytes:
    """Return a file whose weights are few, but whose maps are many and large."""
    content = described().to_dict()
    content["preprocessing"] |= {"height": 1024, "width": 1024}
    wide = {"layer": "convolution", "filters": 65_536, "kernel": [1, 1]}
    content["genome"] = {"features": [wide], "classifier": [], "reduction": "global-average"}
    return _with_description(json.dumps(content).encode())


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "does not begin as one"),
        (b"PK\x03\x04zip", "does not begin as one"),
        (b"EVO\x03" + bytes(20), "format is unknown"),
        (with_checksum(b"EVO\x02" + bytes(4) + b"\xff" * 9), "description has no length"),
        (with_checksum(b"EVO\x02" + bytes(4) + b"\x05abc"), "description"),
        (_with_description(b" " * 50_000_000), "cut off or too long"),
        (_with_description(b"[" * 100_000), "damaged"),
        (_with_description(b'{"classes":99999999999}'), "can't have 99999999999 classes"),
        (_with_description(b'{"classes":true}'), "damaged"),
        (_with_description(b"3"), "damaged"),
        (_with_values(mean=[10**400]), "damaged"),
        (_with_values(std=[0.0]), "deviations above 0"),
        (_with_values(mean=[float("nan")]), "of finite numbers"),
        (_with_wide_layers(), "more than 1,073,741,824 values of one image"),
    ],
)
def test_what_is_no_such_file_is_refused_in_a_sentence(
    content: bytes, complaint: str, tmp_path: Path
) -> None:
    started = time.monotonic()
    with pytest.raises(DataError, match=complaint) as caught:
        opened(content, tmp_path)
    assert len(str(caught.value)) < 400
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(("units", "most"), [(6_000, "67,108,864"), (10**6, "268,435,456")])
def test_a_network_too_large_is_refused_before_it_takes_memory(
    units: int, most: str, tmp_path: Path
) -> None:
    content = described().to_dict()
    dense = {"layer": "dense", "units": units}
    content["genome"] = {"features": [], "classifier": [dense] * 4}
    forged = _with_description(json.dumps(content).encode())
    with pytest.raises(DataError, match=f"weights, more than {most}"):
        opened(forged, tmp_path)


def test_without_the_package_it_is_said_what_to_install(
    whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "constriction", None)
    with pytest.raises(MissingExtra, match=r"constriction: pip install 'evoconv\[compress\]'"):
        opened(whole, tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.evo can't be read: No such file"):
        read_evo(tmp_path / "none.evo")


@given(st.integers(0, 2**32), st.sampled_from([32, 16, 8]))
def test_another_program_made_from_the_page_reads_the_same(seed: int, bits: Bits) -> None:
    convolution = Convolution(filters=3, kernel=(2, 1), normalisation="batch", padding="valid")
    small = Topology(features=(convolution,), classifier=(Dense(units=6),))
    description = described(small, (1, 3, 4))
    shapes = tensor_shapes(description)
    rng = np.random.default_rng(seed)
    tensors: dict[str, StoredTensor] = {}
    for name, shape in shapes.items():
        size = int(rng.integers(1, 6))
        groups = shape[0] if rng.random() < 0.3 else 1
        has_zero = bool(rng.random() < 0.7)
        codebooks = rounded(rng.normal(size=(groups, size)), bits).reshape(groups, size)
        codebooks[:, 0] *= not has_zero
        earlier = [one for one in tensors.values() if isinstance(one, SharedTensor)]
        books = [one for one in earlier if len(one.codebooks) == 1 and one.bits == bits]
        if books and rng.random() < 0.5:
            book = books[int(rng.integers(len(books)))]
            codebooks, has_zero, size = book.codebooks, book.has_zero, book.codebooks.shape[1]
        indices = rng.integers(0, size, shape) * (rng.random(shape) < rng.random())
        tensors[name] = SharedTensor(
            codebooks=codebooks, indices=indices, has_zero=has_zero, bits=bits
        )
        if rng.random() < 0.3:
            tensors[name] = DenseTensor(values=codebooks.flat[0] + np.zeros(shape, np.float32))
    content = evo_bytes(description, tensors)
    dictionary = dictionary_of(Path(evoconv.__file__).parent)
    found, values = read(content, dictionary)
    assert found["classes"] == 10
    assert found["genome"] == json.loads(description.architecture.to_json())
    for one, theirs in zip(tensors.values(), values, strict=True):
        assert one.values.reshape(-1).tolist() == theirs
