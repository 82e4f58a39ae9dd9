"""What is bred by: the measure, weighed against size, or a formula of measured names.

Sources: Mitschke et al., "Gradient Based Evolution to Optimize the Structure of CNNs", section 2.1
(``gradient``); Litzinger et al., "Raising Efficiency" (``compact``).
Differs: Mitschke et al. have no epsilon under the cross-entropy l, so that l = 0 divides by zero;
here the same one is there. They don't give it; 0.01 keeps the few errors by which small validation
sets tell networks apart from outweighing all else. Their limit on memory is no part of the formula
but a hard limit, ``--max-memory``, as it is for every method.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product

from evoconv.errors import ConfigError
from evoconv.options import Options, option
from evoconv.problems.arithmetic import Expression, parse_expression
from evoconv.problems.compress_options import CompressOptions, Uncompressed
from evoconv.problems.objectives import (
    OBJECTIVES,
    PricedObjective,
    TargetAccuracy,
    moving_targets,
)
from evoconv.records import Measurement, Objective

FITNESS: Mapping[str, str] = {
    "accuracy": "accuracy",
    "cross-entropy": "-cross_entropy",
    "gradient": "1 / (1 - accuracy + epsilon) + C * accuracy + 1 / (cross_entropy + epsilon)"
    " - sqrt(macs / M)",
}
"""Formulas by name. ``compact`` is another one, made of a target or a price."""

FUNCTION = "function"
"""The name for a function of the person's own, which a study can't store."""

FitnessFunction = Callable[[Mapping[str, float]], float]
"""From figures named as in ``MEASURED`` to a fitness; higher is better."""

MEASURED: Mapping[str, str] = {
    "accuracy": "validation_accuracy",
    "balanced_accuracy": "validation_balanced_accuracy",
    "macro_f1": "validation_macro_f1",
    "cross_entropy": "validation_cross_entropy",
    "parameters": "parameters",
    "macs": "macs",
    "flash": "weight_bytes",
    "ram": "peak_activation_bytes",
    "memory": "memory_bytes",
    "latency": "latency_s",
}
"""What a formula may name, and what that is called in a measurement."""

# Where a formula must have a value, so that no measurement can be without: the ends of the ranges.
_FRACTIONS, _COSTS = (0.0, 0.5, 1.0), (1.0, 1e12)
_RANGES = {"cross_entropy": (0.0, 1.0, 1e3), "latency": (1e-6, 1e3)}

# The fitness of a measurement for which the formula has none after all: below any other.
_NONE = -1e100
# A network that was pruned further is as accurate again after some trainings: it must live so long.
_WORTH_TO_HEIRS = 1.5


@dataclass(frozen=True, kw_only=True)
class FitnessOptions(Options):
    """What counts beside the measure."""

    fitness: str | None = option(
        None,
        f"what is bred by: {', '.join(FITNESS)}, compact, or a formula such as"
        " 'accuracy - 0.1*log10(macs)' [--metric, with --target-accuracy or --size-price]",
    )
    fitness_epsilon: float = option(
        0.01, "epsilon of the fitness gradient", at_least=1e-9, at_most=1
    )
    fitness_c: float = option(10.0, "C of the fitness gradient", at_least=0, at_most=1e9)
    fitness_m: float = option(
        1e6, "M of the fitness gradient, in multiply-accumulates", at_least=1, unit="count"
    )

    target_accuracy: float | None = option(
        None,
        "a validation accuracy to be reached with as few parameters as possible",
        at_least=0,
        at_most=1,
        unit="percent",
    )
    target_slack: float = option(
        1.0,
        "how many times the target's error the search may leave to the full trainings after it",
        at_least=1,
        at_most=100,
    )
    size_price: float = option(
        0.0,
        "points of the measure that ten times as many parameters must gain to be worth it",
        at_least=0,
        at_most=1,
        unit="percent",
    )


@dataclass(frozen=True, kw_only=True)
class Formula(Objective):
    """A measure to report and to draw, and a formula to breed by.

    Attributes:
        constants: values of the names in the formula that nobody measures.
    """

    expression: Expression
    constants: Mapping[str, float]

    def fitness(self, measurement: Measurement) -> float:
        """Return the formula's value, higher is better; of one without, less than of all others."""
        value = self.expression.value({**_figures(measurement), **self.constants})
        return value if math.isfinite(value) else _NONE

    def needed(self, fitness: float, costs: Mapping[str, float]) -> float:  # noqa: ARG002
        """Return minus infinity: several measures may count, so no value of one is too low."""
        return -math.inf


@dataclass(frozen=True, kw_only=True)
class Judged(Objective):
    """A measure to report and to draw, and a fitness that ``judge`` has put into measurements."""

    def fitness(self, measurement: Measurement) -> float:
        """Return the fitness in the measurement."""
        return measurement.values["fitness"]

    def needed(self, fitness: float, costs: Mapping[str, float]) -> float:  # noqa: ARG002
        """Return minus infinity: nobody knows what the function makes of a value."""
        return -math.inf


