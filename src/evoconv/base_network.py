"""The trained network that a compression begins with, and what its own study says of images."""

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from torch import nn

from evoconv.compression.tensors import Bits
from evoconv.config import StudyConfig, config_from_dict
from evoconv.data.batches import ImageTensor
from evoconv.data.image_set import Declared, ImageSet
from evoconv.data.splits import SearchSplits, SplitOptions
from evoconv.errors import ConfigError, DataError
from evoconv.export.evo_file import MOST_WEIGHTS, description_bytes
from evoconv.export.model_file import ModelDescription, read_model
from evoconv.genomes.architecture import Architecture, read_architecture, read_genome
from evoconv.genomes.backbone_cut import BackboneCut
from evoconv.genomes.reference import REFERENCES
from evoconv.networks.backbone import BACKBONES
from evoconv.networks.build import build_network
from evoconv.networks.measured_cost import measured_cost
from evoconv.networks.weights import load_weights
from evoconv.paths import expanded
from evoconv.problems.shared_weights import Base
from evoconv.problems.subject import Subject
from evoconv.problems.weight_sharing import WeightSharingProblem
from evoconv.study.finished import run_of
from evoconv.study.storage import Storage
from evoconv.training.loop import predict_logits
from evoconv.training.metrics import measure
from evoconv.training.precision import Precision


@dataclass(frozen=True, kw_only=True)
class BaseNetwork:
    """A saved network: its description, its file of weights, and the study that made it, if any.

    ``images`` is the digest of that study's images.
    """

    description: ModelDescription
    weights: bytes
    study: StudyConfig | None = None
    images: str | None = None

    def completed(self, config: StudyConfig) -> StudyConfig:
        """Return the configuration for images as the network takes them.

        Images that its own study held out for the test stay held out: the splits are that study's.

        Raises:
            ConfigError: other splits were asked for.
        """
        shape, given = self.description.preprocessing, config.data.image_size
        sizes = {f"{shape.height}x{shape.width}", f"{shape.height}"}
        if given is not None and str(given) not in sizes:
            raise ConfigError(
                f"--image-size {given}: the network takes images of {shape.height}x{shape.width}"
            )
        data = replace(config.data, image_size=f"{shape.height}x{shape.width}", resize=shape.resize)
        config = replace(config, data=data)
        if self.study is None:
            return config
        theirs = self.study.split
        if config.split not in (SplitOptions(), theirs):
            raise ConfigError(
                "a network from a run folder is compressed with the splits of its own study:"
                " --group-by, --test-share and the like have no use"
            )
        own = replace(theirs, folds=1, split_seed=theirs.seed(self.study.seed))
        return replace(config, split=own)

    def network(self) -> nn.Module:
        """Return the network; ``StudyError`` if its weights don't fit."""
        network = self.description.network()
        load_weights(network, self.weights)
        return network

    def check(self, images: ImageSet) -> None:
        """Raise ``DataError`` unless the images suit the network, and its test can be held out."""
        if images.classes != self.description.classes:
            raise DataError(
                f"the network tells {_listed(self.description.classes)} apart, the images are of"
                f" {_listed(images.classes)}"
            )
        if images.preprocessing != self.description.preprocessing:
            mine, theirs = self.description.preprocessing, images.preprocessing
            raise DataError(
                f"the network takes images of {mine.channels} channels and {mine.bit_depth} bits,"
                f" these have {theirs.channels} and {theirs.bit_depth}"
            )
        if self.images not in (None, images.digest) and not _declares_test(images):
            raise DataError(
                "these are not the images of the network's own study, so it may have learned from"
                " any that would be drawn for the test: give those images, or folders train and"
                " test"
            )

    def may_have_learned_from_the_test(self, images: ImageSet) -> bool:
        """Return whether nobody knows if images that will be drawn for the test are new to it."""
        return self.images is None and not _declares_test(images)


