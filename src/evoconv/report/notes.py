"""The notes of a study that reports need, checked: a study may come from anywhere.

The readers raise one of ``DAMAGE`` for anything that evoconv didn't write.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evoconv.training.options import METRICS

DAMAGE = (AttributeError, KeyError, OverflowError, TypeError, ValueError)


@dataclass(frozen=True, kw_only=True)
class Images:
    """The images of a study; ``input_shape`` is (C, H, W)."""

    source: str
    digest: str
    classes: tuple[str, ...]
    input_shape: tuple[int, int, int]
    num_images: int
    num_training: int
    num_validation: int
    num_test: int
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FinalRow:
    """A final training (``repeat`` or ``baseline``) with its measures on the test images.

    ``parameters`` and ``macs`` of its network; None in a study that is older than these.
    """

    name: str
    number: int
    test: Mapping[str, float]
    logits: str
    parameters: int | None
    macs: int | None


@dataclass(frozen=True, kw_only=True)
class Final:
    """The end of a study: the trial chosen, the weights kept (and why), and the final trainings."""

    trial: int
    kept: str
    why: str
    rows: tuple[FinalRow, ...]

    @property
    def repeats(self) -> tuple[FinalRow, ...]:
        """The trainings of the chosen network, by number; the first one is what was saved."""
        mine = (row for row in self.rows if row.name == "repeat")
        return tuple(sorted(mine, key=lambda row: row.number))

    @property
    def baseline(self) -> FinalRow | None:
        """The training of the network that is compared with."""
        return next((row for row in self.rows if row.name == "baseline"), None)


@dataclass(frozen=True, kw_only=True)
class Augmentations:
    """Augmentations that were compared on a trial's network, and which changes were taken.

    ``values`` are validation measures by the change's name; None where a training failed.
    """

    trial: int
    values: Mapping[str, Mapping[str, float] | None]
    taken: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Compressed:
    """What a compressed network's file takes.

    Attributes:
        max_bytes: what the file was to take at most; None for no limit.
        dense_bytes: of its parameters in float32.
        ratio_bytes: how many times more that is.
        ratio_formula: by the published formula over all parameters.
        ratio_layer_mean: the published figure, the mean of its layers' ratios.
    """

    bytes: int
    dense_bytes: int
    ratio_bytes: float
    ratio_formula: float
    ratio_layer_mean: float
    max_bytes: int | None = None

    @property
    def is_within_limit(self) -> bool | None:
        """Whether the file keeps its limit; None without one."""
        return None if self.max_bytes is None else self.bytes <= self.max_bytes


@dataclass(frozen=True, kw_only=True)
class Finalist:
    """A candidate trained in full before the choice.

    ``values`` are validation measures, by a measurement's names; None where its training failed.
    """

    trial: int
    values: Mapping[str, float] | None


@dataclass(frozen=True, kw_only=True)
class Retrained:
    """A network of an architecture that was trained again; accuracies are in [0, 1].

    ``way`` says which weights it has. One that ``failed`` has none, and NaN for its accuracies.
    """

    way: str
    validation: float
    test: float
    epochs: int
    failed: bool


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a fresh process found: do predictions agree, and seconds per image (median of n)."""

    agrees: bool
    latency_s: float
    latency_n: int


def read_images(note: Any) -> Images:
    """Return what the note ``data`` says."""
    channels, height, width = (int(side) for side in note["input_shape"])
    return Images(
        source=str(note["source"]),
        digest=str(note["digest"]),
        classes=tuple(str(one) for one in note["classes"]),
        input_shape=(channels, height, width),
        num_images=int(note["num_images"]),
        num_training=int(note["num_training"]),
        num_validation=int(note["num_validation"]),
        num_test=int(note["num_test"]),
        notes=tuple(str(one) for one in note["notes"]),
    )


def read_final(note: Any) -> Final:
    """Return what the note ``final`` says."""
    rows = tuple(
        FinalRow(
            name=str(row["name"]),
            number=int(row["number"]),
            test={name: float(row["test"][name]) for name in METRICS},
            logits=str(row["logits"]),
            parameters=_whole_or_none(row.get("parameters")),
            macs=_whole_or_none(row.get("macs")),
        )
        for row in note["rows"]
    )
    return Final(trial=int(note["trial"]), kept=str(note["kept"]), why=str(note["why"]), rows=rows)


def _whole_or_none(value: Any) -> int | None:
    return None if value is None else int(value)


def read_augmentations(note: Any) -> Augmentations:
    """Return what the note ``augmentations`` says."""
    return Augmentations(
        trial=int(note["trial"]),
        values={str(row["name"]): _validated(row) for row in note["rows"]},
        taken=tuple(str(one) for one in note["taken"]),
    )


def read_finalists(note: Any) -> tuple[Finalist, ...]:
    """Return what the note ``finalists`` says."""
    return tuple(Finalist(trial=int(row["trial"]), values=_validated(row)) for row in note["rows"])


def read_retrained(note: Any) -> tuple[Retrained, ...]:
    """Return what a note ``retrained`` says."""
    rows = []
    for row in note["rows"]:
        failed = "failure" in row
        rows.append(
            Retrained(
                way=str(row["way"]),
                validation=math.nan if failed else float(row["validation"]["accuracy"]),
                test=math.nan if failed else float(row["test"]["accuracy"]),
                epochs=0 if failed else int(row["epochs"]),
                failed=failed,
            )
        )
    return tuple(rows)


def _validated(row: Any) -> Mapping[str, float] | None:
    """Return the measures of a full training on validation images; None if it failed."""
    if "values" not in row:
        return None
    names = [f"validation_{name.replace('-', '_')}" for name in METRICS]
    return {name: float(row["values"][name]) for name in (*names, "validation_accuracy_error")}


def read_checked(note: Any) -> Checked:
    """Return what the note ``checked`` says."""
    return Checked(
        agrees=note["agrees"] is True,
        latency_s=float(note["latency_s"]),
        latency_n=int(note["latency_n"]),
    )


def read_compressed(note: Any) -> Compressed:
    """Return the note on a compressed network's file."""
    return Compressed(
        bytes=int(note["bytes"]),
        dense_bytes=int(note["dense_bytes"]),
        ratio_bytes=float(note["ratio_bytes"]),
        ratio_formula=float(note["ratio_formula"]),
        ratio_layer_mean=float(note["ratio_layer_mean"]),
        max_bytes=None if (limit := note.get("max_bytes")) is None else int(limit),
    )
