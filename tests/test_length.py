"""How long candidates are trained: enough of them, long enough, and never longer than there is."""

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from evoconv.data.augmentation import Augmentation
from evoconv.data.splits import SearchSplits
from evoconv.problems.training import TrainingSetting
from evoconv.records import Budget
from evoconv.session import length
from evoconv.timetable import Timetable
from evoconv.training.options import Recipe
from evoconv.training.precision import Precision

BATCH = 16


class Notes:
    """Has what is asked of a study's storage."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def note(self, name: str) -> Any:
        return self.kept.get(name)

    def set_note(self, name: str, value: Any) -> None:
        self.kept[name] = value


def planned(
    monkeypatch: pytest.MonkeyPatch,
    images_per_s: float,
    *,
    folds: int = 1,
    slots: int = 2,
    notes: Notes | None = None,
) -> tuple[int, str]:
    """Return passes and sentence for a command of 480 s, of which 282 s are the search's."""
    rows = np.arange(100)
    said: list[str] = []
    setting = TrainingSetting(
        recipe=Recipe(batch_size=BATCH, train_images=None),
        augmentation=Augmentation(),
        precision=Precision(),
    )
    session: Any = SimpleNamespace(
        setting=lambda _: setting,
        config=SimpleNamespace(budget=Budget(affordable_evaluations=16)),
        timetable=Timetable(started_at=time.time(), time_s=480, final_share=0.4),
        storage=notes or Notes(),
        prepared=SimpleNamespace(splits=SearchSplits(training=rows, folds=((rows, rows),) * folds)),
        watch=SimpleNamespace(notify=said.append),
    )
    executor: Any = SimpleNamespace(num_slots=slots)
    monkeypatch.setattr(length, "run_one", lambda *_: images_per_s)
    recipe = length.timed_setting(session, executor, lambda: None).recipe  # type: ignore[arg-type,return-value]
    assert recipe.image_passes is not None
    [sentence] = said
    return recipe.image_passes, sentence


def test_there_is_time_for_enough_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    passes, sentence = planned(monkeypatch, 300.0)
    assert passes == pytest.approx(300 * 2 * 282 / 16, rel=0.01)
    assert "so that there is time for enough of them" in sentence
    shared, _ = planned(monkeypatch, 300.0, folds=5)
    assert shared == pytest.approx(passes / 5, rel=0.01)


def test_slow_networks_are_trained_long_enough_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notes = Notes()
    for _ in range(2):  # measured, then found
        passes, sentence = planned(monkeypatch, 10.0, notes=notes)
        assert passes == 1000
        assert "enough of them" not in sentence
        assert "time for few of them: more --time helps" in sentence


@pytest.mark.parametrize("folds", [1, 5])
@pytest.mark.parametrize("images_per_s", [1.0, 3.0, 7.0])
def test_no_candidate_is_planned_to_take_the_whole_time(
    images_per_s: float, folds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes, sentence = planned(monkeypatch, images_per_s, folds=folds)
    assert BATCH <= passes < 1000
    assert passes * folds / images_per_s <= 282 / 2
    assert "too few to tell well" in sentence
    assert "--image-size" in sentence


def test_many_workers_make_no_candidate_longer_than_the_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passes, _ = planned(monkeypatch, 100.0, slots=64)
    assert 281 * 100 <= passes <= 282 * 100


def test_where_hardly_a_step_fits_one_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    assert planned(monkeypatch, 0.01)[0] == BATCH


def test_a_length_of_a_study_from_before_is_said_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    notes = Notes()
    notes.kept["evaluation"] = {"image_passes": 1234, "seconds_per_image": 0.1}
    passes, sentence = planned(monkeypatch, 1.0, notes=notes)
    assert passes == 1234
    assert sentence.startswith("each candidate is trained on 1,234 images, so that")
