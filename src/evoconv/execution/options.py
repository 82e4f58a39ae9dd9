"""Where a study's evaluations run: how many workers, on which device, with how much memory."""

from dataclasses import dataclass

from evoconv.machine import num_cores
from evoconv.options import Options, option


@dataclass(frozen=True, kw_only=True)
class WorkerOptions(Options):
    """Workers are processes; on a CPU each has one thread."""

    workers: int | None = option(
        None,
        "worker processes [a CPU: one per core; a GPU: 4 per device]",
        at_least=1,
        at_most=4096,
    )
    worker_memory: int | None = option(
        None, "memory a worker may use beside the shared images", at_least=1, unit="bytes"
    )
    max_disk: int = option(
        2_000_000_000,
        "most bytes for the weights of evaluations; the least needed are removed first",
        at_least=1_000_000,
        unit="bytes",
    )
    accelerator: str = option(
        "auto",
        "where to train: all GPUs if there are any, else the CPU",
        choices=("auto", "cpu", "cuda"),
    )

    def slots(self, num_gpus: int) -> tuple[str, ...]:
        """Return the device of each worker, given how many GPUs there are."""
        if self.accelerator == "cpu" or num_gpus == 0:
            return ("cpu",) * (self.workers or num_cores())
        workers = self.workers or 4 * num_gpus
        return tuple(f"cuda:{worker % num_gpus}" for worker in range(workers))
