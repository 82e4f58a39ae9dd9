"""Topologies described by a few numbers: convolutional blocks, global pooling, dense blocks.

Source: Mitschke et al., "Gradient Based Evolution to Optimize the Structure of CNNs", sections 2.2
and 2.3: up to 10 convolutional blocks whose numbers of kernels follow k(l) = 2^(h1 l + h0), a
stride per block, global average pooling, up to 4 fully connected blocks with their neurons.
Differs: the poster's figures are lost, so these are choices. l counts from 0, so that 2^h0 is the
first block's number of kernels; a block is one convolution or dense layer as the options of the
space make it. The model says how wide a new convolutional block is; it strides by 1. A new dense
block has the neurons of the one before it, of the one after it at the front, or a random number as
the first one. Blocks are added and taken away at the end, or ``--new-blocks anywhere``.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from evoconv.genomes.draw_topology import (
    assemble,
    draw_size,
    make_convolution,
    make_dense,
    nearest_within,
)
from evoconv.genomes.layers import Pooling
from evoconv.genomes.space_options import SpaceOptions
from evoconv.genomes.topology import Topology
from evoconv.genomes.vary_vector import cross_at_two_points

Counts = tuple[int, int]

# Kernels double or halve from one block to the next at most.
STEEPEST = 1.0
# Random strides leave maps of at least so many values a side.
LEAST_MAP = 3


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """What evolves by gradient: the model of the kernels, a stride and a number per block.

    Attributes:
        h0, h1: block l, counted from 0, has 2^(h1 l + h0) kernels, rounded.
        strides: of the convolutional blocks, at least one.
        units: neurons of the dense blocks; not rounded yet.
    """

    h0: float
    h1: float
    strides: tuple[int, ...]
    units: tuple[float, ...] = ()

    @property
    def counts(self) -> Counts:
        """How many convolutional and dense blocks there are: [c, d]."""
        return len(self.strides), len(self.units)


def draw_blocks(options: SpaceOptions, input_shape: tuple[int, int, int], rng: Generator) -> Blocks:
    """Return random blocks: as many as at birth, kernels that grow or stay, strides that fit."""
    num_convolutions = int(
        rng.integers(options.min_features_at_birth, options.max_features_at_birth + 1)
    )
    num_dense = int(rng.integers(options.min_classifier, options.max_classifier_at_birth + 1))
    return Blocks(
        h0=math.log2(draw_size(options.min_filters, options.max_filters, options, rng)),
        h1=float(rng.uniform(0, STEEPEST / 2)),
        strides=_draw_strides(num_convolutions, options, input_shape, rng),
        units=tuple(_draw_units(options, rng) for _ in range(num_dense)),
    )


def decode(blocks: Blocks, options: SpaceOptions, input_shape: tuple[int, int, int]) -> Topology:
    """Return the topology; kernels and neurons are kept within the ranges of the space."""
    # The exponent first: two to the power of a large one is no number.
    most = math.log2(options.max_filters)
    features = [
        make_convolution(
            options,
            is_residual=options.residual_share == 1,
            filters=nearest_within(
                2 ** min(blocks.h1 * index + blocks.h0, most),
                options.min_filters,
                options.max_filters,
            ),
            kernel=(options.min_kernel, options.min_kernel),
            stride=(min(stride, options.max_stride),) * 2,
            activation=options.activations[0],
        )
        for index, stride in enumerate(blocks.strides)
    ]
    classifier = tuple(
        make_dense(
            options,
            units=nearest_within(units, options.min_units, options.max_units),
            activation=options.activations[0],
            dropout=options.dropouts[0],
        )
        for units in blocks.units
    )
    # As published, where the space leaves it open.
    reduction = options.reductions(input_shape)[-1]
    return assemble(features, classifier, reduction, options, input_shape)


def encode(topology: Topology) -> Blocks:
    """Return the blocks that describe a topology best.

    h0 and h1 are those of the line through the logarithms of its kernels with the least squares. A
    pooling counts as a stride of the convolution before it, or of the first one.
    """
    strides: list[int] = []
    filters: list[int] = []
    pending = 1
    for layer in topology.features:
        if isinstance(layer, Pooling):
            if strides:
                strides[-1] *= max(layer.steps)
            else:
                pending *= max(layer.steps)
            continue
        strides.append(pending * max(layer.stride))
        filters.append(layer.filters)
        pending = 1
    logarithms = np.log2(filters)
    slope = 0.0
    if len(filters) > 1:
        slope = float(np.polyfit(np.arange(len(filters)), logarithms, 1)[0])
    middle = (len(filters) - 1) / 2
    return Blocks(
        h0=float(logarithms.mean()) - slope * middle,
        h1=slope,
        strides=tuple(strides),
        units=tuple(float(one.units) for one in topology.classifier),
    )


def resize(blocks: Blocks, counts: Counts, options: SpaceOptions, rng: Generator) -> Blocks:
    """Return so many blocks, as far as the space allows: added and taken away one by one."""
    num_convolutions = nearest_within(counts[0], 1, options.max_features)
    num_dense = nearest_within(counts[1], options.min_classifier, options.max_classifier)
    strides, units = list(blocks.strides), list(blocks.units)
    while len(strides) < num_convolutions:
        strides.insert(_place(len(strides) + 1, options, rng), 1)
    while len(strides) > num_convolutions:
        del strides[_place(len(strides), options, rng)]
    while len(units) < num_dense:
        place = _place(len(units) + 1, options, rng)
        units.insert(place, units[max(0, place - 1)] if units else _draw_units(options, rng))
    while len(units) > num_dense:
        del units[_place(len(units), options, rng)]
    return replace(blocks, strides=tuple(strides), units=tuple(units))


def _place(count: int, options: SpaceOptions, rng: Generator) -> int:
    """Return the last of so many places, or any."""
    return count - 1 if options.new_blocks == "last" else int(rng.integers(count))


def mutate_blocks(
    blocks: Blocks, options: SpaceOptions, input_shape: tuple[int, int, int], rng: Generator
) -> Blocks:
    """Return the blocks with everything changed at random: counts, model, strides, neurons.

    Counts change by -1, 0 or 1; the model and the logarithms of neurons by Gaussian steps, with
    ``mutation_spread`` as a share of their range; each stride is drawn anew with the probability
    of one in as many blocks as there are.
    """
    steps = rng.integers(-1, 2, 2)
    counts = (blocks.counts[0] + int(steps[0]), blocks.counts[1] + int(steps[1]))
    resized = resize(blocks, counts, options, rng)
    num_convolutions, _ = resized.counts
    fresh = _draw_strides(num_convolutions, options, input_shape, rng)
    is_kept = rng.random(num_convolutions) >= 1 / num_convolutions
    spread = options.mutation_spread
    octaves = math.log2(options.max_filters / options.min_filters)
    factors = spread * math.log2(options.max_units / options.min_units)
    return bounded(
        Blocks(
            h0=resized.h0 + float(rng.normal(0, spread * octaves)),
            h1=resized.h1 + float(rng.normal(0, spread * 2 * STEEPEST)),
            strides=tuple(
                old if keep else new
                for old, new, keep in zip(resized.strides, fresh, is_kept, strict=True)
            ),
            units=tuple(units * 2 ** float(rng.normal(0, factors)) for units in resized.units),
        ),
        options,
    )


def cross_strides(blocks: Blocks, other: Blocks, rng: Generator) -> Blocks:
    """Return the blocks with the strides between two random points taken from the other's."""
    return replace(blocks, strides=cross_at_two_points(blocks.strides, other.strides, rng))


def bounded(blocks: Blocks, options: SpaceOptions) -> Blocks:
    """Return the blocks with model and neurons kept where a step still changes something."""
    low, high = math.log2(options.min_filters), math.log2(options.max_filters)
    return replace(
        blocks,
        h0=min(max(blocks.h0, low), high),
        h1=min(max(blocks.h1, -STEEPEST), STEEPEST),
        units=tuple(
            min(max(units, float(options.min_units)), float(options.max_units))
            for units in blocks.units
        ),
    )


def _draw_strides(
    count: int, options: SpaceOptions, input_shape: tuple[int, int, int], rng: Generator
) -> tuple[int, ...]:
    """Return strides of 1 and the longest, at random places, not so many that maps vanish."""
    strides = [1] * count
    if options.max_stride > 1:
        shrink = math.log(max(1.0, min(input_shape[1:]) / LEAST_MAP), options.max_stride)
        most = min(count, int(shrink))
        places = rng.permutation(count)[: int(rng.integers(0, most + 1))]
        for place in places:
            strides[int(place)] = options.max_stride
    return tuple(strides)


def _draw_units(options: SpaceOptions, rng: Generator) -> float:
    return float(draw_size(options.min_units, options.max_units, options, rng))