def formula_of(objective: Objective) -> str | None:
    """Return the formula that is bred by, with its constants; None where there is none."""
    if isinstance(objective, Judged):
        return "a function in Python"
    if not isinstance(objective, Formula):
        return None
    used = [
        f"{name} {value:g}"
        for name, value in objective.constants.items()
        if name in objective.expression.names
    ]
    return objective.expression.text + (f" with {', '.join(used)}" if used else "")


def measures_latency(objective: Objective) -> bool:
    """Return whether a formula names the time of one image, so that it must be measured."""
    return isinstance(objective, Formula) and "latency" in objective.expression.names


def judge(measurement: Measurement, function: FitnessFunction) -> Measurement:
    """Return the measurement with what the function says of it; whatever that raises is raised."""
    fitness = float(function(_figures(measurement)))
    return replace(measurement, values={**measurement.values, "fitness": fitness})


def _figures(measurement: Measurement) -> dict[str, float]:
    """Return what formulas and functions may name, as far as it was measured."""
    values = measurement.values
    return {name: values[stored] for name, stored in MEASURED.items() if stored in values}


def study_objective(
    metric: str,
    fitness: FitnessOptions,
    compress: CompressOptions,
    uncompressed: Uncompressed | None,
) -> Objective:
    """Return what a study improves: of a compression the size of the file, at an accuracy.

    Raises:
        ConfigError: as ``choose_objective``.
    """
    if uncompressed is None:
        return choose_objective(metric, fitness)
    limit = compress.max_bytes
    smallest = TargetAccuracy(
        name=OBJECTIVES["accuracy"].name,
        direction=OBJECTIVES["accuracy"].direction,
        target=max(0.0, uncompressed.accuracy - compress.max_accuracy_drop),
        size="bytes",
        worth=TargetAccuracy.worth if compress.tuning is None else _WORTH_TO_HEIRS,
        # Measured are the tensors.
        most=math.inf if limit is None else limit - uncompressed.description_bytes,
    )
    if compress.aim == "bytes":
        return smallest
    return moving_targets(smallest, uncompressed.accuracy, compress.ratio_target)


def choose_objective(metric: str, options: FitnessOptions) -> Objective:
    """Return what a search improves; the metric is what it reports.

    Raises:
        ConfigError: a target accuracy together with another measure, a price or a formula; a
            formula that can't be read, or has no finite value somewhere.
    """
    plain = OBJECTIVES[metric]
    sized = _sized_options(metric, options)
    if options.fitness is None or options.fitness == "compact":
        if not sized and options.fitness is not None:
            raise ConfigError("--fitness compact needs --target-accuracy or --size-price")
        return _sized(plain, options)
    if sized:
        raise ConfigError(
            f"{sized} can't be combined with --fitness {options.fitness}, which a method may have"
            " brought along: add --fitness compact"
        )
    if options.fitness == FUNCTION:
        return Judged(name=plain.name, direction=plain.direction)
    constants = {
        "C": options.fitness_c,
        "M": options.fitness_m,
        "epsilon": options.fitness_epsilon,
    }
    text = FITNESS.get(options.fitness, options.fitness)
    try:
        expression = parse_expression(text, [*MEASURED, *constants])
    except ConfigError as error:
        raise ConfigError(f"--fitness: {error}") from None
    formula = Formula(
        name=plain.name, direction=plain.direction, expression=expression, constants=constants
    )
    _check_finite(formula)
    return formula


def _sized_options(metric: str, options: FitnessOptions) -> str:
    """Return the option by which size counts; empty without one."""
    if options.target_accuracy is None:
        return "--size-price" if options.size_price else ""
    if metric != "accuracy" or options.size_price:
        other = f"--metric {metric}" if metric != "accuracy" else "--size-price"
        raise ConfigError(f"--target-accuracy can't be combined with {other}")
    return "--target-accuracy"


def _sized(plain: Objective, options: FitnessOptions) -> Objective:
    if options.target_accuracy is not None:
        return TargetAccuracy(
            name=plain.name,
            direction=plain.direction,
            target=options.target_accuracy,
            slack=options.target_slack,
        )
    if options.size_price:
        return PricedObjective(name=plain.name, direction=plain.direction, price=options.size_price)
    return plain


def _check_finite(formula: Formula) -> None:
    """Raise ``ConfigError`` where the formula has no value at the ends of what can be measured."""
    for figures in _extremes(sorted(formula.expression.names - set(formula.constants))):
        if not math.isfinite(formula.expression.value({**figures, **formula.constants})):
            where = ", ".join(f"{name} {value:g}" for name, value in figures.items())
            raise ConfigError(
                f"--fitness {formula.expression.text!r} is not finite at {where or 'all'}"
            )


def _extremes(names: list[str]) -> Iterator[dict[str, float]]:
    def range_of(name: str) -> tuple[float, ...]:
        is_fraction = MEASURED[name].startswith("validation_")
        return _RANGES.get(name, _FRACTIONS if is_fraction else _COSTS)

    for values in product(*map(range_of, names)):
        yield dict(zip(names, values, strict=True))
