"""Benchmark results, cell by cell: a long benchmark continues where it stopped.

A benchmark is a table of cells, each measured once and stored at once in
``benchmarks/results/<benchmark>.json``; delete the file, or a cell in it, to measure again. Cells
whose names differ only in a number at the end are repeats of one measurement. ``EVOCONV_RESULTS``
names another folder.
"""

import json
import os
import platform
import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import torch

RESULTS = Path(os.environ.get("EVOCONV_RESULTS", Path(__file__).parent / "results"))

_settings: dict[str, str] = {}


def setting(name: str, default: str) -> str:
    """Return an environment variable that sizes a benchmark; results name it where it is set."""
    if name in os.environ:
        _settings[name] = os.environ[name]
    return os.environ.get(name, default)


class Cells:
    """The stored cells of one benchmark."""

    def __init__(self, benchmark: str) -> None:
        self._path = RESULTS / f"{benchmark}.json"
        self._benchmark = benchmark
        self._cells = self._stored()

    def _stored(self) -> dict[str, dict[str, Any]]:
        if not self._path.exists():
            return {}
        cells: dict[str, dict[str, Any]] = json.loads(self._path.read_text("utf-8"))["cells"]
        return cells

    def measure(self, name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the cell's figures: stored ones, or those measured now and stored."""
        if name not in self._cells:
            print(f"{self._benchmark}: {name} …", flush=True)
            figures = measure()
            when = datetime.now(UTC).isoformat(timespec="seconds")
            figures = {**figures, "machine": machine(), "measured_at": when}
            # Another process may have measured other cells meanwhile.
            self._cells = self._stored() | {name: figures}
            self._save()
            print(f"{self._benchmark}: {name}: {figures}", flush=True)
        return self._cells[name]

    def get(self, name: str) -> dict[str, Any] | None:
        """Return the figures of a stored cell, or None."""
        return self._cells.get(name)

    def names(self) -> list[str]:
        """Return the names of all stored cells."""
        return list(self._cells)

    def repeats(self, name: str) -> list[dict[str, Any]]:
        """Return the figures of the stored cells called so with a number at the end, by number."""
        numbered = [one for one in self._cells if _without_number(one) == name != one]
        numbered.sort(key=lambda one: int(one.rpartition(" ")[2]))
        return [self._cells[one] for one in numbered]

    def _save(self) -> None:
        settings = "".join(f"{name}={value} " for name, value in _settings.items())
        num_repeats: Counter[str] = Counter()
        for name, figures in self._cells.items():
            num_repeats[_without_number(name)] += figures.get("n", 1)
        content = {
            "command": f"{settings}python -m benchmarks {self._benchmark}",
            "machine": machine(),
            "n": dict(num_repeats),
            "cells": self._cells,
        }
        RESULTS.mkdir(parents=True, exist_ok=True)
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps(content, indent=1), "utf-8")
        part.replace(self._path)


def _without_number(name: str) -> str:
    return re.sub(r" \d+$", "", name)


def machine() -> str:
    """Return what the figures were measured on."""
    gpu = f", {torch.cuda.get_device_name(0)}" if torch.cuda.is_available() else ""
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores of {_processor()}{gpu}, torch {torch.__version__}, {platform.system()}"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def spread(values: Sequence[float], form: str) -> str:
    """Return the median with minimum and maximum, each formatted so; one value as it is."""
    middle = format(median(values), form)
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):{form}}–{max(values):{form}})"


def print_table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table; nothing if it has no rows."""
    if not rows:
        return
    print(f"\n### {title}\n")
    print("| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(head))
    for row in rows:
        print("| " + " | ".join(str(one) for one in row) + " |")
    print(flush=True)
