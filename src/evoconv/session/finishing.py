"""The end of a session: a trial finished, checked in a fresh process, and reported."""

from dataclasses import dataclass, replace
from pathlib import Path

from evoconv.evolution.archive import Archive
from evoconv.execution.executor import Executor
from evoconv.export.augmentations import Augmentations, chosen_augmentation
from evoconv.export.check import check_saved
from evoconv.export.finalists import Finalists
from evoconv.export.finish import Finish, save_search_weights, saved_repeat
from evoconv.export.in_full import seconds_per_image
from evoconv.export.options import FinalOptions
from evoconv.problems.training import TrainingSetting
from evoconv.problems.weight_sharing import WeightSharingProblem
from evoconv.records import Trial
from evoconv.report.plots import save_plots
from evoconv.report.read_standing import read_standing
from evoconv.report.result import write_result
from evoconv.session.context import Session
from evoconv.session.length import LENGTH_NOTE
from evoconv.session.shared import keep_shared_weights, pack
from evoconv.study.finished import Finished


@dataclass(frozen=True, kw_only=True)
class Finishing:
    """How one trial of a study is finished: the one it chose, or another (``number``)."""

    session: Session
    number: int | None = None

    @property
    def folder(self) -> Path:
        """Where the network goes."""
        return self._place.folder

    @property
    def _place(self) -> Finished:
        return Finished(run=self.session.run, number=self.number)

    def train(
        self, executor: Executor, setting: TrainingSetting, trial: Trial, options: FinalOptions
    ) -> None:
        """Train and test the trial's network, with the baseline if the options ask for it."""
        session, config = self.session, self.session.config
        prepared = session.prepared
        subject = prepared.problem.subject(trial.individual.genome)
        problem = prepared.problem
        compression = problem if isinstance(problem, WeightSharingProblem) else None
        tensors = None if compression is None else keep_shared_weights(session, compression, trial)
        finish = Finish(
            folder=self.folder,
            note_name=self._place.final_note,
            storage=session.storage,
            weights=session.weights,
            options=options,
            setting=setting,
            study_seed=config.seed,
            best=trial,
            subject=subject,
            baseline=prepared.problem.baseline(),
            baseline_cost=prepared.problem.baseline_cost(),
            description=prepared.description(subject),
            num_training_images=len(prepared.splits.training),
            time_left_s=self._left_for_training_s(trial),
            time_s=session.timetable.time_s,
            baseline_file=None if compression is None else compression.base.weights,
        )
        note = finish.run_on(executor, session.watch.finishing)
        if note["why"]:
            session.watch.notify(f"the network keeps its weights from the search: {note['why']}")
        if compression is not None and tensors is not None:
            pack(session, compression, trial, tensors, self._place)

    def setting(self, executor: Executor) -> TrainingSetting:
        """Return how the final trainings go, with the augmentation that suits if one was found."""
        setting, storage = self.session.final_setting(executor), self.session.storage
        return replace(setting, augmentation=chosen_augmentation(storage, setting.augmentation))

    def tuned_setting(self, executor: Executor) -> TrainingSetting:
        """Return the same after augmentations were compared, where they are to be."""
        session, options = self.session, self.session.config.final
        setting = session.final_setting(executor)
        if not options.try_augmentations or options.final != "retrained":
            return setting
        candidates = (one.individual for one in session.storage.trials())
        fittest = Archive.of(session.objective, candidates).fittest_first[0]
        augmentations = Augmentations(
            storage=session.storage,
            individual=fittest,
            subject=session.prepared.problem.subject(fittest.genome),
            setting=setting,
            study_seed=session.config.seed,
            splits=session.prepared.splits,
            time_left_s=session.timetable.left_for_training_s(),
        )
        chosen = augmentations.choose(executor, session.watch.finishing, session.watch.notify)
        return replace(setting, augmentation=chosen)

    def choose(self, executor: Executor, setting: TrainingSetting, best: Trial) -> Trial:
        """Return the trial to finish: the best of the finalists, where there are to be any."""
        session, options = self.session, self.session.config.final
        if options.finalists == 0 or options.final != "retrained":
            return best
        finalists = Finalists(
            storage=session.storage,
            objective=session.objective,
            problem=session.prepared.problem,
            best=best,
            count=options.finalists,
            setting=setting,
            study_seed=session.config.seed,
            splits=session.prepared.splits,
            time_left_s=session.timetable.left_for_training_s(),
            judge=session.judged,
        )
        return finalists.choose(executor, session.watch.finishing, session.watch.notify)

    def check_and_report(self) -> None:
        """Let a fresh process reproduce the figures, then write the reports."""
        session = self.session
        final = session.storage.note(self._place.final_note) or {"rows": []}
        checked = check_saved(
            self.folder,
            session.prepared.image_set.folder,
            session.config.split,
            session.config.seed,
            repeat=saved_repeat(final["rows"]) or 0,
        )
        session.storage.set_note(self._place.checked_note, checked)
        self.report()

    def report(self) -> None:
        """Write ``result.json`` and, of the study's own end, the plots of its search."""
        standing = read_standing(self.session.run, self.session.storage)
        write_result(standing.of_trial(self.number))
        if self.number is None:
            save_plots(standing)

    def _left_for_training_s(self, best: Trial) -> float | None:
        """Return seconds for the final trainings, with time kept for testing what they give."""
        prepared = self.session.prepared
        left_s = self.session.timetable.left_for_training_s()
        if left_s is None or best.individual.measurement is None:
            return left_s
        # Once after the training and once in a fresh process. Testing in float32 on a CPU is
        # about as fast as training in the study's precision; what frozen layers give isn't shared.
        num_tested = 2 * (len(prepared.image_set) - len(prepared.splits.training))
        one_s = seconds_per_image(best.individual)
        if prepared.problem.subject(best.individual.genome).held:
            note = self.session.storage.note(LENGTH_NOTE) or {}
            one_s = max(one_s, float(note.get("seconds_per_image", 0.0)))
        return left_s - num_tested * one_s


def save_best_so_far(session: Session) -> None:
    """Save the best with its weights from the search; the test split stays unread."""
    final = session.storage.note("final") or {"rows": []}
    best = session.best_so_far()
    if best is not None and saved_repeat(final["rows"]) is None:
        prepared, problem = session.prepared, session.prepared.problem
        if isinstance(problem, WeightSharingProblem):
            keep_shared_weights(session, problem, session.storage.trial(best.number))
        description = prepared.description(problem.subject(best.genome))
        save_search_weights(session.run, session.weights, best.number, description)
    Finishing(session=session).report()
