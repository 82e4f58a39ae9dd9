"""The plan that a finished transfer found, for other images: no search is needed again.

Source: Safiuddin 2021, section 5: the parameters found are used to train on a new set quickly.
"""

from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import TypeVar

from evoconv.config import StudyConfig, config_from_dict
from evoconv.errors import StudyError
from evoconv.export.backbone_file import Pretrained, read_kept
from evoconv.export.model_file import read_description
from evoconv.genomes.architecture import read_genome
from evoconv.genomes.vector import Vector
from evoconv.options import Options
from evoconv.study.storage import Storage

T = TypeVar("T", bound=Options)


def pretrained_file(run: Path) -> Path:
    """Return where a study keeps the weights that it begins with."""
    return run / "pretrained.safetensors"


def reuse_plan(config: StudyConfig, run: Path) -> tuple[StudyConfig, Pretrained]:
    """Return a new study's configuration with the plan of a finished one, and its weights.

    It is trained as it was there, but for options that a person has given.

    Raises:
        StudyError: there is no such study, it isn't a transfer, or has no network yet.
    """
    if not run.is_dir():
        raise StudyError(f"--plan: there is no run folder {run}")
    with closing(Storage.open(run, read_genome)) as storage:
        known = config_from_dict(storage.config)
        final = storage.note("final")
        if known.transfer.weights is None or final is None:
            raise StudyError(f"--plan: {run} is no finished study of evoconv transfer")
        genome = storage.trial(int(final.get("trial", 0))).individual.genome
    if not isinstance(genome, Vector):
        raise StudyError(f"--plan: {run} is damaged: its trials are no plans")
    weights = pretrained_file(run)
    description = read_description(run / "best")
    pretrained = read_kept(weights, str(known.transfer.backbone), description)
    options = replace(
        known.transfer,
        weights=str(weights),
        first_plan=genome.to_json(),
        plan=config.transfer.plan,
        feature_cache=config.transfer.feature_cache,
    )
    budget = replace(config.budget, evaluations=1)
    return replace(_trained_as(known, config), transfer=options, budget=budget), pretrained


def _trained_as(known: StudyConfig, config: StudyConfig) -> StudyConfig:
    """Return the configuration with the training options of another one, but for those given."""
    kept = {*config.given, "metric"}  # one plan is compared with no other
    config = replace(
        config,
        training=_merged(config.training, known.training, kept),
        augmentation=_merged(config.augmentation, known.augmentation, kept),
    )
    if "final_recipe" in config.given:
        return config
    return replace(
        config,
        final_training=_merged(config.final_training, known.final_training, kept),
        final_augmentation=_merged(config.final_augmentation, known.final_augmentation, kept),
    )


def _merged(own: T, known: T, kept: set[str]) -> T:
    names = {one.name for one in fields(own)} - kept
    return replace(own, **{name: getattr(known, name) for name in names})
