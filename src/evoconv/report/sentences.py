"""Trials, networks and figures in a few words, for people."""

import re
from collections.abc import Mapping

from evoconv.genomes.constraints import Limits
from evoconv.genomes.plan_space import plan_text
from evoconv.genomes.sharing_space import Sharing
from evoconv.genomes.topology import Topology
from evoconv.genomes.vector import Vector
from evoconv.records import Failure, Genome, Individual
from evoconv.units import format_bytes, format_count, format_percent

_MAX_REASON = 160
# A layer's kind and size, without activation, normalisation and dropout: 'convolution 22 5×5'.
_HEAD = re.compile(r"\D*\S+(?: \d+×\S+)?")


def printable(text: str) -> str:
    """Return one line that can't steer a terminal: names in images and studies are hostile."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)


def measure_text(name: str, value: float | None, digits: int = 2) -> str:
    """Return '98.72 %', or nats for the cross-entropy; a dash for what isn't known.

    >>> measure_text("accuracy", 0.98724), measure_text("cross-entropy", 0.0421)
    ('98.72 %', '0.0421')
    """
    if value is None or value != value:
        return "–"
    return f"{value:.4f}" if name == "cross-entropy" else format_percent(value, digits)


def measures_text(metric: str, values: Mapping[str, float]) -> str:
    """Return the validation accuracy and, where the search improves another measure, that one."""
    accuracy = measure_text("accuracy", values.get("validation_accuracy"))
    if metric == "accuracy":
        return f"accuracy {accuracy}"
    value = measure_text(metric, values.get(f"validation_{metric.replace('-', '_')}"))
    return f"{metric} {value}, accuracy {accuracy}"


def trial_text(individual: Individual, metric: str) -> str:
    """Return 'trial 17: accuracy 98.72 %, 23.4k parameters, 1.2M MACs', or bytes instead."""
    measured = individual.measurement
    values = {} if measured is None else measured.values
    text = f"trial {individual.number}: {measures_text(metric, values)}"
    if "bytes" in values:
        return f"{text}, {format_bytes(int(values['bytes']))}"
    for name, noun in (("parameters", "parameters"), ("macs", "MACs")):
        if name in values:
            text += f", {format_count(values[name])} {noun}"
    return text


def network_text(genome: Genome) -> str:
    """Return the layers in one line: 'convolution 22 5×5 → max pooling 2×2 → dense 120'."""
    if isinstance(genome, Vector):
        # A plan of transfer ends with fractions; a sharing with numbers of clusters.
        is_plan = isinstance(genome.values[-1], float)
        return plan_text(genome) if is_plan else str(Sharing.of(genome))
    if not isinstance(genome, Topology):
        return genome.digest
    layers = [*genome.features, *genome.classifier]
    heads = (_HEAD.match(str(layer)) for layer in layers)
    return " → ".join(head[0] for head in heads if head)


def reason_text(failure: Failure) -> str:
    """Return the failure's kind and the first line of its message, cut to a sensible length."""
    lines = str(failure).strip().splitlines() or [str(failure.kind)]
    line = printable(lines[0])
    return line if len(line) <= _MAX_REASON else f"{line[: _MAX_REASON - 1]}…"


def limits_text(limits: Limits) -> str | None:
    """Return the hard limits of a study in one line; None where there are none."""
    said = [
        f"{what} {write(value)}"
        for what, value, write in (
            ("parameters", limits.max_parameters, format_count),
            ("MACs", limits.max_macs, format_count),
            ("flash", limits.max_flash, format_bytes),
            ("RAM", limits.max_ram, format_bytes),
            ("memory", limits.max_memory, format_bytes),
            ("time per image", limits.max_latency, lambda seconds: f"{1000 * seconds:g} ms"),
        )
        if value is not None
    ]
    if not said:
        return None
    device = "" if limits.device is None else f"{limits.device}: "
    return f"{device}at most {', '.join(said)}, at {limits.bits} bits"


def counts_text(num_evaluations: int, num_failed: int, num_copies: int) -> str:
    """Return '112 evaluations (3 failed, 5 copies)'; copies were answered from the record."""
    text = f"{num_evaluations:,} evaluation{'' if num_evaluations == 1 else 's'}"
    rest = [f"{num_failed:,} failed"] if num_failed else []
    if num_copies:
        rest.append(f"{num_copies:,} cop{'y' if num_copies == 1 else 'ies'}")
    return f"{text} ({', '.join(rest)})" if rest else text
