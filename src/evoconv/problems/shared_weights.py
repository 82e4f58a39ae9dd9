"""The evaluation of shared weights: measured on validation images; nothing is trained."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from evoconv.compression.as_stored import account_of, as_stored
from evoconv.compression.coupling import coupled
from evoconv.compression.folding import fold_normalisations, folded_names
from evoconv.compression.network_tensors import (
    depthwise_names,
    number_tensors,
    set_tensors,
    shareable_names,
)
from evoconv.compression.sharing import Shareable
from evoconv.compression.tensors import Bits, Codebooks, StoredTensor
from evoconv.errors import StudyError
from evoconv.execution.executor import Control
from evoconv.genomes.shapes import Cost
from evoconv.genomes.sharing_space import Sharing
from evoconv.networks.weights import load_weights, weights_to_bytes
from evoconv.problems.candidate import named_measures
from evoconv.problems.subject import Subject
from evoconv.problems.training import stratified_subset
from evoconv.problems.workplace import Workplace
from evoconv.records import Measurement
from evoconv.training.loop import predict_logits
from evoconv.training.metrics import measure
from evoconv.training.precision import Precision

# To see whether a layer does well enough; the rest is judged by all validation images.
_ENOUGH_IMAGES = 2_000
_FEWEST = 2


@dataclass(frozen=True, kw_only=True)
class Base:
    """A trained network whose weights are to be shared.

    Attributes:
        weights: its file.
        bits: of a shared value as it is stored.
        dense_bits: of all others.
        folds: whether its normalisations are folded into the layers before them.
        depthwise: what becomes of depthwise convolutions: ``shared``, ``rows`` or ``skipped``.
        couples: which layers have one codebook: see ``compression.coupling.coupled``.
    """

    subject: Subject
    weights: Path
    input_shape: tuple[int, int, int]
    num_classes: int
    bits: Bits
    dense_bits: Bits
    folds: bool = False
    depthwise: str = "shared"
    couples: str = "none"

    def with_weights(self, content: bytes) -> nn.Module:
        """Return the network with the content of a file; ``StudyError`` if that doesn't fit."""
        network = self.subject.network(self.input_shape, self.num_classes)
        load_weights(network, content)
        return network.eval()

    def network(self, content: bytes) -> nn.Module:
        """Return the network with the content of its own file, folded if it is to be.

        Raises:
            StudyError: the file doesn't fit.
        """
        network = self.with_weights(content)
        if self.folds:
            noise = torch.randn(2, *self.input_shape, generator=torch.Generator().manual_seed(0))
            fold_normalisations(network, noise)
        return network

    def loaded(self) -> nn.Module:
        """Return the network with its own weights; raises ``StudyError`` as its steps do."""
        return self.network(self.content())

    def codebooks(self, network: nn.Module) -> Codebooks:
        """Return the names of the weights that are shared, by their codebooks."""
        depthwise = depthwise_names(network) if self.depthwise != "shared" else []
        names = shareable_names(network)
        if self.depthwise == "skipped":
            names = [name for name in names if name not in depthwise]
        return coupled(network, names, self.couples, alone=depthwise)

    def shared(self, network: nn.Module) -> list[str]:
        """Return the names of the weights that are shared, in the order of their codebooks."""
        return [name for names in self.codebooks(network).values() for name in names]

    def unshared(self, network: nn.Module) -> dict[str, list[str]]:
        """Return the names of layers with weights that aren't shared, by their kind.

        Normalisations that were folded have none left.
        """
        others = {*self.shared(network), *(f"{name}.weight" for name in folded_names(network))}
        found: dict[str, list[str]] = {}
        for path, module in network.named_modules():
            own = {f"{path}.{name}" for name, _ in module.named_parameters(recurse=False)}
            if own and own.isdisjoint(others):
                found.setdefault(type(module).__name__, []).append(path)
        return found

    def together(self, biases: Iterable[str]) -> list[tuple[str, ...]]:
        """Return which biases and other tensors that are no weights have one codebook."""
        names = tuple(biases)
        if self.couples == "none":
            return [(name,) for name in names]
        return [names] if names else []

    def with_tensors(self, tensors: Mapping[str, StoredTensor]) -> bytes:
        """Return the content of a file of the network with the tensors in the place of its own.

        Raises:
            StudyError: its weights are missing or damaged.
        """
        network = self.loaded()
        set_tensors(network, tensors)
        return weights_to_bytes(network)

    def content(self) -> bytes:
        """Return the content of its file; ``StudyError`` if that can't be read."""
        try:
            return self.weights.read_bytes()
        except OSError as error:
            raise StudyError(f"{self.weights} can't be read: {error.strerror or error}") from error

    def as_stored(self, network: nn.Module) -> dict[str, StoredTensor]:
        """Return the tensors of a network that was trained to have few values."""
        tensors = {
            name: one.detach().cpu().numpy() for name, one in number_tensors(network).items()
        }
        books, layers = self.codebooks(network), self.shared(network)
        others = self.together(name for name in tensors if name not in layers)
        return as_stored(
            tensors,
            layers,
            bits=self.bits,
            dense_bits=self.dense_bits,
            together=[*books.values(), *others],
        )

    def shareable(self, network: nn.Module) -> Shareable:
        """Return the tensors of the network, of which some can be shared.

        Raises:
            ConfigError: there is nothing to share, or its weights are no finite numbers.
        """
        # Copies: other tensors will be put in the place of the network's own.
        numbers = {name: one.numpy().copy() for name, one in number_tensors(network).items()}
        return Shareable(
            numbers,
            self.codebooks(network),
            bits=self.bits,
            dense_bits=self.dense_bits,
            by_rows=depthwise_names(network) if self.depthwise == "rows" else (),
        )


