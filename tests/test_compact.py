"""Whole studies of the method compact: inheritance, stopping, repeats, and what is left of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import evoconv
from evoconv.artifacts import WeightFiles
from evoconv.cli import main
from evoconv.errors import ConfigError
from evoconv.records import Individual, Measurement, Trial
from evoconv.study.watch import Unwatched
from tests.small_studies import (
    finished,
    flags,
    kill_when,
    running,
    start,
    trials_in,
    write_stripes,
)

OPTIONS: dict[str, Any] = {
    "method": "compact",
    "evaluations": 14,
    "population": 4,
    "epochs": 6,
    "finalists": 0,
    "final_epochs": 3,
    "baseline": False,
    "max_macs": "300k",
    "seed": 5,
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stripes(tmp_path_factory.mktemp("images") / "stripes.npz", num_images=300)


@pytest.fixture(scope="module")
def finished_study(images: Path, tmp_path_factory: pytest.TempPathFactory) -> evoconv.Result:
    run = tmp_path_factory.mktemp("runs") / "run"
    return evoconv.evolve(images, out=run, target_accuracy=0.5, workers=1, **OPTIONS)


def measured(trial: Trial) -> Measurement:
    found = trial.individual.measurement
    assert found is not None
    return found


def children(result: evoconv.Result) -> list[Trial]:
    return [
        one for one in result.trials if one.individual.parents and one.individual.copy_of is None
    ]


def test_children_inherit_and_the_record_says_what(finished_study: evoconv.Result) -> None:
    heirs = children(finished_study)
    assert heirs
    for one in heirs:
        assert any("inherited from" in remark for remark in measured(one).remarks)
    assert any(measured(one).values["inherited_share"] > 0.5 for one in heirs)
    assert any(measured(one).values["frozen_share"] > 0 for one in heirs)
    for one in finished_study.trials:
        if not one.individual.parents and one.individual.copy_of is None:
            assert measured(one).values["inherited_share"] == 0


def test_every_stop_is_recorded_with_its_reason(finished_study: evoconv.Result) -> None:
    for one in finished_study.trials:
        values = measured(one).values
        if one.individual.copy_of is None and values["image_passes"] < values["planned_passes"]:
            assert any("training was stopped after epoch" in it for it in measured(one).remarks)


def test_learning_curves_have_a_validation_at_every_epoch(finished_study: evoconv.Result) -> None:
    for one in finished_study.trials:
        if one.individual.copy_of is None:
            curve = measured(one).curve
            assert all(0 <= point.validation_accuracy <= 1 for point in curve)


def test_the_smallest_network_that_reaches_the_target_is_chosen(
    finished_study: evoconv.Result,
) -> None:
    summary = finished_study.summary
    assert summary["target_reached"] is True
    reached = [
        measured(one).values["parameters"]
        for one in finished_study.trials
        if measured(one).values["validation_accuracy"]
        - measured(one).values["validation_accuracy_error"]
        >= 0.5
    ]
    assert summary["parameters"] == min(reached)


def test_the_savings_are_in_the_result(finished_study: evoconv.Result) -> None:
    savings = finished_study.summary["savings"]
    assert set(savings) == {"stopping", "freezing", "inheritance", "image_passes"}
    assert 0 <= savings["stopping"] < 1
    assert 0 < savings["freezing"] < 1
    assert savings["inheritance"] is not None


def test_steps_are_logged_and_grow_shorter(images: Path, tmp_path: Path) -> None:
    result = evoconv.evolve(images, out=tmp_path / "run", step_half_life=0.5, workers=1, **OPTIONS)
    steps = [
        int(operator.rpartition(" ")[2])
        for one in result.trials
        for operator in one.individual.operator.split("+")
        if operator.startswith("modify filters by")
    ]
    assert all(abs(step) <= 1 for step in steps)


def test_with_one_worker_a_seed_fixes_all_that_is_measured(
    finished_study: evoconv.Result, images: Path, tmp_path: Path
) -> None:
    again = evoconv.evolve(images, out=tmp_path / "run", target_accuracy=0.5, workers=1, **OPTIONS)
    for one, other in zip(finished_study.trials, again.trials, strict=True):
        assert one.individual.genome == other.individual.genome
        for name in ("validation_accuracy", "inherited_share", "image_passes"):
            assert measured(one).values[name] == measured(other).values[name]


def test_a_child_whose_parents_weights_are_gone_is_trained_from_scratch(
    images: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"

    class Thief(Unwatched):
        """Takes all weights away whenever somebody is born."""

        def asked(self, individuals: Sequence[Individual]) -> None:
            if any(one.parents for one in individuals):
                WeightFiles(run / "weights").retain([])

    result = evoconv.evolve(images, out=run, workers=1, watch=Thief(), **OPTIONS)
    robbed = [one for one in children(result) if "trained from scratch" in measured(one).remarks]
    assert robbed
    for one in robbed:
        assert measured(one).values["inherited_share"] == 0
        assert any("are missing" in remark for remark in measured(one).remarks)


def test_inheritance_and_folds_exclude_each_other(images: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--inherit needs a single hold-out, not --folds 3"):
        evoconv.evolve(images, out=tmp_path / "run", folds=3, **OPTIONS)
    assert not (tmp_path / "run").exists()


def test_killed_amid_the_search_it_goes_on_with_its_inheritance(
    images: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = flags(OPTIONS | {"workers": 2, "evaluations": 16, "epochs": 30})
    process = start("evolve", str(images), "--out", "run", *words, cwd=tmp_path)
    kill_when(
        process,
        lambda: len(finished(trials_in(run))) >= 8 and running(trials_in(run)),
        "it breeds",
    )
    before = finished(trials_in(run))
    assert main(["resume", str(run), "--quiet"]) == 0
    after = trials_in(run)
    assert {number: finished(after)[number] for number in before} == before
    late = [one for one in after if one.number not in before and one.individual.parents]
    heirs = [one for one in late if one.individual.copy_of is None]
    assert heirs
    assert any(measured(one).values["inherited_share"] > 0 for one in heirs)
