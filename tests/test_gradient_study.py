"""Whole studies of the method gradient, and what goes with it: fitness, seeds, retrain, devices."""

import json
import shutil
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

import evoconv
from evoconv.cli import main
from evoconv.errors import ConfigError, SearchFailed, StudyError
from evoconv.genomes.architecture import read_genome
from evoconv.genomes.layers import Convolution, Dense
from evoconv.genomes.topology import Topology
from evoconv.records import FailureKind, TrialState
from evoconv.study.storage import Storage
from tests.small_studies import FAST, note_in, shown, write_stripes

Capture = pytest.CaptureFixture[str]

SMALL = FAST | {"population": 4, "offspring": 1, "tournament": 2, "workers": 2}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stripes(tmp_path_factory.mktemp("images") / "stripes.npz")


@pytest.fixture(scope="module")
def finished(images: Path, tmp_path_factory: pytest.TempPathFactory) -> evoconv.Result:
    run = tmp_path_factory.mktemp("runs") / "gradient"
    return evoconv.evolve(images, out=run, method="gradient", seed=1, evaluations=16, **SMALL)


def test_a_study_goes_through_iterations_and_keeps_its_evolved_weights(
    finished: evoconv.Result,
) -> None:
    operators = [one.individual.operator for one in finished.trials]
    assert operators[0] == "seed"  # a usual design
    assert all(one.startswith(("seed", "random")) for one in operators[1:4])
    assert all(one.startswith(("step", "train on")) for one in operators[4:8])
    assert operators[8].startswith("crossover")
    assert operators[9].startswith("mutation")
    assert finished.summary["kept"] == "evolved"
    assert finished.summary["complete"]
    assert finished.summary["fitness"].startswith("1 / (1 - accuracy + epsilon) + C * accuracy")
    genome = finished.best.architecture
    assert isinstance(genome, Topology)
    assert genome.reduction == "global-average"
    assert all(isinstance(layer, Convolution) for layer in genome.features)


def test_who_trains_on_starts_from_all_of_its_weights(finished: evoconv.Result) -> None:
    going_on = [one for one in finished.trials if one.individual.operator == "train on"]
    assert going_on
    for one in going_on:
        assert one.individual.measurement is not None
        assert one.individual.measurement.values["inherited_share"] == 1.0
        (parent,) = one.individual.parents
        assert finished.trials[parent].individual.genome == one.individual.genome


def test_the_best_is_the_fittest_by_the_formula(finished: evoconv.Result) -> None:
    best = finished.summary["best_fitness"]
    text = " ".join(shown(finished.run).split())
    assert f"with C 10, M 1e+06, epsilon 0.01; that of the best is {best:.4g}" in text


def test_a_resume_goes_on_within_a_lot(images: Path, tmp_path: Path) -> None:
    run = tmp_path / "again"
    before = evoconv.evolve(
        images, out=run, method="gradient", seed=1, evaluations=7, **SMALL
    ).trials
    again = evoconv.resume(run, evaluations=16)
    assert again.trials[:7] == before
    operators = [one.individual.operator.partition("+")[0] for one in again.trials]
    assert operators[8:10] == operators[14:16] == ["crossover", "mutation"]


def test_retraining_is_compared_stored_and_shown(
    finished: evoconv.Result, tmp_path: Path, capsys: Capture
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished.run, run)
    assert main(["retrain", str(run), "--from-scratch", "--repeats", "2"]) == 0
    printed = capsys.readouterr().out
    assert "from scratch" in printed
    assert "of 2 networks from scratch stay below the evolved weights" in printed
    number = finished.summary["trial"]
    rows = note_in(run, f"retrained {number}")["rows"]
    assert sorted(row["way"] for row in rows) == ["evolved", "from scratch", "from scratch"]
    assert rows[0]["test"]["accuracy"] == pytest.approx(finished.summary["test_accuracy"])

    assert main(["retrain", str(run), "--from-scratch", "--repeats", "3", "--quiet"]) == 0
    assert main(["retrain", str(run), "--quiet"]) == 0
    after = note_in(run, f"retrained {number}")["rows"]
    assert after[:3] == rows
    assert [row["way"] for row in after[3:]] == ["from scratch", "trained on"]
    figures = json.loads((run / "result.json").read_text())["retrained"][str(number)]
    assert {one["way"]: one["n"] for one in figures} == {
        "evolved": 1,
        "from scratch": 3,
        "trained on": 1,
    }
    assert "trained on" in shown(run)
    assert evoconv.retrain(run, from_scratch=True, repeats=3) == figures, "all of it is stored"


