"""What is trained: a network, where its first weights come from, and what of it learns how."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from evoconv.errors import DataError, StudyError
from evoconv.genomes.architecture import Architecture
from evoconv.genomes.backbone_cut import BackboneCut
from evoconv.networks.backbone import find_backbone
from evoconv.networks.build import build_network
from evoconv.networks.densenet import initialise_densenet
from evoconv.networks.initialise import initialise
from evoconv.networks.pretrained import read_weight_file, with_channels
from evoconv.training.options import Recipe


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network to be trained.

    Attributes:
        pretrained: weights of the whole backbone that the architecture is a cut of; None for new
            ones.
        held: names of layers that never learn.
        learning_rate: its own; None for the recipe's.
        rate_in_full: share of its own learning rate that a full training has, which is longer.
    """

    architecture: Architecture
    pretrained: Path | None = None
    held: tuple[str, ...] = ()
    learning_rate: float | None = None
    rate_in_full: float = 1.0

    def recipe(self, recipe: Recipe) -> Recipe:
        """Return the recipe as this network is trained by it."""
        if self.learning_rate is not None:
            recipe = replace(recipe, learning_rate=self.learning_rate)
        return replace(recipe, freeze_share=1.0) if self.held else recipe

    def in_full(self) -> "Subject":
        """Return the same with the learning rate of a full training."""
        if self.learning_rate is None:
            return self
        return replace(self, learning_rate=self.rate_in_full * self.learning_rate)

    def network(self, input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
        """Return the network with whatever weights: for stored ones."""
        return build_network(self.architecture, input_shape, num_classes)

    def new_network(
        self, input_shape: tuple[int, int, int], num_classes: int, recipe: Recipe, seed: int
    ) -> nn.Module:
        """Return the network with its first weights, and dropout; the seed fixes what is new.

        Raises:
            StudyError: the pretrained weights are missing or damaged.
        """
        # Dropout draws from torch's own generator, which belongs to the worker's process alone.
        torch.manual_seed(seed)
        network = self.network(input_shape, num_classes)
        generator = torch.Generator().manual_seed(seed)
        if not isinstance(self.architecture, BackboneCut):
            initialise(network, recipe.initialisation, generator)
            return network
        initialise_densenet(network, recipe.initialisation, generator)
        if self.pretrained is not None:
            backbone = find_backbone(self.architecture.backbone)
            try:
                tensors = read_weight_file(self.pretrained)
            except DataError as error:  # the study's own file: no fault of the network's
                raise StudyError(str(error)) from error
            shared = backbone.shared(tensors, self.architecture.included)
            first, kernels = next(iter(network.state_dict().items()))
            if first in shared and kernels.ndim == 4:  # as it was learned, maybe for other channels
                shared[first] = with_channels(shared[first], kernels.shape[1])
            network.load_state_dict(shared, strict=False)
        return network
