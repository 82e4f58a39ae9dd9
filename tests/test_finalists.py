"""Candidates trained in full before the best is chosen."""

import re
from contextlib import closing
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

import evoconv
from evoconv.cli import main
from evoconv.errors import StudyError
from evoconv.genomes.topology import Topology
from evoconv.records import Measurement
from evoconv.report.read_standing import read_standing
from evoconv.study.storage import Storage
from tests.small_studies import (
    FAST,
    Listening,
    flags,
    kill_when,
    note_in,
    shown,
    start,
    write_stripes,
)

OPTIONS: dict[str, Any] = FAST | {"evaluations": 10, "finalists": 3, "seed": 2, "workers": 1}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stripes(tmp_path_factory.mktemp("images") / "stripes.npz", num_images=300)


@pytest.fixture(scope="module")
def study(images: Path, tmp_path_factory: pytest.TempPathFactory) -> evoconv.Result:
    return evoconv.evolve(images, out=tmp_path_factory.mktemp("runs") / "run", **OPTIONS)


def accuracy(measurement: Measurement | None) -> float:
    assert measurement is not None
    return measurement.values["validation_accuracy"]


def finalists_in(run: Path) -> list[dict[str, Any]]:
    if not (run / "study.db").exists():
        return []
    with closing(Storage.open(run, Topology.from_json)) as storage:
        return list((storage.note("finalists") or {"rows": []})["rows"])


def surest_of(run: Path) -> int:
    """Return the trial of lowest cross-entropy among those hardly less accurate than the best."""
    rows = [row | row["values"] for row in finalists_in(run)]
    num = note_in(run, "data")["num_validation"]
    wrong = [round((1 - row["validation_accuracy"]) * num) for row in rows]
    fewest = min(wrong)
    near = [
        row
        for row, count in zip(rows, wrong, strict=True)
        if (count - fewest) ** 2 <= count + fewest
    ]
    return int(min(near, key=lambda row: row["validation_cross_entropy"])["trial"])


def test_the_surest_of_the_most_accurate_finalists_is_chosen(study: evoconv.Result) -> None:
    rows = study.summary["finalists"]
    assert 1 < len(rows) <= 3
    assert study.summary["trial"] == surest_of(study.run)
    (chosen,) = (row for row in rows if row["trial"] == study.summary["trial"])
    assert study.summary["validation_accuracy"] == chosen["validation_accuracy"]


def test_finalists_are_the_searchs_best_and_others_of_its_front(study: evoconv.Result) -> None:
    chosen = {row["trial"] for row in study.summary["finalists"]}
    by_search = max(
        study.trials, key=lambda one: (accuracy(one.individual.measurement), -one.number)
    )
    best = by_search.individual.original
    assert best in chosen
    assert chosen - {best} <= {row["trial"] for row in study.summary["front"]}


def test_a_full_training_measures_anew(study: evoconv.Result) -> None:
    name = "validation_cross_entropy"
    for row in finalists_in(study.run):
        measurement = study.trials[row["trial"]].individual.measurement
        assert measurement is not None
        assert row["values"][name] != measurement.values[name]


def test_few_images_are_all_used_to_compare_them(images: Path, tmp_path: Path) -> None:
    options = OPTIONS | {"folds": 3, "finalists": 2, "evaluations": 4}
    run = evoconv.evolve(images, out=tmp_path / "run", **options).run
    num = note_in(run, "data")["num_training"]
    for row in finalists_in(run):
        accuracy, error = (row["values"][f"validation_accuracy{o}"] for o in ("", "_error"))
        assert error == pytest.approx((accuracy * (1 - accuracy) / num) ** 0.5)
    assert len(finalists_in(run)) == 2


def test_they_are_shown(study: evoconv.Result) -> None:
    assert "Finalists: trained in full before the best was chosen" in shown(study.run)


def test_more_evaluations_bring_a_new_choice(study: evoconv.Result, tmp_path: Path) -> None:
    run = tmp_path / "copy"
    copytree(study.run, run)
    again = evoconv.resume(run, evaluations=14)
    assert len([one for one in again.trials if one.individual.copy_of is None]) == 14
    assert again.summary["trial"] == surest_of(run)


def test_too_little_time_leaves_the_choice_to_the_search(images: Path, tmp_path: Path) -> None:
    listening = Listening()
    options = OPTIONS | {
        "evaluations": 10_000,
        "time_s": 24,
        "final_share": 0.05,
        "final_epochs": 100_000,
    }
    result = evoconv.evolve(images, out=tmp_path / "run", watch=listening, **options)
    assert result.summary["finalists"] == []
    assert any(
        re.match(r"no finalists: the \d s left are too short", one) for one in listening.sentences
    )


def test_evolved_weights_need_no_finalists(images: Path, tmp_path: Path) -> None:
    result = evoconv.evolve(images, out=tmp_path / "run", **(OPTIONS | {"final": "evolved"}))
    assert result.summary["finalists"] == []


def test_killed_amid_the_finalists_it_goes_on_with_the_rest(images: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = flags(OPTIONS | {"final_epochs": 400})
    process = start("evolve", str(images), "--out", "run", *words, cwd=tmp_path)
    kill_when(process, lambda: finalists_in(run), "the first finalist is done")
    before = finalists_in(run)
    assert main(["resume", str(run), "--quiet"]) == 0
    after = finalists_in(run)
    assert after[: len(before)] == before
    assert len(after) > len(before)
    assert len({row["trial"] for row in after}) == len(after)


@pytest.mark.parametrize(
    "rows", [[{"trial": 99, "values": {}}], [{"trial": 0, "values": {"nonsense": 1}}], "text"]
)
def test_a_damaged_note_is_refused(study: evoconv.Result, tmp_path: Path, rows: object) -> None:
    run = tmp_path / "copy"
    copytree(study.run, run)
    with closing(Storage.open(run, Topology.from_json)) as storage:
        storage.set_note("finalists", {"rows": rows})
        with pytest.raises(StudyError, match="damaged"):
            read_standing(run, storage)


def test_towards_a_target_the_smallest_that_reaches_it_is_chosen(
    images: Path, tmp_path: Path
) -> None:
    options = OPTIONS | {"target_accuracy": 0.6, "finalists": 6, "evaluations": 14}
    result = evoconv.evolve(images, out=tmp_path / "run", **options)
    rows = result.summary["finalists"]
    reached = [
        row["parameters"]
        for row in rows
        if row["validation_accuracy"] - row["validation_accuracy_error"] >= 0.6
    ]
    assert result.summary["target_reached"] is True
    assert result.summary["parameters"] == min(reached)


def test_a_target_out_of_reach_gives_the_most_accurate(images: Path, tmp_path: Path) -> None:
    # One epoch at a rate of next to nothing: nobody learns.
    options = OPTIONS | {"target_accuracy": 1.0, "finalists": 2, "learning_rate": 1e-7}
    result = evoconv.evolve(images, out=tmp_path / "run", **options)
    assert result.summary["target_reached"] is False
    by_search = max(
        result.trials, key=lambda one: (accuracy(one.individual.measurement), -one.number)
    )
    finalists = {row["trial"]: row["validation_accuracy"] for row in result.summary["finalists"]}
    assert finalists
    chosen = result.summary["trial"]
    assert chosen == by_search.number or finalists[chosen] == max(finalists.values())
