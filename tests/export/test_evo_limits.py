"""Reading a compressed file takes no more time and memory than is stated, whatever it holds."""

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from evoconv.compression import entropy
from evoconv.compression.entropy import SymbolReader
from evoconv.compression.tensors import Bits, DenseTensor, SharedTensor, StoredTensor
from evoconv.errors import DataError
from evoconv.export.evo_file import MOST_BYTES, evo_bytes, read_evo, tensor_shapes, write_evo
from evoconv.export.model_file import ModelDescription
from evoconv.genomes.layers import Dense
from evoconv.genomes.network_graph import Layer, Made, NetworkGraph, Step
from evoconv.genomes.topology import Topology
from tests.export.test_evo_file import described

BITS: tuple[Bits, ...] = get_args(Bits)
SMALL = described(Topology(features=(), classifier=(Dense(units=3),)), (1, 4, 4), ("a", "b"))


def layer(path: str, takes: int) -> Step:
    return Step(does=path, is_layer=True, takes=(Made(takes),))


def graph_of_norms(count: int) -> NetworkGraph:
    """Return many layers of many values each, and little text."""
    wide = (("num_features", 800),)
    norms = [Layer(path=f"n{number}", kind="BatchNorm1d", options=wide) for number in range(count)]
    first = Layer(path="a", kind="Linear", options=(("in_features", 16), ("out_features", 800)))
    last = Layer(path="z", kind="Linear", options=(("in_features", 800), ("out_features", 2)))
    flat = Step(does="flatten", is_layer=False, takes=(Made(0), 1))
    run = [layer(one.path, place) for place, one in enumerate((first, *norms, last), 1)]
    return NetworkGraph(layers=(first, *norms, last), steps=(flat, *run), gives=count + 3)


def coupled(description: ModelDescription) -> dict[str, StoredTensor]:
    """Return tensors with one codebook as large as can be: a few bytes for all of them."""
    book = np.zeros((1, entropy.LARGEST_ALPHABET), np.float32)
    return {
        name: SharedTensor(codebooks=book, indices=np.zeros(shape, np.int64))
        for name, shape in tensor_shapes(description).items()
    }


def whole(description: ModelDescription) -> dict[str, StoredTensor]:
    return {
        name: DenseTensor(values=np.zeros(shape, np.float32))
        for name, shape in tensor_shapes(description).items()
    }


def test_a_small_file_cant_take_long_to_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    description = described(graph_of_norms(30), (1, 4, 4), ("a", "b"))
    path = tmp_path / "a.evo"
    assert write_evo(path, description, coupled(description)) < 1_000
    assert len(read_evo(path)[1]) == 124
    # 120 arrays of 800 symbols, in 74 blocks each, of which each counts 3,000 and its alphabet.
    monkeypatch.setattr(entropy, "_MOST_WORK", 120 * 74 * (3_000 + 4_096))
    with pytest.raises(DataError, match=r"a\.evo is no .*: its tensors would take too long to re"):
        read_evo(path)


def test_the_limit_of_work_is_far_from_any_network() -> None:
    reader = SymbolReader(bytes(100))
    reader.read(100_000, 256)
    # DenseNet-201 whole, in float32: a thousand tensors of four arrays each, most of them shorter.
    assert 4_000 * (entropy._MOST_WORK - reader._work_left) < entropy._MOST_WORK


def test_values_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    name = list(whole(SMALL))[-1]
    for bits in BITS:
        with_nan = DenseTensor(values=np.full(2, np.nan, np.float32), bits=bits)
        (tmp_path / "a.evo").write_bytes(evo_bytes(SMALL, whole(SMALL) | {name: with_nan}))
        with pytest.raises(DataError, match=f"damaged: {name} has values that aren't finite"):
            read_evo(tmp_path / "a.evo")
        book = SharedTensor(
            codebooks=np.array([[1, np.nan]], np.float32), indices=np.zeros(2, np.int64), bits=bits
        )
        (tmp_path / "a.evo").write_bytes(evo_bytes(SMALL, whole(SMALL) | {name: book}))
        with pytest.raises(DataError, match=f"damaged: {name} has values that aren't finite"):
            read_evo(tmp_path / "a.evo")


def test_a_pipe_and_a_folder_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.evo")
    with pytest.raises(DataError, match=r"pipe\.evo can't be read: it is no regular file"):
        read_evo(tmp_path / "pipe.evo")
    (tmp_path / "folder.evo").mkdir()
    with pytest.raises(DataError, match=r"folder\.evo can't be read: it is no regular file"):
        read_evo(tmp_path / "folder.evo")


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.evo"
    with path.open("wb") as file:
        file.truncate(10 << 30)  # takes no room on the disk
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=f"takes 10,737,418,240 bytes; .* has {MOST_BYTES:,} at mo"):
        read_evo(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux says what was taken")
@pytest.mark.parametrize("kind", ["whole", "rows", "shared"])
def test_a_network_takes_no_more_memory_than_is_stated(kind: str, tmp_path: Path) -> None:
    units = 2_000
    wide = Topology(features=(), classifier=(Dense(units=units),))
    description = described(wide, (1, units // 16, 16), ("a", "b"))
    rng = np.random.default_rng(0)
    tensors: dict[str, StoredTensor] = {}
    for name, shape in tensor_shapes(description).items():
        values = rng.integers(0, 2**30, shape, np.int32).view(np.float32)  # all bits count
        if kind == "whole" or len(shape) == 1:
            tensors[name] = DenseTensor(values=values)
            continue
        codebooks = values.copy() if kind == "rows" else values[:1, :300].copy()
        codebooks[:, 0] = 0
        indices = rng.integers(0, codebooks.shape[1], shape)
        tensors[name] = SharedTensor(codebooks=codebooks, indices=indices, has_zero=True)
    write_evo(tmp_path / "a.evo", description, tensors)
    code = (
        "import sys; from pathlib import Path; import torch\n"
        "from evoconv.export.evo_file import load_evo\n"
        "def most():\n"
        "    lines = Path('/proc/self/status').read_text().splitlines()\n"
        "    return next(int(one.split()[1]) for one in lines if one.startswith('VmHWM'))\n"
        "load_evo(Path(sys.argv[1])); before = most()\n"  # what packages take, once
        "load_evo(Path(sys.argv[2])); print(most() - before)"
    )
    write_evo(tmp_path / "small.evo", SMALL, whole(SMALL))
    paths = [str(tmp_path / name) for name in ("small.evo", "a.evo")]
    done = subprocess.run(
        [sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True
    )
    assert 8 * units**2 < 1_024 * int(done.stdout) < 24 * units**2 + (5 << 20)
