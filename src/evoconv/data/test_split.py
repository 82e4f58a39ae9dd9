"""The test split. This is the only place that hands it out, and only ``export`` may ask.

It is what ``splits`` leaves: no image is in both, and none is in neither.
"""

import numpy as np

from evoconv.data.image_set import ImageSet
from evoconv.data.partition import Indices


def test_indices(image_set: ImageSet, training: Indices) -> Indices:
    """Return the indices of the images that are not among ``training``, sorted."""
    return np.setdiff1d(np.arange(len(image_set)), training)


test_indices.__test__ = False  # type: ignore[attr-defined]  # the name is no invitation to pytest
