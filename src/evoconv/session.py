"""One study from its options to its saved network: what ``evolve`` and ``resume`` do.

This is where all parts meet: strategy and executor are made from the configuration, the loop runs,
and the best individual is finished. All that is stored on the way lets a later session go on from
any point.
"""

import platform
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from evoconv.artifacts import WeightFiles
from evoconv.config import StudyConfig, config_from_dict
from evoconv.errors import EvoconvError, SearchFailed, StudyError
from evoconv.evolution.catalogue import build_strategy
from evoconv.evolution.strategy import Strategy
from evoconv.execution.executor import Executor, Job
from evoconv.execution.processes import ProcessExecutor
from evoconv.export.check import check_saved
from evoconv.export.finish import Finish, save_search_weights
from evoconv.genomes.reference import baseline
from evoconv.genomes.space import TopologySpace
from evoconv.genomes.topology import Topology
from evoconv.preparation import Prepared, prepare
from evoconv.problems.architecture import EvaluateArchitecture, MeasurePrecision
from evoconv.problems.objectives import OBJECTIVES
from evoconv.problems.workplace import OpenWorkplace
from evoconv.records import Individual, Trial
from evoconv.report.plots import draw_fitness
from evoconv.report.result import write_result
from evoconv.seeds import Purpose, seed_for
from evoconv.study.lock import lock_folder
from evoconv.study.replay import resume
from evoconv.study.runner import INTERRUPTED, run_search
from evoconv.study.stop import StopRules, Tally
from evoconv.study.storage import Storage
from evoconv.study.watch import Watch
from evoconv.timetable import AFTERWARDS_S, Timetable
from evoconv.training.precision import Precision, probe_macs
from evoconv.units import format_count


def start_study(
    config: StudyConfig, out: Path | None, watch: Watch, started_at: float | None = None
) -> Path:
    """Run a new study to its end and return its run folder.

    Nothing is written before the data and all options have proved usable. After Ctrl-C the best so
    far is saved and ``KeyboardInterrupt`` is raised.

    Args:
        config: from ``configure``.
        out: the run folder; None for a dated one under ``runs/``.
        watch: is told what happens.
        started_at: when the command began, seconds since the epoch; its time counts from there.
    """
    timetable = Timetable(
        started_at=time.time() if started_at is None else started_at,
        time_s=config.budget.time_s,
        final_share=config.final.final_share,
    )
    prepared = prepare(config, watch)
    run = out if out is not None else _dated_folder(config)
    with (
        lock_folder(run),
        closing(Storage.create(run, config.to_dict(), Topology.from_json)) as storage,
    ):
        storage.set_note("data", prepared.note())
        storage.set_note("versions", _versions())
        _Session(run, storage, prepared, watch, timetable).run()
    return run


def resume_study(
    run: Path,
    watch: Watch,
    *,
    time_s: float | None = None,
    evaluations: int | None = None,
    started_at: float | None = None,
) -> Path:
    """Go on with a study where it stopped, to its end; return its run folder.

    Args:
        run: the run folder.
        watch: is told what happens.
        time_s: time for this command; None for what is left of the study's own, but enough for
            the final training.
        evaluations: a new limit for the whole study.
        started_at: when the command began, seconds since the epoch.

    Raises:
        StudyError: no such study, one in use, or images that have changed since.
    """
    started_at = time.time() if started_at is None else started_at
    if not run.is_dir():
        raise StudyError(f"there is no run folder {run}")
    with lock_folder(run), closing(Storage.open(run, Topology.from_json)) as storage:
        config = config_from_dict(storage.config)
        goes_further = time_s is not None or evaluations is not None
        if storage.note("checked") is not None and not goes_further:
            watch.notify("the study is finished; --time or --evaluations let it go on")
            return run
        prepared = prepare(config, watch)
        if (storage.note("data") or {}).get("digest") != prepared.image_set.digest:
            raise StudyError(f"the images of {config.source} have changed since the study began")
        if goes_further:
            for name in ("stop", "final", "checked"):
                storage.set_note(name, None)
        elif config.budget.time_s is not None:
            share = config.final.final_share * config.budget.time_s
            left_s = config.budget.time_s - storage.elapsed_s()
            time_s = max(left_s, share + 2 * AFTERWARDS_S)
        if evaluations is not None:
            config = replace(config, budget=replace(config.budget, evaluations=evaluations))
            prepared = replace(prepared, config=config)
        timetable = Timetable(
            started_at=started_at, time_s=time_s, final_share=config.final.final_share
        )
        _Session(run, storage, prepared, watch, timetable).run()
    return run


