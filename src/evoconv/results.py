"""A study on disk and the networks that are saved in it, for Python."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evoconv.errors import StudyError
from evoconv.records import Trial

if TYPE_CHECKING:
    from torch import nn

    from evoconv.export.classifier import Classifier, Evaluation
    from evoconv.genomes.architecture import Architecture


@dataclass(frozen=True, kw_only=True)
class Best:
    """The network that a study chose."""

    trial: Trial
    classifier: "Classifier"

    @property
    def model(self) -> "nn.Module":
        """The trained network, taking standardised images (B, C, H, W), giving logits (B, K)."""
        return self.classifier.model

    @property
    def architecture(self) -> "Architecture":
        """What the network was built from: a topology, or the part of a backbone."""
        return self.classifier.architecture


@dataclass(frozen=True)
class Result:
    """A study on disk, finished or not.

    Attributes:
        run: its run folder.
    """

    run: Path

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The figures of ``result.json``; fractions are in [0, 1]."""
        try:
            content: dict[str, Any] = json.loads((self.run / "result.json").read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise StudyError(f"{self.run} has no readable result.json: {error}") from error
        return content

    @cached_property
    def trials(self) -> list[Trial]:
        """All individuals by number, with their measurements or failures."""
        from evoconv.genomes.architecture import read_genome
        from evoconv.study.storage import Storage

        storage = Storage.open(self.run, read_genome)
        try:
            return storage.trials()
        finally:
            storage.close()

    @cached_property
    def best(self) -> Best:
        """The network saved in ``best/``; ``StudyError`` if there is none yet."""
        number = self.summary.get("trial")
        if not isinstance(number, int) or not 0 <= number < len(self.trials):
            raise StudyError(f"{self.run} has no best network yet")
        return Best(trial=self.trials[number], classifier=load(self.run))


def load(folder: str | Path) -> "Classifier":
    """Return the saved network of a run folder, of its ``best/``, or of a compressed file.

    Raises:
        UserError: there is none, or it is damaged.
    """
    from evoconv.export.classifier import Classifier

    path = Path(folder)
    return Classifier(path / "best" if (path / "best").is_dir() else path)


def evaluate(run: str | Path, source: str | Path) -> "Evaluation":
    """Return measures of a saved network on other labelled images.

    Raises:
        UserError: no network, images that can't be read, or classes it doesn't know.
    """
    from evoconv.data.sources import load_labelled

    classifier = load(run)
    labelled = load_labelled(str(source), classifier.preprocessing, classifier.classes)
    return classifier.evaluate(labelled)
