"""ONNX files: the same logits as torch's, and what happens where they aren't."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import evoconv
from evoconv.cli import main
from evoconv.data.batches import Standardisation
from evoconv.data.image_set import Preprocessing
from evoconv.errors import EvoconvError
from evoconv.export.check_onnx import check_onnx
from evoconv.export.classifier import Classifier
from evoconv.export.model_file import ModelDescription, save_model
from evoconv.export.onnx_file import onnx_model, save_onnx
from evoconv.genomes.layers import ACTIVATIONS, Convolution, Dense, Pooling, Residual
from evoconv.genomes.topology import Topology
from evoconv.networks.cnn import build
from evoconv.networks.initialise import initialise
from evoconv.networks.weights import weights_to_bytes
from tests.small_studies import FAST, write_stripes

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

Capture = pytest.CaptureFixture[str]


def saved(folder: Path, topology: Topology, *, channels: int = 1, bit_depth: int = 8) -> Classifier:
    """Save a network with random weights and return it."""
    import torch

    shape = Preprocessing(height=13, width=10, channels=channels, bit_depth=bit_depth)
    description = ModelDescription(
        architecture=topology,
        classes=("a", "b", "ç"),
        preprocessing=shape,
        standardisation=Standardisation(
            mean=tuple(shape.max_value * (0.4 + one / 10) for one in range(channels)),
            std=(shape.max_value / 4,) * channels,
        ),
    )
    network = build(topology, description.input_shape, 3)
    generator = torch.Generator().manual_seed(1)
    initialise(network, "he-normal", generator)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
    save_model(folder, description, weights_to_bytes(network))
    return Classifier(folder)


def pixels_for(classifier: Classifier, count: int = 300) -> np.ndarray:
    shape = classifier.preprocessing
    size = (count, shape.height, shape.width, shape.channels)
    drawn = np.random.default_rng(0).integers(0, shape.max_value + 1, size)
    return drawn.astype(shape.dtype)


PLAIN = Topology(features=(Convolution(filters=4, kernel=(3, 3)),))
VARIED = Topology(
    features=(
        Convolution(filters=5, kernel=(4, 3), stride=(2, 1), normalisation="batch"),
        Pooling(size=(2, 2), stride=(1, 1), padding="same", kind="average"),
        Residual(filters=6, kernel=(3, 3), stride=(2, 2), normalisation="batch", dropout=0.5),
        Pooling(size=(3, 3), stride=(2, 2), padding="same", kind="average"),
        Pooling(size=(2, 2), stride=(1, 1), padding="same"),
    ),
    classifier=(Dense(units=7, dropout=0.5),),
    reduction="global-average",
)


@pytest.mark.parametrize(
    ("topology", "channels", "bit_depth"),
    [(PLAIN, 1, 8), (PLAIN, 3, 16), (VARIED, 3, 8), (VARIED, 1, 12)],
)
def test_a_fresh_process_gets_the_same_logits(
    topology: Topology, channels: int, bit_depth: int, tmp_path: Path
) -> None:
    classifier = saved(tmp_path / "best", topology, channels=channels, bit_depth=bit_depth)
    file = tmp_path / "new" / "model.onnx"
    save_onnx(onnx_model(classifier), file)
    pixels = pixels_for(classifier)
    assert check_onnx(file, pixels, classifier.logits(pixels)) <= 1e-4
    assert [one.name for one in file.parent.iterdir()] == ["model.onnx"]


def test_every_activation_has_its_operators(tmp_path: Path) -> None:
    layers = tuple(Convolution(filters=3, kernel=(3, 3), activation=one) for one in ACTIVATIONS)
    classifier = saved(tmp_path / "best", Topology(features=layers))
    file = tmp_path / "model.onnx"
    save_onnx(onnx_model(classifier), file)
    pixels = pixels_for(classifier)
    assert check_onnx(file, pixels, classifier.logits(pixels)) <= 1e-4


def test_the_file_tells_its_classes_and_preprocessing(tmp_path: Path) -> None:
    classifier = saved(tmp_path / "best", PLAIN)
    file = tmp_path / "model.onnx"
    save_onnx(onnx_model(classifier), file)
    facts = {one.key: json.loads(one.value) for one in onnx.load(file).metadata_props}
    assert facts["classes"] == ["a", "b", "ç"]
    assert Preprocessing.from_dict(facts["preprocessing"]) == classifier.preprocessing
    session = onnxruntime.InferenceSession(str(file))
    (entry,) = session.get_inputs()
    assert (entry.name, entry.type) == ("images", "tensor(uint8)")
    assert entry.shape[1:] == [13, 10, 1]


def test_another_network_s_logits_are_noticed(tmp_path: Path) -> None:
    classifier = saved(tmp_path / "best", PLAIN)
    file = tmp_path / "model.onnx"
    save_onnx(onnx_model(classifier), file)
    pixels = pixels_for(classifier)
    logits = classifier.logits(pixels)
    with pytest.raises(EvoconvError, match=r"logits differ by up to 0\.001"):
        check_onnx(file, pixels, logits + np.float32(0.001))
    with pytest.raises(EvoconvError, match="300 images get another label"):
        check_onnx(file, pixels, -logits)
    file.write_bytes(b"nonsense")
    with pytest.raises(EvoconvError, match="doesn't run in onnxruntime"):
        check_onnx(file, pixels, logits)


def test_large_logits_may_differ_in_proportion(tmp_path: Path) -> None:
    classifier = saved(tmp_path / "best", PLAIN)
    save_onnx(onnx_model(classifier), tmp_path / "small.onnx")
    pixels = pixels_for(classifier)
    size = float(np.abs(classifier.logits(pixels)).max())
    # As a network's that was trained with a loss of another scale; float32 rounds in proportion.
    factor = 1e5
    model = onnx.load(tmp_path / "small.onnx")
    [last] = [node for node in model.graph.node if "logits" in node.output]
    last.output[0] = "unscaled"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(factor), "factor"))
    model.graph.node.append(onnx.helper.make_node("Mul", ["unscaled", "factor"], ["logits"]))
    large = tmp_path / "large.onnx"
    onnx.save(model, large)
    logits = classifier.logits(pixels) * np.float32(factor)
    found = check_onnx(large, pixels, logits * np.float32(1 + 1e-6))
    assert 1e-4 < found <= 1e-4 * factor * size
    with pytest.raises(EvoconvError, match="is allowed"):
        check_onnx(large, pixels, logits + np.float32(2e-4 * factor * size))


def test_a_study_is_exported_and_checked_with_its_test_images(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = write_stripes(tmp_path / "stripes.npz")
    run = tmp_path / "run"
    evoconv.evolve(images, out=run, seed=1, evaluations=2, workers=1, **FAST)
    assert main(["export", str(run)]) == 0
    said = capsys.readouterr().out
    assert "best/model.onnx" in said
    assert "the same labels for 30 test images in onnxruntime" in said
    assert evoconv.export_network(run) == run / "best" / "model.onnx"

    before = (run / "best" / "model.onnx").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("evoconv.export.check_onnx.TOLERANCE", -1.0)
        assert main(["export", str(run)]) == 1
    assert "doesn't give what the network gives" in capsys.readouterr().err
    assert (run / "best" / "model.onnx").read_bytes() == before, "that one was checked"
    assert not list((run / "best").glob("*.unchecked"))

    images.unlink()
    elsewhere = tmp_path / "elsewhere.onnx"
    assert main(["export", str(run), "--format", "onnx", "--out", str(elsewhere)]) == 0
    said = capsys.readouterr().out
    assert "256 random images (no such file or folder" in said
    assert elsewhere.read_bytes()[:1] == (run / "best" / "model.onnx").read_bytes()[:1]

    assert main(["export", str(run), "--format", "tflite"]) == 2
    assert "--format must be one of onnx, got tflite" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "nowhere")]) == 2
    assert "no saved model in" in capsys.readouterr().err


def test_without_the_packages_it_says_how_to_install_them(tmp_path: Path) -> None:
    saved(tmp_path / "best", PLAIN)
    code = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name.startswith('onnx') else find(name, *a)\n"
        "from evoconv.cli import main; sys.exit(main(['export', sys.argv[1]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "pip install 'evoconv[onnx]'" in done.stderr
    assert done.stderr.count("\n") == 1
