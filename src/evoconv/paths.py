"""Paths as people write them."""

from pathlib import Path


def expanded(text: str | Path) -> Path:
    """Return the path with a home folder in the place of ``~``; as it is where nobody has that."""
    path = Path(text)
    try:
        return path.expanduser()
    except RuntimeError:  # a folder may be called ~photos
        return path


def is_there(path: Path) -> bool:
    """Return whether a path can be seen; one that is too long to be a name, or hidden, can't."""
    try:
        return path.exists()
    except OSError:
        return False
