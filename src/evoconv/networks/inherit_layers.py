"""One function per kind of layer: sets it from a parent's, or inserts it so that it adds nothing.

Each reads what reaches the layer (chains.Flow), sets the layer's tensors, and returns what became
of the layer and what it gives. networks/inherit.py tells the whole, with the sources.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from evoconv.genomes.layers import Convolution, Dense, Pair, Pooling, Residual
from evoconv.networks.chains import ANY, Flow, Source, Step
from evoconv.networks.channels import ChannelMap, flattened, identity, resized, spread
from evoconv.networks.transplant import (
    Donor,
    Window,
    identity_donor,
    kernel_shift,
    parts_of,
    read_donor,
    silence,
    transplant,
)

_INFINITE = float("inf")
_BOUNDS = {
    "relu": (0.0, _INFINITE),
    "relu6": (0.0, 6.0),
    "softplus": (0.0, _INFINITE),
    "sigmoid": (0.0, 1.0),
    "hard-sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
}
# Where an activation gives what it gets.
_FIXED = {
    "linear": ANY,
    "relu": (0.0, _INFINITE),
    "leaky-relu": (0.0, _INFINITE),
    "elu": (0.0, _INFINITE),
    "relu6": (0.0, 6.0),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Surgery:
    """What all layers share: the generator, and the normalisations that no parent had."""

    generator: torch.Generator
    new_normalisations: list[nn.BatchNorm1d | nn.BatchNorm2d] = field(default_factory=list)

    def set_unit(
        self, unit: nn.Module, donor: Donor, incoming: ChannelMap, shifts: Sequence[int]
    ) -> bool:
        """Transplant, and remember a normalisation that the donor had not."""
        _, normalisation = parts_of(unit)
        if normalisation is not None and donor.normalisation is None:
            self.new_normalisations.append(normalisation)
        return transplant(unit, donor, incoming, shifts)

    def resize(self, donor: Donor, num_channels: int, source: Source) -> ChannelMap:
        """Return the map of a layer's own channels from those of its source."""
        return resized(
            donor.num_outputs,
            num_channels,
            lambda: donor.strength_O() + source.parent.strength_after(source.index),
            self.generator,
        )


def set_layer(
    surgery: Surgery, step: Step, module: nn.Module, flow: Flow, source: Source | None
) -> tuple[str, Flow]:
    """Set one layer; return what became of it, and what it gives."""
    if isinstance(step.layer, Pooling):
        return _pool(step, flow, source)
    if isinstance(step.layer, Residual):
        if source is None:
            return _insert_block(surgery, step, module, flow)
        is_exact, outgoing = _take_block(surgery, step, module, flow, source)
    elif source is None:
        return _insert_unit(surgery, step, module, flow)
    else:
        is_exact, outgoing = _take_unit(surgery, step, module, flow, source)
    # The same block projects its input on larger maps, and adds it as it is on small ones.
    is_same = step.layer == source.step.layer and (
        not isinstance(step.layer, Residual) or step.keeps_channels == source.step.keeps_channels
    )
    if is_exact and is_same and source.incoming(flow).is_identity:
        return "unchanged", outgoing
    return ("exact" if is_exact else "partial"), outgoing


def _take_unit(
    surgery: Surgery, step: Step, module: nn.Module, flow: Flow, source: Source
) -> tuple[bool, Flow]:
    layer, theirs = step.layer, source.step.layer
    assert isinstance(layer, Convolution | Dense)
    assert isinstance(theirs, Convolution | Dense)
    shifts: Sequence[int] = ()
    fits = True
    if isinstance(layer, Convolution) and isinstance(theirs, Convolution):
        shifts, fits = kernel_shift(_window(step, layer), _window(source.step, theirs))
    incoming = source.incoming(flow)
    donor = read_donor(source.parent.tensors, source.step.name)
    channels = surgery.resize(donor, step.output_shape[0], source)
    is_same = surgery.set_unit(module, donor.rows(channels.source_C), incoming, shifts)
    is_exact = (
        is_same
        and fits
        and incoming.is_complete
        and channels.is_complete
        and layer.activation == theirs.activation
    )
    bounds = _BOUNDS.get(layer.activation, ANY)
    return is_exact, source.outgoing(flow, channels, is_exact, bounds)


