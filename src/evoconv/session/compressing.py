"""A compression after an evolution: what ``--compress`` adds to a study."""

import time
from collections.abc import Callable
from pathlib import Path

from evoconv.config import StudyConfig, config_from_dict
from evoconv.configure import configure
from evoconv.session.opened import is_finished, open_study
from evoconv.session.studies import resume_study, start_study
from evoconv.study.storage import FILE_NAME
from evoconv.study.watch import Watch
from evoconv.timetable import COMPRESSION_SHARE

FOLDER = "compressed"
"""Name of its run folder, in that of the evolution."""

_LEAST_S = 30.0
_EVALUATIONS = 60


def compression_of(
    run: Path, started_at: float, time_s: float | None
) -> Callable[[Watch], Path] | None:
    """Return what does the compression that a finished study asks for, and gives its run folder.

    One that was begun, and stopped by a crash or by a person, goes on where it stopped.

    Args:
        run: the study's folder.
        started_at: when the command began, seconds since the epoch.
        time_s: how long it may take altogether; None for as long as the study's own time allows a
            compression.

    Returns:
        None if it asks for none, or that is finished already.

    Raises:
        StudyError: there is no such study, or it or its compression is in use.
    """
    with open_study(run) as storage:
        config = config_from_dict(storage.config)
    if not config.final.compress:
        return None
    folder = run / FOLDER
    left_s = None if time_s is None else max(_LEAST_S, started_at + time_s - time.time())
    if not (folder / FILE_NAME).exists():
        new = _configured(config, run, left_s)
        return lambda watch: start_study(new, folder, watch)
    with open_study(folder) as storage:
        if is_finished(storage):
            return None

    def go_on(watch: Watch) -> Path:
        watch.notify(f"its compression in {folder} goes on")
        return resume_study(folder, watch, time_s=left_s)

    return go_on


def _configured(config: StudyConfig, run: Path, left_s: float | None) -> StudyConfig:
    """Return the configuration of the compression of a study, for so many seconds."""
    own_s, options, workers = config.budget.time_s, config.compress, config.workers
    if left_s is None and own_s is not None:
        left_s = max(_LEAST_S, COMPRESSION_SHARE * own_s)
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
