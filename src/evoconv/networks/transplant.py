"""One convolution or dense layer with its normalisation, set from those of a parent.

Sources: Chen, Goodfellow & Shlens 2016, Net2Net (wider and deeper layers); Wei, Wang, Rui & Chen
2016, Network Morphism (larger kernels, padded with zeros). Differs: a normalisation that the parent
has not starts as the identity, one that the child has not is folded into the weights, and a bias
that the child has not goes into its normalisation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from evoconv.genomes.layers import Pair
from evoconv.genomes.shapes import output_size, same_padding
from evoconv.networks.channels import ChannelMap

# O outputs, I inputs of the child; Q outputs, P inputs of the parent; K kernel places, if any
_EPSILON = 1e-5  # of every normalisation: cnn.py keeps torch's


@dataclass(frozen=True, kw_only=True, eq=False)
class Normalisation:
    """What a batch normalisation holds: y = weight · (x - mean) / sqrt(variance + ε) + bias."""

    weight_O: Tensor
    bias_O: Tensor
    mean_O: Tensor
    variance_O: Tensor
    num_batches: Tensor

    def rows(self, source_O: Tensor) -> "Normalisation":
        """Return the values of the given outputs."""
        return Normalisation(
            weight_O=self.weight_O[source_O],
            bias_O=self.bias_O[source_O],
            mean_O=self.mean_O[source_O],
            variance_O=self.variance_O[source_O],
            num_batches=self.num_batches,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Donor:
    """The weights that a convolution or dense layer is set from."""

    weight_OPK: Tensor
    bias_O: Tensor | None = None
    normalisation: Normalisation | None = None

    @property
    def num_outputs(self) -> int:
        """Number of filters or units."""
        return len(self.weight_OPK)

    def rows(self, source_O: Tensor) -> "Donor":
        """Return the donor with the given outputs only, in that order."""
        return Donor(
            weight_OPK=self.weight_OPK[source_O],
            bias_O=None if self.bias_O is None else self.bias_O[source_O],
            normalisation=self.normalisation and self.normalisation.rows(source_O),
        )

    def strength_O(self) -> Tensor:
        """Return the sum of absolute weights behind each output."""
        return self.weight_OPK.abs().flatten(1).sum(1)

    def strength_P(self) -> Tensor:
        """Return the sum of absolute weights on each input."""
        return self.weight_OPK.abs().transpose(0, 1).flatten(1).sum(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """How a kernel runs over maps of a size."""

    size: Pair
    kernel: Pair
    stride: Pair = (1, 1)
    padding: str = "same"

    def output(self, axis: int) -> int:
        """Return how many values an axis gives."""
        return output_size(self.size[axis], self.kernel[axis], self.stride[axis], self.padding)

    def padded_before(self, axis: int) -> int:
        """Return how many zeros come before an axis."""
        if self.padding == "valid":
            return 0
        return same_padding(self.size[axis], self.kernel[axis], self.stride[axis])[0]


def read_donor(tensors: Mapping[str, Tensor], name: str) -> Donor:
    """Return the donor of that module name: a unit of a layer, or a bare linear layer."""
    prefixes = (f"{name}.convolution", f"{name}.linear", name)
    prefix = next(one for one in prefixes if f"{one}.weight" in tensors)
    normalisation = None
    if f"{name}.normalisation.weight" in tensors:
        normalisation = Normalisation(
            weight_O=tensors[f"{name}.normalisation.weight"],
            bias_O=tensors[f"{name}.normalisation.bias"],
            mean_O=tensors[f"{name}.normalisation.running_mean"],
            variance_O=tensors[f"{name}.normalisation.running_var"],
            num_batches=tensors[f"{name}.normalisation.num_batches_tracked"],
        )
    return Donor(
        weight_OPK=tensors[f"{prefix}.weight"],
        bias_O=tensors.get(f"{prefix}.bias"),
        normalisation=normalisation,
    )


def identity_donor(source_O: Tensor, num_inputs: int, *, is_convolution: bool) -> Donor:
    """Return the donor whose output o is its input source_O[o]."""
    weight_OP = functional.one_hot(source_O, num_inputs).float()
    return Donor(weight_OPK=weight_OP[:, :, None, None] if is_convolution else weight_OP)


def kernel_shift(child: Window, parent: Window) -> tuple[Pair, bool]:
    """Return where the parent's kernel starts in the child's, and whether it works the same there.

    Kernels of which one can't do what the other did are laid centre on centre.
    """
    shifts, fits = zip(*(_axis_shift(child, parent, axis) for axis in range(2)), strict=True)
    return (shifts[0], shifts[1]), all(fits)


def _axis_shift(child: Window, parent: Window, axis: int) -> tuple[int, bool]:
    ours, theirs = child.kernel[axis], parent.kernel[axis]
    has_same_stride = child.stride[axis] == parent.stride[axis]
    if has_same_stride and (ours, child.padding) == (theirs, parent.padding):
        return 0, True
    has_same_sizes = child.size[axis] == parent.size[axis]
    has_same_sizes &= child.output(axis) == parent.output(axis)
    if has_same_stride and has_same_sizes:
        shift = child.padded_before(axis) - parent.padded_before(axis)
        return shift, 0 <= shift <= ours - theirs
    return (ours - 1) // 2 - (theirs - 1) // 2, False


def transplant(
    unit: nn.Module, donor: Donor, incoming: ChannelMap, shifts: Sequence[int] = ()
) -> bool:
    """Set a unit from a donor with as many outputs; return whether it can do what the donor did.

    Weights on inputs without a source stay as they are.

    Args:
        unit: a Sequential with 'convolution' or 'linear' and perhaps 'normalisation', or a Linear.
        donor: what to copy.
        incoming: the map of the unit's inputs to the donor's.
        shifts: where the donor's kernel starts in the unit's, per axis.
    """
    layer, normalisation = parts_of(unit)
    donor, is_same = _fitted(donor, layer.bias is not None, normalisation is not None)
    weight_OIK = layer.weight.detach().cpu().clone()
    copied_OIK = torch.zeros_like(weight_OIK)
    to_child, from_donor = [slice(None)] * 2, [slice(None)] * 2
    for axis, shift in enumerate(shifts):
        ours, theirs = weight_OIK.shape[2 + axis], donor.weight_OPK.shape[2 + axis]
        low, high = max(shift, 0), min(shift + theirs, ours)
        to_child.append(slice(low, max(low, high)))
        from_donor.append(slice(low - shift, max(low, high) - shift))
    share_I = incoming.share_C.reshape(-1, *[1] * len(shifts))
    taken_OIK = donor.weight_OPK[:, incoming.source_C.clamp(min=0)] * share_I
    copied_OIK[tuple(to_child)] = taken_OIK[tuple(from_donor)]
    has_source_I = incoming.has_source_C
    weight_OIK[:, has_source_I] = copied_OIK[:, has_source_I]
    layer.weight.copy_(weight_OIK)
    if layer.bias is not None:
        assert donor.bias_O is not None, "the donor was fitted to the unit"
        layer.bias.copy_(donor.bias_O)
    if normalisation is not None:
        assert donor.normalisation is not None, "the donor was fitted to the unit"
        _set_normalisation(normalisation, donor.normalisation)
    return is_same


def silence(unit: nn.Module) -> None:
    """Set a unit so that it gives zeros, whatever comes in."""
    layer, normalisation = parts_of(unit)
    silenced = layer if normalisation is None else normalisation
    nn.init.zeros_(silenced.weight)
    if silenced.bias is not None:
        nn.init.zeros_(silenced.bias)


def calibrate(
    network: nn.Module, normalisations: Sequence[nn.BatchNorm1d | nn.BatchNorm2d], sample: Tensor
) -> None:
    """Give normalisations the statistics of what reaches them, and undo that in their weights.

    The network computes what it did, and in training, on such images, nearly the same.
    """

    def measure(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
        assert module.running_mean is not None
        assert module.running_var is not None
        places = [axis for axis in range(inputs[0].ndim) if axis != 1]
        variance_O, mean_O = torch.var_mean(inputs[0], places, correction=0)
        slope_O = module.weight / (module.running_var + module.eps).sqrt()
        offset_O = module.bias - slope_O * module.running_mean
        module.weight.copy_(slope_O * (variance_O + module.eps).sqrt())
        module.bias.copy_(offset_O + slope_O * mean_O)
        module.running_mean.copy_(mean_O)
        module.running_var.copy_(variance_O)

    hooks = [one.register_forward_pre_hook(measure) for one in normalisations]
    was_training = network.training
    try:
        network.eval()(sample)
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()


def parts_of(
    unit: nn.Module,
) -> tuple[nn.Conv2d | nn.Linear, nn.BatchNorm1d | nn.BatchNorm2d | None]:
    """Return the unit's convolution or linear layer, and its normalisation if it has one."""
    children = dict(unit.named_children())
    layer = children.get("convolution", children.get("linear", unit))
    assert isinstance(layer, nn.Conv2d | nn.Linear)
    normalisation = children.get("normalisation")
    assert normalisation is None or isinstance(normalisation, nn.BatchNorm1d | nn.BatchNorm2d)
    return layer, normalisation


