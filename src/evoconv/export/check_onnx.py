"""Run an ONNX file in a fresh process that knows neither torch nor evoconv's networks.

``check_onnx`` starts ``python -m evoconv.export.check_onnx``; it has onnxruntime, the file, pixels,
and the logits that torch gave for them.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evoconv.errors import EvoconvError

TOLERANCE = 1e-4
"""By how much logits may differ, of the largest of them; where all are below 1, of 1."""

_BATCH = 256


def check_onnx(
    file: Path, pixels: npt.NDArray[np.uint8 | np.uint16], logits: npt.NDArray[np.float32]
) -> float:
    """Return the largest difference of a logit, in [0, ``TOLERANCE`` of the largest one].

    Args:
        file: the ONNX file.
        pixels: images (N, H, W, C).
        logits: what they are expected to give, (N, K).

    Raises:
        EvoconvError: logits differ by more, an image gets another label, or the file doesn't run.
    """
    with tempfile.TemporaryDirectory() as folder:
        question = Path(folder) / "question.npz"
        np.savez(question, pixels=pixels, logits=logits)
        done = subprocess.run(
            [sys.executable, "-m", "evoconv.export.check_onnx", str(file), str(question)],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise EvoconvError(f"{file} doesn't run in onnxruntime: {lines[-1]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    if answer["num_different"] or not answer["largest_difference"] <= _tolerance(logits):
        raise EvoconvError(
            f"{file} doesn't give what the network gives: {answer['num_different']} of"
            f" {len(pixels)} images get another label, logits differ by up to"
            f" {answer['largest_difference']:.2g}, {_tolerance(logits):.2g} is allowed"
        )
    return float(answer["largest_difference"])


def _tolerance(logits: npt.NDArray[np.float32]) -> float:
    """Return it for these: float32 rounds in proportion, and a network's logits may be large."""
    return TOLERANCE * max(1.0, float(np.abs(logits).max(initial=0.0)))


def _answer(file: Path, question: Path) -> dict[str, Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(file), sess_options=options, providers=["CPUExecutionProvider"]
    )
    with np.load(question, allow_pickle=False) as asked:
        pixels, wanted = asked["pixels"], asked["logits"]
    got = np.concatenate(
        [
            session.run(["logits"], {"images": pixels[start : start + _BATCH]})[0]
            for start in range(0, len(pixels), _BATCH)
        ]
    )
    # Of two classes within the tolerance either may come first.
    top_two = np.sort(wanted, axis=1)[:, -2:]
    is_tie = top_two[:, 1] - top_two[:, 0] < 2 * _tolerance(wanted)
    different = (got.argmax(axis=1) != wanted.argmax(axis=1)) & ~is_tie
    return {
        "num_different": int(different.sum()),
        "largest_difference": float(np.abs(got - wanted).max()),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_answer(Path(sys.argv[1]), Path(sys.argv[2]))))
