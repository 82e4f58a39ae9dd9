"""A compressed network as one file: what it is, how images get into it, and its tensors.

docs/evo-format.md describes the bytes, so that other programs can read them. The file may come from
anywhere: a checksum finds damage, every size is checked before memory is asked for, and nothing in
it can run code.
"""

import json
import stat
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from evoconv.artifacts import write_file
from evoconv.compression.network_tensors import number_tensors, set_tensors
from evoconv.compression.tensor_stream import Shape, read_tensors, write_tensors
from evoconv.compression.tensors import StoredTensor
from evoconv.errors import DataError, EvoconvError, MissingExtra
from evoconv.export.model_file import DAMAGE, ModelDescription, description_from

SUFFIX = ".evo"
# While it is read, a network takes at most 24 bytes for each of its weights, and 300 MB. There are
# three copies of the file's bytes at first; in the end each weight has its value in the network and
# beside it, what may be a codebook for it alone, and its index, once more as numpy wants it.
MOST_WEIGHTS = 1 << 26
MOST_BYTES = 5 * MOST_WEIGHTS

_MAGIC = b"EVO\x02"
_CHECKSUM = 4  # bytes
_MOST_TEXT = 1_000_000
_RAW_DEFLATE = -15
# What descriptions are likely to say, the likeliest last: text that occurs here costs little.
# It is part of the format and never changes.
_LIKELY = (
    b'"inplace":true,"groups":"padding_mode":"eps":"output_size":[1,1]"operation":"add""mean"'
    b'"Dropout","p":0.5}"AvgPool2d""ReLU""MaxPool2d","kernel_size":2,"AdaptiveAvgPool2d",'
    b'{"operation":"dropout","takes":[{"step":11}],"named":{"p":0.2,"training":false,'
    b'{"genome":{"layers":{"conv1":{"kind":"Conv2d","in_channels":16,"out_channels":32,'
    b'"kernel_size":[3,3],"stride":[1,1],"padding":[1,1],"dilation":[1,1],"bias":false},'
    b'"bn1":{"kind":"BatchNorm2d","num_features":32},'
    b'"fc1":{"kind":"Linear","in_features":128,"out_features":64}},"steps":['
    b'{"layer":"conv1","takes":[{"step":0}]},{"layer":"bn1","takes":[{"step":1}]},'
    b'{"operation":"max_pool2d","takes":[{"step":3},2],"named":{"stride":null,"padding":0,'
    b'"dilation":1,"ceil_mode":false,"return_indices":false}},'
    b'{"operation":"flatten","takes":[{"step":6},1]},'
    b'{"operation":"relu","takes":[{"step":2}],"named":{"inplace":false}}],"gives":13}'
    b'"activation":"tanh""leaky-relu""hard-sigmoid","kind":"average","padding":"valid",'
    b'"normalisation":"batch","bias":false,"reduction":"global-average"'
    b'{"genome":{"backbone":"densenet-small","included":18,"excited_from":null,"dropout":0.0},'
    b'{"layer":"residual","filters":32,"kernel":[3,3],"stride":[1,1],"activation":"relu",'
    b'"bias":true,"normalisation":"none","dropout":0.0},'
    b'{"layer":"dense","units":64,"activation":"relu","dropout":0.0,"bias":true,'
    b'"normalisation":"none"}'
    b'{"genome":{"features":[{"layer":"convolution","filters":16,"kernel":[3,3],"stride":[1,1],'
    b'"padding":"same","activation":"relu","bias":true,"normalisation":"none","dropout":0.0},'
    b'{"layer":"pooling","size":[2,2],"kind":"max","stride":null,"padding":"valid","dropout":0.0}'
    b'],"classifier":[{"layer":"dense","units":120,"activation":"relu","dropout":0.0,"bias":true,'
    b'"normalisation":"none"}],"reduction":"flatten"},"classes":10,"preprocessing":{"height":28,'
    b'"width":28,"channels":1,"bit_depth":8,"resize":"fit"},"standardisation":{"mean":[0.'
)


def evo_bytes(description: ModelDescription, tensors: Mapping[str, StoredTensor]) -> bytes:
    """Return the file of a network.

    Args:
        description: of which the tensors are.
        tensors: all of the network's parameters and statistics, by their names in torch.

    Raises:
        DataError: the description is too long for one.
    """
    shapes = tensor_shapes(description)
    assert {name: one.values.shape for name, one in tensors.items()} == shapes
    body = _described(description) + write_tensors([tensors[name] for name in shapes])
    return _MAGIC + zlib.crc32(body).to_bytes(_CHECKSUM, "big") + body


def description_bytes(description: ModelDescription) -> int:
    """Return what a file takes beside its tensors; raises ``DataError`` as ``evo_bytes`` does."""
    return len(_MAGIC) + _CHECKSUM + len(_described(description))


