"""One study from its options to its saved network: what ``evolve`` and ``resume`` do.

All that is stored on the way lets a later session go on from any point.
"""

import platform
import time
from contextlib import closing
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

from evoconv.config import StudyConfig, config_from_dict
from evoconv.configure import check_generations
from evoconv.errors import ConfigError, EvoconvError, SearchFailed, StudyError
from evoconv.execution.executor import Executor
from evoconv.genomes.architecture import read_genome
from evoconv.preparation import prepare
from evoconv.problems.fitness import FUNCTION, FitnessFunction
from evoconv.problems.transfer import TransferProblem
from evoconv.problems.weight_sharing import WeightSharingProblem
from evoconv.session.base import with_base
from evoconv.session.context import Session
from evoconv.session.finishing import Finishing, save_best_so_far
from evoconv.session.length import timed_setting
from evoconv.session.opened import begin, is_finished, open_study, prepare_stored
from evoconv.session.own_network import OwnNetwork
from evoconv.session.run_folder import run_folder
from evoconv.session.search import Candidates, Search
from evoconv.session.shared import SharedCandidates
from evoconv.session.trained import TrainedCandidates
from evoconv.study.finished import FINALISTS_NOTE
from evoconv.study.lock import lock_folder
from evoconv.study.runner import INTERRUPTED
from evoconv.study.storage import Storage
from evoconv.study.watch import Watch
from evoconv.timetable import AFTERWARDS_S, COMPRESSION_SHARE, Timetable

# Limits that a resume has changed, by the budget's names.
_LIMITS_NOTE = "limits"


def start_study(
    config: StudyConfig,
    out: Path | None,
    watch: Watch,
    started_at: float | None = None,
    fitness: FitnessFunction | None = None,
    own: OwnNetwork | None = None,
) -> Path:
    """Run a new study to its end and return its run folder.

    Nothing is written before the data and all options have proved usable. After Ctrl-C the best so
    far is saved and ``KeyboardInterrupt`` is raised.

    Args:
        config: from ``configure``.
        out: the run folder; None for a dated one under ``runs/``.
        watch: is told what happens.
        started_at: when the command began, seconds since the epoch; its time counts from there.
        fitness: the function that ``--fitness function`` stands for.
        own: what a compression begins with, where the configuration names no network.
    """
    if config.fitness.fitness == FUNCTION and fitness is None:
        raise ConfigError(
            "--fitness function stands for one in Python: evoconv.evolve(source, fitness=function)"
        )
    started_at = time.time() if started_at is None else started_at
    timetable = Timetable(
        started_at=started_at,
        time_s=_own_time(config, config.budget.time_s),
        final_share=config.final.final_share,
    )
    with run_folder(config, out) as run:
        config = with_base(config, run, watch, started_at, own)
        prepared = prepare(config, run, watch)
        stored = prepared.config.to_dict()
        with lock_folder(run), closing(Storage.create(run, stored, read_genome)) as storage:
            prepared.keep_pretrained(run)
            storage.set_note("data", prepared.note())
            storage.set_note("versions", _versions())
            session = Session(
                run=run,
                storage=storage,
                prepared=prepared,
                watch=watch,
                timetable=timetable,
                fitness=fitness,
            )
            _run(session)
    return run


