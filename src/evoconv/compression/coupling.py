"""Which of a network's layers have their values from one codebook."""

from collections.abc import Collection, Sequence

from torch import nn

from evoconv.compression.network_tensors import depthwise_names
from evoconv.compression.tensors import Codebooks


def coupled(
    network: nn.Module, names: Sequence[str], how: str, alone: Collection[str] = ()
) -> Codebooks:
    """Return the codebooks of weights, in the order of their first layers.

    Args:
        network: whose weights they are.
        names: of weights of convolutions and dense layers.
        how: ``none``: each has its own; ``kinds``: depthwise convolutions have one together, so
            have other convolutions, and dense layers; ``all``: there is one.
        alone: names of those that have their own all the same.
    """
    depthwise = frozenset(depthwise_names(network))
    found: dict[str, list[str]] = {}
    for name in names:
        if how == "none" or name in alone:
            book = name
        elif how == "all":
            book = "all layers"
        else:
            book = _kind(network, name, depthwise)
        found.setdefault(book, []).append(name)
    return {
        book if len(members) > 1 else members[0]: tuple(members) for book, members in found.items()
    }


def _kind(network: nn.Module, name: str, depthwise: Collection[str]) -> str:
    if name in depthwise:
        return "depthwise convolutions"
    layer = network.get_submodule(name.rpartition(".")[0])
    return "dense layers" if isinstance(layer, nn.Linear) else "convolutions"
