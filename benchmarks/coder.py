"""Compressed files: how small indices become, how soon they are read, what exactness is worth.

- Bytes of the indices of LeNet-5's shared weights: by order-0 entropy, evoconv's coder, and general
  compressors. These are given the indices of all layers at once, both as a byte each and in as few
  bits as they need, and the smaller answer counts. 'In a file' leaves out rows and columns of
  zeros. (zstandard is measured where its package or Python 3.14 is.)
- Seconds to read a ``.evo`` file of 3.5 million parameters, beside those from safetensors, in
  turns. Aim: under 2 s.
- Seconds of an evaluation, and sums of squares: see ``benchmarks/clusterings.py``.
"""

import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.cells import Cells, print_table, spread
from benchmarks.clusterings import (
    IMAGES,
    compare_evaluations,
    compare_squares,
    print_evaluations,
    print_squares,
)
from benchmarks.lenet import layer_names, layers_of, trained_lenet
from benchmarks.rivals import compressors, plain_forms
from evoconv.compression.clustering import LayerClusterings
from evoconv.compression.entropy import SymbolWriter, entropy_bits
from evoconv.compression.network_tensors import number_tensors, set_tensors, shareable_names
from evoconv.compression.number_formats import rounded
from evoconv.compression.tensor_stream import write_tensors
from evoconv.compression.tensors import Bits, DenseTensor, Floats, SharedTensor, StoredTensor
from evoconv.data.batches import Standardisation
from evoconv.data.image_set import Preprocessing
from evoconv.export.evo_file import load_evo, write_evo
from evoconv.export.model_file import ModelDescription, load_model, save_model
from evoconv.genomes.backbone_cut import BackboneCut
from evoconv.networks.initialise import initialise
from evoconv.networks.weights import weights_to_bytes

_KINDS = ("random", "trained")
_COUNTS = (4, 16, 64)
_PRUNED, _PRUNED_COUNT = 0.98, 4
_READ_COUNTS = (16, 64)
_READINGS = 5
_BITS: Bits = 16

# 37 of DenseNet-121's 58 dense layers: 3,488,970 parameters.
_LARGE = BackboneCut(backbone="densenet121", included=37)
_SIDE = 64


def run() -> None:
    """Measure the missing cells."""
    cells = Cells("coder")
    measure_sizes(cells)
    measure_times(cells)


def measure_sizes(cells: Cells) -> None:
    """Measure the missing cells that are the same however busy the machine is."""
    cells.measure("trained", _describe_trained)
    for kind in _KINDS:
        for case, share in _CASES.items():
            cells.measure(f"bytes, {kind}, {case}", partial(_measure_bytes, kind, share))
        for name in layer_names():
            cells.measure(f"squares, {kind}, {name}", partial(compare_squares, kind, name))


def measure_times(cells: Cells) -> None:
    """Measure the missing cells that are times."""
    for count in _READ_COUNTS:
        cells.measure(f"reading, {count} values", partial(_measure_reading, count))
    for images in IMAGES:
        cells.measure(f"evaluation, {images:,} images", partial(compare_evaluations, images))


def tables() -> None:
    """Print the tables of the stored cells."""
    cells = Cells("coder")
    _print_bytes(cells)
    _print_reading(cells)
    print_evaluations(cells)
    print_squares(cells)


def _shared(count: int, weights: Floats) -> SharedTensor:
    layer = LayerClusterings(weights)
    clustering = layer.clustering(min(count, layer.most))
    return SharedTensor(
        codebooks=rounded(clustering.centroids, _BITS)[None],
        indices=clustering.indices(weights),
        bits=_BITS,
    )


def _pruned(weights: Floats) -> SharedTensor:
    """Return the tensor with its smallest weights zero, and the others shared."""
    sizes = np.abs(weights)
    kept = sizes > np.quantile(sizes, _PRUNED)
    few = _shared(_PRUNED_COUNT, weights[kept])
    indices = np.zeros(weights.shape, np.int64)
    indices[kept] = 1 + few.indices
    codebooks = np.concatenate([np.zeros((1, 1), np.float32), few.codebooks], axis=1)
    return SharedTensor(codebooks=codebooks, indices=indices, has_zero=True, bits=_BITS)


Share = Callable[[Floats], SharedTensor]
_CASES: dict[str, Share] = {
    **{f"{count} values": partial(_shared, count) for count in _COUNTS},
    f"{100 * _PRUNED:g} % zeros, {_PRUNED_COUNT} values": _pruned,
}


def _describe_trained() -> dict[str, Any]:
    trained = trained_lenet()
    return {"images": trained.images, "epochs": 1, "accuracy": trained.accuracy}


