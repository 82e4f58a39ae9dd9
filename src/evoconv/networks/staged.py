"""Rows of modules as backbones: their stages are what can be cut after and held still.

Of any convolutional network whose modules run one after another, be it of another package or not,
the row of those modules is found by watching it run. A stage ends before the maps get smaller.

Shapes: N images, C maps, H rows, W columns.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from evoconv.errors import ConfigError
from evoconv.networks.cnn import GlobalAverage, Parts, Steps
from evoconv.networks.densenet import SqueezeExcitation
from evoconv.networks.evaluation_mode import in_evaluation
from evoconv.networks.moderation import check_weights

# Large enough for five halvings, and for windows without padding.
_PROBED_SIDES = (224, 256)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One module of a row.

    Attributes:
        path: where it is in the whole network.
        maps: C of its output.
        ends_stage: whether a stage ends with it.
    """

    path: str
    maps: int
    ends_stage: bool

    @property
    def name(self) -> str:
        """Its name in a cut; torch has no dots in names."""
        return self.path.replace(".", "_")


@dataclass(frozen=True)
class StagedBackbone:
    """A network that is a row of modules, with the methods of ``backbone.Backbone``.

    Attributes:
        name: for complaints.
        make: returns the whole network, for images of three channels, with whatever weights.
    """

    name: str
    make: Callable[[], nn.Module]

    @property
    def num_layers(self) -> int:
        """How many stages there are."""
        return sum(part.ends_stage for part in self.row)

    @property
    def most_frozen(self) -> int:
        """All stages: the classifier alone learns then."""
        return self.num_layers

    @cached_property
    def row(self) -> tuple[Part, ...]:
        """The modules before the pooling at the end, in order.

        Raises:
            ConfigError: the network's modules don't run one after another, or it is too large.
        """
        with torch.device("meta"):
            network = self.make()
            # Cuts are made of the whole, which takes memory then.
            check_weights(network, self.name)
            try:
                row, again = (watched_row(network, side) for side in _PROBED_SIDES)
            except ConfigError as error:
                raise ConfigError(f"{self.name} can't be cut: {error}") from error
        # What depends on the size of the image is no number of maps: channels may come last.
        if not row or [one.maps for one in row] != [one.maps for one in again]:
            raise ConfigError(f"{self.name} is no row of stages: it can't be cut")
        return row

    def build(
        self,
        in_channels: int,
        num_classes: int,
        *,
        included: int,
        excited_from: int | None,
        dropout: float,
    ) -> nn.Module:
        """Return the network up to and with a stage; ``ConfigError`` if it has not so many."""
        if not 1 <= included <= self.num_layers:
            raise ConfigError(
                f"included layers must be in [1, {self.num_layers}] for {self.name}, got {included}"
            )
        whole = self.make()  # the row was found, so it isn't too large
        parts, stage, maps = Parts(), 0, 0
        for part in self.row:
            parts[part.name] = whole.get_submodule(part.path)
            maps = part.maps
            if not part.ends_stage:
                continue
            if excited_from is not None and stage >= excited_from:
                parts[f"excitation{stage + 1}"] = SqueezeExcitation(maps)
            stage += 1
            if stage == included:
                break
        features = Steps(parts)
        _adapt_first_convolution(features, in_channels)
        return nn.Sequential(
            Parts(
                features=features,
                reduction=GlobalAverage(),
                dropout=nn.Dropout(dropout),
                classifier=nn.Linear(maps, num_classes),
            )
        )

    def leading(self, count: int) -> tuple[str, ...]:
        """Return the names of the modules up to and with a stage; none for 0."""
        names: list[str] = []
        for part in self.row:
            if count == 0:
                break
            names.append(f"features.{part.name}")
            count -= part.ends_stage
        return tuple(names)

    def shared(self, tensors: Mapping[str, Tensor], included: int) -> dict[str, Tensor]:
        """Return the tensors of the modules up to a stage."""
        names = self.leading(included)
        return {
            name: one
            for name, one in tensors.items()
            if any(name.startswith(f"{layer}.") for layer in names)
        }

    def named(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a file's tensors by the names in ``build``; the head's are left out.

        What belongs to no part of the whole network keeps its name.
        """
        with torch.device("meta"):
            known = set(self.make().state_dict())
        renamed = {}
        for name, one in given.items():
            part = next((p for p in self.row if name.startswith(f"{p.path}.")), None)
            if part is not None:
                renamed[f"features.{part.name}{name.removeprefix(part.path)}"] = one
            elif name not in known:
                renamed[name] = one
        return renamed


def watched_row(network: nn.Module, side: int) -> tuple[Part, ...]:
    """Return the modules that pass maps on to each other when the network runs, from its input on.

    Those that torch runs in a row without being one (``nn.Sequential``) are found by their
    tensors: the input of each is the output of the one before. The row ends where maps are no
    more, or are averaged to one value.
    """
    seen: list[tuple[str, Any, Any]] = []
    hooks = [
        module.register_forward_hook(
            lambda _, given, made, path=path: seen.append((path, (*given, None)[0], made))
        )
        for path, module in network.named_modules()
        # Not those whose only work is to hold others; but what is derived from them.
        if path and type(module) not in (nn.Sequential, nn.ModuleList, nn.ModuleDict)
    ]
    device = next(network.parameters()).device
    image = torch.zeros(2, 3, side, side, device=device)
    try:
        with in_evaluation(network), torch.no_grad():
            network(image)
    except Exception as error:  # each network has its own way to refuse images
        raise ConfigError(f"it takes no {side}×{side} images ({error!s:.100})") from error
    finally:
        for hook in hooks:
            hook.remove()
    row = _longest_row(list(seen), image)
    held = tuple(f"{path}." for path, _ in row)
    left_out = [
        path
        for path, _, made in seen
        if isinstance(network.get_submodule(path), nn.Conv2d)
        and _is_maps(made)
        and not f"{path}.".startswith(held)
    ]
    return () if left_out else _stages(row)


def _longest_row(seen: list[tuple[str, Any, Any]], image: Tensor) -> list[tuple[str, Tensor]]:
    """Return path and output of the modules in a row; of nested ones the outermost."""
    row: list[tuple[str, Tensor]] = []
    current: Any = image
    while True:
        nexts = [one for one in seen if one[1] is current and _is_maps(one[2])]
        if not nexts:
            return row
        # The first one that ran may be a part of others, which report after it.
        path, _, made = [one for one in nexts if f"{nexts[0][0]}.".startswith(f"{one[0]}.")][-1]
        row.append((path, made))
        seen = [one for one in seen if not one[0].startswith(f"{path}.") and one[0] != path]
        current = made


def _is_maps(made: object) -> bool:
    return isinstance(made, Tensor) and made.ndim == 4 and made.shape[2] * made.shape[3] > 1


def _stages(row: list[tuple[str, Tensor]]) -> tuple[Part, ...]:
    parts = []
    for place, (path, made) in enumerate(row):
        is_last = place == len(row) - 1
        ends = is_last or row[place + 1][1].shape[2] < made.shape[2]
        parts.append(Part(path=path, maps=made.shape[1], ends_stage=ends))
    return tuple(parts)


def _adapt_first_convolution(features: nn.Module, in_channels: int) -> None:
    """Let the first convolution take as many channels; its new kernels have no values yet."""
    first = next(one for one in features.modules() if isinstance(one, nn.Conv2d))
    if first.in_channels == in_channels:
        return
    # The module stays what it is: packages have convolutions of their own kinds.
    filters, _, *size = first.weight.shape
    first.in_channels = in_channels
    first.weight = nn.Parameter(
        torch.empty(filters, in_channels // first.groups, *size, device=first.weight.device)
    )