def test_a_retraining_that_failed_is_done_again(finished: evoconv.Result, tmp_path: Path) -> None:
    run, number = tmp_path / "run", finished.summary["trial"]
    shutil.copytree(finished.run, run)
    (once,) = (one for one in evoconv.retrain(run, from_scratch=True) if one["way"] != "evolved")
    rows = note_in(run, f"retrained {number}")["rows"]
    failed = {name: rows[1][name] for name in ("way", "seed", "seconds")} | {"failure": "error"}
    with closing(Storage.open(run, read_genome)) as storage:
        storage.set_note(f"retrained {number}", {"rows": [rows[0], failed]})
    (again,) = (one for one in evoconv.retrain(run, from_scratch=True) if one["way"] != "evolved")
    assert again == once
    assert note_in(run, f"retrained {number}")["rows"][0] == rows[0], "done once"


def test_a_size_and_the_fitness_of_the_poster_exclude_each_other(
    images: Path, capsys: Capture
) -> None:
    words = ["--method", "gradient", "--target-accuracy", "90"]
    assert main(["evolve", str(images), *words]) == 2
    said = capsys.readouterr().err
    assert "--target-accuracy can't be combined with --fitness gradient" in said
    assert "add --fitness compact" in said


def test_retraining_needs_a_trial_with_weights(finished: evoconv.Result, capsys: Capture) -> None:
    assert main(["retrain", str(finished.run), "--trial", "99"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    gone = next(
        one.number
        for one in finished.trials
        if not list((finished.run / "weights").glob(f"{one.number}-*"))
    )
    assert main(["retrain", str(finished.run), "--trial", str(gone)]) == 2
    assert f"trial {gone} evolved are not kept any more" in capsys.readouterr().err


def test_a_function_judges_and_its_study_needs_it_again(images: Path, tmp_path: Path) -> None:
    seen: list[Mapping[str, float]] = []

    def few_parameters(figures: Mapping[str, float]) -> float:
        seen.append(figures)
        if len(seen) == 2:
            raise ValueError("not this one")
        return -figures["parameters"]

    run = tmp_path / "judged"
    result = evoconv.evolve(
        images, out=run, seed=1, evaluations=5, fitness=few_parameters, workers=1, **FAST
    )
    assert len(seen) > 5, "finalists are judged by their full trainings"
    searched = [figures["cross_entropy"] for figures in seen[:5]]
    assert all(figures["cross_entropy"] not in searched for figures in seen[5:])
    assert set(seen[0]) >= {"accuracy", "cross_entropy", "macs", "flash", "ram", "memory"}
    failed = [one for one in result.trials if one.state is TrialState.FAILED]
    assert [one.individual.failure.message for one in failed if one.individual.failure] == [
        "the fitness function raised ValueError: not this one"
    ]
    complete = [one for one in result.trials if one.individual.measurement is not None]
    sizes = [one.individual.measurement.values["parameters"] for one in complete]  # type: ignore[union-attr]
    assert result.summary["parameters"] == min(sizes)
    assert result.summary["fitness"] == "a function in Python"
    with pytest.raises(StudyError, match=r"evoconv\.resume\(run, fitness=function\)"):
        evoconv.resume(run, evaluations=6)
    assert evoconv.resume(run, evaluations=6, fitness=few_parameters).summary["evaluations"] == 6


def test_a_function_is_for_python_and_for_single_trainings(images: Path, capsys: Capture) -> None:
    assert main(["evolve", str(images), "--fitness", "function"]) == 2
    assert "stands for one in Python" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="needs --max-trainings 1, not 2"):
        evoconv.evolve(images, fitness=len, max_trainings=2)


def test_a_formula_of_ones_own_chooses_the_best(images: Path, tmp_path: Path) -> None:
    result = evoconv.evolve(
        images,
        out=tmp_path / "run",
        seed=1,
        evaluations=4,
        fitness="-log10(macs)",
        **FAST,
    )
    macs = [
        one.individual.measurement.values["macs"]
        for one in result.trials
        if one.individual.measurement is not None
    ]
    assert result.summary["macs"] == min(macs)


@pytest.mark.parametrize("fitness", ["acuracy", "1 / (1 - accuracy)", "__import__('os')"])
def test_a_bad_formula_writes_nothing(
    fitness: str, images: Path, tmp_path: Path, capsys: Capture
) -> None:
    run = tmp_path / "run"
    assert main(["evolve", str(images), "--out", str(run), "--fitness", fitness]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not run.exists()


def test_seeds_are_trained_first_and_need_no_file_to_resume(images: Path, tmp_path: Path) -> None:
    mine = Topology(
        features=(Convolution(filters=6, kernel=(3, 3)),), classifier=(Dense(units=12),)
    )
    file = tmp_path / "mine.json"
    file.write_text(mine.to_json())
    run = tmp_path / "run"
    evoconv.evolve(images, out=run, seed=1, evaluations=2, seeds=file, workers=1, **FAST)
    file.unlink()
    result = evoconv.resume(run, evaluations=3)
    assert [one.individual.genome == mine for one in result.trials] == [True, False, False]
    assert result.trials[0].individual.operator == "seed"


def test_a_seed_beyond_the_limits_is_refused_before_anything_is_written(
    images: Path, tmp_path: Path, capsys: Capture
) -> None:
    file = tmp_path / "mine.json"
    file.write_text(Topology(features=(Convolution(filters=60, kernel=(3, 3)),)).to_json())
    words = ["evolve", str(images), "--seeds", str(file), "--max-parameters", "1k"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert "--seeds, genome 1: --max-parameters 1,000: the network has" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("device", "bits"), [("cortex-m4", 8), ("fpga-28mb", 32)])
def test_the_final_network_keeps_the_budget_of_its_device(
    device: str, bits: int, images: Path, tmp_path: Path
) -> None:
    result = evoconv.evolve(
        images, out=tmp_path / "run", seed=1, evaluations=3, device=device, max_ram="2kB", **FAST
    )
    summary = result.summary
    assert (summary["device"], summary["bits"]) == (device, bits)
    assert summary["peak_activation_bytes"] <= 2000
    assert summary["weight_bytes"] == summary["parameters"] * bits // 8
    assert f"{device}: at most" in " ".join(shown(tmp_path / "run").split())


def test_memory_that_no_network_can_keep_is_a_sentence(images: Path, capsys: Capture) -> None:
    assert main(["evolve", str(images), "--method", "gradient", "--max-ram", "20"]) == 2
    error = capsys.readouterr().err
    assert "--max-ram 20: the smallest network of this search space" in error
    assert error.count("\n") == 1


def test_too_slow_a_network_is_a_failure_with_its_time(images: Path, tmp_path: Path) -> None:
    with pytest.raises(SearchFailed, match=r"too slow: one image takes .* ms, --max-latency"):
        evoconv.evolve(
            images, out=tmp_path / "run", seed=1, evaluations=30, max_latency=1e-6, **FAST
        )
    result = evoconv.Result(tmp_path / "run")
    kinds = {one.individual.failure.kind for one in result.trials if one.individual.failure}
    assert kinds == {FailureKind.TOO_SLOW}


@pytest.mark.parametrize(
    "options", [{"max_latency": "5s"}, {"fitness": "accuracy - 1000 * latency", "finalists": 0}]
)
def test_latency_is_measured_where_it_counts(
    options: dict[str, object], images: Path, tmp_path: Path
) -> None:
    result = evoconv.evolve(
        images, out=tmp_path / "run", seed=1, evaluations=2, **{**FAST, **options}
    )
    for one in result.trials:
        assert one.individual.measurement is not None
        assert 0 < one.individual.measurement.values["latency_s"] < 5
