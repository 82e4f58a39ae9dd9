"""A child's first weights from its parents: exactly the parent's function where that can be.

The child is walked from the input on. What travels along is one map of channels: which channel of
which parent each of the child's channels is, and with which share (networks/channels.py). Each kind
of layer needs one function: it reads what comes in through the map, copies what fits, and hands on
the map of what it gives.

Exact are: more filters or units, larger kernels that pad, inserted layers that start as the
identity, inserted residual blocks whose branch starts at zero, a bias or normalisation gained, and
changed dropout. Everything else takes the overlapping slice and is initialised where there is none.
Exact means: in evaluation, to the rounding of float32.

Sources: Chen, Goodfellow & Shlens 2016, Net2Net; Wei, Wang, Rui & Chen 2016, Network Morphism.
Differs: several parents; the layers' lineage is found (genomes/alignment.py), not stored; a
narrower layer keeps the channels with the largest sum of absolute weights before and after them; an
inserted layer with an activation that changes what comes in starts as the identity too, which is
then not exact.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from evoconv.genomes.alignment import Alignment, align
from evoconv.genomes.topology import Topology
from evoconv.networks.chains import INPUT, Flow, Parent, Source, parent_of, steps_of
from evoconv.networks.channels import identity
from evoconv.networks.inherit_layers import Surgery, reduce, set_layer
from evoconv.networks.transplant import calibrate


@dataclass(frozen=True, kw_only=True, slots=True)
class Inheritance:
    """What became of each layer of a child, by module name such as 'features.0', in order.

    ``unchanged`` layers are a parent's, every tensor as it was, and read the channels they read
    there: they can be frozen. ``exact`` ones were changed or inserted and do what was done before,
    ``partial`` ones took over a part, ``new`` ones are as the network was initialised; inserted and
    changed poolings are counted likewise. ``preserves`` tells if the whole network computes a
    parent's function in evaluation.
    """

    unchanged: tuple[str, ...]
    exact: tuple[str, ...]
    partial: tuple[str, ...]
    new: tuple[str, ...]
    preserves: bool


@torch.no_grad()
def inherit(
    child: Topology,
    network: nn.Module,
    parents: Sequence[tuple[Topology, Mapping[str, Tensor]]],
    input_shape: tuple[int, int, int],
    num_classes: int,
    generator: torch.Generator,
    sample: Tensor | None = None,
) -> Inheritance:
    """Set a child's weights from its parents', in place, and say what became of each layer.

    Args:
        child: what the network was built from.
        network: freshly built and initialised; what can't be inherited stays as it is.
        parents: their topologies and the state dicts of their networks, which are left alone.
        input_shape: (C, H, W) of the images.
        num_classes: how many logits all these networks give.
        generator: draws which channels of a wider layer are copied, and their shares.
        sample: images (N, C, H, W) on the network's device. With them, normalisations that the
            parent had not are the identity in training too, not in evaluation only.

    Raises:
        ConfigError: a window without padding does not fit its input.
        StudyError: the tensors of a parent are not those of its network, or not all finite.
    """
    donors = [
        parent_of(number, topology, tensors, input_shape, num_classes)
        for number, (topology, tensors) in enumerate(parents)
    ]
    sources = _sources(align(child, [one.topology for one in donors]), donors)
    surgery = Surgery(generator=generator)
    flow = Flow(channels=identity(input_shape[0]), meaning=INPUT, value=INPUT)
    fates: dict[str, list[str]] = {"unchanged": [], "exact": [], "partial": [], "new": []}
    for step, source in zip(steps_of(child, input_shape, num_classes), sources, strict=True):
        if step.layer is None:
            assert source is not None, "a reduction goes with the layer after it"
            flow = reduce(step, child.reduction, flow, source)
            continue
        module = network.get_submodule(step.name)
        fate, flow = set_layer(surgery, step, module, flow, source)
        fates[fate].append(step.name)
    if sample is not None and surgery.new_normalisations:
        calibrate(network, surgery.new_normalisations, sample)
    return Inheritance(
        **{fate: tuple(names) for fate, names in fates.items()}, preserves=flow.value is not None
    )


def _sources(alignment: Alignment, parents: Sequence[Parent]) -> list[Source | None]:
    """Return the source of each step; the reduction goes with the next layer that has one."""

    def after_features(number: int, index: int) -> Source:
        return Source(parent=parents[number], index=len(parents[number].topology.features) + index)

    features = [
        None if one is None else Source(parent=parents[one.parent], index=one.index)
        for one in alignment.features
    ]
    dense = [
        None if one is None else after_features(one.parent, 1 + one.index)
        for one in alignment.classifier
    ]
    last = parents[alignment.output]
    output = Source(parent=last, index=len(last.steps) - 1)
    next_parent = next(one.parent for one in [*dense, output] if one is not None)
    reduction = Source(parent=next_parent, index=len(next_parent.topology.features))
    return [*features, reduction, *dense, output]
