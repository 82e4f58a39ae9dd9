"""Batch normalisations folded into the layers before them: of each then only a bias is left.

In use, a normalisation scales and shifts each channel. Where it takes what a convolution or dense
layer gives, the scale can be in that layer's weights, and all else in the normalisation's bias. The
network stays what it is built from and computes what it did; three of the four tensors of such a
normalisation have values that are all equal, which take almost nothing in a file.

Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", equation 14. Differs: the bias stays in the normalisation, since
the layer may have none.

Shapes: N images, C maps, H rows, W columns; O channels that a layer gives.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

_Layer = nn.Conv2d | nn.Linear
_Normalisation = nn.BatchNorm1d | nn.BatchNorm2d

# Of the largest output. Rounding in deep networks stays below it.
_DIFFERENCE = 1e-4


def fold_normalisations(network: nn.Module, example: Tensor) -> tuple[str, ...]:
    """Fold batch normalisations into the layers whose output they take, in place.

    That is done where both run once, all values are finite before and after, and the network gives
    what it gave but for rounding: a fold that changes it, as where something else takes the layer's
    output, too, is undone. Such a normalisation then only adds its bias; the layer's own is 0.

    Args:
        network: in evaluation mode; while any module of it is not, nothing is folded.
        example: a batch (N, C, H, W) of images to run it on, on its device.

    Returns:
        The names of the normalisations that were folded, in their order in the network.
    """
    if any(module.training for module in network.modules()):
        return ()
    with torch.no_grad():
        before = _outputs(network, example)

        def computes_the_same() -> bool:
            after = _outputs(network, example)
            return all(_is_near(new, old) for new, old in zip(after, before, strict=True))

        folded = _fold(_possible_folds(network, example), computes_the_same)
    return tuple(fold.name for fold in folded)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Fold:
    """One normalisation with the layer before it: their tensors, and the values of these."""

    name: str
    tensors: Sequence[Tensor]
    before: Sequence[Tensor]
    after: Sequence[Tensor]

    def do(self) -> None:
        for tensor, values in zip(self.tensors, self.after, strict=True):
            tensor.copy_(values)

    def undo(self) -> None:
        for tensor, values in zip(self.tensors, self.before, strict=True):
            tensor.copy_(values)


def folded_names(network: nn.Module) -> list[str]:
    """Return the names of the normalisations that only add their bias, in their order."""
    return [name for name, module in network.named_modules() if _is_folded(module)]


@contextmanager
def only_shifting(network: nn.Module) -> Iterator[None]:
    """Let folded normalisations do nothing but add their bias, which may learn, in the block."""
    held = [module for module in network.modules() if _is_folded(module)]
    hooks = [module.register_forward_pre_hook(_be_in_use) for module in held]
    for module in held:
        module.weight.requires_grad_(False)
    try:
        yield
    finally:
        for hook, module in zip(hooks, held, strict=True):
            hook.remove()
            module.weight.requires_grad_(True)


def _be_in_use(module: nn.Module, _: object) -> None:
    module.eval()


def _is_folded(module: nn.Module) -> bool:
    """Return whether a module is a normalisation that only adds its bias, but for rounding."""
    if not isinstance(module, _Normalisation) or not module.affine:
        return False
    mean_O, variance_O = module.running_mean, module.running_var
    if mean_O is None or variance_O is None or mean_O.any():
        return False
    # Twice: stored in few bits, a variance of 1 - eps has become 1.
    tolerance = max(_DIFFERENCE, 2 * module.eps)
    is_one = (variance_O + module.eps - 1).abs() <= tolerance
    return bool((module.weight == 1).all() and is_one.all())


def _fold(folds: Sequence[_Fold], computes_the_same: Callable[[], bool]) -> list[_Fold]:
    """Do those that leave the outputs as they were, and return them: all, or some of each half."""
    if not folds:
        return []
    for fold in folds:
        fold.do()
    if computes_the_same():
        return list(folds)
    for fold in folds:
        fold.undo()
    if len(folds) == 1:
        return []
    half = len(folds) // 2
    return _fold(folds[:half], computes_the_same) + _fold(folds[half:], computes_the_same)


def _possible_folds(network: nn.Module, example: Tensor) -> list[_Fold]:
    """Return folds of normalisations that take the very tensor which a layer gave."""
    given: dict[int, tuple[_Layer, Tensor]] = {}
    before: dict[nn.Module, _Layer] = {}
    runs = Counter[nn.Module]()

    def note(module: nn.Module, inputs: tuple[Any, ...], output: object) -> None:
        runs[module] += 1
        if isinstance(module, _Normalisation) and id(inputs[0]) in given:
            before[module] = given[id(inputs[0])][0]
        if isinstance(module, _Layer) and isinstance(output, Tensor):
            given[id(output)] = module, output  # held, so that nothing else gets its id

    hooks = [module.register_forward_hook(note) for module in network.modules()]
    try:
        network(example.clone())
    finally:
        for hook in hooks:
            hook.remove()
    folds = [
        _fold_of(name, before[module], module)
        for name, module in network.named_modules()
        if isinstance(module, _Normalisation)
        and module in before
        and runs[module] == runs[before[module]] == 1
    ]
    return [fold for fold in folds if fold is not None]


def _fold_of(name: str, layer: _Layer, normalisation: _Normalisation) -> _Fold | None:
    """Return a fold that isn't done yet; None if a tensor is missing or a value not finite."""
    tensors: list[Tensor] = [layer.weight, normalisation.weight, normalisation.bias]
    # A weight that is computed from others is no parameter.
    if not all(isinstance(one, nn.Parameter) for one in tensors):
        return None
    mean_O, variance_O = normalisation.running_mean, normalisation.running_var
    if mean_O is None or variance_O is None:
        return None
    if len(mean_O) != len(layer.weight):  # it normalises another axis than the layer's channels
        return None
    tensors += [mean_O, variance_O]
    scale_O = normalisation.weight / (variance_O + normalisation.eps).sqrt()
    bias_O = normalisation.bias - mean_O * scale_O
    after = [
        layer.weight * scale_O.reshape(-1, *[1] * (layer.weight.ndim - 1)),
        torch.ones_like(scale_O),
        bias_O if layer.bias is None else bias_O + layer.bias * scale_O,
        torch.zeros_like(mean_O),
        torch.full_like(variance_O, 1 - normalisation.eps),
    ]
    if layer.bias is not None:
        tensors.append(layer.bias)
        after.append(torch.zeros_like(layer.bias))
    if not all(bool(one.isfinite().all()) for one in (*tensors, *after)):
        return None
    before = [one.clone() for one in tensors]
    return _Fold(name=name, tensors=tensors, before=before, after=after)


def _outputs(network: nn.Module, example: Tensor) -> list[Tensor]:
    # Copies: a network may work in place on what it is given.
    outputs = tree_leaves(network(example.clone()))
    return [one for one in outputs if isinstance(one, Tensor)]


def _is_near(new: Tensor, old: Tensor) -> bool:
    size = float(old.nan_to_num(0, 0, 0).abs().max())
    return torch.allclose(new, old, rtol=0, atol=_DIFFERENCE * size, equal_nan=True)
