"""Topologies to begin a search with, from a file of one's own."""

import json
from collections.abc import Sequence
from pathlib import Path

from evoconv.errors import ConfigError
from evoconv.genomes.layers import Pooling
from evoconv.genomes.topology import Topology

MAX_BYTES = 10_000_000


def read_seeds(path: Path) -> tuple[str, ...]:
    """Return the canonical JSON of each genome in a file.

    The file holds a JSON list of genomes, or one genome, as ``result.json`` and ``model.json`` have
    them under ``genome``; such an object with a ``genome`` is taken for it.

    Raises:
        ConfigError: the file can't be read, is empty or too large, or holds something else.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path} has more than {MAX_BYTES:,} bytes")
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise ConfigError(f"{path} is no JSON") from None
    return canonical_seeds(content if isinstance(content, list) else [content], str(path))


def canonical_seeds(genomes: Sequence[object], where: str = "the list") -> tuple[str, ...]:
    """Return the canonical JSON of genomes: topologies, their JSON, or objects as in a file.

    Raises:
        ConfigError: there are none, or one is something else; ``where`` begins the sentence.
    """
    if not genomes:
        raise ConfigError(f"{where} names no genome")
    return tuple(_canonical(f"{where}, genome {n}", one) for n, one in enumerate(genomes, 1))


def _canonical(where: str, data: object) -> str:
    if isinstance(data, dict) and "genome" in data:
        data = data["genome"]
    if isinstance(data, Topology):
        data = data.to_json()
    try:
        topology = Topology.from_json(data if isinstance(data, str) else json.dumps(data))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    if all(isinstance(layer, Pooling) for layer in topology.features):
        raise ConfigError(f"{where} has no convolution")
    return topology.to_json()
