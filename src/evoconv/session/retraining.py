"""The architecture of a study trained again, beside its evolved weights: the reinitialisation test.

What is done is stored row by row, so an interrupted comparison goes on where it stopped, and more
repeats can be asked for later.
"""

import math
from pathlib import Path
from typing import Any

from evoconv.errors import StudyError
from evoconv.export.retrain import EVOLVED, FROM_SCRATCH, TRAINED_ON, Retraining, run_retrainings
from evoconv.problems.evolved import EvolvedWeights
from evoconv.problems.training import FullTraining, TrainingSetting
from evoconv.records import Trial
from evoconv.seeds import Purpose, seed_for
from evoconv.session.context import Session
from evoconv.session.finishing import Finishing
from evoconv.session.opened import begin, measured_trial, open_study, require_some, session_on
from evoconv.study.finished import RETRAINED_NOTE
from evoconv.study.watch import Watch


def retrain_study(
    run: Path,
    watch: Watch,
    *,
    from_scratch: bool,
    number: int | None = None,
    repeats: int = 1,
    time_s: float | None = None,
    started_at: float | None = None,
) -> int:
    """Train a trial's network again as often as asked for, and store what each reached.

    Args:
        run: the run folder of the study.
        watch: is told what happens.
        from_scratch: begin with new weights; else go on from the evolved ones.
        number: the trial; None for the one that the study chose.
        repeats: how many trainings there are to be in all.
        time_s: time for all trainings; None for as long as they need.
        started_at: when the command began, seconds since the epoch.

    Returns:
        The trial's number.

    Raises:
        StudyError: no such study or trial, one in use, or a trial without evolved weights.
    """
    require_some(repeats)
    with open_study(run) as storage:
        session = session_on(run, storage, watch, time_s, started_at)
        trial = _chosen(session, number)
        if session.weights.path(trial.number) is None:
            raise StudyError(f"the weights that trial {trial.number} evolved are not kept any more")
        note_name = f"{RETRAINED_NOTE} {trial.number}"
        note = storage.note(note_name) or {"rows": []}
        # What failed is tried again.
        note["rows"] = [row for row in note["rows"] if "failure" not in row]

        def keep(row: dict[str, Any]) -> None:
            note["rows"].append(row)
            storage.set_note(note_name, note)

        begin(session)
        with session.executor() as executor:
            setting = Finishing(session=session).setting(executor)
            way = FROM_SCRATCH if from_scratch else TRAINED_ON
            limit_s = None
            if (left_s := session.timetable.left_for_training_s()) is not None:
                limit_s = left_s / math.ceil(repeats / executor.num_slots)
            tasks = [_task(session, trial, setting, EVOLVED, 0, None)]
            tasks += [_task(session, trial, setting, way, n, limit_s) for n in range(repeats)]
            done = {(row["way"], row["seed"]) for row in note["rows"]}
            tasks = [one for one in tasks if (one.way, one.training.seed) not in done]
            run_retrainings(executor, tasks, keep, watch.finishing)
        Finishing(session=session).report()
    return trial.number


def _chosen(session: Session, number: int | None) -> Trial:
    """Return the trial to look at; ``StudyError`` if there is none or it has no measurement."""
    storage = session.storage
    if number is None:
        final, best = storage.note("final"), session.best_so_far()
        if best is None:
            raise StudyError(f"{session.run} has no network yet")
        number = best.number if final is None else int(final["trial"])
    return measured_trial(storage, number)


def _task(
    session: Session,
    trial: Trial,
    setting: TrainingSetting,
    way: str,
    repeat: int,
    limit_s: float | None,
) -> Retraining:
    config, problem = session.config, session.prepared.problem
    evolved = EvolvedWeights(files=session.weights, number=trial.number)
    num_images = len(session.prepared.splits.folds[0][0])
    return Retraining(
        way=way,
        training=FullTraining(
            subject=problem.subject(trial.individual.genome),
            seed=seed_for(config.seed, Purpose.RETRAIN, repeat),
            setting=setting,
            epochs=setting.recipe.longest_training(num_images, is_timed=limit_s is not None),
            time_limit_s=limit_s,
            start=None if way == FROM_SCRATCH else evolved,
        ),
    )
