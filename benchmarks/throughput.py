"""Throughput of evoconv's training loop beside a hand-written tight one. Aim: at least 0.95 of it.

Both train the same network from the same weights with the same optimiser, batch size, precision
and number of images, on one thread of one process, in short turns whose order alternates. The
hand-written loop has its images standardised in memory, does nothing at random but shuffle, and
neither schedules, reports nor checks anything. evoconv's runs as a worker runs it: without
augmentation, and once more with its default, a random shift.
"""

import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.cells import Cells, print_table, setting
from benchmarks.evaluations import mnist, stored_precision
from evoconv.data.augmentation import Augmentation
from evoconv.data.batches import Batches
from evoconv.execution.executor import Control, Job
from evoconv.execution.inline import InlineExecutor
from evoconv.genomes.layers import Convolution, FeatureLayer, Pooling
from evoconv.genomes.reference import REFERENCES
from evoconv.genomes.topology import Topology
from evoconv.problems.subject import Subject
from evoconv.problems.workplace import Workplace
from evoconv.training.loop import train
from evoconv.training.options import Recipe
from evoconv.training.precision import Precision

PAIRS = int(setting("EVOCONV_PAIRS", "15"))
TURN_S = float(setting("EVOCONV_TURN_S", "2.5"))

_RECIPE = Recipe(batch_size=128)
_WARM_UP_STEPS = 10

Turn = Callable[[nn.Module], None]


def _convolution(filters: int) -> Convolution:
    return Convolution(filters=filters, kernel=(3, 3), bias=False, normalisation="batch")


_HALVE: FeatureLayer = Pooling(size=(2, 2))

NETWORKS = {
    "small, batch normalisation": Topology(
        features=(
            *(_convolution(8), _convolution(8), _HALVE),
            *(_convolution(16), _convolution(16), _HALVE, _convolution(32)),
        ),
        reduction="global-average",
    ),
    "the paper's for MNIST": REFERENCES["async-mnist-evolved"].topology,
    "the paper's for Fashion-MNIST": REFERENCES["async-fashion-evolved"].topology,
}


def run() -> None:
    """Measure the missing cells."""
    cells = Cells("throughput")
    precision = stored_precision(cells)
    for name, topology in NETWORKS.items():
        cells.measure(name, partial(_measure, topology, precision))


def tables() -> None:
    """Print the table of the stored cells."""
    cells = Cells("throughput")
    rows = []
    for name in NETWORKS:
        if (got := cells.get(name)) is None:
            continue
        loops = [f"{got[loop]:,.0f}" for loop in ("tight", "evoconv", "shifted")]
        ratios = [
            f"{got[ratio]:.3f} ({got[f'{ratio}_min']:.3f}–{got[f'{ratio}_max']:.3f})"
            for ratio in ("ratio", "shifted_ratio")
        ]
        rows.append((name, f"{got['parameters']:,}", *loops, *ratios, got["n"]))
    print_table(
        "Training loop: images/s of one thread, and the ratio to a tight loop (median, extremes)",
        ("network", "parameters", "tight", "evoconv", "+ shift", "ratio", "ratio + shift", "n"),
        rows,
    )


def _measure(topology: Topology, precision: Precision) -> dict[str, Any]:
    executor = InlineExecutor(mnist().setup)
    executor.submit(Job(number=0, task=partial(_race, topology, precision)))
    outcome = executor.wait()[0]
    if outcome.failure is not None:
        raise RuntimeError(str(outcome.failure))
    figures: dict[str, Any] = outcome.result
    return figures


def _race(
    topology: Topology, precision: Precision, workplace: Workplace, control: Control
) -> dict[str, Any]:
    """Let the loops take turns; return the median images/s of each and the ratios of pairs."""
    image_set = workplace.image_set

    def network() -> nn.Module:
        subject = Subject(architecture=topology)
        return subject.new_network(image_set.input_shape, len(image_set.classes), _RECIPE, seed=0)

    rows = torch.from_numpy(workplace.splits.folds[0][0])
    some = rows[: _WARM_UP_STEPS * _RECIPE.batch_size]
    for turn in _turns(workplace, control, precision, some):
        _time(turn, network())  # allocates and chooses kernels
    step_s = _time(_turns(workplace, control, precision, some)[0], network()) / _WARM_UP_STEPS
    num_steps = min(max(1, round(TURN_S / step_s)), len(rows) // _RECIPE.batch_size)
    some = rows[: num_steps * _RECIPE.batch_size]
    turns = _turns(workplace, control, precision, some)
    rates: list[list[float]] = [[], [], []]
    for pair in range(PAIRS):
        for index in (0, 1, 2) if pair % 2 == 0 else (2, 1, 0):
            rates[index].append(len(some) / _time(turns[index], network()))
    tight, plain, shifted = rates
    return {
        "n": PAIRS,
        "parameters": sum(one.numel() for one in network().parameters()),
        "images_per_turn": len(some),
        "tight": median(tight),
        "evoconv": median(plain),
        "shifted": median(shifted),
        **_ratios("ratio", plain, tight),
        **_ratios("shifted_ratio", shifted, tight),
    }


def _ratios(name: str, ours: list[float], theirs: list[float]) -> dict[str, float]:
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    return {name: median(ratios), f"{name}_min": min(ratios), f"{name}_max": max(ratios)}


def _time(turn: Turn, network: nn.Module) -> float:
    started = time.perf_counter()
    turn(network)
    return time.perf_counter() - started


def _turns(
    workplace: Workplace, control: Control, precision: Precision, rows: Tensor
) -> tuple[Turn, Turn, Turn]:
    """Return the tight loop, evoconv's, and evoconv's with its default augmentation."""
    images_NCHW, labels_N = workplace.tensor.cut(rows)
    images_NCHW = images_NCHW.contiguous(memory_format=precision.memory_format)

    def ours(augmentation: Augmentation, network: nn.Module) -> None:
        batches = Batches(
            source=workplace.tensor,
            rows=rows,
            batch_size=_RECIPE.batch_size,
            augmentation=augmentation,
            generator=torch.Generator().manual_seed(0),
        )
        train(network, batches, _RECIPE, precision, control, epochs=1)

    return (
        partial(_train_tightly, images_NCHW, labels_N, precision),
        partial(ours, Augmentation(shift=0.0)),
        partial(ours, Augmentation()),
    )


def _train_tightly(
    images_NCHW: Tensor, labels_N: Tensor, precision: Precision, network: nn.Module
) -> None:
    network.to(memory_format=precision.memory_format)  # type: ignore[call-overload]
    network.train()
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=0.01, eps=1e-7, weight_decay=0.05, fused=True
    )
    generator = torch.Generator().manual_seed(0)
    for rows in torch.randperm(len(labels_N), generator=generator).split(128):  # type: ignore[no-untyped-call]
        with torch.autocast("cpu", torch.bfloat16, enabled=precision.bfloat16):
            logits = network(images_NCHW.index_select(0, rows))
            loss = F.cross_entropy(logits, labels_N[rows], label_smoothing=0.05)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
