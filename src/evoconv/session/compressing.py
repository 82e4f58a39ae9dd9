"""A compression after an evolution: what ``--compress`` adds to a study."""

import time
from pathlib import Path

from evoconv.config import StudyConfig, configure
from evoconv.study.storage import FILE_NAME

FOLDER = "compressed"
"""Name of its run folder, in that of the evolution."""

_SHARE = 1 / 3
_LEAST_S = 30.0
_EVALUATIONS = 60


def time_without_compression(config: StudyConfig) -> float | None:
    """Return the seconds that a study has for itself; None for no limit."""
    time_s = config.budget.time_s
    if time_s is None or not config.final.compress:
        return time_s
    return time_s * (1 - _SHARE)


def compression_of(run: Path, config: StudyConfig, started_at: float) -> StudyConfig | None:
    """Return the configuration of the compression that a finished study asks for.

    Args:
        run: the study's folder.
        config: the study's own.
        started_at: when the command began, seconds since the epoch.

    Returns:
        None if it asks for none, or that has begun already.
    """
    if not config.final.compress or (run / FOLDER / FILE_NAME).exists():
        return None
    time_s, options = config.budget.time_s, config.compress
    left_s = None if time_s is None else max(_LEAST_S, started_at + time_s - time.time())
    return configure(
        config.source,
        {
            "time_s": left_s,
            "evaluations": _EVALUATIONS if left_s is None else None,
            "max_accuracy_drop": options.max_accuracy_drop,
            "max_bytes": options.max_bytes,
            "workers": config.workers.workers,
            "accelerator": config.workers.accelerator,
        },
        seed=config.seed,
        command="compress",
        model=str(run),
    )
