"""Core ML Tools' palettization beside ``evoconv compress``: the same network, the same images.

``PostTrainingPalettizer`` gives each convolution and dense layer a table of 64 values by K-means
(its own is exact, too); nothing is trained. Its size is arithmetic, without entropy coding: 6 bits
per weight; tables and all other numbers in 16, as Core ML has them. ``EVOCONV_RUN`` names the run
folder of a compression, whose network, splits and file are taken. The palettized network is tested
once. coremltools is for this alone: pip install coremltools (9.0 was tried).
"""

import json
import time
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.cells import Cells, print_table, setting
from evoconv.compression.network_tensors import number_tensors, shareable_names
from evoconv.config import config_from_dict
from evoconv.data.batches import ImageTensor
from evoconv.export.final import test_logits
from evoconv.networks.weights import load_weights
from evoconv.preparation import Prepared, prepare_again
from evoconv.problems.weight_sharing import WeightSharingProblem
from evoconv.session.opened import open_study
from evoconv.study.watch import Unwatched
from evoconv.training.loop import predict_logits
from evoconv.training.metrics import measure
from evoconv.training.precision import Precision

RUN = setting("EVOCONV_RUN", "")

_BITS, _OTHER_BITS = 6, 16
_SPLITS = ("validation", "test")
_PACKAGE = "coremltools.optimize.torch.palettization"


def run() -> None:
    """Measure the run folder's cell, if it is missing."""
    if not RUN:
        print("palettization: left out: EVOCONV_RUN names no run folder of evoconv compress")
        return
    try:
        import_module(_PACKAGE)
    except ImportError as error:
        print(f"palettization: left out: {error}")
        return
    folder = Path(RUN).resolve()
    Cells("palettization").measure(folder.name, partial(_measure, folder))


def tables() -> None:
    """Print the table of the stored cells."""
    cells = Cells("palettization")
    rows = []
    for name in cells.names():
        got = cells.get(name)
        assert got is not None, "it is one of them"
        for way in ("before", "palettized", "evoconv"):
            one = got[way]
            rows.append(
                (
                    *(name, way, f"{one['bytes']:,.0f}"),
                    f"{8 * one['bytes'] / got['parameters']:.2f}",
                    *(f"{100 * one[f'{split}_accuracy']:.2f}" for split in _SPLITS),
                )
            )
    print_table(
        f"Palettized with {_BITS} bits per weight, and compressed by evoconv",
        ("run", "network", "bytes", "bits per parameter", "validation %", "test %"),
        rows,
    )


def palettized(network: nn.Module, bits: int = _BITS) -> nn.Module:
    """Return a copy of the network with 2^bits values per layer; all its numbers fit 16 bits."""
    package = import_module(_PACKAGE)
    config = package.PostTrainingPalettizerConfig.from_dict({"global_config": {"n_bits": bits}})
    found: nn.Module = package.PostTrainingPalettizer(network.eval(), config).compress()
    for name in shareable_names(network):
        if np.unique(found.get_parameter(name).detach().numpy()).size > 1 << bits:
            raise RuntimeError(f"{name} has more than {1 << bits} values")
    return found.half().float()


def palettized_size(network: nn.Module, bits: int = _BITS) -> tuple[float, float]:
    """Return the bytes of a network once it is palettized, and the bits of each of its weights.

    The tables are counted among the weights; the bytes are those of everything.
    """
    sizes = {name: one.numel() for name, one in number_tensors(network).items()}
    weights = [sizes.pop(name) for name in shareable_names(network)]
    in_layers = sum(weights) * bits + len(weights) * (1 << bits) * _OTHER_BITS
    return (in_layers + sum(sizes.values()) * _OTHER_BITS) / 8, in_layers / sum(weights)


def _measure(folder: Path) -> dict[str, Any]:
    prepared, network = _opened(folder)
    started = time.perf_counter()
    fewer = palettized(network)
    seconds = time.perf_counter() - started
    size, bits_per_weight = palettized_size(network)
    parameters = sum(one.numel() for one in network.parameters())
    ours = json.loads((folder / "result.json").read_text("utf-8"))
    names = ("bytes", *(f"{split}_accuracy" for split in _SPLITS))
    return {
        "coremltools": version("coremltools"),
        "parameters": parameters,
        "seconds": seconds,
        "bits_per_weight": bits_per_weight,
        "before": {"bytes": 4 * parameters, **_accuracies(network, prepared)},
        "palettized": {"bytes": size, **_accuracies(fewer, prepared)},
        "evoconv": {name: ours[name] for name in names},
    }


def _opened(folder: Path) -> tuple[Prepared, nn.Module]:
    """Return what a compression worked on, and its network as it was before."""
    with open_study(folder) as storage:
        config, note = config_from_dict(storage.config), storage.note("data")
    prepared = prepare_again(config, folder, Unwatched(), note or {})
    if not isinstance(prepared.problem, WeightSharingProblem):
        raise RuntimeError(f"{folder} is not the run folder of a compression")
    base = prepared.problem.base
    network = base.subject.network(base.input_shape, base.num_classes)
    load_weights(network, base.content())
    return prepared, network.eval()


def _accuracies(network: nn.Module, prepared: Prepared) -> dict[str, float]:
    """Return the accuracies on validation and test images, in [0, 1]."""
    images = prepared.image_set
    standardisation = prepared.standardisation
    source = ImageTensor(images.images, images.labels, standardisation, torch.device("cpu"))
    (_, rows), *_ = prepared.splits.folds
    logits = predict_logits(network, source, torch.from_numpy(rows), Precision()).numpy()
    tested = test_logits(network, images, standardisation, prepared.splits.training)
    return {
        "validation_accuracy": measure(logits, images.labels[rows])["accuracy"],
        "test_accuracy": measure(*tested)["accuracy"],
    }
