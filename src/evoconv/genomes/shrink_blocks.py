"""From blocks beyond the limits to similar ones within them, so that the model of kernels stays.

Repair of a topology makes single layers smaller, and what it leaves follows no model; so blocks are
made narrower together: all by one factor or, a coin says, the first ones most and the last not at
all. Far from the limits some strides are lengthened first, as repair does, for only that keeps what
large maps cost from starving every layer.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from numpy.random import Generator

from evoconv.genomes.blocks import LEAST_MAP, STEEPEST, Blocks
from evoconv.genomes.repair_topology import FAR
from evoconv.genomes.space_options import SpaceOptions

Excess = Callable[[Blocks], float]

# Halvings of the way between blocks that are too wide and narrow ones.
_HALVINGS = 12


def shrink_blocks(
    blocks: Blocks,
    options: SpaceOptions,
    input_shape: tuple[int, int, int],
    excess_of: Excess,
    rng: Generator,
) -> Blocks | None:
    """Return blocks of the same counts without excess; None where there are none.

    ``excess_of`` tells by how much blocks exceed the limits, as ``repair_topology`` wants it of
    topologies.
    """
    keeps_last = bool(rng.random() < 0.5)
    while True:
        is_far = excess_of(blocks) > FAR
        if not is_far or rng.random() < 0.5:
            narrower = _narrowed(blocks, options, excess_of, keeps_last=keeps_last)
            if narrower is not None:
                return narrower
        places = _short_strides(blocks, options, input_shape)
        if not places:
            return _narrowed(blocks, options, excess_of, keeps_last=keeps_last)
        strides = list(blocks.strides)
        strides[places[int(rng.integers(len(places)))]] = options.max_stride
        blocks = replace(blocks, strides=tuple(strides))


def _narrowed(
    blocks: Blocks, options: SpaceOptions, excess_of: Excess, *, keeps_last: bool
) -> Blocks | None:
    """Return the widest blocks on the way to the narrowest ones; None if these are too wide.

    The way first makes the blocks steeper, so that the last one stays as it is, if that is wanted;
    then it leads to the same slope with the fewest kernels, then to a level one.
    """
    if excess_of(blocks) == 0:
        return blocks
    narrow = replace(
        blocks,
        h0=math.log2(options.min_filters),
        units=(float(options.min_units),) * len(blocks.units),
    )
    way = [blocks, narrow, replace(narrow, h1=min(0.0, narrow.h1))]
    num_steps = len(blocks.strides) - 1
    if keeps_last and num_steps > 0:
        rise = min((blocks.h0 - narrow.h0) / num_steps, STEEPEST - blocks.h1)
        way.insert(1, replace(blocks, h0=blocks.h0 - num_steps * rise, h1=blocks.h1 + rise))
    for wide, least in pairwise(way):
        if excess_of(least) > 0:
            continue
        for _ in range(_HALVINGS):
            middle = _between(wide, least)
            if excess_of(middle) > 0:
                wide = middle
            else:
                least = middle
        return least
    return None


def _between(wide: Blocks, narrow: Blocks) -> Blocks:
    """Return the middle; of neurons the geometric one, as h0 is of kernels."""
    return replace(
        wide,
        h0=(wide.h0 + narrow.h0) / 2,
        h1=(wide.h1 + narrow.h1) / 2,
        units=tuple(math.sqrt(a * b) for a, b in zip(wide.units, narrow.units, strict=True)),
    )


def _short_strides(
    blocks: Blocks, options: SpaceOptions, input_shape: tuple[int, int, int]
) -> list[int]:
    """Return the places of strides that may be lengthened and leave maps large enough."""
    side = min(input_shape[1:]) / math.prod(blocks.strides)
    if options.max_stride == 1 or side / options.max_stride < LEAST_MAP:
        return []
    return [place for place, stride in enumerate(blocks.strides) if stride < options.max_stride]
