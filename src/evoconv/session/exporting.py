"""A finished network written in a form that runs elsewhere, and checked there."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from evoconv.data.image_set import Pixels
from evoconv.errors import ConfigError, UserError
from evoconv.export.check_onnx import check_onnx
from evoconv.export.classifier import Classifier
from evoconv.export.evo_file import read_evo
from evoconv.export.final import test_pixels
from evoconv.export.onnx_file import onnx_model, require_onnx, save_onnx
from evoconv.export.shared_onnx import narrowest_bits, share_weights
from evoconv.session.opened import open_study, prepare_stored
from evoconv.study.finished import Finished, run_of
from evoconv.study.watch import Unwatched
from evoconv.units import format_bytes

if TYPE_CHECKING:
    from onnx import ModelProto

FORMATS = ("onnx",)

_NUM_RANDOM = 256


def export_network(run: Path, form: str, out: Path | None, notify: Callable[[str], None]) -> Path:
    """Write the network of a run folder in a form of ``FORMATS``, check it, return the file.

    It is checked in a fresh process with the study's test images, which must give the same logits
    as in evoconv; with random ones where the study's aren't there any more. The network of a
    compression is written with its codebooks and indices.

    Args:
        run: a run folder, or one of a finished trial in it.
        form: a name in ``FORMATS``.
        out: the file; None for one beside the network.
        notify: is told what was done.

    Raises:
        UserError: no such format or network, or a package that is not installed.
        EvoconvError: the file doesn't give what the network gives; it is removed.
    """
    if form not in FORMATS:
        raise ConfigError(f"--format must be one of {', '.join(FORMATS)}, got {form}")
    require_onnx()
    packed = Finished(run=run).compressed_file
    is_packed = packed.is_file()
    classifier = Classifier(packed if is_packed else run / "best")
    model = onnx_model(classifier)
    sizes = ""
    if is_packed:
        model, sizes = _shared(model, packed)
    file = run / "best" / "model.onnx" if out is None else out
    pixels, what = _pixels(run, classifier)
    # What another export left stays until the new file has been checked.
    unchecked = file.with_name(f"{file.name}.unchecked")
    save_onnx(model, unchecked)
    try:
        difference = check_onnx(unchecked, pixels, classifier.logits(pixels))
        unchecked.replace(file)
    except BaseException:
        unchecked.unlink(missing_ok=True)
        raise
    notify(
        f"{file}: {format_bytes(file.stat().st_size)}{sizes}; the same labels for {len(pixels):,}"
        f" {what} in onnxruntime, logits within {difference:.1g}"
    )
    return file


def _shared(model: "ModelProto", packed: Path) -> tuple["ModelProto", str]:
    """Return the model with the shared weights of a compressed file, and a few words on sizes."""
    tensors = read_evo(packed)[1]
    found = share_weights(model, tensors, narrowest=narrowest_bits())
    return found.model, (
        f" with {len(found.shared)} tensors as codebook and indices (with all weights one by one:"
        f" {format_bytes(model.ByteSize())}; {packed.name}: {format_bytes(packed.stat().st_size)})"
    )


def _pixels(run: Path, classifier: Classifier) -> tuple[Pixels, str]:
    """Return images to check with, (N, H, W, C), and what they are."""
    folder = run_of(run.resolve()) or run
    try:
        with open_study(folder) as storage:
            prepared = prepare_stored(folder, storage, Unwatched())
            return test_pixels(prepared.image_set, prepared.splits.training), "test images"
    except UserError as error:
        shape = classifier.preprocessing
        size = (_NUM_RANDOM, shape.height, shape.width, shape.channels)
        pixels: npt.NDArray[np.uint16] = np.random.default_rng(0).integers(
            0, shape.max_value + 1, size, dtype=np.uint16
        )
        return pixels.astype(shape.dtype), f"random images ({error})"
