import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from evoconv.errors import StudyError
from evoconv.report.read_standing import read_standing
from evoconv.report.result import write_result
from evoconv.report.show import print_study, result_json
from tests.report.studies import MadeStudy, logits_of, make_study

LABELS = [0, 1, 2, 0, 1, 2]


def shown(study: MadeStudy, num_trials: int = 3) -> str:
    console = Console(file=StringIO(), width=80)
    standing = read_standing(study.storage.path.parent, study.storage)
    print_study(console, standing, num_trials=num_trials)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def finished_study(run: Path) -> MadeStudy:
    study = make_study(run)
    study.add(0.9)
    study.fail()
    study.end(0, [logits_of(LABELS, 3)], LABELS)
    (run / "best").mkdir()
    (run / "best" / "model.json").write_text("{}")
    return study


def test_a_finished_study_is_shown_whole(tmp_path: Path) -> None:
    text = shown(finished_study(tmp_path / "my run"))
    for part in (
        "2 evaluations (1 failed)",
        "Best trials",
        "Network: trial 0",
        "baseline, test",
        "Recall per class",
        "Confusion matrix",
    ):
        assert part in text
    assert f"evoconv predict '{tmp_path / 'my run'}' IMAGE..." in text


@pytest.mark.parametrize("num_done", [0, 2])
def test_an_unfinished_study_is_shown_as_far_as_it_is(num_done: int, tmp_path: Path) -> None:
    study = make_study(tmp_path)
    for _ in range(num_done):
        study.add(0.9)
    study.add(None)
    text = shown(study)
    assert f"not yet; running: {num_done}" in text
    assert "Recall" not in text
    assert ("Network: trial 0" in text) == (num_done > 0)


def test_a_study_of_which_nothing_is_known_but_its_options_is_shown(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    for name in ("data", "precision", "versions"):
        study.storage.set_note(name, None)
    study.add(0.9)
    assert "precision not chosen yet" in shown(study)


def test_nothing_but_the_stored_logits_is_read_of_the_test(tmp_path: Path) -> None:
    # The images' folder in the note doesn't exist, and the report doesn't miss it.
    study = finished_study(tmp_path)
    assert not Path(study.storage.note("data")["folder"]).exists()
    assert "Confusion matrix" in shown(study)


def test_the_json_of_a_finished_study_is_its_file(tmp_path: Path) -> None:
    study = finished_study(tmp_path)
    write_result(read_standing(tmp_path, study.storage))
    standing = read_standing(tmp_path, study.storage)
    assert result_json(standing) + "\n" == (tmp_path / "result.json").read_text()


def test_the_json_of_an_unfinished_study_is_what_is_known_now(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    write_result(read_standing(tmp_path, study.storage))
    study.add(0.9)
    found = json.loads(result_json(read_standing(tmp_path, study.storage)))
    assert found["evaluations"] == 1


def test_a_damaged_result_file_is_refused(tmp_path: Path) -> None:
    study = finished_study(tmp_path)
    (tmp_path / "result.json").write_text('{"half": ')
    with pytest.raises(StudyError, match=r"result.json can't be read"):
        result_json(read_standing(tmp_path, study.storage))
