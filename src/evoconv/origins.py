"""The studies that pretrained weights or a plan come from: were they finished, on which images?

Known where the weights lie in their run folder.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evoconv.config import StudyConfig, config_from_dict
from evoconv.data.image_set import Declared, ImageSet
from evoconv.data.splits import SplitOptions
from evoconv.errors import StudyError
from evoconv.genomes.architecture import read_genome
from evoconv.paths import expanded
from evoconv.problems.transfer_options import TransferOptions
from evoconv.study.finished import run_of
from evoconv.study.storage import Storage

_BEST = "best"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A study; ``data`` and ``final`` are its notes on its images and on its end."""

    run: Path
    config: StudyConfig
    data: dict[str, Any]
    final: dict[str, Any] | None

    def shortcoming(self) -> str | None:
        """Return a sentence on weights that are hardly trained; None for others."""
        if self.final is None:
            return (
                f"{self.run} is unfinished, and its weights are those of a short training:"
                f" evoconv resume {self.run} trains them in full"
            )
        why = self.final.get("why")
        if self.final.get("kept") == "evolved" and why and why != "asked for":
            return f"the weights of {self.run} are those of a short training: {why}"
        return None

    def has(self, images: ImageSet, source: str) -> bool:
        """Return whether the study was on these images, of whatever size."""
        facts = (len(images), list(images.classes))
        return self.data.get("digest") == images.digest or (
            self.data.get("source") == source
            and (self.data.get("num_images"), self.data.get("classes")) == facts
        )


def origins_of(options: TransferOptions) -> list[Origin]:
    """Return the studies behind weights and plan, as far as their folders are there."""
    found: dict[Path, Origin] = {}
    ahead = [options]
    while ahead:
        one = ahead.pop()
        for path in (one.plan, one.weights):
            run = None if path is None else _run_of(expanded(path))
            origin = None if run is None or run in found else _read(run)
            if origin is not None:
                found[origin.run] = origin
                ahead.append(origin.config.transfer)
    return list(found.values())


def held_apart(
    config: StudyConfig, images: ImageSet, origins: Sequence[Origin]
) -> tuple[StudyConfig, list[str]]:
    """Return the configuration, and sentences on images that were learned from before.

    Images that were held out for the test then are held out for it again, unless a person fixed
    the split.
    """
    sentences = []
    is_declared = bool((images.declared == Declared.TEST).any())
    for origin in origins:
        if not origin.has(images, config.source):
            continue
        theirs = origin.config.split
        own = replace(theirs, split_seed=theirs.seed(origin.config.seed))
        if config.split.split_seed is None and not is_declared:
            config = replace(config, split=replace(config.split, split_seed=own.split_seed))
        known = f"{origin.run}, which this study begins with, is of these images, too"
        if is_declared or _test_split(config.split) == _test_split(own):
            sentences.append(
                f"{known}: the images held out for the test are the same, but it learned from those"
                " that validate here, so validation figures may be too good"
            )
            continue
        grouped = "" if own.group_by is None else f", --group-by {own.group_by}"
        sentences.append(
            f"{known}: it may have learned from images that are tested on here, so the result may"
            f" be too good (--split-seed {own.split_seed}, --test-share"
            f" {100 * own.test_share:g}{grouped} would hold out what it held out)"
        )
    return config, sentences


def _test_split(split: SplitOptions) -> tuple[int | None, float, str | None]:
    """Return what decides which images are held out for the test, of the same ones."""
    return split.split_seed, split.test_share, split.group_by


def _run_of(path: Path) -> Path | None:
    """Return the run folder that weights are in; None for those elsewhere."""
    folder = path if path.is_dir() else path.parent
    if folder.name == _BEST:
        return run_of(folder.resolve().parent)
    return run_of(folder) if path.is_dir() else None


def _read(run: Path) -> Origin | None:
    """Return the study in a folder; None if it can't be read."""
    try:
        with closing(Storage.open(run, read_genome)) as storage:
            return Origin(
                run=run,
                config=config_from_dict(storage.config),
                data=storage.note("data") or {},
                final=storage.note("final"),
            )
    except StudyError:
        return None
