"""From an architecture of any kind to a plain torch module."""

from torch import nn

from evoconv.genomes.architecture import Architecture
from evoconv.genomes.network_graph import NetworkGraph
from evoconv.genomes.topology import Topology
from evoconv.networks import cnn
from evoconv.networks.backbone import find_backbone
from evoconv.networks.graph_network import build_graph


def build_network(
    architecture: Architecture, input_shape: tuple[int, int, int], num_classes: int
) -> nn.Module:
    """Return the network: images (N, C, H, W) to logits (N, K); its weights are torch's.

    Raises:
        ConfigError: it doesn't fit the images, or its backbone is unknown.
    """
    if isinstance(architecture, Topology):
        return cnn.build(architecture, input_shape, num_classes)
    if isinstance(architecture, NetworkGraph):
        return build_graph(architecture, input_shape, num_classes)
    return find_backbone(architecture.backbone).build(
        input_shape[0],
        num_classes,
        included=architecture.included,
        excited_from=architecture.excited_from,
        dropout=architecture.dropout,
    )
