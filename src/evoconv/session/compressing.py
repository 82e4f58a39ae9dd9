"""A compression after an evolution: what ``--compress`` adds to a study."""

import time
from pathlib import Path

from evoconv.config import StudyConfig, config_from_dict, configure
from evoconv.session.opened import open_study
from evoconv.study.storage import FILE_NAME
from evoconv.timetable import COMPRESSION_SHARE

FOLDER = "compressed"
"""Name of its run folder, in that of the evolution."""

_LEAST_S = 30.0
_EVALUATIONS = 60


def compression_of(run: Path, started_at: float, time_s: float | None) -> StudyConfig | None:
    """Return the configuration of the compression that a finished study asks for.

    Args:
        run: the study's folder.
        started_at: when the command began, seconds since the epoch.
        time_s: how long it may take altogether; None for as long as the study's own time allows a
            compression.

    Returns:
        None if it asks for none, or that has begun already.

    Raises:
        StudyError: there is no such study, or it is in use.
    """
    with open_study(run) as storage:
        config = config_from_dict(storage.config)
    if not config.final.compress or (run / FOLDER / FILE_NAME).exists():
        return None
    own_s, options, workers = config.budget.time_s, config.compress, config.workers
    if time_s is not None:
        left_s: float | None = max(_LEAST_S, started_at + time_s - time.time())
    else:
        left_s = None if own_s is None else max(_LEAST_S, COMPRESSION_SHARE * own_s)
    return configure(
        config.source,
        {
            "time_s": left_s,
            "evaluations": _EVALUATIONS if left_s is None else None,
            "max_accuracy_drop": options.max_accuracy_drop,
            "max_bytes": options.max_bytes,
            "skip_bad_images": config.data.skip_bad_images,
            "workers": workers.workers,
            "accelerator": workers.accelerator,
            "worker_memory": workers.worker_memory,
        },
        seed=config.seed,
        command="compress",
        model=str(run),
    )
