import math
from dataclasses import replace
from pathlib import Path

import pytest

from evoconv.data.augmentation import Augmentation
from evoconv.export.in_full import full_training, seconds_per_image
from evoconv.genomes.backbone_cut import BackboneCut
from evoconv.genomes.vector import Vector
from evoconv.problems.subject import Subject
from evoconv.problems.training import TrainingSetting
from evoconv.records import CurvePoint, Individual, Measurement
from evoconv.training.options import Recipe
from evoconv.training.precision import Precision

SUBJECT = Subject(
    architecture=BackboneCut(backbone="densenet-small", included=18),
    pretrained=Path("weights"),
    learning_rate=0.01,
    scales_rate=True,
)


def measured(frozen_share: float = 0.0) -> Individual:
    """Return one who was trained on two folds, 500 images each in 2 s, and validated for 6 s."""
    values = {
        "training_seconds": 10.0,
        "image_passes": 1_000.0,
        "trainings": 2.0,
        "frozen_share": frozen_share,
    }
    curve = [
        CurvePoint(fold=fold, epoch=epoch, seconds=epoch, train_loss=1.0)
        for fold in (0, 1)
        for epoch in (1, 2)
    ]
    measurement = Measurement(values=values, curve=tuple(curve))
    return Individual(number=0, genome=Vector((18, 0, 0.01, 0.0)), measurement=measurement)


def trained(
    individual: Individual, subject: Subject, passes: int, limit_s: float | None
) -> Subject:
    """Return the subject of a training of so many image passes, in epochs of 50."""
    return full_training(
        individual,
        subject,
        TrainingSetting(recipe=Recipe(), augmentation=Augmentation(), precision=Precision()),
        seed=1,
        epochs=passes // 50,
        num_images=50,
        time_limit_s=limit_s,
    ).subject


def test_what_an_image_takes_is_told_without_validation() -> None:
    assert seconds_per_image(measured()) == pytest.approx(4 / 1_000)
    one = measured()
    assert one.measurement is not None
    bare = replace(one, measurement=replace(one.measurement, curve=()))
    assert seconds_per_image(bare) == pytest.approx(10 / 1_000)


@pytest.mark.parametrize(
    ("passes", "limit_s", "times"),
    [(8_000, None, 16), (500, None, 1), (100, None, 1), (8_000, 8.0, 4), (1_000, 8.0, 2)],
)
def test_the_rate_of_a_longer_training_falls_with_the_root_of_its_length(
    passes: int, limit_s: float | None, times: int
) -> None:
    found = trained(measured(), SUBJECT, passes, limit_s)
    assert found.learning_rate == pytest.approx(0.01 / math.sqrt(times))
    assert replace(found, learning_rate=0.01) == SUBJECT


def test_time_goes_to_what_frozen_layers_give_when_it_is_not_shared() -> None:
    # The half that learns takes 3 parts of 4, so without sharing an image takes 4/3 as long.
    found = trained(measured(frozen_share=0.5), SUBJECT, 8_000, 8.0)
    assert found.learning_rate == pytest.approx(0.01 / math.sqrt(3))


def test_without_a_rate_of_its_own_or_as_published_nothing_changes() -> None:
    for subject in (replace(SUBJECT, learning_rate=None), replace(SUBJECT, scales_rate=False)):
        assert trained(measured(), subject, 8_000, None) == subject
