"""Where a new study goes."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from evoconv.config import StudyConfig
from evoconv.errors import StudyError


@contextmanager
def run_folder(config: StudyConfig, out: Path | None) -> Iterator[Path]:
    """Give the run folder; a dated one is made at once, and goes if nothing was written to it."""
    if out is not None:
        yield out
        return
    run = _dated_folder(config)
    try:
        yield run
    finally:
        with suppress(OSError):  # they hold something
            run.rmdir()
            run.parent.rmdir()


def _dated_folder(config: StudyConfig) -> Path:
    """Make and return ``runs/<source>-<method>-<date>-<time>``, with a number if that exists."""
    name = Path(config.source.rstrip("/")).name.split(".")[0] or "images"
    stem = f"{name}-{config.method}-{datetime.now():%Y%m%d-%H%M%S}"
    for number in range(1000):
        run = Path("runs") / (stem if number == 0 else f"{stem}-{number}")
        try:
            run.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise StudyError(f"{run} can't be made: {error.strerror or error}") from error
        return run
    raise StudyError(f"runs/{stem} and 999 more exist already")
