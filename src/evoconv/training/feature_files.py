"""What frozen leading layers make of a study's images, computed once and shared by its workers.

A file per row of leading layers, memory-mapped: a training with many frozen layers costs its
rest only. It holds for layers whose weights are the same in every network of a study, and for
images without augmentation.
"""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from evoconv.data.batches import Source
from evoconv.execution.executor import Control
from evoconv.training.features import Features, LeadingLayers, named_layers
from evoconv.training.precision import Precision

_SUFFIX, _PART_SUFFIX = ".features", ".part"


@dataclass(frozen=True, kw_only=True)
class FeatureFolder:
    """Where the files are, and how large they may be together; each for the rows.

    ``rows`` are sorted; ``labels`` are theirs.
    """

    folder: Path
    max_bytes: int
    rows: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]

    def features(
        self,
        network: nn.Module,
        leading: Sequence[str],
        source: Source,
        precision: Precision,
        control: Control,
    ) -> Features | None:
        """Return what the leading layers of a network give, computed unless it was before.

        None where there is no room for it.

        Args:
            network: a row of layers.
            leading: the names of its first ones, which have the same weights in every network that
                has layers of these names.
            source: the images.
            precision: of the computation.
            control: of the task.

        Raises:
            Cancelled: the coordinator asked for it.
        """
        first = [name for name, _ in named_layers(network)[: len(leading)]]
        assert first == list(leading), "they are the first ones"
        layers = LeadingLayers.of(network, len(leading), source, precision)
        image, _ = source.cut(torch.from_numpy(self.rows[:1]).to(source.device))
        one = layers.outputs(image)
        shape = (len(self.rows), *one.shape[1:])
        digest = sha256("\n".join(leading).encode()).hexdigest()[:16]
        file = self.folder / f"{len(leading)}-layers-{digest}{_SUFFIX}"
        wanted = one.numel() * one.element_size() * len(self.rows)
        # A file of another size would be mapped all the same, and made longer.
        if not (file.is_file() and file.stat().st_size == wanted) and not self._write(
            file, wanted, layers, control
        ):
            return None
        values = torch.from_file(
            str(file), shared=True, size=int(np.prod(shape)), dtype=one.dtype
        ).view(shape)
        return Features(
            values,
            torch.from_numpy(self.labels),
            torch.from_numpy(self.rows),
            source.device,
            is_last=layers.is_last(one),
        )

    def _write(self, file: Path, wanted: int, layers: LeadingLayers, control: Control) -> bool:
        """Write the file, whole or not at all; return whether there was room."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # Two workers may do this at once, each in its own file: the later replaces its like.
            part = file.with_suffix(f".{os.getpid()}{_PART_SUFFIX}")
            try:
                with part.open("wb") as out:
                    # As long at once as it will be, so that the others count it before they begin.
                    out.truncate(wanted)
                    if self._taken() > self.max_bytes:
                        return False
                    self._compute(out, layers, control)
                part.replace(file)
            finally:
                part.unlink(missing_ok=True)
        except OSError:
            return False
        return True

    def _taken(self) -> int:
        """Return the bytes of all files, also those that workers are about to write."""
        taken = 0
        for suffix in (_SUFFIX, _PART_SUFFIX):
            for known in self.folder.glob(f"*{suffix}"):
                with contextlib.suppress(FileNotFoundError):  # renamed or removed just now
                    taken += known.stat().st_size
        return taken

    def _compute(self, out: BinaryIO, layers: LeadingLayers, control: Control) -> None:
        for values, _ in layers.in_parts(torch.from_numpy(self.rows), control):
            out.write(values.cpu().view(torch.uint8).numpy().tobytes())
