import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss

from evoconv.training.metrics import (
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    macro_f1,
    measure,
    recalls,
)


def make_logits(num_images: int, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    labels = rng.integers(num_classes, size=num_images)
    logits = rng.normal(size=(num_images, num_classes))
    logits[np.arange(num_images), labels] += 1.0
    return logits, labels


def test_measures_agree_with_scikit_learn() -> None:
    logits, labels = make_logits(500, 7)
    predicted = logits.argmax(axis=1)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    got = measure(logits, labels)
    assert got["accuracy"] == pytest.approx((predicted == labels).mean())
    assert got["balanced-accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert got["macro-f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert got["cross-entropy"] == pytest.approx(log_loss(labels, probabilities))


def test_a_rare_class_that_is_never_found_shows_in_balanced_measures_only() -> None:
    labels = np.array([0] * 98 + [1] * 2)
    logits = np.tile([1.0, 0.0], (100, 1))
    confusion = confusion_matrix(logits, labels)
    assert accuracy(confusion) == 0.98
    assert balanced_accuracy(confusion) == 0.5
    assert macro_f1(confusion) < 0.5


def test_a_class_without_images_is_left_out() -> None:
    confusion = np.array([[8, 2, 0], [0, 10, 0], [0, 0, 0]])
    assert np.isnan(recalls(confusion)[2])
    assert balanced_accuracy(confusion) == pytest.approx(0.9)


def test_cross_entropy_survives_huge_logits() -> None:
    got = measure(np.array([[1e4, 0.0], [0.0, 1e4]]), np.array([0, 0]))
    assert got["cross-entropy"] == pytest.approx(5e3)
