"""What this machine lets a process have."""

import contextlib
import ctypes
import os
from pathlib import Path

# Options of glibc's mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_MOST_KEPT = 2**31 - 1

_CONTROL_GROUP = Path("/sys/fs/cgroup")


def num_cores(control_group: Path = _CONTROL_GROUP) -> int:
    """Return how many cores this process may keep busy, at least 1.

    A container may see all cores of its machine and have the time of a few: its quota counts.

    Args:
        control_group: where Linux says what the container has.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    seen = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = _quota(control_group)
    return seen if quota is None else max(1, min(seen, int(quota)))


def _quota(folder: Path) -> float | None:
    """Return the cores whose time the control group has; None without a limit."""
    try:
        quota, period = (folder / "cpu.max").read_text("ascii").split()
    except (OSError, ValueError):
        try:  # the first version of control groups
            quota = (folder / "cpu" / "cpu.cfs_quota_us").read_text("ascii")
            period = (folder / "cpu" / "cpu.cfs_period_us").read_text("ascii")
        except (OSError, ValueError):
            return None
    try:
        return int(quota) / int(period) if int(quota) > 0 else None
    except (ValueError, ZeroDivisionError):  # "max" is no number
        return None


def keep_freed_memory() -> None:
    """Let this process keep what it frees for what it allocates next, where it has glibc.

    By default each large block is new memory of the system's, which hands it out page by page, all
    zeros: training small networks took 1.12 to 1.15 times as long (benchmarks/kept_memory.py).
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):  # no glibc, or none to be loaded
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, _MOST_KEPT)


def return_freed_memory() -> None:
    """Give the system back what this process freed and kept, where it has glibc."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
