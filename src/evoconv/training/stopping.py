"""When to stop a training: rules that read its learning curve, and say why.

- *patience*: the last epochs brought less than a minimal improvement over the best before them
  (Prechelt 1998, "Early stopping, but when?", his criterion UP on windows).
- *divergence*: training and validation loss have both risen far above their lowest.
- *guessing*: after so many epochs both losses are still those of guessing, log K.
- *extrapolation*: even an optimistic continuation ends below a threshold, say the fitness with
  which a network could still enter the population. The idea is that of Domhan et al. 2015
  ("Speeding up automatic hyperparameter optimization of deep neural networks by extrapolation of
  learning curves"); the formula, a bound instead of their eleven curves and sampling, is the
  house's own. It is in ``optimistic_error``.

A rule is off until its option is set. All thresholds are fixed before a training starts, so the
same curve is always stopped in the same epoch, whoever asks and whenever. The rules suit schedules
that don't know the end of a training; where the rate falls towards a planned end (cosine,
one-cycle) the best comes last, and stopping early means losing it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evoconv.options import Options, option
from evoconv.records import CurvePoint

# The rules that judge how far a network can get, not whether its training is sound.
CURVE_RULES = ("patience", "guessing", "extrapolation")

# A loss within 1 % of guessing's has learnt nothing.
_AS_GOOD_AS_GUESSING = 0.99
# Extrapolation is silent until the loss is below this share of guessing's: some networks stay on a
# plateau for epochs and then learn at once.
_HARDLY_BEGUN = 0.6
# A loss under this share of guessing's counts as that much: a good network's loss may well double.
_SMALL_LOSS = 0.1
_FEWEST_POINTS = 4
_DEVIATIONS = 3
# The odds of being always wrong are infinite; fits need numbers.
_NO_HOPE = 0.999


@dataclass(frozen=True, kw_only=True)
class StoppingOptions(Options):
    """When a training ends before its last epoch."""

    epoch_patience: int | None = option(
        None,
        "epochs that must bring an improvement; unset: never stop",
        at_least=1,
        at_most=100_000,
    )
    min_improvement: float = option(
        0.001, "what counts as one, in the measure", at_least=0, at_most=1, unit="percent"
    )
    min_epochs: int = option(
        2, "epochs before which no training is stopped", at_least=1, at_most=100_000
    )
    divergence: float | None = option(
        None,
        "stop when the losses are this many times their lowest; unset: never",
        at_least=1.1,
        at_most=1e6,
    )
    guessing_epochs: int | None = option(
        None,
        "stop after this many epochs with the loss of guessing; unset: never",
        at_least=1,
        at_most=100_000,
    )
    optimism: float | None = option(
        None,
        "stop when a continuation this many times as good as the trend is hopeless; unset: never",
        at_least=1,
        at_most=100,
    )

    @property
    def is_on(self) -> bool:
        """True where some rule may stop a training, so that it needs to be validated."""
        limits = (self.epoch_patience, self.divergence, self.guessing_epochs, self.optimism)
        return any(one is not None for one in limits)


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Why a training was ended: the rule's name, a sentence, and after which epoch."""

    rule: str
    sentence: str
    epoch: int

    def __str__(self) -> str:
        return self.sentence


def stop_reason(
    curve: Sequence[CurvePoint],
    options: StoppingOptions,
    threshold: float | None,
    max_epochs: int,
    num_classes: int,
    *,
    values: Sequence[float] | None = None,
    ceiling: float = 1.0,
    since: int = 0,
) -> Stop | None:
    """Return why to stop after the curve's last point, or None: go on.

    At the last epoch it is None: such a training ends by itself. Points without a validation are
    passed over; nothing is said before there are any.

    Args:
        curve: the points of one training, epochs rising.
        options: which rules are on, and their limits.
        threshold: the value a training must be able to reach, fixed when it was submitted; None
            leaves extrapolation out. With several objectives it is the one below which a network
            of these costs is dominated.
        max_epochs: after which epoch the training ends by itself.
        num_classes: K of guessing's loss.
        values: the study's measure at each point, higher is better; unset: validation accuracy.
        ceiling: the highest value possible: 1, the lowest being 0; or 0 for a negated loss.
        since: the epoch after which layers were no longer frozen. What came before was another
            training: rules look, and count epochs, from there on.
    """
    scores = [one.validation_accuracy for one in curve] if values is None else values
    seen = [
        _Seen(point.epoch - since, point.train_loss, point.validation_loss, value)
        for point, value in zip(curve, scores, strict=True)
        if point.epoch > since and not math.isnan(value)
    ]
    if not seen or curve[-1].epoch >= max_epochs or seen[-1].epoch < options.min_epochs:
        return None
    guessing = math.log(num_classes)
    found = (
        _divergence(seen, options, guessing)
        or _still_guessing(seen, options, guessing)
        or _extrapolation(seen, options, threshold, max_epochs - since, guessing, ceiling)
        or _patience(seen, options)
    )
    if found is None:
        return None
    rule, sentence = found
    return Stop(rule=rule, sentence=sentence, epoch=curve[-1].epoch)


