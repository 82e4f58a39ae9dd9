"""How a network comes to few weights of few values in the course of one training.

First weights are pruned, a few more every few steps; then the layers get their shared values, one
after the other, while those after it can still adapt; then shared values and the rest learn on.

Sources: Zhu & Gupta 2017, "To prune, or not to prune", equation 1: the share of weights that is
kept falls with the third power. Han et al. 2015, "Deep Compression": prune, share, train on. Until
its layer is shared, a weight that was pruned may come back for another: see ``tied``.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from evoconv.compression.tensors import Bits
from evoconv.compression.tied import Coupled

# Shares of the training by which all is pruned, and all is shared.
_PRUNED, _SHARED = 0.5, 0.8
_STEPS_BETWEEN = 8
_STEPS_BETWEEN_REASSIGNMENTS = 32


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What becomes of the tensors that have one codebook.

    Attributes:
        clusters: their different values, zero among them where something is zero.
        kept: the share of each one's values that is not zero, in (0, 1], by its name.
    """

    clusters: int
    kept: Mapping[str, float]


class Course:
    """One training's way to shared weights; ``before_step`` is told of each step.

    Args:
        network: is altered: its tensors are tied until ``end``.
        goals: of its weights.
        biases: names of biases that are shared, those together that have one codebook: of the
            layers, and of what only adds one.
        bias_clusters: different values in each of these codebooks.
        num_steps: how many there will be.
        bits: of a shared value as it will be stored.
        reassigns: whether values may go over to other clusters.
        concentrates: whether a weight is worth less the smaller those of the same output and of
            the same input are, so that whole outputs and inputs are pruned, which cost few bytes.
    """

    def __init__(
        self,
        network: nn.Module,
        goals: Iterable[Goal],
        *,
        biases: Iterable[Sequence[str]] = (),
        bias_clusters: int = 1,
        num_steps: int,
        bits: Bits,
        reassigns: bool = False,
        concentrates: bool = False,
    ) -> None:
        self._concentrates, self._num_steps, self._step = concentrates, num_steps, 0

        def coupled(names: Iterable[str], clusters: int) -> Coupled:
            return Coupled(network, tuple(names), clusters, bits, reassigns=reassigns)

        goals = list(goals)
        self._present = {name: _nonzero_share(network, name) for one in goals for name in one.kept}
        self._layers = [(coupled(one.kept, one.clusters), one.kept) for one in goals]
        self._biases = [coupled(names, bias_clusters) for names in biases]
        self._waiting = list(self._layers)

    def before_step(self) -> None:
        """Prune and share as much as is due."""
        done = self._step / self._num_steps
        if self._step % _STEPS_BETWEEN == 0:
            for layers, kept in self._waiting:
                self._prune(layers, kept, min(1.0, done / _PRUNED))
        due = (done - _PRUNED) / (_SHARED - _PRUNED) * len(self._layers)
        while self._waiting and len(self._layers) - len(self._waiting) < due:
            self._share_next()
        if self._step % _STEPS_BETWEEN_REASSIGNMENTS == 0:
            for one in self._all():
                one.reassign()
        self._step += 1

    def end(self) -> None:
        """Share what is left, and let all tensors be what they are used as."""
        while self._waiting:
            self._share_next()
        for one in self._all():
            one.end()

    def _all(self) -> list[Coupled]:
        return [*(layers for layers, _ in self._layers), *self._biases]

    def _prune(self, layers: Coupled, kept: Mapping[str, float], done: float) -> None:
        """Keep what is due after this share, in [0, 1], of the pruning."""
        for name, goal in kept.items():
            present = self._present[name]
            # Who is to have more weights than its parent begins with all, and loses others.
            begin = present if goal <= present else 1.0
            share = goal + (begin - goal) * (1 - done) ** 3
            if share < 1.0:
                layers.keep(name, _best(self._worth(layers, name), share))

    def _worth(self, layers: Coupled, name: str) -> Tensor:
        """Return what each weight is worth: who is worth least is pruned first."""
        free = layers.free(name)
        sizes = free.detach().abs()
        if not self._concentrates or sizes.ndim < 2:
            return sizes
        kept = sizes * layers.kept(name)
        of_outputs, of_inputs = _norms(kept, 0), _norms(kept, 1)
        if free.grad is not None:
            # Whose output nothing uses any more, or whose input is always zero, learns nothing.
            of_outputs = of_outputs * (_norms(free.grad, 0) > 0)
            of_inputs = of_inputs * (_norms(free.grad, 1) > 0)
        return sizes * of_outputs * of_inputs.sqrt()

    def _share_next(self) -> None:
        layers, kept = self._waiting.pop(0)
        self._prune(layers, kept, 1.0)
        layers.share()
        # An output without weights gives only its bias: the next layer's own can be that.
        used = {_bias_of(name): layers.kept(name).flatten(1).any(1) for name in kept}
        for one in self._biases:
            for name in set(used).intersection(one.names):
                one.keep(name, used[name].to(one.kept(name).dtype))
            if not one.is_shared and self._is_ready(one):
                one.share()

    def _is_ready(self, biases: Coupled) -> bool:
        """Return whether all layers are shared whose biases these are, or all that there are."""
        waiting = {_bias_of(name) for _, kept in self._waiting for name in kept}
        others = set(biases.names).difference(_bias_of(name) for name in self._present)
        return not (waiting if others else waiting.intersection(biases.names))


def _bias_of(weight: str) -> str:
    return f"{weight.removesuffix('weight')}bias"


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
