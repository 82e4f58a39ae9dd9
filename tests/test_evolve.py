"""Whole studies through the Python interface, with real worker processes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import evoconv
from evoconv.errors import ConfigError, DataError, SearchFailed, StudyError
from evoconv.records import FailureKind, Trial, TrialState
from evoconv.study.watch import Unwatched
from tests.small_studies import FAST, write_stripes


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stripes(tmp_path_factory.mktemp("images") / "stripes.npz")


@pytest.fixture(scope="module")
def finished(images: Path, tmp_path_factory: pytest.TempPathFactory) -> evoconv.Result:
    run = tmp_path_factory.mktemp("runs") / "finished"
    changes = FAST | {"baseline": True, "repeats": 2, "evaluations": 5, "workers": 2}
    return evoconv.evolve(images, out=run, seed=3, **changes)


def accuracy_of(trial: Trial) -> float:
    measured = trial.individual.measurement
    assert measured is not None
    return measured.values["validation_accuracy"]


def test_a_study_ends_with_its_figures(finished: evoconv.Result) -> None:
    summary = finished.summary
    assert summary["method"] == "async"
    assert summary["seed"] == 3
    assert summary["evaluations"] == 5
    assert summary["failed"] == 0
    assert summary["repeats"] == 2
    assert summary["parameters"] > 0
    assert 0 < summary["macs"] <= 300_000
    assert 0.3 < summary["test_accuracy"] <= 1
    assert 0.3 < summary["baseline_test_accuracy"] <= 1
    assert summary["test_accuracy_std"] >= 0
    assert set(summary["versions"]) >= {"evoconv", "torch", "numpy", "python"}


def test_all_trials_are_kept_with_curve_worker_and_origin(finished: evoconv.Result) -> None:
    assert [one.number for one in finished.trials] == [0, 1, 2, 3, 4]
    assert {one.individual.operator for one in finished.trials} == {"seed"}  # the usual designs
    for trial in finished.trials:
        assert trial.state is TrialState.COMPLETE
        assert trial.worker in (0, 1)
        assert trial.seconds > 0
        assert trial.individual.measurement is not None
        assert trial.individual.measurement.curve[-1].validation_accuracy > 0


def test_the_best_network_is_a_module_that_gives_the_stored_logits(
    finished: evoconv.Result,
) -> None:
    best = finished.best
    assert isinstance(best.model, torch.nn.Module)
    values = best.trial.individual.measurement
    assert values is not None
    assert sum(one.numel() for one in best.model.parameters()) == values.values["parameters"]
    with np.load(finished.run / "test" / "repeat-0.npz", allow_pickle=False) as stored:
        assert stored["logits"].shape == (len(stored["labels"]), 3)


def test_weights_of_the_best_and_of_the_front_only_are_kept(finished: evoconv.Result) -> None:
    kept = {int(path.name.partition("-")[0]) for path in (finished.run / "weights").iterdir()}
    front = {one["trial"] for one in finished.summary["front"]}
    # The search's best, the older of equals; the finalist that was chosen may be another.
    best = max(finished.trials, key=lambda one: (accuracy_of(one), -one.number))
    assert kept == front | {best.number}


def test_where_children_inherit_the_weights_of_the_living_are_kept_too(
    images: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    sizes: dict[str, int] = {"population": 2, "tournament": 1, "evaluations": 8, "workers": 2}
    result = evoconv.evolve(images, out=run, seed=2, inherit=True, **(FAST | sizes))
    kept = {int(path.name.partition("-")[0]) for path in (run / "weights").iterdir()}
    front = {one["trial"] for one in result.summary["front"]}
    ranked = sorted(range(8), key=lambda number: (-accuracy_of(result.trials[number]), number))
    assert kept == front | set(ranked[:2])
    assert len(kept) < 8


def test_another_network_of_the_front_is_finished_like_the_best(
    images: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    result = evoconv.evolve(images, out=run, evaluations=4, seed=8, workers=2, **FAST)
    before = (run / "result.json").read_text()
    others = [one for one in range(4) if one != result.summary["trial"]]
    classifier = evoconv.finish(run, others[0], repeats=2)
    summary = json.loads((run / f"trial-{others[0]}" / "result.json").read_text())
    assert summary["trial"] == others[0]
    assert summary["repeats"] == 2
    assert summary["complete"] is True
    assert summary["baseline_test_accuracy"] is None
    assert classifier.architecture == result.trials[others[0]].individual.genome
    assert sum(one.numel() for one in classifier.model.parameters()) == summary["parameters"]
    assert evoconv.evaluate(run / f"trial-{others[0]}", images).num_images == 150
    evoconv.resume(run)
    assert (run / "result.json").read_text() == before, "the study's own result stays as it is"
    written = (run / f"trial-{others[0]}" / "best" / "model.safetensors").stat().st_mtime_ns
    evoconv.finish(run, others[0], repeats=2)
    again = (run / f"trial-{others[0]}" / "best" / "model.safetensors").stat().st_mtime_ns
    assert written == again, "what was trained isn't trained again"
    with pytest.raises(StudyError, match="no trial 99"):
        evoconv.finish(run, 99)


def test_evaluating_on_the_same_images_gives_a_high_accuracy(
    finished: evoconv.Result, images: Path
) -> None:
    evaluation = evoconv.evaluate(finished.run, images)
    assert evaluation.num_images == 150
    assert evaluation.confusion.sum() == 150
    assert evaluation.measures["accuracy"] > 0.4


def test_a_second_study_in_the_same_folder_is_refused(
    finished: evoconv.Result, images: Path
) -> None:
    with pytest.raises(StudyError, match="already"):
        evoconv.evolve(images, out=finished.run, evaluations=1)


def test_resuming_a_finished_study_changes_nothing(finished: evoconv.Result) -> None:
    before = (finished.run / "result.json").read_text()
    evoconv.resume(finished.run)
    assert (finished.run / "result.json").read_text() == before


def test_a_finished_study_can_be_given_more_evaluations(images: Path, tmp_path: Path) -> None:
    first = evoconv.evolve(images, out=tmp_path / "run", seed=1, evaluations=2, workers=1, **FAST)
    genomes = [one.individual.genome for one in first.trials]
    longer = evoconv.resume(tmp_path / "run", evaluations=4)
    assert len(longer.trials) == 4
    assert [one.individual.genome for one in longer.trials[:2]] == genomes
    assert longer.summary["evaluations"] == 4


@pytest.mark.slow
def test_sync_gives_the_same_trials_for_any_number_of_workers(images: Path, tmp_path: Path) -> None:
    results = []
    for workers in (1, 2, 3):
        changes = FAST | {"evaluations": 9, "population": 4, "tournament": 2, "workers": workers}
        one = evoconv.evolve(images, out=tmp_path / str(workers), method="sync", seed=8, **changes)
        results.append(
            [
                (trial.individual.genome.to_json(), _accuracy(trial))
                for trial in one.trials
                if trial.state is TrialState.COMPLETE
            ]
        )
    assert results[0] == results[1] == results[2]
    assert len(results[0]) == 9


@pytest.mark.slow
def test_one_worker_gives_the_same_study_twice(images: Path, tmp_path: Path) -> None:
    both = [
        evoconv.evolve(
            images,
            out=tmp_path / name,
            seed=5,
            **(FAST | {"evaluations": 6, "population": 4, "tournament": 2, "workers": 1}),
        )
        for name in ("first", "second")
    ]
    first, second = ([(one.individual.genome, _accuracy(one)) for one in r.trials] for r in both)
    assert first == second
    assert both[0].summary["test_accuracy"] == both[1].summary["test_accuracy"]


def _accuracy(trial: Trial) -> float:
    assert trial.individual.measurement is not None
    return trial.individual.measurement.values["validation_accuracy"]


@pytest.mark.slow
def test_the_paper_recipe_cross_validates(images: Path, tmp_path: Path) -> None:
    result = evoconv.evolve(
        images,
        out=tmp_path / "run",
        recipe="paper",
        seed=2,
        epochs=2,
        evaluations=2,
        final_epochs=2,
        baseline=False,
        max_macs=300_000,
    )
    assert result.summary["metric"] == "cross-entropy"
    measurement = result.trials[0].individual.measurement
    assert measurement is not None
    assert {point.fold for point in measurement.curve} == {0, 1, 2, 3, 4}
    assert '"normalisation":"batch"' not in result.best.architecture.to_json()


def test_final_evolved_keeps_the_weights_of_the_search(images: Path, tmp_path: Path) -> None:
    result = evoconv.evolve(
        images, out=tmp_path / "run", seed=1, evaluations=2, final="evolved", **FAST
    )
    assert result.summary["kept"] == "evolved"
    number = result.best.trial.number
    weights = next((result.run / "weights").glob(f"{number}-*"))
    assert weights.read_bytes() == (result.run / "best" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("final", ["continued", "retrained"])
def test_final_continued_begins_with_the_weights_of_the_search(
    images: Path, tmp_path: Path, final: str
) -> None:
    # At such a rate weights stay where they begin.
    still = FAST | {"learning_rate": 1e-7}
    result = evoconv.evolve(
        images, out=tmp_path / "run", seed=1, evaluations=2, final=final, **still
    )
    assert result.summary["kept"] == final
    file = next((result.run / "weights").glob(f"{result.best.trial.number}-*"))
    of_search = load_file(file)["output.weight"]
    now = load_file(result.run / "best" / "model.safetensors")["output.weight"]
    assert torch.allclose(now, of_search, atol=1e-4) == (final == "continued")


def test_too_little_time_for_a_training_keeps_the_weights_of_the_search(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What comes after the trainings would take all the time, however fast the machine is.
    monkeypatch.setattr("evoconv.timetable.AFTERWARDS_S", 12.0)
    result = evoconv.evolve(images, out=tmp_path / "run", seed=1, time="12s", **FAST)
    assert result.summary["kept"] == "evolved"
    assert result.summary["complete"]
    assert result.best.classifier.classes == ("0", "1", "2")


@pytest.mark.slow
def test_a_time_out_is_recorded_and_the_search_goes_on(images: Path, tmp_path: Path) -> None:
    changes = FAST | {"image_passes": 10_000_000, "trial_time": 0.3, "evaluations": 20}
    with pytest.raises(SearchFailed, match="time-out"):
        evoconv.evolve(images, out=tmp_path / "run", seed=1, **changes)
    trials = evoconv.Result(tmp_path / "run").trials
    failed = [one for one in trials if one.state is TrialState.FAILED]
    assert len(failed) >= 8
    for one in failed:
        assert one.individual.failure is not None
        assert one.individual.failure.kind is FailureKind.TIMEOUT


def test_candidates_whose_loss_diverges_are_data(images: Path, tmp_path: Path) -> None:
    changes = FAST | {
        "image_passes": 100_000,
        "evaluations": 30,
        "optimizer": "sgd",
        "learning_rate": 100.0,
        "warm_up": 0.0,
        "normalisation": "none",
        "activations": "linear",
    }
    with pytest.raises(SearchFailed, match="not finite"):
        evoconv.evolve(images, out=tmp_path / "run", seed=1, **changes)


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"method": "magic"}, ConfigError, "async"),
        ({"recipe": "magic"}, ConfigError, "fast, long, paper"),
        ({"time": "soon"}, ConfigError, "--time"),
        ({"max_parameters": 3}, ConfigError, "smallest network"),
        ({"stop_at": "200"}, ConfigError, "--stop-at"),
        ({"populaton": 3}, ConfigError, "did you mean population"),
        ({"tournament": 30}, ConfigError, "--tournament"),
        ({"folds": 90}, DataError, "folds"),
        ({"workers": 0}, ConfigError, "--workers"),
    ],
)
def test_nonsense_is_refused_before_anything_is_written(
    images: Path,
    tmp_path: Path,
    changes: dict[str, object],
    error: type[Exception],
    sentence: str,
) -> None:
    with pytest.raises(error, match=sentence):
        evoconv.evolve(images, out=tmp_path / "run", **changes)  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_a_watch_is_told_of_every_step(images: Path, tmp_path: Path) -> None:
    seen: list[str] = []

    class Listening(Unwatched):
        def __getattribute__(self, name: str) -> object:
            if not name.startswith("_"):
                seen.append(name)
            return super().__getattribute__(name)

    evoconv.evolve(images, out=tmp_path / "run", seed=1, evaluations=1, watch=Listening(), **FAST)
    wanted = ["begun", "asked", "started", "finished", "best_changed", "stopped", "finishing"]
    places = [seen.index(name) for name in wanted]
    assert places == sorted(places)


def test_changed_images_are_noticed_on_resume(tmp_path: Path) -> None:
    source = write_stripes(tmp_path / "images.npz", 150)
    evoconv.evolve(source, out=tmp_path / "run", seed=1, evaluations=1, **FAST)
    write_stripes(source, 160)
    with pytest.raises(StudyError, match="changed"):
        evoconv.resume(tmp_path / "run", evaluations=2)


def test_a_damaged_saved_network_is_refused(finished: evoconv.Result, tmp_path: Path) -> None:
    for name in ("model.safetensors", "model.json"):
        (tmp_path / name).write_bytes((finished.run / "best" / name).read_bytes())
    content = bytearray((tmp_path / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(bytes(content))
    with pytest.raises(StudyError, match="checksum"):
        evoconv.load(tmp_path)
    description = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(description | {"classes": ["one"]}))
    with pytest.raises(StudyError, match="damaged"):
        evoconv.load(tmp_path)
