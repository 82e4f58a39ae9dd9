"""A saved network as one ONNX file that takes pixels as they are and needs nothing else of evoconv.

Its input ``images`` is (N, H, W, C), unsigned 8-bit or 16-bit values as decoded, at the size that
the network was trained for; standardisation is inside. Its output ``logits`` is (N, K). Names of
the classes and what is done to an image file before that are in the file's metadata, as JSON.
"""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from evoconv.artifacts import make_folder, write_file
from evoconv.data.batches import Standardisation
from evoconv.errors import MissingExtra
from evoconv.export.classifier import Classifier

if TYPE_CHECKING:
    from onnx import ModelProto

_NEEDED = ("onnx", "onnxruntime", "onnxscript")


class FromPixels(nn.Module):
    """A network with its standardisation: pixels (N, H, W, C) to logits (N, K)."""

    mean_C: Tensor
    scale_C: Tensor

    def __init__(self, network: nn.Module, standardisation: Standardisation) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean_C", torch.tensor(standardisation.mean))
        self.register_buffer("scale_C", 1.0 / torch.tensor(standardisation.std))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits; the arithmetic is that of ``data.batches.ImageTensor.cut``."""
        standardised_NHWC = (images.float() - self.mean_C) * self.scale_C
        logits_NK: Tensor = self.network(standardised_NHWC.permute(0, 3, 1, 2))
        return logits_NK


def require_onnx() -> None:
    """Raise ``MissingExtra`` if a package that the export needs isn't installed."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise MissingExtra(f"ONNX needs {', '.join(missing)}: pip install 'evoconv[onnx]'")


def save_onnx(model: "ModelProto", file: Path) -> None:
    """Write a model; the file is complete or absent. ``StudyError`` if it can't be written."""
    make_folder(file.parent)
    write_file(file, model.SerializeToString())


def onnx_model(classifier: Classifier) -> "ModelProto":
    """Return the network as ONNX.

    Raises:
        MissingExtra: the packages for it are not installed.
    """
    require_onnx()
    import onnx

    shape = classifier.preprocessing
    module = FromPixels(classifier.model, classifier.standardisation).eval()
    kind = torch.uint8 if shape.bit_depth == 8 else torch.uint16
    # Two images: a batch of one would be taken for a constant.
    example = torch.zeros(2, shape.height, shape.width, shape.channels, dtype=kind)
    with _quiet():
        program = torch.onnx.export(
            module,
            (example,),
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes={"images": {0: torch.export.Dim("N")}},
            dynamo=True,
            verbose=False,
        )
        assert program is not None, "the exporter gives a program unless it raises"
        model = program.model_proto
    graph = model.graph
    # Of each node the exporter tells how torch came to it, with paths of this machine: kilobytes.
    for one in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        one.ClearField("metadata_props")
    facts = {"classes": list(classifier.classes), "preprocessing": shape.to_dict()}
    onnx.helper.set_model_props(model, {name: json.dumps(one) for name, one in facts.items()})
    onnx.checker.check_model(model, full_check=True)
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter from telling people what is only its own business."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
