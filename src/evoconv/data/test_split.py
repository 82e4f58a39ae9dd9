"""The test split. This is the only place that hands it out, and only ``export`` may ask.

It is what ``splits`` leaves: no image is in both, and none is in neither.
"""

import numpy as np

from evoconv.data.image_set import ImageSet
from evoconv.data.partition import Indices
from evoconv.data.splits import SplitOptions, training_indices


def test_indices(image_set: ImageSet, options: SplitOptions, seed: int) -> Indices:
    """Return the indices of the test images, sorted; raises as ``search_splits`` does."""
    training = training_indices(image_set, options, seed)
    return np.setdiff1d(np.arange(len(image_set)), training)


test_indices.__test__ = False  # type: ignore[attr-defined]  # the name is no invitation to pytest
