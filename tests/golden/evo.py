"""A small compressed network, ``small.evo``: files of this version must be read so for ever.

The file was written once by ``python -m tests.golden.evo``. Do so again only for a new version of
the format, beside the old file.
"""

from pathlib import Path

import numpy as np

from evoconv.compression.tensors import DenseTensor, SharedTensor, StoredTensor
from evoconv.export.evo_file import evo_bytes, tensor_shapes
from evoconv.export.model_file import ModelDescription
from evoconv.genomes.layers import Convolution, Dense, Pooling
from evoconv.genomes.topology import Topology
from tests.export.test_evo_file import described

PATH = Path(__file__).with_name("small.evo")


def golden_network() -> tuple[ModelDescription, dict[str, StoredTensor]]:
    """Return a description, and tensors stored in every way that there is."""
    topology = Topology(
        features=(
            Convolution(filters=4, kernel=(3, 2), normalisation="batch"),
            Pooling(size=(2, 2), padding="same"),
        ),
        classifier=(Dense(units=6, activation="tanh"), Dense(units=5, bias=False)),
    )
    description = described(topology, (1, 5, 5), ("crack", "scratch", "höhle"))
    book = np.array([[0, -1.5, 0.25, 3]], np.float32)
    tensors: dict[str, StoredTensor] = {}
    for place, (name, shape) in enumerate(tensor_shapes(description).items()):
        numbers = (np.arange(np.prod(shape), dtype=np.int64) * 7 + place) % 11
        numbers = numbers.reshape(shape)
        match place:
            case 0:  # a codebook for each row
                rows = np.arange(1, 13).reshape(4, 3).astype(np.float32) / np.float32(8)
                tensors[name] = SharedTensor(codebooks=rows, indices=numbers % 3, bits=8)
            case 6:  # zeros in whole rows and columns
                live = (numbers * (numbers < 4)) * (np.arange(shape[0]) % 3 > 0)[:, None]
                tensors[name] = SharedTensor(codebooks=book, indices=live, has_zero=True, bits=16)
            case 8:  # coupled to that
                tensors[name] = SharedTensor(
                    codebooks=book, indices=numbers % 4, has_zero=True, bits=16
                )
            case 9:
                once = np.array([[0.1, -0.2]], np.float32)
                tensors[name] = SharedTensor(codebooks=once, indices=numbers % 2, bits=32)
            case _:
                values = (numbers.astype(np.float32) + 1) / 4
                bits = ((32, 16, 8) * 4)[place]
                tensors[name] = DenseTensor(values=values, bits=bits)  # type: ignore[arg-type]
    return description, tensors


if __name__ == "__main__":
    PATH.write_bytes(evo_bytes(*golden_network()))
