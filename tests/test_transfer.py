"""Whole studies of pretrain and transfer: what is frozen stays, what is broken is said, resume."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import evoconv
from evoconv.cli import main
from evoconv.errors import ConfigError, StudyError
from evoconv.genomes.backbone_cut import BackboneCut
from evoconv.genomes.vector import Vector
from evoconv.networks.densenet import LAYOUTS, build_densenet
from evoconv.networks.pretrained import read_weight_file
from evoconv.networks.weights import read_tensors
from evoconv.records import FailureKind
from tests.small_studies import (
    draw_stripes,
    finished,
    flags,
    kill_when,
    shown,
    start,
    trials_in,
    write_stripes,
)

SHORT: dict[str, Any] = {"image_passes": 200, "final_epochs": 2, "workers": 2}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stripes(tmp_path_factory.mktemp("images") / "stripes.npz")


@pytest.fixture(scope="module")
def pretrained(images: Path, tmp_path_factory: pytest.TempPathFactory) -> evoconv.Result:
    run = tmp_path_factory.mktemp("runs") / "pre"
    return evoconv.pretrain(images, out=run, seed=1, time="60s", **SHORT)


@pytest.fixture(scope="module")
def transferred(
    images: Path, pretrained: evoconv.Result, tmp_path_factory: pytest.TempPathFactory
) -> evoconv.Result:
    run = tmp_path_factory.mktemp("runs") / "transfer"
    return evoconv.transfer(
        images,
        pretrained.run,
        out=run,
        seed=2,
        evaluations=4,
        frozen_range=(3, 12),
        included_range=(4, 18),
        **SHORT,
    )


def test_pretraining_gives_a_whole_backbone_that_can_be_used(
    pretrained: evoconv.Result, tmp_path: Path
) -> None:
    assert pretrained.best.architecture == BackboneCut(backbone="densenet-small", included=18)
    assert pretrained.summary["repeats"] == 1
    pixels, _ = draw_stripes(1)
    Image.fromarray(pixels[0]).save(tmp_path / "one.png")
    assert main(["predict", str(pretrained.run), str(tmp_path / "one.png")]) == 0


def test_a_transfer_keeps_what_it_froze_bit_by_bit(
    pretrained: evoconv.Result, transferred: evoconv.Result
) -> None:
    before = read_weight_file(pretrained.run / "best" / "model.safetensors")
    after = read_weight_file(transferred.run / "best" / "model.safetensors")
    assert not (transferred.run / "features").exists()
    included, frozen, _, _ = _genome(transferred).values
    assert 3 <= frozen <= included
    first = [name for name in after if name.startswith(("features.conv0", "features.norm0"))]
    first += [name for name in after if name.startswith("features.denseblock1.denselayer3.")]
    first = [name for name in first if "num_batches" not in name]
    assert len(first) > 10
    assert all(torch.equal(before[name], after[name]) for name in first)


def test_images_are_standardised_as_for_the_pretraining(
    pretrained: evoconv.Result, transferred: evoconv.Result
) -> None:
    theirs, mine = pretrained.best.classifier, transferred.best.classifier
    assert mine.standardisation.mean == pytest.approx(theirs.standardisation.mean)
    assert mine.preprocessing == theirs.preprocessing


def test_the_result_says_which_plan_it_is_beside_the_usual_default(
    transferred: evoconv.Result,
) -> None:
    found = transferred.summary
    assert found["genome"] == list(_genome(transferred).values)
    assert found["baseline_test_accuracy"] is not None
    whole = build_densenet(LAYOUTS["densenet-small"], 1, len(found["data"]["classes"]))
    assert found["baseline_parameters"] == sum(one.numel() for one in whole.parameters())
    text = " ".join(shown(transferred.run).split())
    assert "layers, " in text
    assert "frozen, learning rate" in text


def test_a_study_without_its_weights_can_not_go_on(
    transferred: evoconv.Result, tmp_path: Path
) -> None:
    file = transferred.run / "pretrained.safetensors"
    assert read_tensors(file.read_bytes())
    hidden = file.rename(tmp_path / "hidden")
    try:
        with pytest.raises(StudyError, match="pretrained weights are missing"):
            evoconv.resume(transferred.run, evaluations=5)
        file.write_bytes(hidden.read_bytes()[:-1] + b"\0")
        with pytest.raises(StudyError, match="damaged: its checksum is not the one stored"):
            evoconv.resume(transferred.run, evaluations=5)
    finally:
        hidden.rename(file)


@pytest.mark.parametrize(("side", "used"), [(8, 10), (12, 12)])
def test_images_are_as_large_as_for_evolve_but_at_least_as_for_the_pretraining(
    side: int, used: int, images: Path, tmp_path: Path
) -> None:  # they are of 10×10 pixels
    options: dict[str, Any] = {"baseline": False, **SHORT, "evaluations": 1}
    pretrained = evoconv.pretrain(
        images, out=tmp_path / "pre", image_size=str(side), final="evolved", **options
    )
    found = evoconv.transfer(images, pretrained.run, out=tmp_path / "run", **options)
    shape = found.best.classifier.preprocessing
    assert (shape.height, shape.width) == (used, used)
    again = evoconv.resume(found.run, evaluations=2)
    assert again.best.classifier.preprocessing == shape


def test_a_study_goes_on_without_the_file_it_began_with(
    images: Path, pretrained: evoconv.Result, tmp_path: Path
) -> None:
    moved = tmp_path / "weights.safetensors"
    moved.write_bytes((pretrained.run / "best" / "model.safetensors").read_bytes())
    run = tmp_path / "run"
    options = SHORT | {"backbone": "densenet-small", "image_size": "10", "baseline": False}
    evoconv.transfer(images, moved, out=run, seed=3, evaluations=2, **options)
    moved.unlink()
    assert evoconv.resume(run, evaluations=3).summary["evaluations"] == 3


def test_killed_amid_the_search_it_goes_on(
    images: Path, pretrained: evoconv.Result, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    options = SHORT | {"evaluations": 5, "baseline": False, "inherit": True, "seed": 4}
    options |= {"weights": str(pretrained.run), "image_passes": 3_000}
    process = start("transfer", str(images), "--out", "run", *flags(options), cwd=tmp_path)
    kill_when(process, lambda: finished(trials_in(run)), "a trial is finished")
    before = finished(trials_in(run))
    assert main(["resume", str(run), "--quiet"]) == 0
    after = finished(trials_in(run))
    assert before.items() <= after.items()
    assert len(after) == 5
    assert not (run / "features").exists()


def test_a_learning_rate_that_diverges_is_a_failure_and_the_search_goes_on(
    images: Path, pretrained: evoconv.Result, tmp_path: Path
) -> None:
    # Each step multiplies kernels by 1 - rate * decay.
    wild = {"rate_range": (1e-3, 100.0), "optimizer": "sgd", "weight_decay": 10.0}
    result = evoconv.transfer(
        images, pretrained.run, out=tmp_path / "run", seed=5, evaluations=8, **(SHORT | wild)
    )
    failures = [one.individual.failure for one in result.trials if one.individual.failure]
    assert failures
    assert {one.kind for one in failures} == {FailureKind.NOT_FINITE}
    assert result.summary["repeats"] == 1


def test_a_plan_is_used_for_other_images_without_a_search(
    pretrained: evoconv.Result, transferred: evoconv.Result, tmp_path: Path
) -> None:
    others = write_stripes(tmp_path / "others.npz", 90)
    used = evoconv.transfer(others, plan=transferred.run, out=tmp_path / "run", seed=9, **SHORT)
    assert used.summary["evaluations"] == 1
    assert used.summary["genome"] == transferred.summary["genome"]
    assert used.best.architecture == transferred.best.architecture
    with pytest.raises(StudyError, match=r"--plan: .* is no finished study of evoconv transfer"):
        evoconv.transfer(others, plan=pretrained.run, out=tmp_path / "no")
    with pytest.raises(StudyError, match="--plan: there is no run folder nowhere"):
        evoconv.transfer(others, plan="nowhere", out=tmp_path / "no")
    with pytest.raises(ConfigError, match="--weights has no use beside --plan, whose study has"):
        evoconv.transfer(others, transferred.run, plan=transferred.run)
    with pytest.raises(ConfigError, match="--evaluations has no use beside --plan, which is trai"):
        evoconv.transfer(others, plan=transferred.run, evaluations=9)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["transfer", "digits"], "transfer needs --weights"),
        (["transfer", "digits", "--weights", "nowhere"], "there is no weight file nowhere"),
        (["pretrain", "digits", "--backbone", "resnet"], "no backbone is called resnet"),
    ],
)
def test_what_is_missing_is_said_in_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


def test_without_room_for_features_trainings_do_without_and_it_is_said(
    images: Path, pretrained: evoconv.Result, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    wanted = SHORT | {"feature_cache": 0, "frozen_range": (3, 12), "included_range": (4, 18)}
    evoconv.transfer(images, pretrained.run, out=run, evaluations=2, baseline=False, **wanted)
    text = " ".join(shown(run).split())
    assert "2 trainings computed again what frozen layers give" in text


def test_options_of_another_command_are_refused() -> None:
    with pytest.raises(ConfigError, match="--weights is no option of evoconv evolve"):
        evoconv.evolve("digits", weights="x")
    with pytest.raises(ConfigError, match="--max-features is no option of evoconv transfer"):
        evoconv.transfer("digits", "x", max_features=3)
    with pytest.raises(ConfigError, match="--weights is no option of evoconv pretrain"):
        evoconv.pretrain("digits", weights="x")
    with pytest.raises(ConfigError, match="--learning-rate is no option of evoconv transfer"):
        evoconv.transfer("digits", "x", learning_rate=0.1)
    with pytest.raises(ConfigError, match="--frozen-range has no use beside --plan"):
        evoconv.transfer("digits", plan="x", frozen_range=(0, 3))
    with pytest.raises(ConfigError, match="--method compact evolves layers; transfer has async, "):
        evoconv.transfer("digits", "x", method="compact")
    with pytest.raises(ConfigError, match="--method swarm evolves rows of numbers; evolve has "):
        evoconv.evolve("digits", method="swarm")


def test_an_evolved_network_is_no_backbone(images: Path, tmp_path: Path) -> None:
    run = tmp_path / "evolved"
    evoconv.evolve(images, out=run, evaluations=1, baseline=False, max_macs=100_000, **SHORT)
    with pytest.raises(evoconv.UserError, match="no backbone, but a network that was evolved"):
        evoconv.transfer(images, run)


def _genome(result: evoconv.Result) -> Vector:
    genome = result.best.trial.individual.genome
    assert isinstance(genome, Vector)
    assert json.loads(genome.to_json()) == result.summary["genome"]
    assert np.isfinite(genome.values).all()
    return genome
