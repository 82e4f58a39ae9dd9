"""The shared weights of an ONNX model as what they are: a codebook, and which value is where.

An exported network holds its weights one by one. A tensor of few values takes less as indices of 2,
4, 8 or 16 bits, which standard operators turn into the tensor when a model is loaded: ``Gather``
takes each value from the codebook; where each row has a codebook of its own, ``GatherElements``
does. The tensor keeps its name, so that nothing else in the model changes.

The exporter folds a batch normalisation into the layer before it, which multiplies each row of
weights by a number. Such rows are made of the codebook as it was, and ``Mul``.

Source: the ONNX operator sets 21 (``UINT4``) and 25 (``UINT2``); the lowest bits of a byte come
first in both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evoconv.compression.tensors import Floats, SharedTensor, StoredTensor

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, TensorProto

# What torch's exporter puts before the names of the network's tensors: see ``FromPixels``.
_NETWORK = "network."

# Products of two float32 numbers, of which one is known as a quotient, differ by less.
_ROUNDING = 1e-6


@dataclass(frozen=True, kw_only=True)
class _Index:
    """A type of indices: its bits, the first operator set and the first onnxruntime that cast it.

    ``runtime`` was found by running one model in 1.20, 1.22, 1.23, 1.24, 1.27 and 1.31.
    """

    bits: int
    operator_set: int
    runtime: tuple[int, int]


_INDICES = (
    _Index(bits=2, operator_set=25, runtime=(1, 24)),
    _Index(bits=4, operator_set=21, runtime=(1, 23)),
    _Index(bits=8, operator_set=13, runtime=(0, 0)),
    _Index(bits=16, operator_set=13, runtime=(0, 0)),
)


@dataclass(frozen=True, eq=False, kw_only=True)
class SharedOnnx:
    """A model with shared weights.

    Attributes:
        model: it.
        shared: names of the tensors that are made of codebooks and indices, as torch has them.
        left_dense: names of those that aren't, though they have few values: they take less whole,
            the exporter has changed them by more than the scale of their rows, or the model has
            none of that name: it may be folded into another.
    """

    model: "ModelProto"
    shared: tuple[str, ...]
    left_dense: tuple[str, ...]


def share_weights(
    model: "ModelProto", tensors: Mapping[str, StoredTensor], *, narrowest: int = 2
) -> SharedOnnx:
    """Return a model that computes the same from codebooks and indices; the one given stays.

    Its operator set is as high as the types of its indices need.

    Args:
        model: of a network with these tensors, as ``onnx_file.onnx_model`` returns it.
        tensors: by their names in torch; only the shared ones count.
        narrowest: fewest bits of an index: 2, 4, 8 or 16.
    """
    whole = {one.name: one for one in model.graph.initializer}
    made: dict[str, _Made] = {}
    left: list[str] = []
    for name, tensor in tensors.items():
        if not isinstance(tensor, SharedTensor):
            continue
        before = whole.get(_NETWORK + name)
        one = None if before is None else _made(before, tensor, narrowest)
        if one is None:
            left.append(name)
        else:
            made[name] = one
    return SharedOnnx(
        model=_with(model, tuple(made.values())), shared=tuple(made), left_dense=tuple(left)
    )


def narrowest_bits() -> int:
    """Return the fewest bits of an index that the installed onnx and onnxruntime can do with."""
    import onnx
    import onnxruntime

    major, minor, *_ = onnxruntime.__version__.split(".")
    runtime = (int(major), int(minor))
    return next(
        one.bits
        for one in _INDICES
        if one.runtime <= runtime and one.operator_set <= onnx.defs.onnx_opset_version()
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class _Made:
    """How a tensor is made.

    Attributes:
        name: of the tensor; what belongs to it has names that begin with it.
        operator_set: the lowest that it takes.
        graph: constants, and the nodes that make it of them.
    """

    name: str
    operator_set: int
    graph: "GraphProto"

    def constant(self, part: str, values: NDArray[Any]) -> str:
        """Add a constant and return its name."""
        from onnx import numpy_helper

        name = f"{self.name}.{part}"
        self.graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def indices(self, numbers: NDArray[np.int64], bits: int) -> str:
        """Add numbers in [0, 2^bits) as a constant of so many bits each, and return its name."""
        from onnx import TensorProto, helper

        kind = TensorProto.DataType.Value(f"UINT{bits}")
        name = f"{self.name}.indices"
        packed = helper.make_tensor(name, kind, numbers.shape, _packed(numbers, bits), raw=True)
        self.graph.initializer.append(packed)
        return name

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        from onnx import helper

        output = f"{self.name}.{operator}"
        self.graph.node.append(helper.make_node(operator, inputs, [output], **attributes))
        return output


def _made(before: "TensorProto", tensor: SharedTensor, narrowest: int) -> _Made | None:
    """Return how a tensor is made; None if that isn't known, or takes more than it does whole."""
    from onnx import GraphProto, TensorProto, numpy_helper

    scales = _row_scales(tensor.values, numpy_helper.to_array(before))
    if scales is None:
        return None
    rows, size = tensor.codebooks.shape
    shape = tensor.indices.shape
    index = next(one for one in _INDICES if one.bits >= narrowest and 1 << one.bits >= size)
    made = _Made(name=before.name, operator_set=index.operator_set, graph=GraphProto())
    if rows == 1:
        codebook = made.constant("codebook", tensor.codebooks[0])
        places = made.node("Cast", made.indices(tensor.indices, index.bits), to=TensorProto.INT32)
        values = made.node("Gather", codebook, places)
        if (scales != 1).any():
            columns = scales.reshape(-1, *(1 for _ in shape[1:]))
            made.node("Mul", values, made.constant("scale", columns))
    else:
        codebook = made.constant("codebook", tensor.codebooks * scales[:, None])
        matrix = tensor.indices.reshape(rows, -1)
        places = made.node("Cast", made.indices(matrix, index.bits), to=TensorProto.INT32)
        values = made.node("GatherElements", codebook, places, axis=1)
        if matrix.shape != shape:
            made.node("Reshape", values, made.constant("shape", np.array(shape, np.int64)))
    made.graph.node[-1].output[0] = before.name
    return made if made.graph.ByteSize() < before.ByteSize() else None


