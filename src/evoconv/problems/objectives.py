"""What a search improves: a measure, alone or weighed against the number of parameters.

Source: Litzinger et al., "Raising Efficiency": the number of free parameters is a factor of the
fitness, for two scenarios: an accuracy to be reached with few parameters, or the best accuracy
within a limit on them.
Differs: the poster gives no formula; both here are the house's own.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from evoconv.records import Measurement, Objective

OBJECTIVES: Mapping[str, Objective] = {
    "accuracy": Objective(name="validation_accuracy", direction="maximize"),
    "balanced-accuracy": Objective(name="validation_balanced_accuracy", direction="maximize"),
    "macro-f1": Objective(name="validation_macro_f1", direction="maximize"),
    "cross-entropy": Objective(name="validation_cross_entropy", direction="minimize"),
}

_LEAST_ERROR = 1e-4
# From both moving targets; nearer is no better.
_LEAST_DISTANCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class PricedObjective(Objective):
    """A measure minus a price for size: value - price * log10(parameters)."""

    price: float

    def fitness(self, measurement: Measurement) -> float:
        """Return the value after the price; higher is better."""
        return self.value(measurement) - self._price_of(measurement.values)

    def needed(self, fitness: float, costs: Mapping[str, float]) -> float:
        """Return the value before the price."""
        return fitness + self._price_of(costs)

    def _price_of(self, costs: Mapping[str, float]) -> float:
        return self.price * _decades(costs)


@dataclass(frozen=True, kw_only=True)
class TargetAccuracy(Objective):
    """Reach an accuracy with the fewest parameters.

    An individual counts as having reached it when its mean validation accuracy minus one standard
    error does: a lucky measurement shouldn't win by its luck.

    Attributes:
        target: the accuracy, in [0, 1].
        slack: how many times its error candidates may have without being less fit, as a full
            training will correct the rest. It has no part in what counts as reached.
        size: what there should be few of; parameters, or bytes of a compressed network, whose
            accuracy is compared on the images that its own is known for: no luck is in that.
        worth: halving the error beyond the target's is worth 2 to this power times the size. Along
            a front error falls with a power of the size; where that power is one over this, the
            search settles.
        most: the size that a network must not exceed to be kept in the end where another doesn't.
    """

    target: float
    slack: float = 1.0
    size: str = "parameters"
    worth: float = 4.0
    most: float = math.inf

    def fitness(self, measurement: Measurement) -> float:
        """Return minus the decades of its size, and ``worth`` of them per decade of error.

        Only error beyond the target's, with its slack, counts, so that of networks that reach it
        the smaller is fitter; below it size counts too, or a search would grow large networks
        before it begins to shrink them.
        """
        excess = max(1.0, (1 - self._cautious(measurement)) / self._least_error)
        return -self.worth * math.log10(excess) - _decades(measurement.values, self.size)

    def merit(self, measurement: Measurement) -> float:
        """Return the cautious accuracy in [0, 1] below the target; above it a number in (1, 2].

        That is 1 + 1 / (1 + decades of parameters): the fewer, the higher. Of one above ``most``
        it is minus its decades.
        """
        if measurement.values.get(self.size, 0.0) > self.most:
            return -_decades(measurement.values, self.size)
        if not self.is_reached(measurement):
            return self._cautious(measurement)
        return 1 + 1 / (1 + _decades(measurement.values, self.size))

    def needed(self, fitness: float, costs: Mapping[str, float]) -> float:
        """Return the accuracy, without its standard error, that gives the fitness."""
        decades = (-fitness - _decades(costs, self.size)) / self.worth
        return math.inf if decades < 0 else max(0.0, 1 - self._least_error * 10**decades)

    @property
    def _least_error(self) -> float:
        """The target's error; an error of none is out of reach, yet must leave a scale."""
        return max(self.slack * (1 - self.target), _LEAST_ERROR)

    def is_reached(self, measurement: Measurement) -> bool:
        """Return whether the individual counts as having reached the target."""
        return self._cautious(measurement) >= self.target

    def _cautious(self, measurement: Measurement) -> float:
        accuracy = measurement.values["validation_accuracy"]
        if self.size != "parameters":
            return accuracy
        return max(0.0, accuracy - measurement.values.get("validation_accuracy_error", 0.0))


@dataclass
class _Targets:
    """What is to be reached; whoever surpasses one moves it."""

    accuracy: float
    ratio: float


@dataclass(frozen=True, kw_only=True)
class MovingTargets(TargetAccuracy):
    """An accuracy and a ratio of compression to come near to; they move when they are surpassed.

    Source: Čoupek, "Evolutionary Optimization of Convolutional Neural Networks", step 4 and
    equation 1: 1 / sqrt((1 - ACC / ACC_target)² + (1 - CR / CR_target)²). Differs: the root has at
    least ``_LEAST_DISTANCE``, for who surpasses both is at the targets, where the formula has no
    value; CR is of all parameters. All who live are compared by where the targets are now. What is
    kept in the end is still the smallest that reaches the accuracy. That a target moved is no event
    of the log: it follows from the results, so a replay, which tells them in the log's order, moves
    them alike, and nothing that is stored can contradict them.

    Attributes:
        targets: where they are.
    """

    targets: _Targets

    @property
    def moves(self) -> bool:
        """They do."""
        return True

    def told(self, measurement: Measurement) -> None:
        """Move what was surpassed."""
        values = measurement.values
        self.targets.accuracy = max(self.targets.accuracy, values["validation_accuracy"])
        self.targets.ratio = max(self.targets.ratio, values["ratio_formula"])

    def fitness(self, measurement: Measurement) -> float:
        """Return equation 1, in (0, 1 / ``_LEAST_DISTANCE``]."""
        values = measurement.values
        distance = math.hypot(
            1 - values["validation_accuracy"] / self.targets.accuracy,
            1 - values["ratio_formula"] / self.targets.ratio,
        )
        return 1 / max(distance, _LEAST_DISTANCE)


def moving_targets(target: TargetAccuracy, accuracy: float, ratio: float) -> MovingTargets:
    """Return the published objective, with targets that begin so and an accuracy to be kept."""
    return MovingTargets(
        **{one.name: getattr(target, one.name) for one in fields(target)},
        targets=_Targets(max(accuracy, _LEAST_ERROR), ratio),
    )


def _decades(costs: Mapping[str, float], size: str = "parameters") -> float:
    return math.log10(max(1.0, costs.get(size, 1.0)))
