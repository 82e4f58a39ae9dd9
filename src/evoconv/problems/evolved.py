"""The weights that a trial's evaluation left, and the network that has them."""

from dataclasses import dataclass

from torch import nn

from evoconv.artifacts import WeightFiles
from evoconv.networks.weights import load_weights
from evoconv.problems.subject import Subject
from evoconv.problems.workplace import Workplace


@dataclass(frozen=True, kw_only=True)
class EvolvedWeights:
    """Where the weights of trial ``number`` are."""

    files: WeightFiles
    number: int

    def network(self, subject: Subject, workplace: Workplace) -> nn.Module:
        """Return the trial's network; ``StudyError`` if they are missing, damaged or don't fit."""
        image_set = workplace.image_set
        network = subject.network(image_set.input_shape, len(image_set.classes))
        load_weights(network, self.files.required(self.number))
        return network