class _Session:
    """One process's work on one study."""

    def __init__(
        self, run: Path, storage: Storage, prepared: Prepared, watch: Watch, timetable: Timetable
    ) -> None:
        self._run, self._storage, self._watch = run, storage, watch
        self._prepared, self._config = prepared, prepared.config
        self._timetable = timetable
        self._objective = OBJECTIVES[self._config.training.metric]
        self._weights = WeightFiles(run / "weights")

    def run(self) -> None:
        """Search, finish, check, report; after Ctrl-C save what there is."""
        try:
            self._search_and_finish()
        except KeyboardInterrupt:
            self._save_best_so_far()
            raise
        except SearchFailed:
            self._report()
            raise
        checked = check_saved(
            self._run, self._prepared.image_set.folder, self._config.split, self._config.seed
        )
        self._storage.set_note("checked", checked)
        self._report()

    def _search_and_finish(self) -> None:
        # Before the first worker: whoever interrupts from here on is told how to go on.
        self._watch.begun(
            run=self._run,
            method=self._config.method,
            time_s=self._timetable.left_s(),
            num_slots=len(self._prepared.devices),
            facts=self._prepared.facts(),
        )
        with self._executor() as executor:
            precision = self._precision(executor)
            strategy = self._strategy(executor.num_slots)
            reason = self._search(executor, strategy, precision)
            if reason == INTERRUPTED:
                raise KeyboardInterrupt
            self._storage.set_note("stop", {"reason": reason})
            best = strategy.best()
            if best is None:
                raise EvoconvError(
                    "the time was too short: no evaluation was complete; give more --time or fewer"
                    " --image-passes"
                )
            self._finish(executor, precision, self._storage.trial(best.number))

    @contextmanager
    def _executor(self) -> Iterator[Executor]:
        setup = OpenWorkplace(
            folder=self._prepared.image_set.folder,
            splits=self._prepared.splits,
            standardisation=self._prepared.standardisation,
        )
        executor = ProcessExecutor(
            setup, self._prepared.devices, self._config.workers.worker_memory
        )
        try:
            yield executor
        finally:
            executor.close()

    def _precision(self, executor: Executor) -> Precision:
        """Return the study's precision: as stored, or measured now and stored."""
        note = self._storage.note("precision")
        if note is not None:
            return Precision.from_dict(note.get("choice"))
        time_s = self._timetable.time_s
        task = MeasurePrecision(seconds=1.5 if time_s is None else min(1.5, time_s / 60))
        executor.submit(Job(number=0, task=task))
        outcome = executor.wait()[0]
        if outcome.failure is not None:
            raise EvoconvError(f"the workers can't train anything: {outcome.failure}")
        choice: Precision
        choice, speeds = outcome.result
        self._storage.set_note(
            "precision",
            {
                "choice": choice.to_dict(),
                "description": str(choice),
                "images_per_second": speeds,
            },
        )
        return choice

    def _strategy(self, num_slots: int) -> Strategy:
        return build_strategy(
            self._config.method,
            self._space_within_time(num_slots),
            self._config.evolution,
            self._objective,
            self._config.seed,
        )

    def _space_within_time(self, num_slots: int) -> TopologySpace:
        """Return the space, without networks too slow for the time where nothing else limits them.

        A network whose evaluation would take a large part of the search can't be selected from
        enough others. The limit is stored, for a resume on another machine must replay the same.
        """
        space, limits = self._prepared.space, self._config.limits
        if limits.max_macs is not None:
            return space
        note = self._storage.note("affordable")
        if note is None:
            most = self._affordable_macs(num_slots)
            self._storage.set_note("affordable", {"macs": most})
        else:
            most = note["macs"]
        if most is None:
            return space
        self._watch.notify(
            f"networks of more than {format_count(most)} multiply-accumulates are not tried: "
            "they train too slowly for the time (--max-macs sets another limit)"
        )
        return replace(space, limits=replace(limits, max_macs=most))

    def _affordable_macs(self, num_slots: int) -> int | None:
        note, splits = self._storage.note("precision"), self._prepared.splits
        images_per_s = note["images_per_second"][note["description"]]
        most = self._timetable.affordable_macs(
            images_per_s * probe_macs(self._prepared.input_shape[0]),
            len(splits.folds)
            * self._config.training.passes(len(splits.folds[0][0]), self._prepared.input_shape),
            len(splits.training),
            num_slots,
        )
        space = self._prepared.space
        # However short the time: a space of a handful of networks is no search.
        return None if most is None else max(most, 4 * space.cost(space.smallest()).macs)

    def _search(self, executor: Executor, strategy: Strategy, precision: Precision) -> str:
        """Search, unless an earlier session has come to the end of that; return why it ended."""
        resumed = resume(self._storage, strategy, self._objective)
        note = self._storage.note("stop")
        if note is not None:
            return str(note["reason"])
        budget = self._config.budget
        return run_search(
            self._storage,
            strategy,
            executor,
            lambda individual: self._job(individual, precision),
            resumed=resumed,
            stop=StopRules(
                evaluations=budget.evaluations,
                deadline=self._timetable.search_deadline,
                last_call=self._timetable.last_call,
                stop_at=budget.stop_at,
                patience=budget.patience,
            ),
            clock=time.time,
            watch=self._watch,
            keep=self._weights.retain,
        )

    def _job(self, individual: Individual, precision: Precision) -> Job:
        topology = individual.genome
        assert isinstance(topology, Topology)
        prepared = self._prepared
        task = EvaluateArchitecture(
            number=individual.number,
            topology=topology,
            cost=prepared.space.cost(topology),
            seed=seed_for(self._config.seed, Purpose.EVALUATE, individual.number),
            recipe=self._config.training,
            augmentation=self._config.augmentation,
            precision=precision,
            weights=self._weights,
        )
        return Job(number=individual.number, task=task, timeout_s=self._config.budget.trial_time_s)

    def _finish(self, executor: Executor, precision: Precision, best: Trial) -> None:
        topology = best.individual.genome
        assert isinstance(topology, Topology)
        finish = Finish(
            run=self._run,
            storage=self._storage,
            weights=self._weights,
            options=self._config.final,
            recipe=self._config.training,
            augmentation=self._config.augmentation,
            precision=precision,
            split=self._config.split,
            study_seed=self._config.seed,
            best=best,
            baseline=baseline(self._prepared.input_shape, self._prepared.num_classes),
            description=self._prepared.description(topology),
            num_training_images=len(self._prepared.splits.training),
            time_left_s=self._left_for_training_s(best),
            time_s=self._timetable.time_s,
        )
        note = finish.run_on(executor, self._watch.finishing)
        if note["why"] and note["why"] != "asked for":
            self._watch.notify(f"the network keeps its weights from the search: {note['why']}")

    def _left_for_training_s(self, best: Trial) -> float | None:
        """Return seconds for the final trainings, with time kept for testing what they give."""
        left_s = self._timetable.left_for_training_s()
        if left_s is None or best.individual.measurement is None:
            return left_s
        values = best.individual.measurement.values
        # Once after the training and once in a fresh process. Testing in float32 on a CPU is
        # about as fast as training in the study's precision.
        num_tested = 2 * (len(self._prepared.image_set) - len(self._prepared.splits.training))
        return left_s - num_tested * values["training_seconds"] / values["image_passes"]

    def _save_best_so_far(self) -> None:
        """Save the best with its weights from the search; the test split stays unread."""
        tested = self._storage.note("final") or {"rows": []}
        tally = Tally(self._objective)
        for trial in self._storage.trials():
            if trial.state.is_finished:
                tally.add(trial.individual)
        if tally.best is not None and not tested["rows"]:
            topology = tally.best.genome
            assert isinstance(topology, Topology)
            description = self._prepared.description(topology)
            save_search_weights(self._run, self._weights, tally.best.number, description)
        self._report()

    def _report(self) -> None:
        write_result(self._run, self._storage)
        draw_fitness(self._run, self._storage)


def _versions() -> dict[str, str]:
    names = ("evoconv", "torch", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def _dated_folder(config: StudyConfig) -> Path:
    """Return ``runs/<source>-<method>-<date>-<time>``, with a number if that exists."""
    name = Path(config.source.rstrip("/")).name.split(".")[0] or "images"
    stem = f"{name}-{config.method}-{datetime.now():%Y%m%d-%H%M%S}"
    for number in range(1000):
        run = Path("runs") / (stem if number == 0 else f"{stem}-{number}")
        if not run.exists():
            return run
    raise StudyError(f"runs/{stem} and 999 more exist already")