def _row_scales(before: Floats, after: NDArray[Any]) -> Floats | None:
    """Return by what the exporter has multiplied each row, (rows,); None if it did more."""
    if before.shape != after.shape or not before.size:
        return None
    rows = len(before)
    if np.array_equal(before, after):
        return np.ones(rows, np.float32)
    old, new = before.reshape(rows, -1), after.reshape(rows, -1)
    # The largest weight of a row tells its scale best; a row of zeros has none.
    place = np.abs(old).argmax(axis=1)[:, None]
    largest = np.take_along_axis(old, place, axis=1)
    scales = np.take_along_axis(new, place, axis=1) / np.where(largest == 0, 1, largest)
    if not np.allclose(old * scales, new, rtol=_ROUNDING, atol=np.finfo(np.float32).tiny):
        return None
    return np.asarray(scales[:, 0], np.float32)


def _packed(numbers: NDArray[np.int64], bits: int) -> bytes:
    """Return numbers in [0, 2^bits) as ONNX stores them.

    >>> _packed(np.array([3, 0, 2, 1, 3]), 2).hex(), _packed(np.array([1, 2, 3]), 4).hex()
    ('6303', '2103')
    """
    flat = numbers.reshape(-1)
    if bits >= 8:
        return flat.astype(f"<u{bits // 8}").tobytes()
    in_a_byte = 8 // bits
    padded = np.pad(flat, (0, -flat.size % in_a_byte)).reshape(-1, in_a_byte)
    together = (padded << bits * np.arange(in_a_byte)).sum(axis=1)
    return np.asarray(together, np.uint8).tobytes()


def _with(model: "ModelProto", made: tuple[_Made, ...]) -> "ModelProto":
    """Return a copy of a checked model in which tensors are made in the place of being there."""
    import onnx

    (operators,) = [one for one in model.opset_import if not one.domain]
    needed = max((one.operator_set for one in made), default=0)
    if needed > operators.version:
        found = onnx.version_converter.convert_version(model, needed)
        least = onnx.helper.find_min_ir_version_for(list(found.opset_import))
        found.ir_version = max(found.ir_version, least)
    else:
        found = onnx.ModelProto()
        found.CopyFrom(model)
    graph = found.graph
    names = {one.name for one in made}
    constants = [one for one in graph.initializer if one.name not in names]
    nodes = list(graph.node)
    del graph.initializer[:], graph.node[:]
    # Operators stand in the order in which they run.
    for one in made:
        graph.initializer.extend(one.graph.initializer)
        graph.node.extend(one.graph.node)
    graph.initializer.extend(constants)
    graph.node.extend(nodes)
    onnx.checker.check_model(found, full_check=True)
    return found
