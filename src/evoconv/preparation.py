"""A study's images, splits and space, made from its configuration before anything is written."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from evoconv.config import StudyConfig
from evoconv.data.batches import Standardisation
from evoconv.data.image_set import Declared, ImageSet
from evoconv.data.sources import load_image_set
from evoconv.data.splits import SearchSplits, search_splits
from evoconv.errors import ConfigError
from evoconv.evolution.catalogue import build_strategy
from evoconv.export.model_file import ModelDescription
from evoconv.genomes.space import TopologySpace
from evoconv.genomes.topology import Topology
from evoconv.problems.fitness import Judged, choose_objective
from evoconv.problems.workplace import devices_of
from evoconv.records import Objective
from evoconv.study.watch import Watch


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a configuration and its images give, before anything is written.

    ``devices`` has an entry per worker.
    """

    config: StudyConfig
    devices: tuple[str, ...]
    image_set: ImageSet
    splits: SearchSplits
    standardisation: Standardisation
    space: TopologySpace
    objective: Objective

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return self.image_set.input_shape

    @property
    def num_classes(self) -> int:
        """How many classes the images have."""
        return len(self.image_set.classes)

    def facts(self) -> list[str]:
        """Return sentences about the images and their splits."""
        channels, height, width = self.input_shape
        folds = self.splits.folds
        kind = "one hold-out" if len(folds) == 1 else f"{len(folds)}-fold cross-validation"
        num_training = len(self.splits.training)
        return [
            f"{len(self.image_set):,} images of {self.num_classes} classes,"
            f" {height}×{width}, {channels} channel{'s' if channels > 1 else ''}:"
            f" {num_training:,} for training ({kind}, {len(folds[0][1]):,} validation images),"
            f" {len(self.image_set) - num_training:,} for the test",
            *self.image_set.notes,
            *self.splits.notes,
        ]

    def note(self) -> dict[str, Any]:
        """Return what is stored of the images: enough to report on them, and to notice a change."""
        image_set, splits = self.image_set, self.splits
        return {
            "source": self.config.source,
            "folder": str(image_set.folder),
            "digest": image_set.digest,
            "classes": list(image_set.classes),
            "input_shape": list(image_set.input_shape),
            "num_images": len(image_set),
            "num_training": len(splits.training),
            "num_validation": len(splits.folds[0][1]),
            "num_test": len(image_set) - len(splits.training),
            "declared_test": bool((image_set.declared == Declared.TEST).any()),
            "class_counts": np.bincount(image_set.labels, minlength=self.num_classes).tolist(),
            "notes": [*image_set.notes, *splits.notes],
        }

    def description(self, topology: Topology) -> ModelDescription:
        """Return what is saved beside a network of these images."""
        return ModelDescription(
            topology=topology,
            classes=self.image_set.classes,
            preprocessing=self.image_set.preprocessing,
            standardisation=self.standardisation,
        )


def prepare(config: StudyConfig, watch: Watch) -> Prepared:
    """Return all that a study works on; a person's mistakes come to light here.

    Raises:
        UserError: images that can't be used, limits no network can meet, an unknown method.
    """
    devices = devices_of(config.workers)
    if config.saving.inherit and config.split.folds > 1:
        raise ConfigError(
            f"--inherit needs a single hold-out, not --folds {config.split.folds}: the weights of"
            " one fold have seen the validation images of the others"
        )
    objective = choose_objective(config.training.metric, config.fitness)
    if isinstance(objective, Judged) and config.saving.max_trainings > 1:
        raise ConfigError(
            f"a function as fitness needs --max-trainings 1, not {config.saving.max_trainings}:"
            " the workers, who would train the promising again, don't know it"
        )
    image_set = load_image_set(config.source, config.data, notify=watch.notify)
    splits = search_splits(image_set, config.split, config.seed)
    space = TopologySpace(
        config.space, image_set.input_shape, len(image_set.classes), config.limits
    )
    space.check_seeds()
    # An unknown method is refused before anything is written.
    build_strategy(config.method, space, config.evolution, objective, config.seed)
    return Prepared(
        config=config,
        devices=devices,
        image_set=image_set,
        splits=splits,
        standardisation=Standardisation.of(image_set.images, splits.training),
        space=space,
        objective=objective,
    )
