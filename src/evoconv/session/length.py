"""How long candidates are trained where the time says so: there must be enough of them."""

from dataclasses import replace

from evoconv.execution.executor import Executor
from evoconv.execution.handful import run_one
from evoconv.problems.speed import Build, MeasureTraining
from evoconv.problems.training import TrainingSetting
from evoconv.session.context import Session

LENGTH_NOTE = "evaluation"
# Fewer tell plans apart badly, so there are fewer candidates rather than shorter trainings...
_LEAST_PASSES = 1_000
# ...as long as one takes no larger part of the time than this: workers slow each other down, and
# validation comes on top.
_LARGEST_PART = 0.5


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
        affordable = int(images_per_s * left_s / wanted / len(folds))
        whole = int(one_per_s * left_s / len(folds))  # where one worker trains one candidate
        least = min(_LEAST_PASSES, max(int(_LARGEST_PART * whole), recipe.batch_size))
        passes = max(min(affordable, whole), least)
        note = {
            "image_passes": passes,
            "short_of_time": affordable < least,
            "seconds_per_image": 1 / one_per_s,
        }
        storage.set_note(LENGTH_NOTE, note)
    passes = note["image_passes"]
    subset = min(passes, recipe.subset(len(folds[0][0])))
    session.watch.notify(_sentence(passes, is_short=note.get("short_of_time", False)))
    return replace(setting, recipe=replace(recipe, image_passes=passes, train_images=subset))


def _sentence(passes: int, *, is_short: bool) -> str:
    """Return how long candidates are trained, and what helps where the time is short for them."""
    what = f"each candidate is trained on {passes:,} images"
    if not is_short:
        return (
            f"{what}, so that there is time for enough of them (--image-passes sets another length)"
        )
    little = "" if passes >= _LEAST_PASSES else ", too few to tell well which is better"
    return (
        f"{what}{little}, and yet there is time for few of them: more --time helps, or smaller"
        " images where they may be (--image-size)"
    )