def _measure_bytes(kind: str, share: Share) -> dict[str, Any]:
    tensors = [share(weights) for weights in layers_of(kind).values()]
    writer = SymbolWriter()
    for one in tensors:
        writer.write(one.indices.reshape(-1), one.codebooks.shape[1])
    nothing = [replace(one, indices=np.zeros(0, np.int64)) for one in tensors]
    bits = max((one.codebooks.shape[1] - 1).bit_length() for one in tensors)
    forms = plain_forms([one.indices for one in tensors], bits)
    num_indices = sum(one.indices.size for one in tensors)
    return {
        "indices": num_indices,
        "entropy": sum(entropy_bits(np.bincount(one.indices.reshape(-1))) for one in tensors) / 8,
        "coder": len(writer.to_bytes()),
        "in_file": len(write_tensors(tensors)) - len(write_tensors(nothing)),
        "fixed_width": math.ceil(num_indices * bits / 8),
        **{
            name: None if compress is None else min(len(compress(form)) for form in forms)
            for name, compress in compressors().items()
        },
    }


def _print_bytes(cells: Cells) -> None:
    ways = ("entropy", "coder", "in_file", "fixed_width", *compressors())
    rows = []
    for kind in _KINDS:
        for case in _CASES:
            if (got := cells.get(f"bytes, {kind}, {case}")) is None:
                continue
            sizes = ["not installed" if got[way] is None else f"{got[way]:,.0f}" for way in ways]
            best = min(got[way] for way in compressors() if got[way] is not None)
            ratio, over = best / got["in_file"], got["coder"] / got["entropy"] - 1
            rows.append((kind, case, f"{got['indices']:,}", *sizes, f"{over:+.2%}", f"{ratio:.3f}"))
    trained = cells.get("trained")
    accuracy = (
        "" if trained is None else f"; trained: {trained['accuracy']:.2%} of validation images"
    )
    print_table(
        f"Bytes of the indices of LeNet-5{accuracy}",
        (
            *("weights", "case", "indices", "order-0 entropy", "evoconv's coder", "in a file"),
            *("fixed width", "zlib 9", "lzma 9e", "zstandard 22"),
            *("coder beyond entropy", "smallest other / in a file"),
        ),
        rows,
    )


def _measure_reading(count: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    description = ModelDescription(
        architecture=_LARGE,
        classes=tuple("0123456789"),
        preprocessing=Preprocessing(
            height=_SIDE, width=_SIDE, channels=3, bit_depth=8, resize="fit"
        ),
        standardisation=Standardisation(mean=(128.0,) * 3, std=(64.0,) * 3),
    )
    network = description.network()
    initialise(network, "he-normal", torch.Generator().manual_seed(0))
    tensors: dict[str, StoredTensor] = {}
    for name, tensor in number_tensors(network).items():
        values = tensor.numpy()
        if name in shareable_names(network):
            tensors[name] = _shared(count, values)
        else:
            stored = rounded(values, _BITS).reshape(values.shape)
            tensors[name] = DenseTensor(values=stored, bits=_BITS)
    set_tensors(network, tensors)
    with tempfile.TemporaryDirectory() as folder:
        packed, plain = Path(folder) / "model.evo", Path(folder) / "best"
        size = write_evo(packed, description, tensors)
        weights = weights_to_bytes(network)
        save_model(plain, description, weights)
        ours, theirs = [], []
        for turn in range(_READINGS + 1):
            pair = _seconds(partial(load_evo, packed)), _seconds(partial(load_model, plain))
            if turn:  # the first one fills caches
                ours.append(pair[0])
                theirs.append(pair[1])
    return {
        "n": _READINGS,
        "parameters": sum(one.numel() for one in network.parameters()),
        "bytes": size,
        "safetensors_bytes": len(weights),
        "seconds": ours,
        "safetensors_seconds": theirs,
        "ratio": median(one / other for one, other in zip(ours, theirs, strict=True)),
    }


def _seconds(read: Callable[[], object]) -> float:
    started = time.perf_counter()
    read()
    return time.perf_counter() - started


def _print_reading(cells: Cells) -> None:
    rows = []
    for count in _READ_COUNTS:
        if (got := cells.get(f"reading, {count} values")) is not None:
            rows.append(
                (
                    *(count, f"{got['parameters']:,}"),
                    *(f"{got['bytes']:,}", f"{got['safetensors_bytes']:,}"),
                    *(spread(got["seconds"], ".2f"), spread(got["safetensors_seconds"], ".3f")),
                    *(f"{got['ratio']:.1f}", got["n"]),
                )
            )
    print_table(
        "Reading a compressed network (medians, extremes)",
        (
            *("values per layer", "parameters", "bytes", "in safetensors"),
            *("s", "s from safetensors", "ratio", "n"),
        ),
        rows,
    )