@dataclass(frozen=True)
class _Seen:
    """A validated epoch, counted from where the rules begin to look."""

    epoch: int
    train_loss: float
    validation_loss: float
    value: float


_Found = tuple[str, str] | None


def _patience(seen: Sequence[_Seen], options: StoppingOptions) -> _Found:
    if options.epoch_patience is None:
        return None
    first_late = seen[-1].epoch - options.epoch_patience + 1
    before = [one.value for one in seen if one.epoch < first_late]
    lately = [one.value for one in seen if one.epoch >= first_late]
    if not before:
        return None
    gain = max(lately) - max(before)
    if gain >= options.min_improvement and gain > 0:
        return None
    sentence = (
        f"the last {options.epoch_patience} epochs brought no improvement of"
        f" {options.min_improvement:g} over {max(before):.4f}"
    )
    return "patience", sentence


def _divergence(seen: Sequence[_Seen], options: StoppingOptions, guessing: float) -> _Found:
    """Both losses must have risen: validation loss alone also rises with a network's confidence."""
    if options.divergence is None:
        return None
    for losses in ([one.train_loss for one in seen], [one.validation_loss for one in seen]):
        if not losses[-1] > options.divergence * max(min(losses), _SMALL_LOSS * guessing):
            return None
    last = seen[-1]
    sentence = (
        f"the losses rose to {last.train_loss:.3g} (training) and {last.validation_loss:.3g}"
        f" (validation), over {options.divergence:g} times their lowest"
    )
    return "divergence", sentence


def _still_guessing(seen: Sequence[_Seen], options: StoppingOptions, guessing: float) -> _Found:
    if options.guessing_epochs is None or seen[-1].epoch < options.guessing_epochs:
        return None
    lowest = min(min(one.train_loss, one.validation_loss) for one in seen)
    if not lowest >= _AS_GOOD_AS_GUESSING * guessing:
        return None
    sentence = f"after {seen[-1].epoch} epochs the loss is still that of guessing, {guessing:.3g}"
    return "guessing", sentence


def _extrapolation(
    seen: Sequence[_Seen],
    options: StoppingOptions,
    threshold: float | None,
    max_epochs: int,
    guessing: float,
    ceiling: float,
) -> _Found:
    if options.optimism is None or threshold is None:
        return None
    lowest = min(one.validation_loss for one in seen)
    if max(one.value for one in seen) >= threshold or not lowest < _HARDLY_BEGUN * guessing:
        return None
    errors = [(one.epoch, ceiling - one.value) for one in seen]
    reachable = optimistic_error(errors, max_epochs, options.optimism, ceiling or math.inf)
    if reachable is None or ceiling - reachable >= threshold:
        return None
    sentence = (
        f"an optimistic continuation to epoch {max_epochs} reaches {ceiling - reachable:.4f},"
        f" not the {threshold:.4f} that is needed"
    )
    return "extrapolation", sentence


def optimistic_error(
    errors: Sequence[tuple[int, float]], max_epochs: int, optimism: float, worst: float = 1.0
) -> float | None:
    """Return a lower bound of the error after the last epoch; None where too little is known.

    The odds of an error, error / (1 - error), are taken to fall as a power of the epochs: for small
    errors the curve 'pow3' of Domhan et al. with an asymptote of no error at all. A line is fitted
    by least squares to the logarithms of both in the later half of the curve (at least four
    points). The bound starts from the lowest odds seen, or the fitted ones less three deviations of
    the points if that is lower, and falls from there at ``optimism`` times the fitted rate plus
    three standard errors. Curves as a rule flatten out instead of keeping such a rate up: with an
    optimism of 2 the bound held, in every epoch, in all of the 30 trainings on digits, MNIST and
    Fashion-MNIST on which the rule was chosen; with 1.5 in all but three.

    Args:
        errors: (epoch, error), the error being how far the value is below the highest possible.
        max_epochs: the epoch whose error is sought.
        optimism: 1 or more.
        worst: the highest error possible; infinite for a loss, whose odds are the loss itself.
    """
    last_epoch = errors[-1][0]
    late = [2 * epoch >= last_epoch for epoch, _ in errors]
    values = np.minimum([error for _, error in errors], _NO_HOPE * worst)
    if sum(late) < _FEWEST_POINTS or values.min() <= 0:
        return None
    log_odds = np.log(values / (1 - values / worst))
    x, y = np.log([epoch for epoch, _ in errors])[late], log_odds[late]
    x_centred = x - x.mean()
    spread = float(x_centred @ x_centred)
    slope = float(x_centred @ (y - y.mean())) / spread
    residuals = y - y.mean() - slope * x_centred
    deviation = math.sqrt(float(residuals @ residuals) / (len(x) - 2))
    rate = optimism * max(0.0, -slope + _DEVIATIONS * deviation / math.sqrt(spread))
    fitted = float(y.mean() + slope * x_centred[-1]) - _DEVIATIONS * deviation
    start = min(float(log_odds.min()), fitted)
    odds = math.exp(start - rate * math.log(max_epochs / last_epoch))
    return odds / (1 + odds / worst)