@dataclass(frozen=True, kw_only=True)
class MeasureShared:
    """The task that measures a network with so many different weights in each layer.

    ``exact``: bytes are those of a file, not as the entropy of the indices has them.
    """

    base: Base
    cost: Cost
    sharing: Sharing
    exact: bool = False

    def __call__(self, workplace: Workplace, control: Control) -> Measurement:
        """Return measures on the validation images, and what the network takes."""
        started = time.perf_counter()
        network, shareable = _opened(self.base)
        _, rows = workplace.splits.folds[0]
        stored = shareable.stored(self.sharing.clusters, self.sharing.modulation)
        measured = _measured(network, stored, workplace, rows, control)
        account = account_of(stored, shareable.layers, exact=self.exact)
        return Measurement(
            values={
                **named_measures(measured, len(rows)),
                **self.cost.as_values(),
                **asdict(account),
                "training_seconds": time.perf_counter() - started,
                "image_passes": float(len(rows)),
            }
        )


@dataclass(frozen=True, kw_only=True)
class FindLeastClusters:
    """The task that finds the fewest clusters with which one codebook's layers do well enough.

    No others are shared then. Source: Čoupek, step 1. Differs: numbers are tried upwards, above 8
    in steps of an eighth, and the first that does well ends it; a part of the validation images is
    enough for that.
    """

    base: Base
    book: str
    most: int
    largest_drop: float

    def __call__(self, workplace: Workplace, control: Control) -> int | None:
        """Return that number; None if none does that is below the most."""
        network, shareable = _opened(self.base)
        _, rows = workplace.splits.folds[0]
        rows = stratified_subset(rows, workplace.image_set.labels, _ENOUGH_IMAGES)
        whole = _measured(network, shareable.as_it_is(), workplace, rows, control)
        wanted = whole["accuracy"] - self.largest_drop
        most = min(self.most, shareable.most_clusters(self.book))
        if most <= _FEWEST:
            return most
        count = _FEWEST
        while count < most:
            tensors = shareable.one_shared(self.book, count)
            measured = _measured(network, tensors, workplace, rows, control)
            if measured["accuracy"] >= wanted:
                return count
            count = min(most, count + max(1, count // 8))
            control.report(count / most)
        return None


def _measured(
    network: nn.Module,
    tensors: Mapping[str, StoredTensor],
    workplace: Workplace,
    rows: NDArray[np.int64],
    control: Control,
) -> dict[str, float]:
    """Return all measures, on the rows of the images, of the network with these tensors."""
    set_tensors(network, tensors)
    logits = predict_logits(network, workplace.tensor, torch.from_numpy(rows), Precision(), control)
    return measure(logits.numpy(), workplace.image_set.labels[rows])


# A worker shares the weights of one network, again and again; clusterings are made once.
@lru_cache(maxsize=1)
def _opened(base: Base) -> tuple[nn.Module, Shareable]:
    network = base.loaded()
    return network, base.shareable(network)
