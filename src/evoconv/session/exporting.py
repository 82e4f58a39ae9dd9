"""A finished network written in a form that runs elsewhere, and checked there."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evoconv.data.image_set import Pixels
from evoconv.errors import ConfigError, UserError
from evoconv.export.check_onnx import check_onnx
from evoconv.export.classifier import Classifier
from evoconv.export.final import test_pixels
from evoconv.export.onnx_file import require_onnx, write_onnx
from evoconv.session.studies import open_study, prepare_stored
from evoconv.study.storage import FILE_NAME
from evoconv.study.watch import Unwatched
from evoconv.units import format_bytes

FORMATS = ("onnx",)

_NUM_RANDOM = 256


def export_network(run: Path, form: str, out: Path | None, notify: Callable[[str], None]) -> Path:
    """Write the network of a run folder in a form of ``FORMATS``, check it, return the file.

    It is checked in a fresh process with the study's test images, which must give the same logits
    as in evoconv; with random ones where the study's aren't there any more.

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
    best = run / "best"
    classifier = Classifier(best)
    file = best / "model.onnx" if out is None else out
    write_onnx(classifier, file)
    pixels, what = _pixels(run, classifier)
    try:
        difference = check_onnx(file, pixels, classifier.logits(pixels))
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    notify(
        f"{file}: {format_bytes(file.stat().st_size)}; the same labels for {len(pixels):,} {what}"
        f" in onnxruntime, logits within {difference:.1g}"
    )
    return file


def _pixels(run: Path, classifier: Classifier) -> tuple[Pixels, str]:
    """Return images to check with, (N, H, W, C), and what they are."""
    folder = run if (run / FILE_NAME).is_file() else run.parent
    try:
        with open_study(folder) as storage:
            prepared = prepare_stored(folder, storage, Unwatched())
            config = prepared.config
            return test_pixels(prepared.image_set, config.split, config.seed), "test images"
    except UserError as error:
        shape = classifier.preprocessing
        size = (_NUM_RANDOM, shape.height, shape.width, shape.channels)
        pixels: npt.NDArray[np.uint16] = np.random.default_rng(0).integers(
            0, shape.max_value + 1, size, dtype=np.uint16
        )
        return pixels.astype(shape.dtype), f"random images ({error})"
