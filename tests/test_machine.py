import os
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