def _take_block(
    surgery: Surgery, step: Step, module: nn.Module, flow: Flow, source: Source
) -> tuple[bool, Flow]:
    layer, theirs = step.layer, source.step.layer
    assert isinstance(layer, Residual)
    assert isinstance(theirs, Residual)
    first, second = source.read("first"), source.read("second")
    incoming = source.incoming(flow)
    inner = resized(
        theirs.filters,
        layer.filters,
        lambda: first.strength_O() + second.strength_P(),
        surgery.generator,
    )
    # What is added to its input has the input's channels: then there is nothing to choose.
    is_bound = step.keeps_channels and source.step.keeps_channels and incoming.is_known
    channels = incoming if is_bound else surgery.resize(second, layer.filters, source)
    shifts, fits = kernel_shift(_window(step, layer), _window(source.step, theirs))
    # The second kernel does what it did wherever the first one does.
    inner_shifts, _ = kernel_shift(_second_window(step, layer), _second_window(source.step, theirs))
    does_same = [
        surgery.set_unit(
            module.get_submodule("first"), first.rows(inner.source_C), incoming, shifts
        ),
        surgery.set_unit(
            module.get_submodule("second"), second.rows(channels.source_C), inner, inner_shifts
        ),
        is_bound
        if step.keeps_channels
        else _set_skip(surgery, module.get_submodule("skip"), source, incoming, channels),
    ]
    is_exact = all(does_same) and fits and layer.activation == theirs.activation
    is_exact &= incoming.is_complete and inner.is_complete and channels.is_complete
    outgoing = source.outgoing(flow, channels, is_exact, _BOUNDS.get(layer.activation, ANY))
    if source.step.keeps_channels and not incoming.is_known:
        # The block was to add to channels that are not there: it gives a mixture.
        outgoing = replace(outgoing, meaning=None)
    return is_exact, outgoing


def _set_skip(
    surgery: Surgery,
    skip: nn.Module,
    source: Source,
    incoming: ChannelMap,
    channels: ChannelMap,
) -> bool:
    """Set a projection; one that the parent had not starts as its plain skip."""
    if source.step.keeps_channels:
        donor = identity_donor(channels.source_C, channels.num_sources, is_convolution=True)
    else:
        donor = source.read("skip").rows(channels.source_C)
    return surgery.set_unit(skip, donor, incoming, (0, 0))


def _insert_unit(surgery: Surgery, step: Step, module: nn.Module, flow: Flow) -> tuple[str, Flow]:
    """Set a layer that no parent has to the identity, if it is wide enough."""
    layer = step.layer
    assert isinstance(layer, Convolution | Dense)
    num_inputs, num_outputs = step.input_shape[0], step.output_shape[0]
    bounds = _BOUNDS.get(layer.activation, ANY)
    if num_outputs < num_inputs:
        return "new", Flow(channels=identity(num_outputs), meaning=None, value=None, bounds=bounds)
    shifts: Sequence[int] = ()
    fits = True
    if isinstance(layer, Convolution):
        single = Window(size=(step.input_shape[1], step.input_shape[2]), kernel=(1, 1))
        shifts, fits = kernel_shift(_window(step, layer), single)
    channels = _widened(surgery, num_inputs, num_outputs)
    donor = identity_donor(
        channels.source_C, num_inputs, is_convolution=isinstance(layer, Convolution)
    )
    surgery.set_unit(module, donor, identity(num_inputs), shifts)
    return _after_insertion(flow, channels, layer.activation, fits)


