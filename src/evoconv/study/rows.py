"""Trials and events as rows of a database, and back.

What is read may come from anywhere: every value is checked, and the first that can't be is refused.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from evoconv.errors import StudyError
from evoconv.records import (
    CurvePoint,
    Event,
    Failure,
    FailureKind,
    Genome,
    Individual,
    Measurement,
    Trial,
    TrialState,
)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class GenomeText:
    """A genome as it was stored, not yet read: enough to compare it with another."""

    text: str
    digest: str

    def to_json(self) -> str:
        """Return the text."""
        return self.text


def row_of_individual(individual: Individual) -> dict[str, Any]:
    """Return the row of a trial that waits."""
    return {
        "number": individual.number,
        "genome": individual.genome.to_json(),
        "digest": individual.genome.digest,
        "parents": json.dumps(individual.parents),
        "operator": individual.operator,
        "redraws": individual.redraws,
        "copy_of": individual.copy_of,
        "state": TrialState.WAITING.value,
        "attempts": 0,
    }


def columns_of_finish(trial: Trial) -> dict[str, Any]:
    """Return the columns that finishing a trial sets."""
    measurement, failure = trial.individual.measurement, trial.individual.failure
    return {
        "state": trial.state.value,
        "worker": trial.worker,
        "started_at": trial.started_at,
        "finished_at": trial.finished_at,
        "peak_memory_bytes": trial.peak_memory_bytes,
        "measured": None if measurement is None else _dump_values(measurement.values),
        "curve": None if measurement is None else _dump_curve(measurement.curve),
        "remarks": json.dumps(measurement.remarks) if measurement and measurement.remarks else None,
        "failure_kind": None if failure is None else failure.kind.value,
        "failure_message": None if failure is None else failure.message,
    }


def trial_of_row(row: Any, genome_from_json: Callable[[str], Genome] | None) -> Trial:
    """Return the trial in a row of the table, its genome a ``GenomeText`` if nothing can read it.

    Raises:
        StudyError: a value that evoconv didn't write.
    """
    try:
        return _read_trial(row, genome_from_json)
    except Exception as error:
        raise StudyError(f"the record of trial {row.number} is damaged: {error}") from error


def event_of_row(row: Any) -> Event:
    """Return the event in a row of the table.

    Raises:
        StudyError: a value that evoconv didn't write.
    """
    try:
        if row.kind not in ("ask", "tell"):
            raise ValueError(f"no kind of event is called {row.kind!r}")
        numbers = _numbers(load_json(row.numbers))
        return Event(kind=row.kind, slots=_integer(row.slots), numbers=numbers)
    except (ValueError, TypeError) as error:
        raise StudyError(f"entry {row.sequence} of the log is damaged: {error}") from error


def session_of_row(row: Any) -> tuple[int, float, float]:
    """Return number, start and last sign of life of a process that worked on the study.

    Raises:
        StudyError: a value that evoconv didn't write.
    """
    try:
        return _integer(row.id), _time(row.started_at), _time(row.last_seen_at)
    except ValueError as error:
        raise StudyError(f"the record of session {row.id} is damaged: {error}") from error


def load_json(text: object) -> Any:
    """Return the value of JSON text, in which floats may be NaN or infinite.

    Raises:
        ValueError: anything else.
    """
    try:
        return json.loads(_text(text))
    except RecursionError as error:
        raise ValueError("JSON is nested too deep") from error


def _read_trial(row: Any, genome_from_json: Callable[[str], Genome] | None) -> Trial:
    genome: Genome
    if genome_from_json is None:
        genome = GenomeText(text=_text(row.genome), digest=_text(row.digest))
    else:
        genome = genome_from_json(_text(row.genome))
        if genome.digest != row.digest:
            raise ValueError("its genome doesn't have the digest that was stored with it")
    state = TrialState(row.state)
    individual = Individual(
        number=_integer(row.number),
        genome=genome,
        parents=_numbers(load_json(row.parents)),
        operator=_text(row.operator),
        redraws=_integer(row.redraws),
        copy_of=_optional(_integer, row.copy_of),
        measurement=_read_measurement(row) if state is TrialState.COMPLETE else None,
        failure=_read_failure(row) if state is TrialState.FAILED else None,
    )
    return Trial(
        individual=individual,
        state=state,
        attempts=_integer(row.attempts),
        worker=_optional(_integer, row.worker),
        started_at=_optional(_time, row.started_at),
        finished_at=_optional(_time, row.finished_at),
        peak_memory_bytes=_optional(_integer, row.peak_memory_bytes),
    )


def _read_measurement(row: Any) -> Measurement:
    values = load_json(row.measured)
    if not isinstance(values, dict):
        raise ValueError("its values aren't named")
    return Measurement(
        values={name: _real(value) for name, value in values.items()},
        curve=tuple(_read_point(point) for point in _list(load_json(row.curve))),
        remarks=() if row.remarks is None else tuple(map(_text, _list(load_json(row.remarks)))),
    )


def _read_failure(row: Any) -> Failure:
    return Failure(kind=FailureKind(row.failure_kind), message=_text(row.failure_message))


def _dump_values(values: Mapping[str, float]) -> str:
    # Through float: NumPy's single-precision numbers aren't JSON.
    return json.dumps({name: float(value) for name, value in values.items()})


def _dump_curve(curve: Sequence[CurvePoint]) -> str:
    return json.dumps(
        [
            (
                point.fold,
                point.epoch,
                float(point.seconds),
                float(point.train_loss),
                float(point.validation_loss),
                float(point.validation_accuracy),
            )
            for point in curve
        ]
    )


def _read_point(value: object) -> CurvePoint:
    fold, epoch, seconds, train_loss, validation_loss, validation_accuracy = _list(value)
    return CurvePoint(
        fold=_integer(fold),
        epoch=_integer(epoch),
        seconds=_real(seconds),
        train_loss=_real(train_loss),
        validation_loss=_real(validation_loss),
        validation_accuracy=_real(validation_accuracy),
    )


def _numbers(value: object) -> tuple[int, ...]:
    return tuple(_integer(item) for item in _list(value))


def _list(value: object) -> Iterable[Any]:
    if type(value) is not list:
        raise ValueError(f"a list was expected, got {value!r:.50}")
    return value


def _text(value: object) -> str:
    if type(value) is not str:
        raise ValueError(f"a text was expected, got {value!r:.50}")
    return value


def _integer(value: object) -> int:
    if type(value) is not int:
        raise ValueError(f"a whole number was expected, got {value!r:.50}")
    return value


def _real(value: object) -> float:
    if type(value) is not float and type(value) is not int:
        raise ValueError(f"a number was expected, got {value!r:.50}")
    return float(value)


def _time(value: object) -> float:
    seconds = _real(value)
    if not math.isfinite(seconds):
        raise ValueError(f"a time was expected, got {seconds}")
    return seconds


def _optional(read: Callable[[object], T], value: object) -> T | None:
    return None if value is None else read(value)