def _described(description: ModelDescription) -> bytes:
    """Return the description as it is in a file, its length first."""
    content: dict[str, Any] = description.to_dict()
    if description.classes == _numbered(len(description.classes)):
        content["classes"] = len(description.classes)
    text = json.dumps(content, separators=(",", ":")).encode()
    if len(text) > _MOST_TEXT:
        raise DataError(
            f"the description of the network and its classes takes {len(text):,} bytes;"
            f" a {SUFFIX} file holds {_MOST_TEXT:,} at most"
        )
    deflate = zlib.compressobj(9, wbits=_RAW_DEFLATE, memLevel=9, zdict=_LIKELY)
    head = deflate.compress(text) + deflate.flush()
    return _as_varint(len(head)) + head


def write_evo(
    path: Path, description: ModelDescription, tensors: Mapping[str, StoredTensor]
) -> int:
    """Write the file, whole or not at all, and return its size in bytes.

    Raises:
        StudyError: the disk is full or can't be written.
    """
    content = evo_bytes(description, tensors)
    write_file(path, content)
    return len(content)


def read_evo(path: Path) -> tuple[ModelDescription, dict[str, StoredTensor]]:
    """Return what the file holds.

    Raises:
        DataError: it is missing, damaged, no such file, or its network is too large.
        MissingExtra: a package that it takes isn't installed.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would never end
            raise DataError(f"{path} can't be read: it is no regular file")
        if status.st_size > MOST_BYTES:
            raise DataError(
                f"{path} takes {status.st_size:,} bytes; a {SUFFIX} file has {MOST_BYTES:,} at most"
            )
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror or error}") from error
    try:
        return _read(content)
    except MissingExtra:
        raise
    except DAMAGE as error:
        raise DataError(f"{path} is no compressed network, or damaged: {error}") from error


def load_evo(path: Path) -> tuple[ModelDescription, nn.Module]:
    """Return a compressed network, on the CPU and in evaluation mode, and its description."""
    description, tensors = read_evo(path)
    network = description.network()
    set_tensors(network, tensors)
    return description, network.eval()


def require_same(path: Path, description: ModelDescription, network: nn.Module) -> None:
    """Raise ``EvoconvError`` unless the file holds this network, bit for bit."""
    theirs, packed = load_evo(path)
    if theirs != description:
        raise EvoconvError(f"{path} is described otherwise than the network that was tested")
    wanted = number_tensors(network)
    for name, tensor in number_tensors(packed).items():
        if not torch.equal(tensor, wanted[name]):
            raise EvoconvError(f"{name} in {path} is not that of the network that was tested")


def tensor_shapes(description: ModelDescription) -> dict[str, Shape]:
    """Return the shape of each tensor of numbers that the network has, in their order."""
    tensors = number_tensors(description.outline())
    return {name: tuple(one.shape) for name, one in tensors.items()}


def _read(content: bytes) -> tuple[ModelDescription, dict[str, StoredTensor]]:
    if content[:3] != _MAGIC[:3]:
        raise DataError("it does not begin as one")
    if content[:4] != _MAGIC:
        raise DataError("its format is unknown to this version")
    start = len(_MAGIC) + _CHECKSUM
    body = memoryview(content)[start:]
    if zlib.crc32(body).to_bytes(_CHECKSUM, "big") != content[len(_MAGIC) : start]:
        raise DataError("its checksum is not the one stored")
    size, begin = _read_varint(body)
    description = _read_description(body[begin : begin + size])
    shapes = _checked_shapes(description)
    return description, read_tensors(body[begin + size :], shapes)


def _read_description(head: memoryview) -> ModelDescription:
    inflate = zlib.decompressobj(wbits=_RAW_DEFLATE, zdict=_LIKELY)
    try:
        text = inflate.decompress(head, _MOST_TEXT)
    except zlib.error as error:
        raise DataError(f"its description is damaged: {error}") from error
    if not inflate.eof:
        raise DataError("its description is cut off or too long")
    content = json.loads(text)
    if isinstance(content, dict) and type(content.get("classes")) is int:
        if not 0 < content["classes"] <= _MOST_TEXT:
            raise DataError(f"it can't have {content['classes']} classes")
        content["classes"] = list(_numbered(content["classes"]))
    return description_from(content)


def _checked_shapes(description: ModelDescription) -> dict[str, Shape]:
    try:
        shapes = tensor_shapes(description)
    except (RuntimeError, OverflowError, ValueError) as error:
        raise DataError(f"its network can't be built: {error}") from error
    num_weights = sum(torch.Size(shape).numel() for shape in shapes.values())
    if num_weights > MOST_WEIGHTS:
        raise DataError(f"it has {num_weights:,} weights, more than {MOST_WEIGHTS:,}")
    return shapes


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(str(number) for number in range(count))


def _as_varint(number: int) -> bytes:
    """Return seven bits per byte, the lowest first; all but the last have the eighth bit set."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def _read_varint(content: memoryview) -> tuple[int, int]:
    """Return the number, and how many bytes it took."""
    number = 0
    for place, byte in enumerate(content[:4]):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number, place + 1
    raise DataError("its description has no length")
