"""Hard limits on what a network may cost, and by how much a cost violates them."""

from dataclasses import dataclass

from evoconv.genomes.shapes import BITS, Cost
from evoconv.options import Options, option


@dataclass(frozen=True, kw_only=True)
class Limits(Options):
    """Hard limits that hold for every network that is trained. None means no such limit."""

    max_parameters: int | None = option(
        None, "most trainable parameters a network may have", at_least=1, unit="count"
    )
    max_macs: int | None = option(
        None, "most multiply-accumulates per image", at_least=1, unit="count"
    )
    max_flash: int | None = option(None, "most bytes for weights", at_least=1, unit="bytes")
    max_ram: int | None = option(
        None, "most bytes for the activations alive at once", at_least=1, unit="bytes"
    )
    max_memory: int | None = option(
        None, "most bytes for weights and activations together", at_least=1, unit="bytes"
    )
    max_latency: float | None = option(
        None,
        "longest time for one image on one thread of this machine, measured before a network is"
        " trained",
        unit="duration",
    )
    bits: int = option(32, "bits of a weight or activation, for these sizes", choices=BITS)
    device: str | None = option(None, "a device that must be fitted: see evoconv devices")
    device_file: str | None = option(None, "a TOML file with more devices")


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A limit that a cost exceeds; as text, one sentence."""

    option: str
    unit: str
    limit: int
    value: int

    @property
    def ratio(self) -> float:
        """How many times the limit the value is; above 1."""
        return self.value / self.limit

    def __str__(self) -> str:
        over = f"{self.ratio:.1f} times that" if self.ratio >= 2 else f"{self.ratio - 1:.1%} over"
        return f"{self.option} {self.limit:,}: the network has {self.value:,} {self.unit}, {over}"


def violations(cost: Cost, limits: Limits) -> tuple[Violation, ...]:
    """Return the limits that the cost exceeds; empty if it keeps all."""
    compared = (
        ("--max-parameters", "parameters", limits.max_parameters, cost.parameters),
        ("--max-macs", "multiply-accumulates", limits.max_macs, cost.macs),
        ("--max-flash", "bytes of weights", limits.max_flash, cost.weight_bytes),
        ("--max-ram", "bytes of activations", limits.max_ram, cost.peak_activation_bytes),
        ("--max-memory", "bytes", limits.max_memory, cost.memory_bytes),
    )
    return tuple(
        Violation(option=name, unit=unit, limit=limit, value=value)
        for name, unit, limit, value in compared
        if limit is not None and value > limit
    )
