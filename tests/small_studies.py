"""A tiny set of images, and studies on it that take seconds."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

# A few hundred images per evaluation; nothing here is about accuracy.
FAST: dict[str, Any] = {
    "image_passes": 400,
    "final_epochs": 3,
    "baseline": False,
    "max_macs": 300_000,
}


def write_stripes(path: Path, num_images: int = 150) -> Path:
    """Write an .npz of three classes: rows, columns, checks; return its path."""
    rng = np.random.default_rng(11)
    labels = rng.integers(3, size=num_images)
    images = rng.integers(0, 60, size=(num_images, 10, 10), dtype=np.uint8)
    images[labels == 0, ::2] += 120
    images[labels == 1, :, ::2] += 120
    images[labels == 2, ::2, ::2] += 120
    np.savez(path, images=images, labels=labels)
    return path


def flags(options: dict[str, Any]) -> list[str]:
    """Return options as the words of a command line."""
    words: list[str] = []
    for name, value in options.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{'' if value else 'no-'}{flag}")
        else:
            words += [f"--{flag}", str(value)]
    return words


def command(*words: str) -> list[str]:
    """Return the command line of an evoconv process."""
    return [sys.executable, "-m", "evoconv", *words]


def start(*words: str, cwd: Path) -> "subprocess.Popen[str]":
    """Start an evoconv process in a session of its own."""
    return subprocess.Popen(
        command(*words),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
