"""Number format and memory layout, chosen by a short measurement, not by belief.

Which is fastest depends on the machine: on a core with bfloat16 instructions autocast trains
twice as many images a second, on others it is slower than float32.
"""

import time
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from evoconv.errors import StudyError


@dataclass(frozen=True, kw_only=True)
class Precision:
    """How tensors are held while training: autocast to bfloat16 or not, channels last or not."""

    bfloat16: bool = False
    channels_last: bool = False

    def __str__(self) -> str:
        layout = ", channels last" if self.channels_last else ""
        return ("bfloat16 autocast" if self.bfloat16 else "float32") + layout

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> "Precision":
        """Return what ``to_dict`` gave; ``StudyError`` if it is something else."""
        if not isinstance(values, dict) or set(values) != {"bfloat16", "channels_last"}:
            raise StudyError("the study's precision note is damaged")
        return cls(bfloat16=bool(values["bfloat16"]), channels_last=bool(values["channels_last"]))

    @property
    def memory_format(self) -> torch.memory_format:
        """Torch's name of the layout."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def arranged(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the inputs of a network in the layout; only maps, (B, C, H, W), have one."""
        return inputs.contiguous(memory_format=self.memory_format) if inputs.ndim == 4 else inputs

    def autocast(self, device: torch.device) -> torch.autocast:
        """Return the context in which forward passes run."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.bfloat16)


CHOICES = (
    Precision(),
    Precision(channels_last=True),
    Precision(channels_last=True, bfloat16=True),
)


def measure_precision(
    device: torch.device, channels: int, *, seconds: float
) -> tuple[Precision, dict[str, float]]:
    """Return the fastest choice on this device, and images/s of each.

    Measured on forward, backward and step of a small typical network at batch 128, in turns, so
    that a busy neighbour slows all choices alike.
    """
    runs = [_Run(choice, device, channels) for choice in CHOICES]
    for run in runs:
        run.step()  # the first step allocates and chooses kernels
    spent = [0.0] * len(runs)
    steps = [0] * len(runs)
    while sum(spent) < seconds:
        for index, run in enumerate(runs):
            started = time.perf_counter()
            run.step()
            spent[index] += time.perf_counter() - started
            steps[index] += 1
    speeds = [_BATCH * done / taken for done, taken in zip(steps, spent, strict=True)]
    # A gain of under 5 % isn't worth fewer digits.
    best = 0
    for index in range(1, len(CHOICES)):
        if speeds[index] > 1.05 * speeds[best]:
            best = index
    return CHOICES[best], {
        str(choice): speed for choice, speed in zip(CHOICES, speeds, strict=True)
    }


_BATCH = 128


def probe_macs(channels: int) -> int:
    """Return the multiply-accumulates per image of the network that ``measure_precision`` times."""
    convolutions = 28**2 * channels * 32 * 9 + 14**2 * 32 * 32 * 9 + 7**2 * 32 * 48 * 9
    return convolutions + 48 * 9 * 10


class _Run:
    """One network trained over and over on the same batch."""

    def __init__(self, choice: Precision, device: torch.device, channels: int) -> None:
        self._choice, self._device = choice, device
        layers: list[nn.Module] = []
        for inside, outside, size in ((channels, 32, 3), (32, 32, 3), (32, 48, 3)):
            layers += [nn.Conv2d(inside, outside, size, padding=1), nn.BatchNorm2d(outside)]
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
        self._network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(48 * 9, 10))
        self._network.to(device, memory_format=choice.memory_format)  # type: ignore[call-overload]
        self._optimizer = torch.optim.SGD(self._network.parameters(), lr=0.01)
        images = torch.zeros(_BATCH, channels, 28, 28, device=device)
        self._images = images.contiguous(memory_format=choice.memory_format)
        self._labels = torch.zeros(_BATCH, dtype=torch.int64, device=device)

    def step(self) -> None:
        """Train one batch to the end, GPU queues included."""
        with self._choice.autocast(self._device):
            loss = F.cross_entropy(self._network(self._images), self._labels)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
