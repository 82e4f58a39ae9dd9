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
        genome = storage.trial(int(final["trial"])).individual.genome
    assert isinstance(genome, Vector), "a transfer has no other genomes"
    weights = pretrained_file(run)
    description = read_description(run / "best")
    pretrained = Pretrained.described(str(known.transfer.backbone), description, weights)
    options = replace(
        known.transfer,
        weights=str(weights),
        plans=(genome.to_json(),),
        plan=config.transfer.plan,
    )
    budget = replace(config.budget, evaluations=1)
    return replace(config, transfer=options, budget=budget), pretrained
