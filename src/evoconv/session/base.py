"""The network that a compression begins with where it isn't a saved one: a known one, or one's own.

A known one is trained first, or has weights from a file. Either is kept as a saved network in the
run folder.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path

from evoconv.base_network import named_architecture
from evoconv.config import StudyConfig
from evoconv.data.augmentation import Augmentation
from evoconv.data.batches import Standardisation
from evoconv.data.image_set import ImageSet
from evoconv.data.sources import load_image_set
from evoconv.data.splits import search_splits
from evoconv.errors import ConfigError, EvoconvError, StudyError
from evoconv.execution.executor import Outcome
from evoconv.execution.handful import run_handful, run_one
from evoconv.execution.processes import ProcessExecutor
from evoconv.export.model_file import ModelDescription, save_model
from evoconv.networks.pretrained import check_numbers, read_weight_file
from evoconv.networks.weights import check_tensors, tensors_to_bytes
from evoconv.paths import is_there
from evoconv.problems.base_training import TrainBase
from evoconv.problems.evaluation import MeasurePrecision
from evoconv.problems.subject import Subject
from evoconv.problems.training import FullTraining, TrainingSetting
from evoconv.problems.workplace import OpenWorkplace, devices_of
from evoconv.seeds import Purpose, seed_for
from evoconv.session.own_network import OwnNetwork
from evoconv.study.lock import lock_folder
from evoconv.study.storage import FILE_NAME
from evoconv.study.watch import Watch
from evoconv.training.options import Recipe

_FOLDER = "base"
# Of the whole time, for the network before anything is compressed.
_SHARE = 0.35
_LEAST_S = 1.0
_PRECISION_S = 1.5


def with_base(
    config: StudyConfig, run: Path, watch: Watch, started_at: float, own: OwnNetwork | None = None
) -> StudyConfig:
    """Return the configuration with a saved network for a known one's name, or for one's own.

    Raises:
        UserError: images, weights or a network that can't be used.
        StudyError: the run folder is in use, or holds a study already.
    """
    known = None if own else _known(config, watch, started_at)
    if config.compress.base_weights is not None and known is None:
        raise ConfigError("--base-weights has no use beside a network that has its own")
    if config.uncompressed is None or not (own or known):
        return config
    images = load_image_set(config.source, config.data, notify=watch.notify)
    saved = own.saved(images) if own else None
    if (run / FILE_NAME).exists():
        raise StudyError(f"{run} holds a study already")
    folder = run / _FOLDER
    with lock_folder(run):
        if known:
            saved = known.saved(images)
        assert saved is not None, "it is one of both"
        # One that an earlier command left may have seen what are validation images now.
        save_model(folder, *saved)
    is_trained_here = known is not None and config.compress.base_weights is None
    uncompressed = replace(
        config.uncompressed, model=str(folder.resolve()), trained_here=is_trained_here
    )
    return replace(config, uncompressed=uncompressed)


def _known(config: StudyConfig, watch: Watch, started_at: float) -> "_KnownNetwork | None":
    """Return the network that is called so; None for a saved one, or without a compression."""
    if config.uncompressed is None or is_there(Path(config.uncompressed.model)):
        return None
    name = config.uncompressed.model
    subject = Subject(architecture=named_architecture(name))
    return _KnownNetwork(
        name=name, config=config, subject=subject, watch=watch, started_at=started_at
    )


@dataclass(frozen=True, kw_only=True)
class _KnownNetwork:
    """A network that has a name."""

    name: str
    config: StudyConfig
    subject: Subject
    watch: Watch
    started_at: float

    def saved(self, images: ImageSet) -> tuple[ModelDescription, bytes]:
        """Return its description, and its weights as a safetensors file: a file's, or new ones."""
        splits = search_splits(images, self.config.split, self.config.seed)
        description = ModelDescription(
            architecture=self.subject.architecture,
            classes=images.classes,
            preprocessing=images.preprocessing,
            # Three digits do as well, and take fewer bytes in a file that has about a thousand.
            standardisation=Standardisation.of(images.images, splits.training).rounded(3),
        )
        file = self.config.compress.base_weights
        if file is not None:
            return description, self._read(Path(file), description)
        setup = OpenWorkplace(
            folder=images.folder, splits=splits, standardisation=description.standardisation
        )
        return description, self._trained(setup)

    def _read(self, file: Path, description: ModelDescription) -> bytes:
        wanted = description.network().state_dict()
        # Counters of batches tell nothing that is used; many files have none.
        given = {name: wanted[name] for name in wanted if "num_batches_tracked" in name}
        given |= {
            name: one.to(wanted[name].dtype) if name in wanted else one
            for name, one in read_weight_file(file).items()
        }
        check_tensors(given, wanted, f"{file} doesn't fit {self.name}")
        check_numbers(given, str(file))
        return tensors_to_bytes(given)

    def _trained(self, setup: OpenWorkplace) -> bytes:
        config, time_s = self.config, self.config.budget.time_s
        recipe = Recipe()
        epochs = recipe.longest_training(len(setup.splits.folds[0][0]))
        spent_s = time.time() - self.started_at
        limit_s = None if time_s is None else max(_LEAST_S, _SHARE * time_s - spent_s)
        ends = "" if limit_s is None else f", for {limit_s:.0f} s at most"
        self.watch.notify(f"{self.name} has no weights yet: it is trained first{ends}")
        devices = devices_of(config.workers)[:1]
        executor = ProcessExecutor(setup, devices, config.workers.worker_memory)
        try:
            precision, _ = run_one(executor, MeasurePrecision(seconds=_PRECISION_S))
            task = TrainBase(
                training=FullTraining(
                    subject=self.subject,
                    seed=seed_for(config.seed, Purpose.BASELINE, 0),
                    setting=TrainingSetting(
                        recipe=recipe, augmentation=Augmentation(), precision=precision
                    ),
                    epochs=epochs,
                    time_limit_s=limit_s,
                )
            )
            outcomes: list[Outcome] = []
            run_handful(executor, {0: task}, outcomes.append, self.watch.finishing, {0: self.name})
        finally:
            executor.close()
        [outcome] = outcomes
        if outcome.failure is not None:
            raise EvoconvError(f"{self.name} could not be trained: {outcome.failure}")
        weights: bytes = outcome.result
        return weights
