"""Load a saved network in a fresh process and see whether it reproduces its own figure.

``check_saved`` starts ``python -m evoconv.export.check``, which shares nothing with the process
that trained the network but the files it wrote.
"""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evoconv.data.image_set import open_image_set
from evoconv.data.splits import SplitOptions, training_indices
from evoconv.errors import EvoconvError
from evoconv.export.classifier import Classifier
from evoconv.export.evo_file import require_same
from evoconv.export.final import test_logits
from evoconv.networks.latency import RUNS, latency_s
from evoconv.study.finished import COMPRESSED_NAME

# Sums of thousands of products in another order differ by about this much in float32.
_TOLERANCE = 1e-3


def check_saved(
    run: Path, cache: Path, split: SplitOptions, seed: int, *, repeat: int = 0
) -> dict[str, Any]:
    """Return what the fresh process found: images compared, and the latency of one image.

    Args:
        run: the folder of the finished network.
        cache: the images.
        split: how they were divided.
        seed: the study's.
        repeat: which of its trainings was saved.

    Raises:
        EvoconvError: the saved network doesn't give the predictions that were measured, or its
            compressed file holds another one; a compressed file is removed then.
    """
    question = {
        "run": str(run),
        "cache": str(cache),
        "split": asdict(split),
        "seed": seed,
        "logits": f"repeat-{repeat}.npz",
    }
    done = subprocess.run(
        [sys.executable, "-m", "evoconv.export.check"],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        _remove_compressed(run)
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise EvoconvError(f"the saved network could not be checked: {lines[-1]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    if not answer["agrees"]:
        _remove_compressed(run)
        raise EvoconvError(
            f"the saved network doesn't reproduce its figure: {answer['num_different']} of"
            f" {answer['num_images']} test images get another label in a fresh process"
        )
    return answer


def _remove_compressed(run: Path) -> None:
    """Leave no file for use whose network isn't what was measured."""
    (run / COMPRESSED_NAME).unlink(missing_ok=True)


def _check(question: dict[str, Any]) -> dict[str, Any]:
    torch.set_num_threads(1)
    run = Path(question["run"])
    classifier = Classifier(run / "best")
    if (packed := run / COMPRESSED_NAME).is_file():
        require_same(packed, classifier.description, classifier.model)
    split = SplitOptions(**question["split"])
    image_set = open_image_set(Path(question["cache"]))
    logits, _ = test_logits(
        classifier.model,
        image_set,
        classifier.standardisation,
        training_indices(image_set, split, question["seed"]),
    )
    with np.load(run / "test" / question["logits"], allow_pickle=False) as stored:
        before = stored["logits"]
    if before.shape != logits.shape:
        raise EvoconvError("the test images are not those that were measured")
    top_two = np.sort(before, axis=1)[:, -2:]
    is_tie = top_two[:, 1] - top_two[:, 0] < _TOLERANCE
    shape = classifier.preprocessing
    different = (before.argmax(axis=1) != logits.argmax(axis=1)) & ~is_tie
    return {
        "agrees": not different.any(),
        "num_different": int(different.sum()),
        "num_images": len(logits),
        "largest_difference": float(np.abs(before - logits).max()),
        "latency_s": latency_s(classifier.model, (shape.channels, shape.height, shape.width)),
        "latency_n": RUNS,
    }


if __name__ == "__main__":
    try:
        sys.stdout.write(json.dumps(_check(json.load(sys.stdin))))
    except EvoconvError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
