"""What a transfer takes from earlier studies: their weights, plans and splits, and what it says."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import evoconv
from evoconv.config import StudyConfig, config_from_dict
from evoconv.configure import configure
from evoconv.data.batches import Standardisation
from evoconv.data.image_set import Preprocessing
from evoconv.data.splits import SplitOptions
from evoconv.export.model_file import ModelDescription, save_model
from evoconv.genomes.architecture import read_genome
from evoconv.genomes.backbone_cut import BackboneCut
from evoconv.networks.build import build_network
from evoconv.networks.pretrained import read_weight_file
from evoconv.networks.weights import weights_to_bytes
from evoconv.origins import Origin, origins_of
from evoconv.preparation import Prepared, prepare
from evoconv.problems.transfer_options import TransferOptions
from evoconv.records import Trial
from evoconv.study.storage import Storage
from evoconv.study.watch import Unwatched
from tests.small_studies import draw_stripes, write_stripe_files, write_stripes

SHORT: dict[str, Any] = {"image_passes": 100, "final_epochs": 1, "workers": 2}
ONE: dict[str, Any] = SHORT | {"evaluations": 1, "baseline": False, "final": "evolved"}
AS_FOUND: dict[str, Any] = {
    "optimizer": "sgd",
    "batch_size": 16,
    "flip": "horizontal",
    "metric": "accuracy",
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stripes(tmp_path_factory.mktemp("images") / "stripes.npz")


@pytest.fixture(scope="module")
def pretrained(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "pre"
    return evoconv.pretrain(images, out=run, seed=1, **SHORT).run


@pytest.fixture(scope="module")
def transferred(
    images: Path, pretrained: Path, tmp_path_factory: pytest.TempPathFactory
) -> evoconv.Result:
    run = tmp_path_factory.mktemp("runs") / "transfer"
    return evoconv.transfer(images, pretrained, out=run, seed=2, **ONE, **AS_FOUND)


def prepared(source: Path, where: Path, **options: Any) -> Prepared:
    """Return what a transfer with these options would work on; only images are read for it."""
    options = {name: str(one) if isinstance(one, Path) else one for name, one in options.items()}
    return prepare(configure(str(source), options, command="transfer", seed=3), where, Unwatched())


def config_in(run: Path) -> StudyConfig:
    with closing(Storage.open(run, read_genome)) as storage:
        return config_from_dict(storage.config)


def test_a_plan_is_trained_as_it_was_found_but_for_what_is_named(
    images: Path, transferred: evoconv.Result, tmp_path: Path
) -> None:
    # The batch is as large as usual: it is named all the same.
    config = prepared(images, tmp_path, plan=transferred.run, batch_size=32).config
    for one in (config.training, config.final_training):
        assert (one.optimizer, one.batch_size, one.metric) == ("sgd", 32, "cross-entropy")
    assert config.augmentation.flip == config.final_augmentation.flip == "horizontal"
    assert (config.augmentation.shift, config.final_augmentation.shift) == (0.0, 0.1)
    config = prepared(images, tmp_path, plan=transferred.run, final_recipe="transfer").config
    assert (config.training.optimizer, config.final_training.optimizer) == ("sgd", "adam")
    assert (config.augmentation.flip, config.final_augmentation.flip) == ("horizontal", "none")


def test_a_plan_found_for_grey_images_uses_colours_as_they_were_learned(
    images: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    architecture = BackboneCut(backbone="densenet-small", included=18)
    network = build_network(architecture, (3, 10, 10), 3)
    mean, std = (25.5, 102.0, 204.0), (51.0, 51.0, 102.0)
    description = ModelDescription(
        architecture=architecture,
        classes=("a", "b", "c"),
        preprocessing=Preprocessing(height=10, width=10, channels=3),
        standardisation=Standardisation(mean=mean, std=std),
    )
    save_model(tmp_path / "pre", description, weights_to_bytes(network))
    grey = evoconv.transfer(images, tmp_path / "pre", out=tmp_path / "grey", **ONE)
    assert grey.best.classifier.preprocessing.channels == 1

    pixels, labels = draw_stripes(60)
    colours = np.stack([pixels, pixels // 2, 255 - pixels], axis=-1)
    np.savez(tmp_path / "colours.npz", images=colours, labels=labels)
    used = prepared(tmp_path / "colours.npz", tmp_path / "run", plan=grey.run)
    assert used.standardisation.mean == pytest.approx(mean)
    (tmp_path / "run").mkdir()
    used.keep_pretrained(tmp_path / "run")
    kept = read_weight_file(tmp_path / "run" / "pretrained.safetensors")
    name = "features.conv0.weight"
    assert torch.equal(kept[name], network.state_dict()[name])


def test_images_that_were_held_out_for_the_test_before_are_held_out_again(
    images: Path, pretrained: Path, transferred: evoconv.Result
) -> None:
    # The study's own seed is another one than the pretraining's.
    assert config_in(transferred.run).split.split_seed == config_in(pretrained).seed == 1
    tested = [
        np.load(run / "test" / "repeat-0.npz")["labels"] for run in (pretrained, transferred.run)
    ]
    assert np.array_equal(*tested)
    [note] = [one for one in transferred.summary["data"]["notes"] if str(pretrained) in one]
    assert "the images held out for the test are the same" in note
    assert "validation figures may be too good" in note


def test_images_that_may_have_been_learned_from_are_said_to_be(
    images: Path, transferred: evoconv.Result, pretrained: Path, tmp_path: Path
) -> None:
    for options, seed in (({"split_seed": 9}, 9), ({"test_share": 0.3}, 1)):
        found = prepared(images, tmp_path, plan=transferred.run, **options)
        assert found.config.split.split_seed == seed
        said = [one for one in found.facts() if "so the result may be too good" in one]
        assert len(said) == 2, "of the plan's study, and of the one that its weights are from"
        assert all("(--split-seed 1, --test-share 20 would hold out" in one for one in said)
        assert set(said) <= set(found.note()["notes"])
    # The same images at another size.
    larger = prepared(images, tmp_path, weights=pretrained, image_size="12")
    assert any("images held out for the test are the same" in one for one in larger.facts())
    others = write_stripes(tmp_path / "others.npz", 90)
    found = prepared(others, tmp_path, weights=pretrained)
    assert found.config.split.split_seed is None
    assert not any("too good" in one for one in found.facts())


def test_of_a_declared_test_split_nothing_was_learned(pretrained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "split"
    for part in ("train", "test"):
        write_stripe_files(folder / part, 60)
    run = evoconv.pretrain(folder, out=tmp_path / "pre", seed=1, **SHORT).run
    found = prepared(folder, tmp_path, weights=run)
    assert found.config.split == SplitOptions(folds=None)
    assert any("images held out for the test are the same" in one for one in found.facts())


def test_weights_of_an_unfinished_pretraining_are_not_taken_silently(
    images: Path, tmp_path: Path
) -> None:
    class Pressing(Unwatched):
        def finished(self, trial: Trial) -> None:
            raise KeyboardInterrupt

    run = tmp_path / "pre"
    with pytest.raises(KeyboardInterrupt):
        evoconv.pretrain(images, out=run, seed=1, watch=Pressing(), **SHORT)
    sentence = f"{run} is unfinished, and its weights are those of a short training: "
    for weights in (run, run / "best", run / "best" / "model.safetensors"):
        found = prepared(images, tmp_path, weights=weights)
        for sentences in (found.facts(), found.note()["notes"]):
            assert any(one.startswith(sentence) for one in sentences)


def test_weights_that_there_was_no_time_to_train_are_said_to_be(pretrained: Path) -> None:
    [origin] = origins_of(TransferOptions(weights=str(pretrained)))
    assert origin.run == pretrained
    assert origin.shortcoming() is None

    def ended(why: str) -> Origin:
        return replace(origin, final={"kept": "evolved", "why": why})

    why = "the 3 s left were too short to train it"
    assert (ended(why).shortcoming() or "").endswith(f"those of a short training: {why}")
    assert ended("asked for").shortcoming() is None


def test_weights_without_a_study_have_no_origin(pretrained: Path, tmp_path: Path) -> None:
    alone = tmp_path / "model.safetensors"
    alone.write_bytes((pretrained / "best" / "model.safetensors").read_bytes())
    broken = tmp_path / "run"
    broken.mkdir()
    (broken / "study.db").write_text("no study")
    for weights in (str(alone), str(broken), "timm:resnet18", "nowhere"):
        assert origins_of(TransferOptions(weights=weights)) == []


def test_a_way_of_resizing_that_is_named_wins_over_the_pretrainings(
    pretrained: Path, tmp_path: Path
) -> None:
    others = write_stripe_files(tmp_path / "others", 60)
    assert prepared(others, tmp_path, weights=pretrained).config.data.resize == "fit"
    found = prepared(others, tmp_path, weights=pretrained, resize="stretch")
    assert found.image_set.preprocessing.resize == "stretch"
