"""What a network is built from, whichever way it was found."""

from evoconv.genomes.backbone_cut import BackboneCut
from evoconv.genomes.genome_text import read_genome_text
from evoconv.genomes.network_graph import NetworkGraph
from evoconv.genomes.topology import Topology
from evoconv.genomes.vector import Vector

Architecture = Topology | BackboneCut | NetworkGraph


def read_architecture(text: str) -> Architecture:
    """Return what ``to_json`` of an architecture gave; ``ConfigError`` for anything else."""
    content = read_genome_text(text)
    if isinstance(content, dict) and "backbone" in content:
        return BackboneCut.from_dict(content)
    if isinstance(content, dict) and "steps" in content:
        return NetworkGraph.from_dict(content)
    return Topology.from_json(text)


def read_genome(text: str) -> Topology | Vector:
    """Return what ``to_json`` of a genome gave; ``ConfigError`` for anything else."""
    return Vector.from_json(text) if text.lstrip().startswith("[") else Topology.from_json(text)
