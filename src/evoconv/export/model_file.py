"""A saved network: ``model.safetensors`` and ``model.json`` side by side in one folder.

The JSON holds everything that a prediction needs besides the weights: genome, shape of the input,
names of the classes, how an image file becomes an array, and how that is standardised. Both files
may come from elsewhere, so both are checked and neither can run code.
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from evoconv.artifacts import make_folder, write_file
from evoconv.data.batches import Standardisation
from evoconv.data.image_set import Preprocessing
from evoconv.errors import ConfigError, DataError, EvoconvError, StudyError
from evoconv.export.images_told import ImagesTold
from evoconv.genomes.architecture import Architecture, read_architecture
from evoconv.genomes.backbone_cut import BackboneCut
from evoconv.genomes.network_graph import NetworkGraph
from evoconv.networks.build import build_network
from evoconv.networks.moderation import require_moderate
from evoconv.networks.weights import load_weights, read_tensors, tensors_to_bytes

DAMAGE = (EvoconvError, KeyError, TypeError, ValueError, OverflowError, RecursionError)
"""What reading a description that isn't one can raise."""

_FORMAT = 1
MODEL_FILES = ("model.safetensors", "model.json")
_WEIGHTS, _DESCRIPTION = MODEL_FILES


@dataclass(frozen=True, kw_only=True)
class ModelDescription:
    """What a network is and how images get into it."""

    architecture: Architecture
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    standardisation: Standardisation

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return (
            self.preprocessing.channels,
            self.preprocessing.height,
            self.preprocessing.width,
        )

    def network(self) -> nn.Module:
        """Return the network with whatever weights: for stored ones.

        Raises:
            ConfigError: its architecture doesn't fit its images, or is too large.
        """
        self.outline()
        return self._built()

    def outline(self) -> nn.Module:
        """Return the network on torch's ``meta`` device, where it takes no memory; raises alike."""
        try:
            with torch.device("meta"):
                network = self._built()
                if not isinstance(self.architecture, NetworkGraph):  # which was tried already
                    require_moderate(network, self.input_shape)
        except (RuntimeError, OverflowError) as error:  # torch's word for impossible sizes
            raise ConfigError(f"the network can't be built: {error!s:.200}") from error
        return network

    def _built(self) -> nn.Module:
        return build_network(self.architecture, self.input_shape, len(self.classes))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "genome": json.loads(self.architecture.to_json()),
            "classes": self.classes,
            "preprocessing": self.preprocessing.to_dict(),
            "standardisation": asdict(self.standardisation),
        }


def save_model(folder: Path, description: ModelDescription, weights: bytes) -> None:
    """Write the model's two files; each is complete or absent, whatever happens.

    Raises:
        StudyError: the disk is full or can't be written; of a backbone also, its weights are
            damaged.
    """
    if isinstance(description.architecture, BackboneCut):
        # A transfer may begin with the file of weights alone.
        told = ImagesTold.of(description.preprocessing, description.standardisation)
        weights = tensors_to_bytes(read_tensors(weights), told.metadata())
    text = json.dumps(
        {
            "format": _FORMAT,
            **description.to_dict(),
            "weights_sha256": hashlib.sha256(weights).hexdigest(),
        },
        indent=1,
    )
    make_folder(folder)
    write_file(folder / _WEIGHTS, weights)
    write_file(folder / _DESCRIPTION, text.encode())


def load_model(folder: Path) -> tuple[ModelDescription, nn.Module]:
    """Return a saved network, on the CPU and in evaluation mode, and its description.

    Raises:
        StudyError: files that are missing, damaged, or don't fit each other.
    """
    description, weights = read_model(folder)
    network = description.network()
    load_weights(network, weights)
    return description, network.eval()


def read_model(folder: Path) -> tuple[ModelDescription, bytes]:
    """Return a saved network's description and its file of weights, whose checksum was compared.

    Raises:
        StudyError: files that are missing or damaged.
    """
    description, digest = _read(folder)
    try:
        weights = (folder / _WEIGHTS).read_bytes()
    except OSError as error:
        raise StudyError(f"no saved model in {folder}: {error.strerror or error}") from error
    if hashlib.sha256(weights).hexdigest() != digest:
        raise StudyError(f"{folder / _WEIGHTS} is damaged: its checksum is not the one stored")
    return description, weights


def read_description(folder: Path) -> ModelDescription:
    """Return the description of a saved network; ``StudyError`` if it is missing or damaged."""
    return _read(folder)[0]


def _read(folder: Path) -> tuple[ModelDescription, str]:
    """Return the description, and the checksum of the weights."""
    try:
        content = json.loads((folder / _DESCRIPTION).read_text("utf-8"))
    except OSError as error:
        raise StudyError(f"no saved model in {folder}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise StudyError(f"{folder / _DESCRIPTION} is damaged: {error}") from error
    try:
        if content["format"] != _FORMAT:
            raise DataError(f"format {content['format']} is unknown to this version")
        return description_from(content), str(content["weights_sha256"])
    except DAMAGE as error:
        raise StudyError(f"{folder / _DESCRIPTION} is damaged: {error!s}") from error


def description_from(content: Any) -> ModelDescription:
    """Return what ``to_dict`` gave, after JSON.

    Raises:
        DAMAGE: it is something else; it may come from anywhere.
    """
    classes = content["classes"]
    if not isinstance(classes, list) or not all(isinstance(one, str) for one in classes):
        raise DataError("classes must be a list of names")
    standardisation = Standardisation(
        mean=tuple(float(one) for one in content["standardisation"]["mean"]),
        std=tuple(float(one) for one in content["standardisation"]["std"]),
    )
    description = ModelDescription(
        architecture=read_architecture(json.dumps(content["genome"])),
        classes=tuple(classes),
        preprocessing=Preprocessing.from_dict(content["preprocessing"]),
        standardisation=standardisation,
    )
    channels = description.preprocessing.channels
    if len(classes) < 2 or {len(standardisation.mean), len(standardisation.std)} != {channels}:
        raise DataError("classes, channels and standardisation don't fit each other")
    if not all(map(math.isfinite, standardisation.mean)) or not all(
        0 < one < math.inf for one in standardisation.std
    ):
        raise DataError("a standardisation must be of finite numbers, and its deviations above 0")
    return description
