"""The plan that a finished transfer found, for other images: no search is needed again.

Source: Safiuddin 2021, section 5: the parameters found are used to train on a new set quickly.
"""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from evoconv.config import StudyConfig, config_from_dict
from evoconv.errors import StudyError
from evoconv.export.backbone_file import Pretrained
from evoconv.export.model_file import read_description
from evoconv.genomes.architecture import read_genome
from evoconv.genomes.vector import Vector
from evoconv.networks.pretrained import read_weight_file
from evoconv.study.storage import Storage


def pretrained_file(run: Path) -> Path:
    """Return where a study keeps the weights that it begins with."""
    return run / "pretrained.safetensors"


def reuse_plan(config: StudyConfig, run: Path) -> tuple[StudyConfig, Pretrained]:
    """Return a new study's configuration with the plan of a finished one, and its weights.

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
    pretrained = Pretrained.described(
        str(known.transfer.backbone),
        read_description(run / "best"),
        read_weight_file(weights),
        weights,
    )
    options = replace(
        known.transfer,
        weights=str(weights),
        first_plan=genome.to_json(),
        plan=config.transfer.plan,
        feature_cache=config.transfer.feature_cache,
    )
    budget = replace(config.budget, evaluations=1)
    return replace(config, transfer=options, budget=budget), pretrained