def _insert_block(surgery: Surgery, step: Step, module: nn.Module, flow: Flow) -> tuple[str, Flow]:
    """Set a residual block that no parent has so that it adds nothing, if it is wide enough."""
    layer = step.layer
    assert isinstance(layer, Residual)
    num_inputs = step.input_shape[0]
    if layer.filters < num_inputs:
        return "new", Flow(
            channels=identity(layer.filters),
            meaning=None,
            value=None,
            bounds=_BOUNDS.get(layer.activation, ANY),
        )
    channels = identity(num_inputs)
    if not step.keeps_channels:
        channels = _widened(surgery, num_inputs, layer.filters)
        donor = identity_donor(channels.source_C, num_inputs, is_convolution=True)
        surgery.set_unit(module.get_submodule("skip"), donor, identity(num_inputs), (0, 0))
    silence(module.get_submodule("second"))
    fits = step.input_shape[1:] == step.output_shape[1:]
    return _after_insertion(flow, channels, layer.activation, fits)


def _after_insertion(
    flow: Flow, channels: ChannelMap, activation: str, fits: bool
) -> tuple[str, Flow]:
    """Return what became of a layer that hands on its input, and what it gives."""
    low, high = _FIXED.get(activation, (_INFINITE, -_INFINITE))
    is_exact = fits and low <= flow.bounds[0] and flow.bounds[1] <= high
    return ("exact" if is_exact else "partial"), Flow(
        channels=channels.after(flow.channels),
        meaning=flow.meaning,
        value=flow.value if is_exact else None,
        bounds=flow.bounds if is_exact else _BOUNDS.get(activation, ANY),
    )


def _widened(surgery: Surgery, num_inputs: int, num_outputs: int) -> ChannelMap:
    return resized(num_inputs, num_outputs, lambda: torch.ones(num_inputs), surgery.generator)


def _pool(step: Step, flow: Flow, source: Source | None) -> tuple[str, Flow]:
    """Poolings hold no weights: the channels stay, the values only if the windows are the same."""
    layer = step.layer
    assert isinstance(layer, Pooling)
    theirs = None if source is None else source.step.layer
    if source is not None and layer == theirs and source.incoming(flow).is_identity:
        fate = "unchanged"
    elif step.does_nothing or _pooling_window(layer) == _pooling_window(theirs):
        fate = "exact"
    else:
        fate = "new" if source is None else "partial"
    if step.does_nothing:
        return fate, flow
    if source is None:
        return fate, replace(flow, value=None)
    pooled = source.outgoing(flow, flow.channels, fate != "partial", flow.bounds)
    return fate, replace(pooled, meaning=flow.meaning)


def _pooling_window(layer: object) -> object:
    if not isinstance(layer, Pooling):
        return None
    return layer.size, layer.steps, layer.kind, layer.padding


def reduce(step: Step, reduction: str, flow: Flow, source: Source) -> Flow:
    """Return what the reduction gives; its source is that of the layer which reads it."""
    incoming = source.incoming(flow)
    size, parent_size = _map_size(step), _map_size(source.step)
    was_mean = source.parent.topology.reduction == "global-average"
    is_mean = reduction == "global-average"
    if is_mean and was_mean:
        channels = incoming
    elif was_mean:
        channels = spread(incoming, size)
    else:
        # A mean instead of flattened maps can only stand for one of their places: the map says so.
        channels = flattened(incoming, (1, 1) if is_mean else size, parent_size)
    return source.outgoing(flow, channels, True, flow.bounds)


def _map_size(step: Step) -> Pair:
    return step.input_shape[1], step.input_shape[2]


def _window(step: Step, layer: Convolution | Residual) -> Window:
    padding = layer.padding if isinstance(layer, Convolution) else "same"
    return Window(size=_map_size(step), kernel=layer.kernel, stride=layer.stride, padding=padding)


def _second_window(step: Step, layer: Residual) -> Window:
    return Window(size=(step.output_shape[1], step.output_shape[2]), kernel=layer.kernel)
