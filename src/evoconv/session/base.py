"""The network that a compression by name begins with: trained first, or with weights from a file.

It is kept as a saved network in the run folder.
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
from evoconv.data.splits import SearchSplits, search_splits
from evoconv.errors import ConfigError, EvoconvError, StudyError
from evoconv.execution.executor import Outcome
from evoconv.execution.handful import run_handful, run_one
from evoconv.execution.processes import ProcessExecutor
from evoconv.export.model_file import ModelDescription, save_model
from evoconv.networks.pretrained import read_weight_file
from evoconv.networks.weights import check_tensors, tensors_to_bytes
from evoconv.problems.base_training import TrainBase
from evoconv.problems.evaluation import MeasurePrecision
from evoconv.problems.subject import Subject
from evoconv.problems.training import FullTraining, TrainingSetting
from evoconv.problems.workplace import OpenWorkplace, devices_of
from evoconv.seeds import Purpose, seed_for
from evoconv.study.lock import lock_folder
from evoconv.study.storage import FILE_NAME
from evoconv.study.watch import Watch
from evoconv.training.options import Recipe

_FOLDER = "base"
# Of the whole time, for the network before anything is compressed.
_SHARE = 0.35
_LEAST_S = 1.0
_PRECISION_S = 1.5


def with_base(config: StudyConfig, run: Path, watch: Watch, started_at: float) -> StudyConfig:
    """Return the configuration with a saved network in the place of a known one's name.

    Raises:
        UserError: images or weights that can't be used.
        StudyError: the run folder is in use, or holds a study already.
    """
    if config.uncompressed is None or Path(config.uncompressed.model).exists():
        if config.compress.base_weights is not None:
            raise ConfigError("--base-weights has no use beside a saved network, which has its own")
        return config
    folder = run / _FOLDER
    images = load_image_set(config.source, config.data, notify=watch.notify)
    name = config.uncompressed.model
    architecture = named_architecture(name)
    if (run / FILE_NAME).exists():
        raise StudyError(f"{run} holds a study already")
    base = _NewBase(
        name=name,
        config=config,
        images=images,
        splits=search_splits(images, config.split, config.seed),
        subject=Subject(architecture=architecture),
        watch=watch,
        started_at=started_at,
    )
    with lock_folder(run):
        # One that an earlier command left may have seen what are validation images now.
        save_model(folder, base.description, base.weights())
    return replace(config, uncompressed=replace(config.uncompressed, model=str(folder.resolve())))


@dataclass(frozen=True, kw_only=True)
class _NewBase:
    """A known network for images."""

    name: str
    config: StudyConfig
    images: ImageSet
    splits: SearchSplits
    subject: Subject
    watch: Watch
    started_at: float

    @property
    def description(self) -> ModelDescription:
        """What is saved beside its weights."""
        return ModelDescription(
            architecture=self.subject.architecture,
            classes=self.images.classes,
            preprocessing=self.images.preprocessing,
            standardisation=Standardisation.of(self.images.images, self.splits.training),
        )

    def weights(self) -> bytes:
        """Return its weights as a safetensors file: a file's, or trained now."""
        file = self.config.compress.base_weights
        return self._trained() if file is None else self._read(Path(file))

    def _read(self, file: Path) -> bytes:
        network = self.subject.network(self.images.input_shape, len(self.images.classes))
        wanted = network.state_dict()
        # Counters of batches tell nothing that is used; many files have none.
        given = {name: wanted[name] for name in wanted if "num_batches_tracked" in name}
        given |= {
            name: one.to(wanted[name].dtype) if name in wanted else one
            for name, one in read_weight_file(file).items()
        }
        check_tensors(given, wanted, f"{file} doesn't fit {self.name}")
        return tensors_to_bytes(given)

    def _trained(self) -> bytes:
        config, time_s = self.config, self.config.budget.time_s
        recipe = Recipe()
        epochs = recipe.longest_training(len(self.splits.folds[0][0]))
        spent_s = time.time() - self.started_at
        limit_s = None if time_s is None else max(_LEAST_S, _SHARE * time_s - spent_s)
        ends = "" if limit_s is None else f", for {limit_s:.0f} s at most"
        self.watch.notify(f"{self.name} has no weights yet: it is trained first{ends}")
        setup = OpenWorkplace(
            folder=self.images.folder,
            splits=self.splits,
            standardisation=self.description.standardisation,
        )
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
