"""Outputs of frozen layers in files: as computed, within a limit, whole or absent."""

import multiprocessing
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from evoconv.data.augmentation import Augmentation
from evoconv.data.batches import Batches, ImageTensor, Source, Standardisation
from evoconv.networks.densenet import DenseNetLayout, build_densenet, initialise_densenet
from evoconv.networks.densenet import leading_names as names_up_to
from evoconv.training.feature_files import FeatureFolder
from evoconv.training.features import named_layers
from evoconv.training.freezing import train_thawing
from evoconv.training.loop import predict_logits
from evoconv.training.options import Recipe
from evoconv.training.precision import Precision
from tests.training.test_freezing import Patient

TINY = DenseNetLayout(blocks=(2, 3), growth=4, stem=8, is_small=True)
PRECISIONS = [Precision(), Precision(channels_last=True), Precision(bfloat16=True)]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    net = build_densenet(TINY, 1, 3)
    initialise_densenet(net, "he-normal", torch.Generator().manual_seed(1))
    return net


def images(count: int = 60) -> ImageTensor:
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=count)
    pixels = rng.integers(0, 120, size=(count, 12, 12, 1), dtype=np.uint8)
    pixels[labels == 0, ::2] += 100
    standardisation = Standardisation.of(pixels, np.arange(count))
    return ImageTensor(pixels, labels, standardisation, torch.device("cpu"))


def folder(where: Path, max_bytes: int = 10**9) -> FeatureFolder:
    rows: npt.NDArray[np.int64] = np.arange(5, 55, dtype=np.int64)
    labels = images().labels(torch.from_numpy(rows)).numpy()
    return FeatureFolder(folder=where, max_bytes=max_bytes, rows=rows, labels=labels)


@pytest.mark.parametrize("precision", PRECISIONS, ids=str)
@pytest.mark.parametrize("layers", [1, 2, 5])
def test_stored_outputs_are_those_that_the_layers_give(
    tmp_path: Path, precision: Precision, layers: int
) -> None:
    net, source = network().eval(), images()
    leading = names_up_to(TINY, layers)
    rows = torch.tensor([50, 7, 7, 31])
    for _ in range(2):  # computed, then found
        found = folder(tmp_path).features(net, leading, source, precision, Patient())
        assert found is not None
        outputs, labels = found.cut(rows)
        tail = nn.Sequential(*[layer for _, layer in named_layers(net)[len(leading) :]])
        expected = predict_logits(net, source, rows, precision)
        atol = 2e-2 if precision.bfloat16 else 1e-6
        logits = predict_logits(tail, found, rows, precision)
        assert torch.allclose(logits, expected, rtol=0, atol=atol)
        assert torch.equal(labels, source.labels(rows))
        assert len(outputs) == 4
    assert len(list(tmp_path.iterdir())) == 1


def test_a_training_on_them_is_the_same_as_one_with_those_layers_frozen(tmp_path: Path) -> None:
    held = names_up_to(TINY, 2)
    recipe = Recipe(optimizer="sgd", learning_rate=0.1, batch_size=8, freeze_share=1.0)
    states = []
    for is_stored in (False, True):
        net, source = network(), images()
        if is_stored:
            found = folder(tmp_path).features(net, held, source, Precision(), Patient())
            assert found is not None
            tail = nn.Sequential(*[layer for _, layer in named_layers(net)[len(held) :]])
            train(tail, found, recipe, frozen=())
        else:
            train(net, source, recipe, frozen=held)
        states.append(net.state_dict())
    plain, stored = states
    for name, one in plain.items():
        assert torch.allclose(one, stored[name], atol=1e-5), name
    first = network().state_dict()
    assert torch.equal(first["features.conv0.weight"], stored["features.conv0.weight"])
    assert not torch.equal(first["classifier.weight"], stored["classifier.weight"])


