from pathlib import Path

import pytest

from evoconv.errors import StudyError
from evoconv.report.read_standing import read_standing
from evoconv.report.standing import Standing
from tests.report.studies import MadeStudy, logits_of, make_study


def standing_of(study: MadeStudy) -> Standing:
    return read_standing(study.storage.path.parent, study.storage)


def test_the_best_of_equals_is_the_older(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    for accuracy in (0.5, 0.8, 0.8, 0.7):
        study.add(accuracy)
    best = standing_of(study).best
    assert best is not None
    assert best.number == 1


def test_the_best_follows_the_metric_of_the_study(tmp_path: Path) -> None:
    study = make_study(tmp_path, metric="cross-entropy")
    for accuracy in (0.5, 0.9, 0.7):
        study.add(accuracy)
    assert [one.number for one in standing_of(study).ranked] == [1, 2, 0]


def test_copies_and_failures_are_counted_apart(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    study.add(0.5)
    study.fail()
    study.add(0.5, copy_of=0)
    running = study.add(None)
    standing = standing_of(study)
    assert len(standing.evaluations) == 2
    assert (standing.num_failed, standing.num_copies) == (1, 1)
    assert [one.number for one in standing.running] == [running]


def test_an_empty_study_has_no_best_and_no_rates(tmp_path: Path) -> None:
    standing = standing_of(make_study(tmp_path))
    assert standing.best is None
    assert standing.redraw_rate is None
    assert standing.worker_busy is None
    assert not standing.is_complete


def test_redraws_are_a_share_of_what_was_drawn(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    study.add(0.5, redraws=3)
    study.add(0.6)
    assert standing_of(study).redraw_rate == pytest.approx(3 / 5)


def test_a_worker_is_idle_between_its_jobs_only(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    study.add(0.5, seconds=4.0, worker=0)
    study.now -= 4.0  # the other worker began at the same time and had one long job
    study.add(0.5, seconds=10.0, worker=1)
    study.now -= 5.0  # one second of worker 0 lies idle
    study.add(0.5, seconds=5.0, worker=0)
    assert standing_of(study).worker_busy == pytest.approx(19 / 20)


def test_time_between_two_sessions_is_nobodys_idleness(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    study.add(0.5, seconds=4.0)
    study.now += 3600.0
    study.add(0.5, seconds=4.0)
    assert standing_of(study).worker_busy == 1.0


def test_the_chosen_trial_is_the_best_once_the_study_has_ended(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    study.add(0.8)
    study.add(0.9)
    study.end(0, [logits_of([0, 1, 2], 3)], [0, 1, 2])
    standing = standing_of(study)
    assert standing.best is not None
    assert standing.best.number == 0
    assert standing.is_complete


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("data", {"classes": []}),
        ("data", [1]),
        ("data", 5),
        ("final", {"trial": 99, "kept": "retrained", "why": "", "rows": []}),
        ("final", {"trial": 1, "kept": "retrained", "why": "", "rows": []}),
        ("final", {"trial": float("inf"), "kept": "", "why": "", "rows": []}),
        ("final", {"trial": 0, "kept": "", "why": "", "rows": [{"name": "repeat"}]}),
        ("checked", {"agrees": True}),
        ("stop", "enough"),
        ("versions", [1, 2]),
    ],
)
def test_a_note_that_evoconv_did_not_write_is_refused(
    name: str, note: object, tmp_path: Path
) -> None:
    study = make_study(tmp_path)
    study.add(0.5)
    study.fail()
    study.storage.set_note(name, note)
    with pytest.raises(StudyError, match="damaged or of another version"):
        standing_of(study)


def test_stored_logits_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    study.add(0.5)
    study.end(0, [logits_of([0, 1, 1], 3)], [0, 1, 2])
    standing = standing_of(study)
    assert standing.final is not None
    row = standing.final.repeats[0]
    assert standing.test_logits(row) is not None
    file = tmp_path / "test" / "repeat-0.npz"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(StudyError, match=r"repeat-0.npz is damaged"):
        standing.test_logits(row)
    file.unlink()
    assert standing.test_logits(row) is None


def test_logits_are_read_inside_the_run_folder_only(tmp_path: Path) -> None:
    study = make_study(tmp_path / "run")
    study.add(0.5)
    study.end(0, [logits_of([0, 1, 1], 3)], [0, 1, 2])
    note = study.storage.note("final")
    (tmp_path / "run/test/repeat-0.npz").rename(tmp_path / "secret.npz")
    note["rows"][0]["logits"] = "../secret.npz"
    study.storage.set_note("final", note)
    standing = standing_of(study)
    assert standing.final is not None
    assert standing.test_logits(standing.final.repeats[0]) is None
