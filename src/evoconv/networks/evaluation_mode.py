"""A network in evaluation mode for a while, and then as it was."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def in_evaluation(network: nn.Module) -> Iterator[None]:
    """Run the block with all modules in evaluation mode; each gets its own mode back."""
    was_training = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in was_training.items():
            module.training = training