def named_architecture(name: str) -> Architecture:
    """Return a known network by its name; ``ConfigError`` if there is none of it."""
    if name in REFERENCES:
        return REFERENCES[name].topology
    if name in BACKBONES:
        return BackboneCut(backbone=name, included=BACKBONES[name].num_layers)
    raise ConfigError(
        f"there is no folder {name}, and no network is called so; known are"
        f" {', '.join((*REFERENCES, *BACKBONES))}"
    )


def read_base(model: str) -> BaseNetwork:
    """Return the network of a run folder, of a trial's in it, or of the ``best/`` in either.

    Raises:
        StudyError: there is no network, or it or its study is damaged.
    """
    path = expanded(model)
    best = path / "best" if (path / "best").is_dir() else path
    description, weights = read_model(best)
    finished = best.resolve().parent if best.name == "best" else best
    run = run_of(finished)
    if run is None:
        return BaseNetwork(description=description, weights=weights)
    with closing(Storage.open(run, read_genome)) as storage:
        study, data = config_from_dict(storage.config), storage.note("data") or {}
    return BaseNetwork(
        description=description, weights=weights, study=study, images=data.get("digest")
    )


def sharing_problem(
    config: StudyConfig,
    file: Path,
    weights: bytes,
    input_shape: tuple[int, int, int],
    num_classes: int,
) -> WeightSharingProblem:
    """Return the problem of a compression; workers will find its weights in the file.

    Raises:
        ConfigError: the network has nothing to share.
        StudyError: the weights are not the network's.
    """
    options = config.compress
    if options.tuning is not None and config.training.weight_average > 0:
        raise ConfigError(
            "--weight-average has no use where shared values are trained: they are set amid the"
            " training, and an average would lag behind"
        )
    assert config.uncompressed is not None, "only a compression has this problem"
    architecture = read_architecture(config.uncompressed.architecture)
    with torch.device("meta"):
        cost = measured_cost(
            build_network(architecture, input_shape, num_classes), input_shape, config.limits.bits
        )
    if cost.parameters > MOST_WEIGHTS:
        raise ConfigError(
            f"the network has {cost.parameters:,} parameters; a compressed file holds"
            f" {MOST_WEIGHTS:,} at most"
        )
    base = Base(
        subject=Subject(architecture=architecture),
        weights=file,
        input_shape=input_shape,
        num_classes=num_classes,
        bits=cast(Bits, options.codebook_bits),
        dense_bits=cast(Bits, options.bias_bits),
        folds=options.fold,
        depthwise=options.depthwise,
        couples=options.couple,
    )
    network = base.network(weights)
    return WeightSharingProblem(
        base=base,
        shareable=base.shareable(network),
        unshared=base.unshared(network),
        base_cost=cost,
        limits=config.limits,
        max_bytes=options.max_bytes,
        description_bytes=config.uncompressed.description_bytes,
        most_clusters=options.most_clusters,
        largest_drop=options.largest_range_drop,
        tuning=options.tuning,
        modulated=options.modulate,
    )


def measured(
    config: StudyConfig, base: BaseNetwork, images: ImageSet, splits: SearchSplits
) -> StudyConfig:
    """Return the configuration with what the network is, and its own validation accuracy.

    Raises:
        DataError: its description is too long for a file.
    """
    cpu = torch.device("cpu")
    source = ImageTensor(images.images, images.labels, base.description.standardisation, cpu)
    (_, rows), *_ = splits.folds
    logits = predict_logits(base.network(), source, torch.from_numpy(rows), Precision())
    assert config.uncompressed is not None, "only a compression has a base"
    uncompressed = replace(
        config.uncompressed,
        architecture=base.description.architecture.to_json(),
        accuracy=measure(logits.numpy(), images.labels[rows])["accuracy"],
        description_bytes=description_bytes(base.description),
    )
    return replace(config, uncompressed=uncompressed)


def _declares_test(images: ImageSet) -> bool:
    return bool((images.declared == Declared.TEST).any())


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:3])
    return f"{len(names)} classes ({shown}{', …' if len(names) > 3 else ''})"
