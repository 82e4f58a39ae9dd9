from dataclasses import replace

import pytest

from evoconv.export.in_full import seconds_per_image
from evoconv.genomes.vector import Vector
from evoconv.records import CurvePoint, Individual, Measurement


def measured() -> Individual:
    """Return one who was trained on two folds, 500 images each in 2 s, and validated for 6 s."""
    values = {
        "training_seconds": 10.0,
        "image_passes": 1_000.0,
        "trainings": 2.0,
    }
    curve = [
        CurvePoint(fold=fold, epoch=epoch, seconds=epoch, train_loss=1.0)
        for fold in (0, 1)
        for epoch in (1, 2)
    ]
    measurement = Measurement(values=values, curve=tuple(curve))
    return Individual(number=0, genome=Vector((18, 0, 0.01, 0.0)), measurement=measurement)


def test_what_an_image_takes_is_told_without_validation() -> None:
    assert seconds_per_image(measured()) == pytest.approx(4 / 1_000)
    one = measured()
    assert one.measurement is not None
    bare = replace(one, measurement=replace(one.measurement, curve=()))
    assert seconds_per_image(bare) == pytest.approx(10 / 1_000)
