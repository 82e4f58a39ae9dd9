import json
from dataclasses import replace
from pathlib import Path
from statistics import stdev

import pytest

from evoconv.errors import StudyError
from evoconv.report.read_standing import read_standing
from evoconv.report.result import as_json, summary_of, write_result
from tests.report.studies import MadeStudy, logits_of, make_study

FLAT_KEYS = {
    "method", "seed", "seconds", "evaluations", "failed", "parameters", "macs", "memory_bytes",
    "validation_accuracy", "test_accuracy", "test_accuracy_std", "test_accuracy_min",
    "test_accuracy_max", "repeats", "baseline_test_accuracy", "versions",
}  # fmt: skip
LABELS = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]


def ended_study(run: Path) -> MadeStudy:
    study = make_study(run)
    study.add(0.5)
    study.add(0.9, filters=20)
    study.fail()
    first = logits_of([0, 0, 0, 1, 1, 1, 1, 1, 2, 2], 3)
    second = logits_of([0, 0, 0, 0, 1, 1, 1, 1, 2, 2], 3)
    study.end(1, [first, second], LABELS)
    return study


def test_a_finished_study_has_all_figures(tmp_path: Path) -> None:
    study = ended_study(tmp_path)
    found = summary_of(read_standing(tmp_path, study.storage))
    assert found.keys() >= FLAT_KEYS
    assert found["complete"] is True
    assert (found["evaluations"], found["failed"], found["repeats"]) == (3, 1, 2)
    assert found["trial"] == 1
    assert found["validation_accuracy"] == 0.9
    assert found["test_accuracy"] == pytest.approx(0.95)
    assert found["test_accuracy_std"] == pytest.approx(stdev([0.9, 1.0]))
    assert (found["test_accuracy_min"], found["test_accuracy_max"]) == (0.9, 1.0)
    assert found["baseline_test_accuracy"] == pytest.approx(0.9)
    assert found["baseline_parameters"] == 1234
    assert found["latency_s"] == 0.00042


def test_costs_are_those_of_the_chosen_network(tmp_path: Path) -> None:
    found = summary_of(read_standing(tmp_path, ended_study(tmp_path).storage))
    # 3×3 kernels, bias, and two values per map of batch normalisation; then 20·4·4 inputs.
    convolution = 20 * 9 + 20 + 2 * 20
    assert found["parameters"] == convolution + (320 * 20 + 20) + (20 * 3 + 3)
    assert found["macs"] == 20 * 9 * 64 + 320 * 20 + 60


def test_recall_and_confusion_are_those_of_the_first_repeat(tmp_path: Path) -> None:
    found = summary_of(read_standing(tmp_path, ended_study(tmp_path).storage))
    assert found["confusion"] == [[3, 1, 0], [0, 4, 0], [0, 0, 2]]
    assert found["recalls"] == {"class 0": 0.75, "class 1": 1.0, "class 2": 1.0}


def test_one_repeat_has_no_deviation(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    study.add(0.5)
    study.end(0, [logits_of(LABELS, 3)], LABELS)
    found = summary_of(read_standing(tmp_path, study.storage))
    assert found["test_accuracy"] == 1.0
    assert found["test_accuracy_std"] is None


def test_an_unfinished_study_has_the_same_keys_and_no_test(tmp_path: Path) -> None:
    ended = summary_of(read_standing(tmp_path / "ended", ended_study(tmp_path / "ended").storage))
    study = make_study(tmp_path / "going")
    study.add(0.7)
    study.add(None)
    found = summary_of(read_standing(tmp_path / "going", study.storage))
    assert found.keys() == ended.keys()
    assert found["complete"] is False
    assert found["validation_accuracy"] == 0.7
    unknown = ("test_accuracy", "test_accuracy_std", "baseline_test_accuracy", "confusion")
    assert {found[name] for name in unknown} == {None}


def test_a_study_without_a_trial_can_be_summed_up(tmp_path: Path) -> None:
    found = summary_of(read_standing(tmp_path, make_study(tmp_path).storage))
    assert found["parameters"] is None
    assert found["evaluations"] == 0


def test_the_file_is_strict_json_even_for_a_class_without_test_images(tmp_path: Path) -> None:
    study = make_study(tmp_path, num_classes=4)
    study.add(0.5)
    study.end(0, [logits_of(LABELS, 4)], LABELS)
    write_result(read_standing(tmp_path, study.storage))

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    found = json.loads((tmp_path / "result.json").read_text(), parse_constant=refuse)
    assert found["recalls"]["class 3"] is None


def test_json_keeps_everything_but_what_is_not_finite() -> None:
    found = json.loads(as_json({"a": [1, float("nan")], "b": {"c": float("inf"), "d": "x"}}))
    assert found == {"a": [1, None], "b": {"c": None, "d": "x"}}


def test_a_folder_that_is_gone_is_one_sentence(tmp_path: Path) -> None:
    standing = read_standing(tmp_path, make_study(tmp_path).storage)
    with pytest.raises(StudyError, match=r"result.json can't be written: No such file"):
        write_result(replace(standing, run=tmp_path / "gone"))
