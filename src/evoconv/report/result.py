"""A study in one flat JSON object: ``result.json`` in its run folder.

Fractions are in [0, 1], durations in seconds, sizes in bytes; null is what isn't known (yet). The
keys may grow, their meaning stays.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from statistics import fmean, stdev
from typing import Any

from evoconv.artifacts import write_file
from evoconv.genomes.shapes import COSTS
from evoconv.problems.fitness import formula_of
from evoconv.records import Trial
from evoconv.report.notes import Augmentations, Finalist
from evoconv.report.retrained import retrained_figures
from evoconv.report.savings import savings_of
from evoconv.report.standing import Standing
from evoconv.training.metrics import confusion_matrix, recalls
from evoconv.training.options import METRICS

FILE_NAME = "result.json"
FITNESS_NAME, FRONT_NAME = "fitness.png", "front.png"


def write_result(standing: Standing) -> None:
    """Write ``result.json`` in the run folder; it is whole or not there.

    Raises:
        StudyError: the disk is full.
    """
    write_file(standing.run / FILE_NAME, (as_json(summary_of(standing)) + "\n").encode())


def as_json(summary: dict[str, Any]) -> str:
    """Return strict JSON: what isn't a finite number is null."""
    return json.dumps(_finite(summary), indent=1, allow_nan=False)


def summary_of(standing: Standing) -> dict[str, Any]:
    """Return the figures of a study that was read already."""
    return {
        **_search_figures(standing),
        **_best_figures(standing),
        **_test_figures(standing),
        **_baseline_figures(standing),
        **_compression_figures(standing),
        **_class_figures(standing),
        "augmentations": _augmentation_figures(standing.augmentations),
        "finalists": [_finalist_figures(one, standing) for one in standing.finalists],
        "retrained": {
            str(number): retrained_figures(rows) for number, rows in standing.retrained.items()
        },
        "front": [_front_figures(one) for one in standing.front],
        "data": _data_figures(standing),
        "precision": standing.precision,
        "versions": dict(standing.versions),
    }


def _search_figures(standing: Standing) -> dict[str, Any]:
    return {
        "method": standing.method,
        "recipe": standing.recipe,
        "metric": standing.metric,
        "seed": standing.seed,
        "device": standing.limits.device,
        "bits": standing.limits.bits,
        "complete": standing.is_complete,
        "seconds": standing.seconds,
        "stop_reason": standing.stop_reason,
        "evaluations": len(standing.evaluations),
        "failed": standing.num_failed,
        "copies": standing.num_copies,
        "redraws": standing.num_redraws,
        "redraw_rate": standing.redraw_rate,
        "worker_busy": standing.worker_busy,
        "fitness": formula_of(standing.objective),
        "target_reached": standing.target_reached,
        "savings": asdict(savings_of(standing.evaluations)),
    }


def _best_figures(standing: Standing) -> dict[str, Any]:
    best, measured = standing.best, standing.measured_best
    values = {} if measured is None else measured.values
    return {
        "trial": None if best is None else best.number,
        "best_fitness": None if measured is None else standing.objective.fitness(measured),
        "genome": None if best is None else json.loads(best.individual.genome.to_json()),
        **{name: _whole(values.get(name)) for name in COSTS},
        **{f"validation_{_key(name)}": values.get(f"validation_{_key(name)}") for name in METRICS},
    }


def _test_figures(standing: Standing) -> dict[str, Any]:
    """Return each measure's mean over the repeats; of the accuracy also spread and extremes.

    The deviation is that of a sample, so it takes two repeats to know it.
    """
    final = standing.final
    rows = () if final is None else final.repeats
    accuracies = [row.test["accuracy"] for row in rows]
    checked = standing.checked
    return {
        "kept": None if final is None else final.kept,
        "kept_why": None if final is None else final.why or None,
        "repeats": len(rows),
        **{f"test_{_key(name)}": _mean([row.test[name] for row in rows]) for name in METRICS},
        "test_accuracy_std": stdev(accuracies) if len(accuracies) > 1 else None,
        "test_accuracy_min": min(accuracies, default=None),
        "test_accuracy_max": max(accuracies, default=None),
        "test_accuracies": accuracies,
        "latency_s": None if checked is None else checked.latency_s,
    }


def _baseline_figures(standing: Standing) -> dict[str, Any]:
    row = None if standing.final is None else standing.final.baseline
    return {
        **{
            f"baseline_test_{_key(name)}": None if row is None else row.test[name]
            for name in METRICS
        },
        "baseline_parameters": None if row is None else row.parameters,
        "baseline_macs": None if row is None else row.macs,
    }


def _compression_figures(standing: Standing) -> dict[str, Any]:
    """Return what the file takes, and the test accuracy of the network before."""
    one = standing.compressed
    names = ("bytes", "dense_bytes", "ratio_bytes", "ratio_formula", "ratio_layer_mean")
    row = None if standing.final is None else standing.final.baseline
    is_base = standing.size == "bytes" and row is not None
    return {
        **{name: None if one is None else getattr(one, name) for name in names},
        "max_bytes_kept": None if one is None else one.is_within_limit,
        "base_test_accuracy": row.test["accuracy"] if is_base and row is not None else None,
    }


def _class_figures(standing: Standing) -> dict[str, Any]:
    """Return recall and confusion of the saved network, which is the first repeat."""
    final, images = standing.final, standing.images
    stored = standing.test_logits(final.repeats[0]) if final and final.repeats else None
    if stored is None or images is None:
        return {"recalls": None, "confusion": None}
    confusion = confusion_matrix(*stored)
    return {
        "recalls": dict(zip(images.classes, recalls(confusion).tolist(), strict=True)),
        "confusion": confusion.tolist(),
    }


def _data_figures(standing: Standing) -> dict[str, Any] | None:
    images = standing.images
    if images is None:
        return None
    return {
        "source": images.source,
        "digest": images.digest,
        "classes": list(images.classes),
        "input_shape": list(images.input_shape),
        "num_images": images.num_images,
        "num_training": images.num_training,
        "num_validation": images.num_validation,
        "num_test": images.num_test,
        "notes": list(images.notes),
    }


def _augmentation_figures(compared: Augmentations | None) -> list[dict[str, Any]]:
    if compared is None:
        return []
    names = ("validation_accuracy", "validation_cross_entropy")
    return [
        {
            "augmentation": augmentation,
            **{name: None if values is None else values[name] for name in names},
            "taken": augmentation in compared.taken,
        }
        for augmentation, values in compared.values.items()
    ]


def _finalist_figures(one: Finalist, standing: Standing) -> dict[str, Any]:
    names = ("validation_accuracy", "validation_accuracy_error")
    return {
        **_front_figures(standing.trials[one.trial]),
        # In the place of what the search measured.
        **{name: None if one.values is None else one.values[name] for name in names},
    }


def _front_figures(trial: Trial) -> dict[str, Any]:
    measured = trial.individual.measurement
    assert measured is not None, "the front is measured"
    is_packed = "bytes" in measured.values
    costs = ("bytes",) if is_packed else ("parameters", "macs", "memory_bytes")
    names = ("validation_accuracy", *costs)
    return {"trial": trial.number, **{name: measured.values.get(name) for name in names}}


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _key(measure: str) -> str:
    return measure.replace("-", "_")


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return value
