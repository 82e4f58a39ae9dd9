"""A study's images, splits and space, made from its configuration before anything is written."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from evoconv.artifacts import write_file
from evoconv.base_network import measured, read_base, sharing_problem
from evoconv.config import StudyConfig
from evoconv.data.batches import Standardisation
from evoconv.data.image_set import ImageSet
from evoconv.data.sources import load_image_set
from evoconv.data.splits import SearchSplits, search_splits
from evoconv.errors import ConfigError, StudyError
from evoconv.evolution.catalogue import build_strategy
from evoconv.export.backbone_file import Pretrained, read_pretrained
from evoconv.export.model_file import ModelDescription
from evoconv.genomes.space import TopologySpace
from evoconv.genomes.vector import Vector
from evoconv.origins import Origin, held_apart, origins_of
from evoconv.problems.architecture import ArchitectureProblem
from evoconv.problems.fitness import Judged, study_objective
from evoconv.problems.problem import Problem
from evoconv.problems.subject import Subject
from evoconv.problems.transfer import TransferProblem
from evoconv.problems.weight_sharing import WeightSharingProblem
from evoconv.problems.workplace import devices_of
from evoconv.records import Objective
from evoconv.reused_plan import pretrained_file, reuse_plan
from evoconv.study.watch import Watch

_MAY_BE_KNOWN = (
    "The network's own training images are not known, so the test images may be among them and its"
    " accuracy on them too good, before and after; what the compression costs is not affected."
    " Images with a test split of their own rule that out."
)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a configuration and its images give, before anything is written.

    Attributes:
        devices: an entry per worker.
        pretrained: a file of weights that the study begins with, and isn't stored yet.
        remarks: sentences on where these come from, and what of them can't be used.
    """

    config: StudyConfig
    devices: tuple[str, ...]
    image_set: ImageSet
    splits: SearchSplits
    standardisation: Standardisation
    problem: Problem
    objective: Objective
    pretrained: bytes | None = None
    remarks: tuple[str, ...] = ()

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
            *self.remarks,
        ]

    def note(self) -> dict[str, Any]:
        """Return what is stored of the images: enough to report on them, and to notice a change."""
        image_set, splits = self.image_set, self.splits
        return {
            "source": self.config.source,
            "folder": str(image_set.folder),
            "digest": image_set.digest,
            "splits": splits.digest,
            "classes": list(image_set.classes),
            "input_shape": list(image_set.input_shape),
            "standardisation": asdict(self.standardisation),
            "pretrained_sha256": None if self.pretrained is None else digest_of(self.pretrained),
            "num_images": len(image_set),
            "num_training": len(splits.training),
            "num_validation": len(splits.folds[0][1]),
            "num_test": len(image_set) - len(splits.training),
            "notes": [*image_set.notes, *splits.notes, *self.remarks],
        }

    def description(self, subject: Subject) -> ModelDescription:
        """Return what is saved beside a network of these images."""
        return ModelDescription(
            architecture=subject.architecture,
            classes=self.image_set.classes,
            preprocessing=self.image_set.preprocessing,
            standardisation=self.standardisation,
        )

    def keep_pretrained(self, run: Path) -> None:
        """Store the weights that the study begins with, if it has any; ``StudyError`` if not."""
        if self.pretrained is None:
            return
        write_file(pretrained_file(run), self.pretrained)


def prepare(config: StudyConfig, run: Path, watch: Watch) -> Prepared:
    """Return all that a new study works on; a person's mistakes come to light here.

    Its configuration is completed by what pretrained weights say of themselves.

    Raises:
        UserError: images or weights that can't be used, limits no network can meet, an unknown
            method.
    """
    if config.uncompressed is not None:
        return _prepare_compression(config, run, watch)
    pretrained = None
    origins = origins_of(config.transfer)
    if config.transfer.plan is not None:
        config, pretrained = reuse_plan(config, Path(config.transfer.plan))
    elif config.transfer.weights is not None:
        pretrained = read_pretrained(config.transfer.weights, config.transfer.backbone)
    if pretrained is not None:
        config = _completed(config, pretrained)

    def standardise(images: ImageSet, splits: SearchSplits) -> Standardisation:
        if pretrained is None:
            return Standardisation.of(images.images, splits.training)
        shape = images.preprocessing
        return pretrained.standardisation_of(shape.channels, shape.max_value)

    prepared = _prepare(config, run, watch, standardise, origins=origins)
    if pretrained is None:
        return prepared
    shortcomings = [one for origin in origins if (one := origin.shortcoming())]
    return replace(
        prepared,
        pretrained=pretrained.fitted(prepared.input_shape[0]),
        remarks=(*pretrained.notes, *shortcomings, *prepared.remarks),
    )


