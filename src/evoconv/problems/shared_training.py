"""The evaluation of shared weights that learn: pruned, shared and trained in one short training.

A candidate goes on from what its first parent has become, or from the network itself: what a line
of heirs has learned with few weights isn't learned again.

Sources: those of ``compression.course``, and of ``problems.teacher``.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from evoconv.artifacts import WeightFiles
from evoconv.compression.as_stored import account_of
from evoconv.compression.course import Course, Goal
from evoconv.compression.folding import folded_names, only_shifting
from evoconv.compression.network_tensors import set_tensors
from evoconv.data.batches import Batches, Source
from evoconv.errors import StudyError
from evoconv.execution.executor import Control
from evoconv.genomes.shapes import Cost
from evoconv.genomes.sharing_space import Sharing
from evoconv.networks.weights import weights_to_bytes
from evoconv.problems.candidate import named_measures
from evoconv.problems.compress_options import FineTuning
from evoconv.problems.shared_weights import Base
from evoconv.problems.teacher import TaughtSource, Teacher
from evoconv.problems.training import TrainingSetting, curve_points, measures_on, stratified_subset
from evoconv.problems.workplace import Workplace
from evoconv.records import CurvePoint, Measurement
from evoconv.training.loop import Training
from evoconv.training.precision import Precision


@dataclass(frozen=True, kw_only=True)
class TrainShared:
    """The task that trains a network on its way to shared weights, and measures it.

    Attributes:
        parent: the trial whose weights it goes on from; None for the network's own.
        weights: where trials keep theirs; this one, ``number``, as well.
    """

    base: Base
    cost: Cost
    sharing: Sharing
    tuning: FineTuning
    setting: TrainingSetting
    weights: WeightFiles
    number: int
    seed: int
    parent: int | None = None

    def __call__(self, workplace: Workplace, control: Control) -> Measurement:
        """Return measures of the network as it would be stored; its weights are kept.

        Raises:
            JobFailed: the loss left the finite numbers.
        """
        started = time.perf_counter()
        network, remark = self._begun()
        training, validation = workplace.splits.folds[0]
        passes, curve = self._train(network, training, workplace, control)
        stored = self.base.as_stored(network)
        set_tensors(network, stored)
        measured = measures_on(network, validation, workplace, Precision(), control)
        self.weights.write(self.number, weights_to_bytes(network))
        account = account_of(stored, self.base.shared(network), exact=True)
        return Measurement(
            values={
                **named_measures(measured, len(validation)),
                **self.cost.as_values(),
                **asdict(account),
                "training_seconds": time.perf_counter() - started,
                "image_passes": float(passes),
            },
            curve=tuple(curve),
            remarks=(remark,),
        )

    def _begun(self) -> tuple[nn.Module, str]:
        """Return the network that the training goes on from, and a sentence on whose it is."""
        said = "pruned from the network itself"
        if self.parent is not None:
            try:
                network = self.base.with_weights(self.weights.required(self.parent))
            except StudyError as error:
                said += f", for {error}"
            else:
                return network, f"goes on from trial {self.parent}"
        return self.base.loaded(), said

    def _train(
        self,
        network: nn.Module,
        rows: NDArray[np.int64],
        workplace: Workplace,
        control: Control,
    ) -> tuple[int, list[CurvePoint]]:
        """Train the network in place; return its image passes and its curve."""
        recipe, image_set = self.setting.recipe, workplace.image_set
        if recipe.fresh_images:
            rows = np.random.default_rng(self.seed).permutation(rows)
        chosen = stratified_subset(rows, image_set.labels, recipe.train_images)
        epochs = recipe.search_epochs(len(rows), image_set.input_shape)
        batches = Batches(
            source=self._source(workplace),
            rows=torch.from_numpy(chosen),
            batch_size=recipe.batch_size,
            augmentation=self.setting.augmentation,
            generator=torch.Generator().manual_seed(self.seed),
        )
        torch.manual_seed(self.seed)  # of dropout
        network.to(workplace.device)
        course = self._course(network, epochs * batches.num_batches)
        with only_shifting(network):
            training = Training(
                network,
                batches,
                recipe,
                self.setting.precision,
                control,
                epochs=epochs,
                class_weights=workplace.class_weights(chosen, recipe.class_weights),
            )
            paced = _Paced(batches=batches, course=course)
            training.run(network, paced, until=epochs)
        course.end()
        return epochs * len(chosen), curve_points(training.reports, 0)

    def _course(self, network: nn.Module, num_steps: int) -> Course:
        books, sharing = self.base.codebooks(network), self.sharing
        layers = self.base.shared(network)
        kept = dict(zip(layers, sharing.kept or (1.0,) * len(layers), strict=True))
        goals = [
            Goal(clusters=clusters, kept={name: kept[name] for name in names})
            for names, clusters in zip(books.values(), sharing.clusters, strict=True)
        ]
        biases = _biases(network, layers) if self.tuning.bias_clusters else []
        return Course(
            network,
            goals,
            biases=self.base.together(biases),
            bias_clusters=self.tuning.bias_clusters,
            num_steps=num_steps,
            bits=self.base.bits,
            reassigns=self.tuning.reassigns,
            concentrates=self.tuning.concentrates,
        )

    def _source(self, workplace: Workplace) -> Source:
        """Return images with the labels that are to be learned."""
        images, share = workplace.tensor, self.tuning.distillation
        if not share:
            return images
        num_images, num_classes = len(workplace.image_set.labels), len(workplace.image_set.classes)
        teacher = _teacher(self.base, num_images, num_classes, self.setting.precision)
        return TaughtSource(source=images, teacher=teacher, share=share)


def _biases(network: nn.Module, shared: Sequence[str]) -> list[str]:
    """Return the names of the biases of layers that are shared, and of what only adds one."""
    owners = (*(name.removesuffix(".weight") for name in shared), *folded_names(network))
    present = dict(network.named_parameters())
    return [name for name in (f"{owner}.bias" for owner in owners) if name in present]


@dataclass(frozen=True, kw_only=True)
class _Paced:
    """Batches; the course is told of each step that will be made with one."""

    batches: Batches
    course: Course

    def epoch(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs (B, C, H, W) and labels (B,), or probabilities (B, K)."""
        for batch in self.batches.epoch():
            self.course.before_step()
            yield batch


# A worker trains the heirs of one network, again and again; what that thinks is kept.
@lru_cache(maxsize=1)
def _teacher(base: Base, num_images: int, num_classes: int, precision: Precision) -> Teacher:
    return Teacher(base.loaded(), num_images, num_classes, precision)
