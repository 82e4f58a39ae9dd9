"""Pretrained weights with what belongs to them: which network they are of, and its images.

A network that evoconv trained brings its own description. The files of torchvision have none; what
is done to images is then what those networks were trained with, and which one it is, its tensors
say.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from evoconv.data.batches import Standardisation
from evoconv.errors import ConfigError, DataError
from evoconv.export.images_told import ImagesTold, read_told
from evoconv.export.model_file import MODEL_FILES, ModelDescription, read_model
from evoconv.genomes.backbone_cut import BackboneCut
from evoconv.networks.backbone import BACKBONES, find_backbone
from evoconv.networks.foreign import foreign_weights, is_foreign
from evoconv.networks.pretrained import fitting, read_weight_file
from evoconv.networks.weights import read_tensors, tensors_to_bytes
from evoconv.paths import expanded

# As torchvision's documentation of its weights says.
_USUAL_SIZE, _SMALL_SIZE = (224, 224), (32, 32)
_FOR_SMALL_IMAGES = ("densenet-small", "resnet20")
_USUAL = Standardisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A backbone's tensors by name, and how images get into it.

    Attributes:
        images: that it was trained on.
        where: the file, for complaints.
        notes: sentences on what isn't known for sure.
    """

    backbone: str
    tensors: Mapping[str, Tensor]
    images: ImagesTold
    where: str
    notes: tuple[str, ...] = ()

    def standardisation_of(self, channels: int, max_value: int) -> Standardisation:
        """Return what to do to images with so many channels, in their pixel values."""
        return Standardisation(
            mean=_on(self.images.standardisation.mean, channels, max_value),
            std=_on(self.images.standardisation.std, channels, max_value),
        )

    def fitted(self, channels: int) -> bytes:
        """Return, as a safetensors file, the tensors of the whole backbone, which suit so many.

        The first kernels are as they were learned, for a later transfer to other channels;
        ``Subject`` adapts them.

        Raises:
            DataError: one is missing, unknown, of another shape, or not finite.
        """
        named = find_backbone(self.backbone).named(self.tensors)
        found = fitting(named, _wanted(self.backbone, channels), self.where)
        first = next(iter(found))
        found[first] = named[first].to(found[first].dtype)
        return tensors_to_bytes(found, self.images.metadata())


def read_pretrained(weights: str, backbone: str | None) -> Pretrained:
    """Return the weights of a folder that ``evoconv pretrain`` made, of a file, or of a package.

    Args:
        weights: the path; or a name such as ``timm:resnet18``, whose weights are downloaded.
        backbone: of which network they are; None for what the folder or the tensors say.

    Raises:
        UserError: there are none, they can't be read, or they are of another network.
    """
    if is_foreign(weights):
        return _of_package(weights, backbone)
    path = expanded(weights)
    folder = path / "best" if (path / "best").is_dir() else path
    if path.name == MODEL_FILES[0] and (path.parent / MODEL_FILES[1]).is_file():
        folder = path.parent  # what belongs to it lies beside it
    if folder.is_dir():
        return _of_folder(folder, backbone)
    tensors = read_weight_file(path)
    name = backbone or _recognised(tensors, path)
    told = read_told(path) if path.suffix == ".safetensors" else None
    return Pretrained(
        backbone=name,
        tensors=tensors,
        images=told or _usual_images(name),
        where=str(path),
        notes=() if told else (_assumption(path, name),),
    )


def read_kept(file: Path, backbone: str, description: ModelDescription) -> Pretrained:
    """Return the weights that a study keeps, for other images of the size that it has.

    Args:
        file: the study's.
        backbone: of which network they are.
        description: of the network that came of it, which speaks for a file from before it did.

    Raises:
        DataError: the file is missing or damaged.
    """
    tensors = read_weight_file(file)
    images = ImagesTold.of(description.preprocessing, description.standardisation)
    if (told := read_told(file)) is not None:
        images = replace(images, standardisation=told.standardisation)
    return Pretrained(backbone=backbone, tensors=tensors, images=images, where=str(file))


def _usual_images(backbone: str) -> ImagesTold:
    size = _SMALL_SIZE if backbone in _FOR_SMALL_IMAGES else _USUAL_SIZE
    return ImagesTold(size=size, standardisation=_USUAL)


def _assumption(path: Path, backbone: str) -> str:
    height, width = _usual_images(backbone).size
    return (
        f"{path.name} doesn't say how its images were standardised: ImageNet's mean and deviation"
        f" of each colour are assumed, and images of {height}×{width}"
    )


def _of_package(name: str, backbone: str | None) -> Pretrained:
    if backbone not in (None, name):
        raise ConfigError(f"--backbone {backbone}: the weights are those of {name}")
    found = foreign_weights(name)
    return Pretrained(
        backbone=name,
        tensors=found.tensors,
        images=ImagesTold(
            size=found.size,
            standardisation=Standardisation(mean=found.mean, std=found.std),
        ),
        where=name,
    )


def _of_folder(folder: Path, backbone: str | None) -> Pretrained:
    description, weights = read_model(folder)
    cut = description.architecture
    if not isinstance(cut, BackboneCut):
        raise DataError(f"{folder} holds no backbone, but a network that was evolved")
    if cut.included != find_backbone(cut.backbone).num_layers or cut.excited_from is not None:
        raise DataError(f"{folder} holds a part of {cut.backbone}: weights are of a whole backbone")
    if backbone not in (None, cut.backbone):
        raise ConfigError(f"--backbone {backbone}: {folder} is a {cut.backbone}")
    return Pretrained(
        backbone=cut.backbone,
        tensors=read_tensors(weights),
        images=ImagesTold.of(description.preprocessing, description.standardisation),
        where=str(folder / MODEL_FILES[0]),
    )


def _recognised(tensors: Mapping[str, Tensor], path: Path) -> str:
    """Return the name of the backbone whose tensors these are.

    Raises:
        DataError: of none; the sentence is about the most alike one, if any has a name in common.
    """
    complaints: dict[str, DataError] = {}
    differing: dict[str, int] = {}
    for name in BACKBONES:
        given, wanted = find_backbone(name).named(tensors), _wanted(name, 3)
        try:
            fitting(given, wanted, str(path))
        except DataError as error:
            complaints[name] = error
        else:
            return name
        if given.keys() & wanted.keys():
            differing[name] = len(given.keys() ^ wanted.keys())
    if differing:
        # Not by the names in common: a larger DenseNet has all those of a smaller one.
        closest = min(differing, key=lambda name: differing[name])
        raise DataError(
            f"{complaints[closest]}; of the networks known here it is most like {closest}"
            " (--backbone names another)"
        )
    raise DataError(
        f"{path} is of no network that is known here, or damaged: --backbone with one of"
        f" {', '.join(BACKBONES)} tells what doesn't fit"
    )


def _wanted(backbone: str, channels: int) -> Mapping[str, Tensor]:
    """Return the tensors of the whole backbone, without their values."""
    known = find_backbone(backbone)
    with torch.device("meta"):
        network = known.build(
            channels, 2, included=known.num_layers, excited_from=None, dropout=0.0
        )
    return network.state_dict()


def _on(values: tuple[float, ...], channels: int, max_value: int) -> tuple[float, ...]:
    if len(values) != channels:
        values = (sum(values) / len(values),) * channels
    return tuple(one * max_value for one in values)
