"""What every executor does where a job runs: set up, try the task, make data of what it raises."""

from collections.abc import Callable
from typing import Any

from evoconv.errors import SearchFailed, StudyError, UserError
from evoconv.execution.executor import Cancelled, Control, JobFailed, Setup
from evoconv.records import Failure, FailureKind

_MAX_MESSAGE = 500
# Frameworks raise their own classes and plain RuntimeErrors; none of them is imported here.
_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "cannot allocate memory")


def prepare(setup: Setup, slot: int, device: str) -> Any:
    """Return the workplace.

    Raises:
        UserError: as ``setup`` raised it.
        SearchFailed: for anything else it raised; without a workplace no candidate can be tried.
    """
    try:
        return setup(slot, device)
    except UserError:
        raise
    except Exception as error:
        raise SearchFailed(f"worker {slot} can't work on {device}: {_describe(error)}") from error


def attempt(
    task: Callable[[Any, Control], Any], workplace: Any, control: Control
) -> tuple[Any, Failure | None]:
    """Return the task's result and None, or None and why there is no result."""
    try:
        return task(workplace, control), None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - SystemExit from a task must not end the search
        return None, failure_of(error)


def failure_of(error: BaseException) -> Failure:
    """Return what an exception out of a task says about its candidate."""
    if isinstance(error, JobFailed):
        return error.failure
    if isinstance(error, Cancelled):
        return Failure(kind=FailureKind.CANCELLED, message="")
    if isinstance(error, StudyError):
        return Failure(kind=FailureKind.ENVIRONMENT, message=str(error))
    text = str(error).lower()
    if (
        isinstance(error, MemoryError)
        or "OutOfMemoryError" in type(error).__name__
        or any(phrase in text for phrase in _OUT_OF_MEMORY)
    ):
        return Failure(kind=FailureKind.OUT_OF_MEMORY, message=_describe(error))
    return Failure(kind=FailureKind.ERROR, message=_describe(error))


def _describe(error: BaseException) -> str:
    """Return type and first line of the message, as the last line of a traceback has them."""
    lines = str(error).strip().splitlines()
    name = type(error).__name__
    return f"{name}: {lines[0]}"[:_MAX_MESSAGE] if lines else name
