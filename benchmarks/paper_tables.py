"""Tables 1 and 4 of Vidnerová & Neruda 2018: their four networks, trained as there and tested.

RMSprop with Keras' defaults, batch 128, 20 epochs, the whole training set; mean, standard
deviation, minimum and maximum of the test accuracy over repeated trainings. These are
reproductions: nothing is chosen by these figures.
"""

import sys
from collections.abc import Sequence
from dataclasses import fields
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch

from benchmarks.cells import Cells, print_table, setting
from benchmarks.evaluations import Patient, images_of, stored_precision
from evoconv.data.augmentation import Augmentation
from evoconv.data.image_set import Declared
from evoconv.genomes.reference import REFERENCES
from evoconv.genomes.shapes import cost
from evoconv.problems.subject import Subject
from evoconv.problems.training import FullTraining, TrainingSetting
from evoconv.recipes import RECIPES
from evoconv.seeds import Purpose, seed_for
from evoconv.training.loop import predict_logits
from evoconv.training.metrics import measure
from evoconv.training.options import Recipe
from evoconv.training.precision import Precision

REPEATS = int(setting("EVOCONV_REPEATS", "3"))
PUBLISHED = {
    ("mnist", "async-mnist-baseline"): "98.97 ± 0.07 (98.84–99.13)",
    ("mnist", "async-mnist-evolved"): "99.25 ± 0.09 (99.10–99.37)",
    ("fashion-mnist", "async-fashion-baseline"): "91.64 ± 0.37 (90.77–91.97)",
    ("fashion-mnist", "async-fashion-evolved"): "92.32 ± 0.52 (91.07–92.86)",
}


def run(only: Sequence[str] = ()) -> None:
    """Measure the missing cells; ``only`` some data sets, to share the work between processes."""
    torch.set_num_threads(1)
    cells = Cells("paper_tables")
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    precision = stored_precision(cells, torch.device(device))
    for repeat in range(REPEATS):
        for data, network in PUBLISHED:
            if only and data not in only:
                continue
            cells.measure(
                f"{data} {network} {repeat}",
                lambda d=data, n=network, r=repeat: _train(d, n, r, device, precision),  # type: ignore[misc]
            )


def tables() -> None:
    """Print the table of the stored cells."""
    cells = Cells("paper_tables")
    rows = []
    for (data, network), published in PUBLISHED.items():
        repeats = cells.repeats(f"{data} {network}")
        if not repeats:
            continue
        got = [100 * one["test_accuracy"] for one in repeats]
        deviation = f" ± {stdev(got):.2f}" if len(got) > 1 else ""
        reached = f"{mean(got):.2f}{deviation} ({min(got):.2f}–{max(got):.2f})"
        parameters = f"{repeats[0]['parameters']:,}"
        rows.append((data, network, parameters, reached, len(got), published))
    chosen = cells.get("precision") or {}
    precision = "bfloat16" if chosen.get("bfloat16") else "float32"
    print_table(
        f"Tables 1 and 4 of the paper: test accuracy in percent ({precision})",
        ("data", "network", "parameters", "evoconv", "n", "published"),
        rows,
    )


def _train(data: str, name: str, repeat: int, device: str, precision: Precision) -> dict[str, Any]:
    known = {one.name for one in fields(Recipe)}
    recipe = Recipe(**{key: one for key, one in RECIPES["paper"].items() if key in known})
    images = images_of(data)
    declared, labels = images.image_set.declared, images.image_set.labels
    training = np.flatnonzero(declared == Declared.TRAIN)
    test = np.flatnonzero(declared == Declared.TEST)
    topology = REFERENCES[name].topology
    workplace = images.setup(0, device)
    augmentation = Augmentation(shift=0.0)
    full = FullTraining(
        subject=Subject(architecture=topology),
        seed=seed_for(2018, Purpose.FINAL, repeat),
        setting=TrainingSetting(recipe=recipe, augmentation=augmentation, precision=precision),
        epochs=recipe.final_epochs or 20,
        time_limit_s=None,
    )
    network, reports = full.on(training, workplace, Patient())
    logits = predict_logits(network, workplace.tensor, torch.from_numpy(test), Precision())
    shape, num_classes = images.image_set.input_shape, len(images.image_set.classes)
    return {
        "test_accuracy": measure(logits.numpy(), labels[test])["accuracy"],
        "parameters": cost(topology, shape, num_classes).parameters,
        "seconds": round(reports[-1].seconds, 1),
        "epochs": len(reports),
    }


if __name__ == "__main__":
    run(sys.argv[1:])
    tables()
