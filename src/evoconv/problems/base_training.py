"""The training of a network that is to be compressed, which has no weights yet."""

from dataclasses import dataclass

from evoconv.execution.executor import Control
from evoconv.networks.weights import weights_to_bytes
from evoconv.problems.training import FullTraining
from evoconv.problems.workplace import Workplace


@dataclass(frozen=True, kw_only=True)
class TrainBase:
    """The task that trains a network without the images it will be validated on."""

    training: FullTraining

    def __call__(self, workplace: Workplace, control: Control) -> bytes:
        """Return its weights as a safetensors file; raises as ``FullTraining.on`` does."""
        rows, _ = workplace.splits.folds[0]
        network, _ = self.training.on(rows, workplace, control)
        return weights_to_bytes(network)
