"""What it is worth that a worker keeps memory that it frees: training images/s, with and without.

Pairs of processes, one of which calls ``keep_freed_memory``, train the same network on one thread,
one after the other; which goes first alternates.
"""

import subprocess
import sys
import time
from functools import partial
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.cells import Cells, print_table, setting
from evoconv.genomes.constraints import Limits
from evoconv.genomes.reference import baseline
from evoconv.genomes.space import TopologySpace
from evoconv.genomes.space_options import SpaceOptions
from evoconv.machine import keep_freed_memory
from evoconv.networks.cnn import build
from evoconv.networks.densenet import LAYOUTS, build_densenet

PAIRS = int(setting("EVOCONV_PAIRS", "7"))
_BATCH, _SECONDS, _WARM_UP_STEPS = 128, 3.0, 3

# The sizes of the images, (C, H, W).
NETWORKS = {
    "the baseline": (1, 28, 28),
    "a design within 75k parameters": (1, 28, 28),
    "a design within 50k parameters": (1, 64, 64),
    "densenet-small": (3, 32, 32),
}


def run() -> None:
    """Measure the missing cells."""
    cells = Cells("kept_memory")
    for name in NETWORKS:
        cells.measure(name, partial(_measure, name))


def tables() -> None:
    """Print the table of the stored cells."""
    cells = Cells("kept_memory")
    rows = []
    for name, (channels, height, width) in NETWORKS.items():
        if (got := cells.get(name)) is not None:
            ratios = sorted(
                kept / new for kept, new in zip(got["kept"], got["returned"], strict=True)
            )
            rows.append(
                (
                    *(name, f"{height}×{width}×{channels}"),
                    *(f"{median(got[way]):,.0f}" for way in ("returned", "kept")),
                    f"{median(ratios):.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f})",
                    len(ratios),
                )
            )
    print_table(
        f"Training images/s on one thread, batch {_BATCH}, by what becomes of freed memory",
        ("network", "images", "returned", "kept", "ratio (median of pairs, extremes)", "n"),
        rows,
    )


def _measure(name: str) -> dict[str, Any]:
    speeds: dict[str, list[float]] = {"returned": [], "kept": []}
    for pair in range(PAIRS):
        for way in sorted(speeds, reverse=pair % 2 == 1):
            words = [sys.executable, "-m", "benchmarks.kept_memory", name, way]
            speeds[way].append(float(subprocess.check_output(words)))
    return {**speeds, "n": PAIRS}


def _network(name: str) -> nn.Module:
    shape = NETWORKS[name]
    if name == "densenet-small":
        return build_densenet(LAYOUTS[name], shape[0], 10)
    if name == "the baseline":
        return build(baseline(shape, 10), shape, 10)
    most = (75_000, 1_300_000) if shape[1] == 28 else (50_000, 14_000_000)
    limits = Limits(max_parameters=most[0], max_macs=most[1])
    options = SpaceOptions(normalisation="batch", usual_designs=True, max_filters=64)
    return build(TopologySpace(options, shape, 10, limits).seeds[0], shape, 10)


def _speed(name: str) -> float:
    """Return the images/s of training steps, in the precision that is usual on a CPU."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    network = _network(name).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    images = torch.randn(_BATCH, *NETWORKS[name]).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(10, (_BATCH,))

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            loss = F.cross_entropy(network(images).float(), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    for _ in range(_WARM_UP_STEPS):
        step()
    started, steps = time.perf_counter(), 0
    while time.perf_counter() - started < _SECONDS:
        step()
        steps += 1
    return steps * _BATCH / (time.perf_counter() - started)


if __name__ == "__main__":
    if sys.argv[2] == "kept":
        keep_freed_memory()
    print(_speed(sys.argv[1]))
