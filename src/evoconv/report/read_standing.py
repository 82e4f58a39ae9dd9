"""Reads a study's standing from its storage.

A study may come from anywhere, so everything is checked here, once.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from evoconv.errors import ConfigError, StudyError
from evoconv.genomes.constraints import Limits
from evoconv.problems.compress_options import CompressOptions, Uncompressed
from evoconv.problems.fitness import FitnessOptions, study_objective
from evoconv.records import Objective, Trial
from evoconv.report.notes import (
    DAMAGE,
    Final,
    Finalist,
    Retrained,
    read_augmentations,
    read_checked,
    read_compressed,
    read_final,
    read_finalists,
    read_images,
    read_retrained,
)
from evoconv.report.standing import FinishedTrial, Standing
from evoconv.study.finished import (
    AUGMENTATIONS_NOTE,
    FINALISTS_NOTE,
    RETRAINED_NOTE,
    Finished,
    finished_trials,
)
from evoconv.study.storage import Storage
from evoconv.training.options import METRICS

T = TypeVar("T")


def read_standing(run: Path, storage: Storage) -> Standing:
    """Return where the study in the run folder stands.

    Raises:
        StudyError: a configuration or note that evoconv didn't write.
    """
    trials = tuple(storage.trials())
    told = tuple(
        number for event in storage.events() if event.kind == "tell" for number in event.numbers
    )
    if any(one.number != index for index, one in enumerate(trials)):
        raise StudyError(f"the study in {run} is damaged: trials are missing")
    if any(not 0 <= one < len(trials) or not trials[one].state.is_finished for one in told):
        raise StudyError(f"the study in {run} is damaged: it tells a trial without a result")
    try:
        metric = str(storage.config["training"]["metric"])
        if metric not in METRICS:
            raise ValueError(f"no metric is called {metric!r:.50}")
        own = Finished(run=run)
        final = _read_final(storage, own, trials)
        return Standing(
            run=run,
            method=str(storage.config["method"]),
            recipe=str(storage.config["recipe"]),
            seed=int(storage.config["seed"]),
            metric=metric,
            objective=_read_objective(storage, metric, [trials[number] for number in told]),
            limits=Limits(**storage.config.get("limits", {})),
            trials=trials,
            told=told,
            seconds=storage.elapsed_s(),
            images=_optional(read_images, storage.note("data")),
            precision=_optional(lambda note: str(note["description"]), storage.note("precision")),
            stop_reason=_optional(lambda note: str(note["reason"]), storage.note("stop")),
            augmentations=_optional(read_augmentations, storage.note(AUGMENTATIONS_NOTE)),
            finalists=_read_finalists(storage, trials),
            final=final,
            checked=_optional(read_checked, storage.note(own.checked_note)),
            compressed=_optional(read_compressed, storage.note(own.compressed_note)),
            retrained=_read_retrained(storage, trials),
            others=_read_others(storage, run, trials),
            versions={str(k): str(v) for k, v in (storage.note("versions") or {}).items()},
        )
    except (*DAMAGE, ConfigError) as error:
        raise StudyError(f"the study in {run} is damaged or of another version: {error}") from error


def _read_objective(storage: Storage, metric: str, told: Sequence[Trial]) -> Objective:
    """Return what the study improves, with targets where its results have moved them."""
    objective = study_objective(
        metric,
        FitnessOptions(**storage.config.get("fitness", {})),
        CompressOptions(**storage.config.get("compress", {})),
        _optional(lambda note: Uncompressed(**note), storage.config.get("uncompressed")),
    )
    for one in told:
        if one.individual.measurement is not None:
            objective.told(one.individual.measurement)
    return objective


def _read_final(storage: Storage, place: Finished, trials: Sequence[Trial]) -> Final | None:
    final = _optional(read_final, storage.note(place.final_note))
    if final is not None and not _is_measured(trials, final.trial):
        raise ValueError(f"the finished trial {final.trial} has no measurement")
    return final


def _read_finalists(storage: Storage, trials: Sequence[Trial]) -> tuple[Finalist, ...]:
    finalists = _optional(read_finalists, storage.note(FINALISTS_NOTE)) or ()
    for one in finalists:
        if not _is_measured(trials, one.trial):
            raise ValueError(f"the finalist {one.trial} has no measurement")
    return finalists


def _read_retrained(storage: Storage, trials: Sequence[Trial]) -> dict[int, tuple[Retrained, ...]]:
    found = {}
    for name in storage.note_names():
        kind, _, number = name.partition(" ")
        if kind == RETRAINED_NOTE and number.isdecimal() and _is_measured(trials, int(number)):
            found[int(number)] = read_retrained(storage.note(name))
    return found


def _read_others(storage: Storage, run: Path, trials: Sequence[Trial]) -> dict[int, FinishedTrial]:
    others = {}
    for place in finished_trials(run, storage.note_names()):
        final = _read_final(storage, place, trials)
        if final is not None:
            checked = _optional(read_checked, storage.note(place.checked_note))
            compressed = _optional(read_compressed, storage.note(place.compressed_note))
            others[final.trial] = (final, checked, compressed)
    return others


def _optional(read: Callable[[Any], T], note: Any) -> T | None:
    return None if note is None else read(note)


def _is_measured(trials: Sequence[Trial], number: int) -> bool:
    return 0 <= number < len(trials) and trials[number].individual.measurement is not None