def train(net: nn.Module, source: Source, recipe: Recipe, frozen: tuple[str, ...]) -> None:
    rows: Tensor = torch.arange(10, 50)
    batches = Batches(
        source=source,
        rows=rows,
        batch_size=recipe.batch_size,
        augmentation=Augmentation(shift=0.0),
        generator=torch.Generator().manual_seed(3),
    )
    train_thawing(net, batches, recipe, Precision(), Patient(), frozen=frozen, epochs=3)


def test_without_room_there_are_none(tmp_path: Path) -> None:
    one_file = 50 * 12 * 6 * 6 * 4  # after a dense layer: rows × maps × pixels × bytes
    leading = names_up_to(TINY, 1)
    for room, is_there in ((one_file - 1, False), (one_file, True)):
        found = folder(tmp_path, room).features(
            network(), leading, images(), Precision(), Patient()
        )
        assert (found is not None) == is_there
    more = names_up_to(TINY, 3)
    limited = folder(tmp_path, one_file + 1)
    assert limited.features(network(), more, images(), Precision(), Patient()) is None
    # What is there already can still be used.
    assert limited.features(network(), leading, images(), Precision(), Patient()) is not None


def test_files_that_others_are_writing_count_from_their_beginning(tmp_path: Path) -> None:
    one_file, larger = (50 * maps * 6 * 6 * 4 for maps in (12, 16))  # as above; a layer adds 4 maps
    leading, more = names_up_to(TINY, 1), names_up_to(TINY, 2)

    class Meanwhile(Patient):
        """While one row of layers is computed, another worker wants room for another."""

        found: list[bool] = []  # noqa: RUF012

        def checkpoint(self) -> None:
            self.found.append(given(room, more, Patient()))

    def given(room: int, layers: tuple[str, ...], control: Patient) -> bool:
        return (
            folder(tmp_path, room).features(network(), layers, images(), Precision(), control)
            is not None
        )

    for room, has_room in ((one_file + larger - 1, False), (one_file + larger, True)):
        assert given(room, leading, Meanwhile())
        assert set(Meanwhile.found) == {has_room}
        Meanwhile.found.clear()
        for file in tmp_path.iterdir():
            file.unlink()


def test_each_row_of_layers_has_a_file_of_its_own_and_a_damaged_one_is_made_again(
    tmp_path: Path,
) -> None:
    where, shapes = folder(tmp_path), set()
    for layers in (1, 2, 3, 2, 1):
        found = where.features(
            network(), names_up_to(TINY, layers), images(), Precision(), Patient()
        )
        assert found is not None
        shapes.add(tuple(found.cut(torch.tensor([7]))[0].shape[1:]))
    assert len(shapes) == len(list(tmp_path.iterdir())) == 3
    leading = names_up_to(TINY, 2)
    before = where.features(network(), leading, images(), Precision(), Patient())
    assert before is not None
    expected = before.cut(torch.tensor([7, 9]))[0].clone()
    for file in tmp_path.iterdir():
        file.write_bytes(b"")
    again = where.features(network(), leading, images(), Precision(), Patient())
    assert again is not None
    assert torch.equal(again.cut(torch.tensor([7, 9]))[0], expected)


def test_a_place_that_can_not_be_written_is_no_failure(tmp_path: Path) -> None:
    taken = tmp_path / "file"
    taken.write_text("not a folder")
    leading = names_up_to(TINY, 1)
    assert folder(taken).features(network(), leading, images(), Precision(), Patient()) is None


def test_workers_that_compute_the_same_at_once_do_not_hinder_each_other(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(3) as pool:
        sums = pool.map(_sum_of_features, [tmp_path] * 6)
    assert len(set(sums)) == 1
    assert [one.suffix for one in tmp_path.iterdir()] == [".features"]


def _sum_of_features(where: Path) -> float:
    torch.set_num_threads(1)
    net = network().eval()
    leading = names_up_to(TINY, 3)
    found = folder(where).features(net, leading, images(), Precision(), Patient())
    assert found is not None
    outputs, _ = found.cut(torch.arange(5, 55))
    return float(outputs.sum())
