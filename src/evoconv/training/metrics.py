"""Measures of a classifier from its logits.

Shapes: N images, K classes.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


def confusion_matrix(logits: Floats, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return counts (K, K): row the true class, column the predicted one (ties: the lower)."""
    num_classes = logits.shape[1]
    cells = labels * num_classes + logits.argmax(axis=1)
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def accuracy(confusion: npt.NDArray[np.int64]) -> float:
    """Return the share of images on the diagonal, in [0, 1]."""
    return float(confusion.trace() / confusion.sum())


def recalls(confusion: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the recall of each class (K,), in [0, 1]; NaN for a class without images."""
    totals = confusion.sum(axis=1)
    return np.where(totals > 0, confusion.diagonal() / np.maximum(totals, 1), np.nan)


def balanced_accuracy(confusion: npt.NDArray[np.int64]) -> float:
    """Return the mean recall over the classes that have images, in [0, 1]."""
    return float(np.nanmean(recalls(confusion)))


def macro_f1(confusion: npt.NDArray[np.int64]) -> float:
    """Return the mean over classes of 2·TP / (2·TP + FP + FN), in [0, 1].

    Classes that are neither present nor predicted are left out.
    """
    hits = confusion.diagonal()
    involved = confusion.sum(axis=0) + confusion.sum(axis=1)
    return float((2 * hits[involved > 0] / involved[involved > 0]).mean())


def cross_entropy(logits: Floats, labels: npt.NDArray[np.int64]) -> float:
    """Return the mean categorical cross-entropy in nats, 0 or more."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1))
    return float((log_sum - shifted[np.arange(len(labels)), labels]).mean())


def measure(logits: Floats, labels: npt.NDArray[np.int64]) -> dict[str, float]:
    """Return all measures by name: accuracy, balanced-accuracy, macro-f1, cross-entropy."""
    confusion = confusion_matrix(logits, labels)
    return {
        "accuracy": accuracy(confusion),
        "balanced-accuracy": balanced_accuracy(confusion),
        "macro-f1": macro_f1(confusion),
        "cross-entropy": cross_entropy(logits, labels),
    }
