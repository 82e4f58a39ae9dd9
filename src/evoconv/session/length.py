"""How long candidates are trained where the time says so: there must be enough of them."""

from dataclasses import replace

from evoconv.execution.executor import Executor
from evoconv.execution.handful import run_one
from evoconv.problems.speed import Build, MeasureTraining
from evoconv.problems.training import TrainingSetting
from evoconv.session.context import Session

LENGTH_NOTE = "evaluation"
_LEAST_PASSES = 1_000


def timed_setting(session: Session, executor: Executor, build: Build) -> TrainingSetting:
    """Return how the search trains, as long as the time allows for enough such networks.

    That is measured once, and stored, for a resume on another machine must replay the same. A
    length that is given stays, and so does the usual one without a time.
    """
    setting = session.setting(executor)
    recipe, budget = setting.recipe, session.config.budget
    timetable, usual = session.timetable, budget.affordable_evaluations
    if recipe.epochs is not None or recipe.image_passes is not None:
        return setting
    storage, folds = session.storage, session.prepared.splits.folds
    note = storage.note(LENGTH_NOTE)
    if note is None:
        if timetable.time_s is None or usual is None:
            return setting
        wanted = timetable.wanted_evaluations(usual)
        task = MeasureTraining(build=build, setting=setting)
        one_per_s = run_one(executor, task)
        images_per_s = one_per_s * executor.num_slots
        left_s = timetable.left_for_search_s() or 0.0
        passes = int(images_per_s * left_s / wanted / len(folds))
        note = {"image_passes": max(_LEAST_PASSES, passes), "seconds_per_image": 1 / one_per_s}
        storage.set_note(LENGTH_NOTE, note)
    passes = note["image_passes"]
    subset = min(passes, recipe.subset(len(folds[0][0])))
    session.watch.notify(
        f"each candidate is trained on {passes:,} images, so that there is time for enough of them"
        " (--image-passes sets another length)"
    )
    return replace(setting, recipe=replace(recipe, image_passes=passes, train_images=subset))
