"""Random streams keyed by (study seed, purpose, number).

How an individual is bred and how it is trained depends on the study's seed and its number, never on
which worker was free, how many there are, or what o'clock it is.
"""

from enum import IntEnum

import numpy as np
from numpy.random import Generator, SeedSequence


class Purpose(IntEnum):
    """What a stream is for. The values are part of every stored study: never renumber them."""

    BIRTH = 1
    EVALUATE = 2
    SPLIT = 3
    FINAL = 4
    BASELINE = 5
    FINALIST = 6
    AUGMENTATION = 7
    RETRAIN = 8
    ACCEPT = 9


def stream(study_seed: int, purpose: Purpose, number: int) -> Generator:
    """Return the generator fixed by (study seed, purpose, number), whichever process asks."""
    return np.random.default_rng(SeedSequence(study_seed, spawn_key=(int(purpose), number)))


def seed_for(study_seed: int, purpose: Purpose, number: int) -> int:
    """Return an integer in [0, 2**63) fixed by (study seed, purpose, number), for torch."""
    return int(stream(study_seed, purpose, number).integers(2**63))
