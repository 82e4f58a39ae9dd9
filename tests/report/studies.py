"""Studies made by hand, in storage as a search leaves them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evoconv.configure import configure
from evoconv.genomes.layers import Convolution, Dense, Pooling
from evoconv.genomes.shapes import cost
from evoconv.genomes.topology import Topology
from evoconv.records import Failure, FailureKind, Individual, Measurement, Trial, TrialState
from evoconv.study.storage import Storage
from evoconv.training.metrics import measure

SHAPE = (1, 8, 8)


def topology(filters: int) -> Topology:
    """Return a small network that differs by its filters."""
    return Topology(
        features=(
            Convolution(filters=filters, kernel=(3, 3), normalisation="batch"),
            Pooling(size=(2, 2)),
        ),
        classifier=(Dense(units=20, activation="tanh", dropout=0.2),),
    )


@dataclass
class MadeStudy:
    """A study that grows by calls, one second after the other."""

    storage: Storage
    num_classes: int
    now: float = 1000.0

    def add(
        self,
        accuracy: float | None,
        *,
        filters: int = 10,
        seconds: float = 2.0,
        worker: int = 0,
        copy_of: int | None = None,
        redraws: int = 0,
        failure: Failure | None = None,
    ) -> int:
        """Add a trial, complete with an accuracy, failed with a failure, else running."""
        number = len(self.storage.trials())
        genome = topology(filters)
        individual = Individual(number=number, genome=genome, redraws=redraws, copy_of=copy_of)
        self.storage.record_ask(1, [individual])
        if accuracy is None and failure is None:
            self.storage.start(number)
            return number
        measurement = None
        if accuracy is not None:
            measurement = Measurement(
                values={
                    "validation_accuracy": accuracy,
                    "validation_balanced_accuracy": accuracy - 0.01,
                    "validation_macro_f1": accuracy - 0.02,
                    "validation_cross_entropy": 1.01 - accuracy,
                    **cost(genome, SHAPE, self.num_classes).as_values(),
                }
            )
        told = Individual(
            number=number,
            genome=genome,
            redraws=redraws,
            copy_of=copy_of,
            measurement=measurement,
            failure=failure,
        )
        is_copy = copy_of is not None
        if not is_copy:
            self.storage.start(number)
        trial = Trial(
            individual=told,
            state=TrialState.COMPLETE if failure is None else TrialState.FAILED,
            attempts=0 if is_copy else 1,
            worker=None if is_copy else worker,
            started_at=None if is_copy else self.now,
            finished_at=None if is_copy else self.now + seconds,
        )
        self.now += 0 if is_copy else seconds
        self.storage.finish(trial)
        return number

    def fail(self, message: str = "no memory") -> int:
        """Add a trial that failed."""
        return self.add(None, failure=Failure(kind=FailureKind.OUT_OF_MEMORY, message=message))

    def end(self, trial: int, test_logits: Sequence[Any], labels: Any) -> None:
        """Finish the study: one repeat per logits (N, K), and a baseline like the first one."""
        folder = self.storage.path.parent
        (folder / "test").mkdir()
        rows = []
        names = [("repeat", index) for index in range(len(test_logits))]
        for name, number in [*names, ("baseline", len(test_logits))]:
            logits = np.asarray(test_logits[number if name == "repeat" else 0], np.float32)
            file = folder / "test" / f"{name}-{number}.npz"
            np.savez_compressed(file, logits=logits, labels=np.asarray(labels, np.int64))
            rows.append(
                {
                    "name": name,
                    "number": number,
                    "parameters": 1234,
                    "macs": 56_789,
                    "test": measure(logits, np.asarray(labels, np.int64)),
                    "logits": f"test/{file.name}",
                }
            )
        storage = self.storage
        storage.set_note("stop", {"reason": "all 3 evaluations are done"})
        storage.set_note("final", {"trial": trial, "kept": "retrained", "why": "", "rows": rows})
        storage.set_note(
            "checked",
            {"agrees": True, "num_images": len(labels), "latency_s": 0.00042, "latency_n": 50},
        )


def make_study(run: Path, *, num_classes: int = 3, **options: Any) -> MadeStudy:
    """Return a new study without trials in the run folder."""
    config = configure("images/parts", options, seed=42)
    storage = Storage.create(run, config.to_dict(), Topology.from_json)
    storage.set_note(
        "data",
        {
            "source": "images/parts",
            "folder": "elsewhere",
            "digest": "abc",
            "classes": [f"class {index}" for index in range(num_classes)],
            "input_shape": list(SHAPE),
            "num_images": 1200,
            "num_training": 1000,
            "num_validation": 200,
            "num_test": 200,
            "notes": ["alpha was dropped"],
        },
    )
    storage.set_note("precision", {"description": "float32", "choice": {}})
    storage.set_note("versions", {"evoconv": "0.1.0", "torch": "2.13.0"})
    return MadeStudy(storage, num_classes)


def logits_of(predictions: Sequence[int], num_classes: int) -> Any:
    """Return logits (N, K) whose largest value is at the predicted class."""
    return 5.0 * np.eye(num_classes, dtype=np.float32)[list(predictions)]
