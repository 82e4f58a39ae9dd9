"""How a network comes to few weights of few values in the course of one training.

First weights are pruned, a few more every few steps; then the layers get their shared values, one
after the other, while those after it can still adapt; then shared values and the rest learn on.

Sources: Zhu & Gupta 2017, "To prune, or not to prune", equation 1: the share of weights that is
kept falls with the third power. Han et al. 2015, "Deep Compression": prune, share, train on.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from evoconv.compression.tensors import Bits
from evoconv.compression.tied import free_values, tie, untie

# Shares of the training by which all is pruned, and all is shared.
_PRUNED, _SHARED = 0.5, 0.8
_STEPS_BETWEEN = 8
_STEPS_BETWEEN_REASSIGNMENTS = 32


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What becomes of one tensor.

    Attributes:
        clusters: its different values, zero among them where something is zero.
        kept: share of its values that is not zero, in (0, 1].
    """

    clusters: int
    kept: float = 1.0


class Course:
    """One training's way to shared weights; ``before_step`` is told of each step.

    Args:
        network: is altered: its tensors are tied until ``end``.
        goals: by names of weights.
        bias_clusters: different values of each bias; 0 leaves biases alone.
        biases: names of the biases that are shared: of the layers, and of what only adds one.
        num_steps: how many there will be.
        bits: of a shared value as it will be stored.
        reassigns: whether values may go over to other clusters.
        concentrates: whether a weight is worth less the smaller those of the same output and of
            the same input are, so that whole outputs and inputs are pruned, which cost few bytes.
    """

    def __init__(
        self,
        network: nn.Module,
        goals: Mapping[str, Goal],
        *,
        bias_clusters: int = 0,
        biases: Collection[str] = (),
        num_steps: int,
        bits: Bits,
        reassigns: bool = False,
        concentrates: bool = False,
    ) -> None:
        self._concentrates = concentrates
        self._network, self._goals, self._num_steps = network, goals, num_steps
        self._bias_clusters = bias_clusters
        self._present = {name: _nonzero_share(network, name) for name in goals}
        self._ties = {name: tie(network, name, bits, reassigns=reassigns) for name in goals}
        chosen = biases if bias_clusters else ()
        self._biases = {name: tie(network, name, bits, reassigns=reassigns) for name in chosen}
        self._waiting = list(goals)
        self._step = 0

    def before_step(self) -> None:
        """Prune and share as much as is due."""
        done = self._step / self._num_steps
        if self._step % _STEPS_BETWEEN == 0:
            for name in self._waiting:
                self._prune(name, min(1.0, done / _PRUNED))
        due = (done - _PRUNED) / (_SHARED - _PRUNED) * len(self._goals)
        while self._waiting and len(self._goals) - len(self._waiting) < due:
            self._share_next()
        if self._step % _STEPS_BETWEEN_REASSIGNMENTS == 0:
            for name, one in (self._ties | self._biases).items():
                one.reassign(free_values(self._network, name))
        self._step += 1

    def end(self) -> None:
        """Share what is left, and let all tensors be what they are used as."""
        while self._waiting:
            self._share_next()
        for name in (*self._ties, *self._biases):
            untie(self._network, name)

    def _prune(self, name: str, done: float) -> None:
        """Keep what is due after this share, in [0, 1], of the pruning."""
        goal, present = self._goals[name].kept, self._present[name]
        # Who is to have more weights than its parent begins with all, and loses others.
        begin = present if goal <= present else 1.0
        share = goal + (begin - goal) * (1 - done) ** 3
        if share < 1.0:
            self._ties[name].keep(_best(self._worth(name), share))

    def _worth(self, name: str) -> Tensor:
        """Return what each weight is worth: who is worth least is pruned first."""
        free = free_values(self._network, name)
        sizes = free.detach().abs()
        if not self._concentrates or sizes.ndim < 2:
            return sizes
        kept = sizes * self._ties[name].is_kept
        of_outputs, of_inputs = _norms(kept, 0), _norms(kept, 1)
        if free.grad is not None:
            # Whose output nothing uses any more, or whose input is always zero, learns nothing.
            of_outputs = of_outputs * (_norms(free.grad, 0) > 0)
            of_inputs = of_inputs * (_norms(free.grad, 1) > 0)
        return sizes * of_outputs * of_inputs.sqrt()

    def _share_next(self) -> None:
        name = self._waiting.pop(0)
        self._prune(name, 1.0)
        own = self._ties[name]
        count = self._goals[name].clusters - bool((own.is_kept == 0).any())
        own.share(free_values(self._network, name), count)
        # An output without weights gives only its bias: the next layer's own can be that.
        self._share_bias(f"{name.removesuffix('weight')}bias", own.is_kept.flatten(1).any(1))
        if not self._waiting:
            for bias in self._biases:
                self._share_bias(bias)

    def _share_bias(self, name: str, is_used: Tensor | None = None) -> None:
        """Share a bias, if it is to be and isn't yet; zero where its output has no weights."""
        own = self._biases.get(name)
        if own is None or own.num_shared:
            return
        if is_used is not None:
            own.keep(is_used.to(own.is_kept.dtype))
        count = self._bias_clusters - bool((own.is_kept == 0).any())
        own.share(free_values(self._network, name), max(1, count))


def _nonzero_share(network: nn.Module, name: str) -> float:
    """Return the share of a tensor's values that is not zero."""
    values = network.get_parameter(name).detach()
    return float((values != 0).float().mean())


def _norms(values: Tensor, axis: int) -> Tensor:
    """Return the norm of the values at each place of an axis, in a shape that goes with theirs."""
    others = [one for one in range(values.ndim) if one != axis]
    found: Tensor = torch.linalg.vector_norm(values, dim=others, keepdim=True)
    return found


def _best(worth: Tensor, share: float) -> Tensor:
    """Return ones for this share of the weights, those worth most, one at least."""
    count = max(1, math.ceil(share * worth.numel()))
    kept = torch.zeros_like(worth).flatten()
    kept[worth.flatten().topk(count).indices] = 1.0
    return kept.reshape(worth.shape)