def prepare_again(
    config: StudyConfig, run: Path, watch: Watch, data_note: dict[str, Any]
) -> Prepared:
    """Return what a stored study works on.

    Raises:
        UserError: as ``prepare``, and ``StudyError`` if the images have changed, or its pretrained
            weights are gone.
    """
    weights = None
    if config.transfer.weights is not None or config.uncompressed is not None:
        weights = _stored_weights(pretrained_file(run), data_note.get("pretrained_sha256"))

    def standardise(images: ImageSet, splits: SearchSplits) -> Standardisation:
        stored = data_note.get("standardisation")
        if stored is None:  # a study from before that was kept
            return Standardisation.of(images.images, splits.training)
        return Standardisation(mean=tuple(stored["mean"]), std=tuple(stored["std"]))

    prepared = _prepare(config, run, watch, standardise, weights)
    if data_note.get("digest") != prepared.image_set.digest:
        raise StudyError(f"the images of {config.source} have changed since the study began")
    # None of a study from before that was kept.
    if data_note.get("splits") not in (None, prepared.splits.digest):
        raise StudyError(
            f"the groups of {config.split.group_by} have changed since the study began: images that"
            " it trained on would be tested on"
        )
    return prepared


def digest_of(content: bytes) -> str:
    """Return the SHA-256 of a file's content."""
    return hashlib.sha256(content).hexdigest()


def _prepare_compression(config: StudyConfig, run: Path, watch: Watch) -> Prepared:
    assert config.uncompressed is not None, "it was asked"
    is_known = config.uncompressed.trained_here
    base = read_base(config.uncompressed.model)
    config = base.completed(config)
    images = _images(config, watch)
    splits = _splits(config, images)
    base.check(images)
    config = measured(config, base, images, splits)
    standardisation = base.description.standardisation
    prepared = _prepare(
        config, run, watch, lambda *_: standardisation, base.weights, (images, splits)
    )
    assert isinstance(prepared.problem, WeightSharingProblem), "that is what is compressed"
    remarks = prepared.problem.remarks()
    if not is_known and base.may_have_learned_from_the_test(images):
        remarks.append(_MAY_BE_KNOWN)
    return replace(prepared, pretrained=base.weights, remarks=tuple(remarks))


def _stored_weights(file: Path, digest: str | None) -> bytes:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise StudyError(f"the study's pretrained weights are missing: {file}") from error
    if digest_of(content) != digest:
        raise StudyError(f"{file} is damaged: its checksum is not the one stored")
    return content


def _completed(config: StudyConfig, pretrained: Pretrained) -> StudyConfig:
    data, size = config.data, "{}x{}".format(*pretrained.images.size)
    if data.image_size is None:
        theirs = pretrained.images.resize
        data = replace(
            data,
            least_size=data.least_size or size,
            resize=data.resize if "resize" in config.given else theirs or data.resize,
        )
        if config.transfer.plan is not None:  # which is for images of its size
            data = replace(data, image_size=size)
    return replace(
        config,
        data=data,
        transfer=replace(config.transfer, backbone=pretrained.backbone),
    )


def _prepare(
    config: StudyConfig,
    run: Path,
    watch: Watch,
    standardise: Callable[[ImageSet, SearchSplits], Standardisation],
    weights: bytes | None = None,
    loaded: tuple[ImageSet, SearchSplits] | None = None,
    origins: Sequence[Origin] = (),
) -> Prepared:
    devices = devices_of(config.workers)
    folds = config.split.folds
    if config.saving.inherit and folds is not None and folds > 1:
        raise ConfigError(
            f"--inherit needs a single hold-out, not --folds {folds}: the weights of one fold have"
            " seen the validation images of the others"
        )
    objective = study_objective(
        config.training.metric, config.fitness, config.compress, config.uncompressed
    )
    if isinstance(objective, Judged) and config.saving.max_trainings > 1:
        raise ConfigError(
            f"a function as fitness needs --max-trainings 1, not {config.saving.max_trainings}:"
            " the workers, who would train the promising again, don't know it"
        )
    remarks: list[str] = []
    if loaded is None:
        images = _images(config, watch)
        config, remarks = held_apart(config, images, origins)
        loaded = images, _splits(config, images)
    image_set, splits = loaded
    problem = _problem(config, image_set, run, weights)
    # An unknown method is refused before anything is written.
    build_strategy(config.method, problem.space, config.evolution, objective, config.seed)
    return Prepared(
        config=config,
        devices=devices,
        image_set=image_set,
        splits=splits,
        standardisation=standardise(image_set, splits),
        problem=problem,
        objective=objective,
        remarks=tuple(remarks),
    )


def _images(config: StudyConfig, watch: Watch) -> ImageSet:
    return load_image_set(config.source, config.data, notify=watch.notify)


def _splits(config: StudyConfig, images: ImageSet) -> SearchSplits:
    split = config.split
    if split.folds is None and config.saving.inherit:  # which needs one
        split = replace(split, folds=1)
    return search_splits(images, split, config.seed)


def _problem(config: StudyConfig, image_set: ImageSet, run: Path, weights: bytes | None) -> Problem:
    shape, num_classes = image_set.input_shape, len(image_set.classes)
    if config.uncompressed is not None:
        assert weights is not None, "they were read or stored"
        return sharing_problem(config, pretrained_file(run), weights, shape, num_classes)
    if config.transfer.backbone is None:
        space = TopologySpace(config.space, shape, num_classes, config.limits)
        space.check_seeds()
        return ArchitectureProblem(space)
    first = config.transfer.first_plan
    return TransferProblem(
        backbone=config.transfer.backbone,
        pretrained=None if config.transfer.weights is None else pretrained_file(run),
        options=config.transfer,
        input_shape=shape,
        num_classes=num_classes,
        limits=config.limits,
        seeds=() if first is None else (Vector.from_json(first),),
    )
