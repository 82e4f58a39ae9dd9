"""A study's configuration: everything that determines it, stored with it, and read again.

It is a source of images, a method, a recipe, a seed, and the option groups that the parts of the
house own. A resume needs no options, for the whole configuration is stored.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from evoconv.data.augmentation import Augmentation
from evoconv.data.sources import DataOptions
from evoconv.data.splits import SplitOptions
from evoconv.errors import ConfigError, StudyError
from evoconv.evolution.options import EvolutionOptions
from evoconv.execution.options import WorkerOptions
from evoconv.export.options import FinalOptions
from evoconv.genomes.constraints import Limits
from evoconv.genomes.space_options import SpaceOptions
from evoconv.options import Options
from evoconv.problems.compress_options import CompressOptions, Uncompressed
from evoconv.problems.fitness import FitnessOptions
from evoconv.problems.options import SavingOptions
from evoconv.problems.transfer_options import TransferOptions
from evoconv.records import Budget
from evoconv.training.options import Recipe
from evoconv.training.stopping import StoppingOptions

GROUPS: Mapping[str, type[Options]] = {
    "budget": Budget,
    "limits": Limits,
    "data": DataOptions,
    "split": SplitOptions,
    "training": Recipe,
    "augmentation": Augmentation,
    "stopping": StoppingOptions,
    "saving": SavingOptions,
    "fitness": FitnessOptions,
    "evolution": EvolutionOptions,
    "space": SpaceOptions,
    "transfer": TransferOptions,
    "compress": CompressOptions,
    "final": FinalOptions,
    "workers": WorkerOptions,
}

# Stored beside them: how the final training goes, by --final-recipe.
_STORED_GROUPS: Mapping[str, type[Options]] = {
    **GROUPS,
    "final_training": Recipe,
    "final_augmentation": Augmentation,
}


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """Everything that determines a study, apart from the images themselves.

    ``given``: the options that a person named, which win over what else there is to go by.
    """

    source: str
    method: str
    recipe: str
    seed: int
    budget: Budget
    limits: Limits
    data: DataOptions
    split: SplitOptions
    training: Recipe
    augmentation: Augmentation
    stopping: StoppingOptions
    saving: SavingOptions
    fitness: FitnessOptions
    evolution: EvolutionOptions
    space: SpaceOptions
    transfer: TransferOptions
    compress: CompressOptions
    final: FinalOptions
    workers: WorkerOptions
    final_training: Recipe
    final_augmentation: Augmentation
    uncompressed: Uncompressed | None = None
    given: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def config_from_dict(content: Any) -> StudyConfig:
    """Return what ``to_dict`` gave, after JSON.

    Raises:
        StudyError: it is something else, or was stored by another version.
    """
    try:
        groups: dict[str, Any] = {
            # A study from before --final-recipe ends as it searched.
            title: _group_from_dict(
                group, content.get(title, content.get(title.removeprefix("final_"), {}))
            )
            for title, group in _STORED_GROUPS.items()
        }
        uncompressed = content.get("uncompressed")
        return StudyConfig(
            source=str(content["source"]),
            method=str(content["method"]),
            recipe=str(content["recipe"]),
            seed=int(content["seed"]),
            **groups,
            uncompressed=None if uncompressed is None else Uncompressed(**uncompressed),
            given=tuple(str(one) for one in content.get("given", ())),
        )
    except (AttributeError, ConfigError, KeyError, TypeError, ValueError) as error:
        raise StudyError(
            f"the study's configuration is damaged or of another version: {error}"
        ) from (error)


def _group_from_dict(group: type[Options], values: Mapping[str, Any]) -> Options:
    """Return the group; what the study is older than has its default."""
    return group(
        **{name: tuple(one) if isinstance(one, list) else one for name, one in values.items()}
    )
