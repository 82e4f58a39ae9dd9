"""A stored study opened, and what is done with one of its trials beside its own end."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from evoconv.config import config_from_dict
from evoconv.errors import ConfigError, StudyError
from evoconv.genomes.architecture import read_genome
from evoconv.preparation import Prepared, prepare_again
from evoconv.records import Trial
from evoconv.session.context import Session
from evoconv.session.finishing import Finishing
from evoconv.study.lock import lock_folder
from evoconv.study.storage import Storage
from evoconv.study.watch import Watch
from evoconv.timetable import Timetable


def finish_trial(
    run: Path,
    number: int,
    watch: Watch,
    *,
    time_s: float | None = None,
    repeats: int = 1,
    started_at: float | None = None,
) -> Path:
    """Train a trial's network anew on all training images, test and save it, as the best one is.

    What was done already is not done again.

    Args:
        run: the run folder of the study.
        number: the trial.
        watch: is told what happens.
        time_s: time for this command; None for as long as it needs.
        repeats: how many trainings; the result is their mean.
        started_at: when the command began, seconds since the epoch.

    Returns:
        The folder with the network: ``trial-N`` in the run folder.

    Raises:
        StudyError: no such study or trial, a trial without a measurement, or a study in use.
    """
    require_some(repeats)
    with open_study(run) as storage:
        trial = measured_trial(storage, number)
        session = session_on(run, storage, watch, time_s, started_at)
        finishing = Finishing(session=session, number=number)
        options = replace(session.config.final, repeats=repeats, baseline=False)
        begin(session)
        with session.executor() as executor:
            finishing.train(executor, finishing.setting(executor), trial, options)
        finishing.check_and_report()
    return finishing.folder


@contextmanager
def open_study(run: Path) -> Iterator[Storage]:
    """Open an existing study that no other process works on, to the end of the block."""
    if not run.is_dir():  # locking would make it
        raise StudyError(f"there is no run folder {run}")
    with lock_folder(run), closing(Storage.open(run, read_genome)) as storage:
        yield storage


def is_finished(storage: Storage) -> bool:
    """Return whether a study is at its end, and nobody has let it go on since."""
    # Where a search went further and was interrupted, it isn't over, but an end is stored.
    return storage.note("checked") is not None and storage.note("stop") is not None


def require_some(repeats: int) -> None:
    """Raise ``ConfigError`` unless there is to be a training."""
    if repeats < 1:
        raise ConfigError(f"repeats must be at least 1, got {repeats}")


def measured_trial(storage: Storage, number: int) -> Trial:
    """Return the trial; ``StudyError`` if there is none or it has no measurement."""
    trial = storage.trial(number)
    if trial.individual.measurement is None:
        raise StudyError(f"trial {number} is {trial.state}: it has no measurement")
    return trial


def session_on(
    run: Path, storage: Storage, watch: Watch, time_s: float | None, started_at: float | None
) -> Session:
    """Return a session that works on a trial of an open study, as ``finish_trial`` does.

    Raises ``StudyError`` if the images have changed.
    """
    prepared = prepare_stored(run, storage, watch)
    timetable = Timetable(
        started_at=time.time() if started_at is None else started_at,
        time_s=time_s,
        final_share=prepared.config.final.final_share,
    )
    return Session(run=run, storage=storage, prepared=prepared, watch=watch, timetable=timetable)


def prepare_stored(run: Path, storage: Storage, watch: Watch) -> Prepared:
    """Return what an open study works on; ``StudyError`` if its images have changed."""
    config = config_from_dict(storage.config)
    return prepare_again(config, run, watch, storage.note("data") or {})


def begin(session: Session) -> None:
    """Tell whoever looks on that workers are about to start, and on what."""
    session.watch.begun(
        run=session.run,
        method=session.config.method,
        time_s=session.timetable.left_s(),
        num_slots=len(session.prepared.devices),
        facts=session.prepared.facts(),
    )
