import numpy as np
import pytest
import torch

from evoconv.data.augmentation import Augmentation
from evoconv.data.batches import Batches, ImageTensor, Standardisation, augment

CPU = torch.device("cpu")
NOTHING = Augmentation(shift=0.0)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def source(images: np.ndarray) -> ImageTensor:
    labels = np.arange(len(images))
    return ImageTensor(images, labels, Standardisation.of(images, labels), CPU)


def counted(num_images: int, batch_size: int) -> Batches:
    images = np.arange(num_images * 12, dtype=np.uint8).reshape(num_images, 2, 2, 3)
    return Batches(
        source=source(images),
        rows=torch.arange(num_images),
        batch_size=batch_size,
        augmentation=NOTHING,
        generator=generator(),
    )


@pytest.mark.parametrize(("num_images", "sizes"), [(10, [4, 4, 2]), (8, [4, 4]), (9, [4, 4])])
def test_an_epoch_has_each_image_once_but_no_batch_of_one(
    num_images: int, sizes: list[int]
) -> None:
    data = counted(num_images, 4)
    labels = [batch for _, batch in data.epoch()]
    assert [len(one) for one in labels] == sizes
    assert data.num_batches == len(sizes)
    assert len(set(torch.cat(labels).tolist())) == sum(sizes)


def test_each_epoch_has_another_order() -> None:
    data = counted(50, 50)
    first, second = (next(iter(data.epoch()))[1].tolist() for _ in range(2))
    assert sorted(first) == sorted(second) != first != second


def test_images_are_standardised_with_the_statistics_of_the_rows_given() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, size=(64, 5, 6, 3), dtype=np.uint8)
    batch, _ = source(images).cut(torch.arange(64))
    assert batch.shape == (64, 3, 5, 6)
    assert batch.mean(dim=(0, 2, 3)).abs().max() < 1e-4
    assert (batch.std(dim=(0, 2, 3)) - 1).abs().max() < 1e-2
    exact = (images.astype(np.float64) - images.mean((0, 1, 2))) / images.std((0, 1, 2))
    assert np.abs(batch.permute(0, 2, 3, 1).numpy() - exact).max() < 1e-4


def test_statistics_can_have_few_digits() -> None:
    exact = Standardisation(mean=(33.318421, 0.012345), std=(78.567489, 123456.0))
    assert exact.rounded(3) == Standardisation(mean=(33.3, 0.0123), std=(78.6, 123000.0))


def test_wide_pixels_keep_all_sixteen_bits() -> None:
    images = np.array([0, 1, 255, 32767, 32768, 65535], np.uint16).reshape(6, 1, 1, 1)
    tensor = ImageTensor(images, np.arange(6), Standardisation(mean=(0.0,), std=(1.0,)), CPU)
    batch, _ = tensor.cut(torch.arange(6))
    assert batch.flatten().tolist() == [0, 1, 255, 32767, 32768, 65535]


def test_a_constant_channel_stays_finite() -> None:
    images = np.full((4, 3, 3, 1), 200, np.uint8)
    batch, _ = source(images).cut(torch.arange(4))
    assert torch.equal(batch, torch.zeros(4, 1, 3, 3))


def test_no_augmentation_changes_nothing() -> None:
    images = torch.randn(5, 2, 6, 7, generator=generator())
    assert augment(images, NOTHING, generator()) is images


def test_a_shift_moves_by_whole_pixels_in_all_directions_and_repeats_the_border() -> None:
    images = torch.zeros(400, 1, 10, 20)
    images[:, :, 5, 10] = 1.0
    moved = augment(images, Augmentation(shift=0.1), generator())
    where = moved.flatten(1).argmax(1)
    rows, columns = (where // 20).tolist(), (where % 20).tolist()
    assert set(rows) == {4, 5, 6}
    assert set(columns) == {8, 9, 10, 11, 12}
    edges = torch.zeros(50, 1, 10, 10)
    edges[:, :, 0] = 3.0
    assert augment(edges, Augmentation(shift=0.3), generator()).max() == 3.0
    assert (augment(edges, Augmentation(shift=0.3), generator())[:, :, 0] != 0).sum() > 0


def test_mirroring_changes_about_half_the_images_along_its_axis() -> None:
    images = torch.arange(12.0).reshape(1, 1, 3, 4).repeat(1000, 1, 1, 1)
    for how, axis in (("horizontal", 3), ("vertical", 2)):
        out = augment(images, Augmentation(shift=0.0, flip=how), generator())
        flipped = (out == images.flip(axis)).flatten(1).all(1)
        same = (out == images).flatten(1).all(1)
        assert bool((flipped ^ same).all())
        assert 440 < int(flipped.sum()) < 560


def test_turning_keeps_a_disc_and_moves_a_bar() -> None:
    y, x = torch.meshgrid(torch.arange(21.0) - 10, torch.arange(31.0) - 15, indexing="ij")
    disc = ((y**2 + x**2) < 36).float().expand(20, 1, -1, -1)
    bar = ((y.abs() < 1.5) & (x.abs() < 9)).float().expand(20, 1, -1, -1)
    turn = Augmentation(shift=0.0, rotate=90.0)
    assert (augment(disc, turn, generator()) - disc).abs().mean() < 0.04
    turned = augment(bar, turn, generator())
    assert (turned - bar).abs().flatten(1).mean(1).max() > 0.05
    # Turned, not stretched: it covers as many pixels as before.
    assert turned.sum((1, 2, 3)).tolist() == pytest.approx(bar.sum((1, 2, 3)).tolist(), rel=0.1)


def test_erasing_blanks_at_most_the_share() -> None:
    images = torch.ones(300, 2, 10, 10)
    out = augment(images, Augmentation(shift=0.0, erase=0.4), generator())
    blank = (out == 0).float()
    assert torch.equal(blank[:, 0], blank[:, 1])
    assert 0 < blank.mean((1, 2, 3)).max() <= 0.16


@pytest.mark.parametrize("share", [0.2, 0.3])
def test_erased_rectangles_are_as_large_as_they_may_be(share: float) -> None:
    images = torch.ones(3_000, 1, 10, 10)
    out = augment(images, Augmentation(shift=0.0, erase=share), generator())
    rows = (out == 0).any(3).sum((1, 2))
    assert rows.max() == round(share * 10)
    assert set(rows.tolist()) == set(range(round(share * 10) + 1))