def _fitted(donor: Donor, has_bias: bool, has_normalisation: bool) -> tuple[Donor, bool]:
    """Return the donor with a bias and a normalisation just where asked, and if it does the same.

    Only a bias that finds no place in a normalisation is lost.
    """
    bias_O = torch.zeros(donor.num_outputs) if donor.bias_O is None else donor.bias_O
    norm, weight_OPK = donor.normalisation, donor.weight_OPK
    if norm is not None and not has_normalisation:
        slope_O = norm.weight_O / (norm.variance_O + _EPSILON).sqrt()
        weight_OPK = weight_OPK * slope_O.reshape(-1, *[1] * (weight_OPK.ndim - 1))
        bias_O = norm.bias_O + slope_O * (bias_O - norm.mean_O)
        norm = None
    elif norm is None and has_normalisation:
        norm = _no_change(donor.num_outputs)
    if norm is not None and not has_bias:
        norm = replace(norm, mean_O=norm.mean_O - bias_O)
    is_same = has_bias or norm is not None or not bool(bias_O.any())
    return Donor(
        weight_OPK=weight_OPK, bias_O=bias_O if has_bias else None, normalisation=norm
    ), is_same


def _no_change(num_outputs: int) -> Normalisation:
    one_O, zero_O = torch.ones(num_outputs), torch.zeros(num_outputs)
    return Normalisation(
        weight_O=one_O * (1 + _EPSILON) ** 0.5,
        bias_O=zero_O,
        mean_O=zero_O,
        variance_O=one_O,
        num_batches=torch.tensor(0),
    )


def _set_normalisation(module: nn.BatchNorm1d | nn.BatchNorm2d, given: Normalisation) -> None:
    assert module.running_mean is not None
    assert module.running_var is not None
    assert module.num_batches_tracked is not None
    module.weight.copy_(given.weight_O)
    module.bias.copy_(given.bias_O)
    module.running_mean.copy_(given.mean_O)
    module.running_var.copy_(given.variance_O)
    module.num_batches_tracked.copy_(given.num_batches)
