"""The weights that a child starts from: those of its parents, as far as they are there and fit.

A parent whose weights are missing or damaged is left out, and a child of none that is left starts
from scratch; both are remarked. A search goes on without what it has lost.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from evoconv.artifacts import WeightFiles
from evoconv.errors import StudyError
from evoconv.genomes.architecture import Architecture
from evoconv.genomes.backbone_cut import BackboneCut
from evoconv.genomes.topology import Topology
from evoconv.networks.inherit import inherit
from evoconv.networks.weights import read_tensors

_FROM_SCRATCH = "trained from scratch"


@dataclass(frozen=True, kw_only=True)
class Parent:
    """A parent of a candidate."""

    number: int
    architecture: Architecture


@dataclass(frozen=True, kw_only=True)
class Heritage:
    """What a network got from its parents.

    Attributes:
        unchanged: names of the layers that are a parent's as they were: they can be frozen.
        share: share of the parameters, in [0, 1], in layers that took over all or a part.
        remarks: sentences on what was and wasn't inherited.
    """

    unchanged: tuple[str, ...] = ()
    share: float = 0.0
    remarks: tuple[str, ...] = ()


def inherit_weights(
    architecture: Architecture,
    network: nn.Module,
    parents: tuple[Parent, ...],
    weights: WeightFiles,
    input_shape: tuple[int, int, int],
    num_classes: int,
    generator: torch.Generator,
    sample: Tensor,
) -> Heritage:
    """Set the network's weights from its parents', in place; see ``networks.inherit``."""
    donors: list[tuple[Parent, dict[str, Tensor]]] = []
    remarks: list[str] = []
    for parent in parents:
        try:
            donors.append((parent, read_tensors(weights.required(parent.number))))
        except StudyError as error:
            remarks.append(f"nothing inherited from parent {parent.number}: {error}")
    if isinstance(architecture, BackboneCut):
        return _inherited_head(architecture, network, donors, remarks)
    if not donors:
        return Heritage(remarks=(*remarks, _FROM_SCRATCH))
    try:
        found = inherit(
            _topology(architecture),
            network,
            [(_topology(parent.architecture), tensors) for parent, tensors in donors],
            input_shape,
            num_classes,
            generator,
            sample,
        )
    except StudyError as error:  # found out before anything is set
        return Heritage(remarks=(*remarks, f"nothing inherited: {error}", _FROM_SCRATCH))
    names = ", ".join(str(parent.number) for parent, _ in donors)
    counts = [
        f"{len(layers)} {word}"
        for word, layers in (
            ("unchanged", found.unchanged),
            ("exactly changed", found.exact),
            ("in part", found.partial),
            ("new", found.new),
        )
        if layers
    ]
    function = "; it computes what a parent did" if found.preserves else ""
    remarks.append(f"layers inherited from {names}: {', '.join(counts)}{function}")
    own = (*found.unchanged, *found.exact, *found.partial)
    inherited = sum(_num_parameters(network.get_submodule(name)) for name in own)
    return Heritage(
        unchanged=found.unchanged,
        share=inherited / max(1, _num_parameters(network)),
        remarks=tuple(remarks),
    )


def _inherited_head(
    architecture: BackboneCut,
    network: nn.Module,
    donors: list[tuple[Parent, dict[str, Tensor]]],
    remarks: list[str],
) -> Heritage:
    """Take over the classifier of the first parent that is cut at the same layer, if one is."""
    head = network.get_submodule("classifier")
    for parent, tensors in donors:
        cut = parent.architecture
        assert isinstance(cut, BackboneCut)
        own = {name: one for name, one in tensors.items() if name.startswith("classifier.")}
        if cut.included == architecture.included and own:
            head.load_state_dict({name.partition(".")[2]: one for name, one in own.items()})
            return Heritage(
                share=_num_parameters(head) / _num_parameters(network),
                remarks=(*remarks, f"classifier inherited from {parent.number}"),
            )
    return Heritage(remarks=tuple(remarks))


def _topology(architecture: Architecture) -> Topology:
    assert isinstance(architecture, Topology)
    return architecture


def _num_parameters(module: nn.Module) -> int:
    return sum(one.numel() for one in module.parameters())