def resume_study(
    run: Path,
    watch: Watch,
    *,
    time_s: float | None = None,
    evaluations: int | None = None,
    generations: int | None = None,
    started_at: float | None = None,
    fitness: FitnessFunction | None = None,
) -> Path:
    """Go on with a study where it stopped, to its end; return its run folder.

    Args:
        run: the run folder.
        watch: is told what happens.
        time_s: time for this command; None for what is left of the study's own, but enough for
            the final training. A finished study that goes further has none of its own.
        evaluations: a new limit for the whole study.
        generations: a new limit for the whole study.
        started_at: when the command began, seconds since the epoch.
        fitness: the study's function, if it has one.

    Raises:
        StudyError: no such study, one in use, or images that have changed since.
    """
    started_at = time.time() if started_at is None else started_at
    with open_study(run) as storage:
        config = config_from_dict(storage.config)
        new = {"evaluations": evaluations, "generations": generations}
        new_limits = {name: value for name, value in new.items() if value is not None}
        goes_further = time_s is not None or bool(new_limits)
        was_finished = is_finished(storage)
        if was_finished and not goes_further:
            watch.notify("the study is finished; --time or --evaluations let it go on")
            return run
        # Bad limits are refused before anything is changed.
        limits = _changed_limits(storage) | new_limits
        config = replace(config, budget=replace(config.budget, **limits))
        check_generations(config.budget, config.method)
        prepared = replace(prepare_stored(run, storage, watch), config=config)
        if goes_further:
            storage.set_note(_LIMITS_NOTE, limits)
            storage.set_note("stop", None)
        if time_s is not None:
            time_s = _own_time(config, time_s)
        elif not was_finished:
            time_s = _time_left(config, storage)
        timetable = Timetable(
            started_at=started_at, time_s=time_s, final_share=config.final.final_share
        )
        session = Session(
            run=run,
            storage=storage,
            prepared=prepared,
            watch=watch,
            timetable=timetable,
            fitness=fitness,
        )
        _run(session)
    return run


def _changed_limits(storage: Storage) -> dict[str, int]:
    """Return the limits that earlier resumes have set; ``StudyError`` if they are none."""
    stored = storage.note(_LIMITS_NOTE)
    if stored is None:
        return {}
    if not isinstance(stored, dict) or not stored.keys() <= {"evaluations", "generations"}:
        raise StudyError(f"the note {_LIMITS_NOTE} in {storage.path} is damaged: {stored!s:.60}")
    return stored


def _run(session: Session) -> None:
    """Search, finish, check, report; after Ctrl-C save what there is."""
    finishing = Finishing(session=session)
    try:
        _search_and_finish(session, finishing)
    except KeyboardInterrupt:
        save_best_so_far(session)
        raise
    except SearchFailed:
        finishing.report()
        raise
    finishing.check_and_report()


def _search_and_finish(session: Session, finishing: Finishing) -> None:
    # Before the first worker: whoever interrupts from here on is told how to go on.
    begin(session)
    with session.executor() as executor:
        candidates = _candidates(session, executor)
        search = Search(session=session, executor=executor, candidates=candidates)
        reason, best = search.run()
        if reason == INTERRUPTED:
            raise KeyboardInterrupt
        if session.storage.note("stop") is None:
            # A search that went further has an end that an earlier best was given.
            for name in (FINALISTS_NOTE, "final", "checked"):
                session.storage.set_note(name, None)
            session.storage.set_note("stop", {"reason": reason})
        if best is None:
            raise EvoconvError(
                "the time was too short: no evaluation was complete; give more --time or fewer"
                " --image-passes"
            )
        setting = finishing.tuned_setting(executor)
        trial = finishing.choose(executor, setting, session.storage.trial(best.number))
        finishing.train(executor, setting, trial, session.config.final)


def _candidates(session: Session, executor: Executor) -> Candidates:
    problem = session.prepared.problem
    if isinstance(problem, WeightSharingProblem):
        return SharedCandidates(session=session, executor=executor, problem=problem)
    if isinstance(problem, TransferProblem) and problem.pretrained is not None:
        new_network, recipe = problem.baseline().new_network, session.config.training
        build = partial(new_network, problem.input_shape, problem.num_classes, recipe, seed=0)
        setting = timed_setting(session, executor, build)
        return TrainedCandidates(session=session, executor=executor, setting=setting, timed=True)
    setting = session.setting(executor)
    return TrainedCandidates(session=session, executor=executor, setting=setting)


def _own_time(config: StudyConfig, time_s: float | None) -> float | None:
    """Return the part of a command's time that isn't for a compression; None for no limit."""
    if time_s is None or not config.final.compress:
        return time_s
    return time_s * (1 - COMPRESSION_SHARE)


def _time_left(config: StudyConfig, storage: Storage) -> float | None:
    """Return what is left of a study's own time, but enough to finish it; None for no limit."""
    own_s = _own_time(config, config.budget.time_s)
    if own_s is None:
        return None
    return max(own_s - storage.elapsed_s(), config.final.final_share * own_s + 2 * AFTERWARDS_S)


def _versions() -> dict[str, str]:
    names = ("evoconv", "torch", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
