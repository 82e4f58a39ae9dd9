"""A moving average of a network's weights, kept beside those that learn.

The average of a network that still jumps about is as good as one whose learning rate has been
annealed, at any moment: a training can be stopped whenever its curve says so, and a child that
starts from an average goes on where its parent stood.

Sources: Polyak & Juditsky 1992, "Acceleration of stochastic approximation by averaging"; Izmailov
et al. 2018, "Averaging weights leads to wider optima and better generalization". Differs: an
exponential average, whose memory is short at first and grows with the steps; batch normalisation's
running statistics are averaged like weights instead of being measured again.
"""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class WeightAverage:
    """The average of a network's weights and running statistics over its steps of training.

    It changes places with them: ``show`` puts the average into the network, ``hide`` puts back what
    learns.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        # The tensors themselves: another arrangement in memory gives them another storage, which
        # what a state dict holds doesn't follow.
        self._learning = [
            one for one in (*network.parameters(), *network.buffers()) if one.is_floating_point()
        ]
        self._average = [one.detach().clone() for one in self._learning]
        self._decay = decay
        self._num_steps = 0
        self._is_shown = False

    @torch.no_grad()
    def step(self) -> None:
        """Take in the weights after a step."""
        self._num_steps += 1
        # The beginning is forgotten soon: the memory is a tenth of the steps at most.
        decay = min(self._decay, (1 + self._num_steps) / (10 + self._num_steps))
        update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        update(self._average, self._learning, None)

    def show(self) -> None:
        """Let the network have the average; safe to call twice."""
        if not self._is_shown:
            self._change_places()

    def hide(self) -> None:
        """Let the network have what learns; safe to call twice."""
        if self._is_shown:
            self._change_places()

    @torch.no_grad()
    def _change_places(self) -> None:
        for learning, average in zip(self._learning, self._average, strict=True):
            kept: Tensor = learning.clone()
            learning.copy_(average)
            average.copy_(kept)
        self._is_shown = not self._is_shown
