import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from evoconv.machine import num_cores

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("100000 100000", 1),
        ("50000 100000", 1),
        ("190000 100000", 1),
        ("6400000 100000", CORES),
        ("max 100000", CORES),
        ("100000 0", CORES),
        ("", CORES),
    ],
)
def test_a_containers_quota_counts(tmp_path: Path, text: str, cores: int) -> None:
    (tmp_path / "cpu.max").write_text(text + "\n")
    assert num_cores(tmp_path) == cores


@pytest.mark.parametrize(("quota", "cores"), [("100000", 1), ("-1", CORES)])
def test_so_does_that_of_older_systems(tmp_path: Path, quota: str, cores: int) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert num_cores(tmp_path) == cores


def test_without_control_groups_all_cores_are_there(tmp_path: Path) -> None:
    assert num_cores(tmp_path) == CORES


_FAULTS = """
import resource
import numpy as np
from evoconv.machine import keep_freed_memory
{keep}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(10_000_000)
before = faults()
for _ in range(10):
    np.ones(10_000_000)
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an option of glibc")
def test_memory_that_was_freed_is_used_again() -> None:
    new, again = (
        int(subprocess.check_output([sys.executable, "-c", _FAULTS.format(keep=keep)]))
        for keep in ("", "keep_freed_memory()")
    )
    assert new > 10 * again
