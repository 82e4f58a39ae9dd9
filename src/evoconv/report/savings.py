"""What a search saved, by how: shares of the image passes that it would have taken otherwise.

An image pass is one image trained on once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evoconv.records import Trial


@dataclass(frozen=True, kw_only=True)
class Savings:
    """Shares in [0, 1]; None where it can't be told.

    Attributes:
        stopping: of the image passes planned, those that early stopping left out.
        freezing: of the multiply-accumulates of training, those that frozen layers saved.
        inheritance: by how much trainings that began with inherited weights were shorter than
            those from scratch, on average; negative if they were longer.
        image_passes: image passes of the whole search.
    """

    stopping: float | None
    freezing: float | None
    inheritance: float | None
    image_passes: float


def savings_of(evaluations: Sequence[Trial]) -> Savings:
    """Return what the evaluations of a search saved; copies are not among them."""
    values = [
        one.individual.measurement.values
        for one in evaluations
        if one.individual.measurement is not None
    ]
    known = [one for one in values if {"image_passes", "planned_passes"} <= one.keys()]
    done = sum(one["image_passes"] for one in known)
    planned = sum(one["planned_passes"] for one in known)
    frozen = sum(one.get("frozen_share", 0.0) * one["image_passes"] for one in known)
    heirs = [_length(one) for one in known if one.get("inherited_share", 0.0) > 0]
    others = [_length(one) for one in known if one.get("inherited_share", 0.0) == 0]
    return Savings(
        stopping=1 - done / planned if planned else None,
        freezing=frozen / done if done else None,
        inheritance=1 - _mean(heirs) / _mean(others) if heirs and others else None,
        image_passes=sum(one.get("image_passes", 0.0) for one in values),
    )


def _length(values: Mapping[str, float]) -> float:
    return values["image_passes"] / values.get("trainings", 1.0)


def _mean(lengths: Sequence[float]) -> float:
    return sum(lengths) / len(lengths)
