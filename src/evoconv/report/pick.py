"""Another network of the Pareto front than the best: ``--pick parameters<5k`` or ``--pick 17``."""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from evoconv.errors import ConfigError
from evoconv.option_text import read_as
from evoconv.records import Trial
from evoconv.report.sentences import measure_text
from evoconv.report.standing import Standing
from evoconv.units import format_bytes, format_count, parse_bytes, parse_count, parse_percent

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CONDITION = re.compile(r"\s*([a-z]+)\s*(<=|>=|<|>)\s*(\S+)\s*")


@dataclass(frozen=True, kw_only=True)
class _Fact:
    """A fact of a trial that a condition may name: its value's name, reader and writer."""

    name: str
    parse: Callable[[str], float]
    format: Callable[[float], str]


_FACTS: Mapping[str, _Fact] = {
    "parameters": _Fact(name="parameters", parse=parse_count, format=format_count),
    "macs": _Fact(name="macs", parse=parse_count, format=format_count),
    "memory": _Fact(
        name="memory_bytes", parse=parse_bytes, format=lambda value: format_bytes(int(value))
    ),
    "accuracy": _Fact(
        name="validation_accuracy",
        parse=parse_percent,
        format=lambda value: measure_text("accuracy", value),
    ),
}


@dataclass(frozen=True, kw_only=True)
class _Condition:
    text: str
    fact: _Fact
    comparison: str
    limit: float

    def holds(self, trial: Trial) -> bool:
        return _COMPARISONS[self.comparison](_value(trial, self.fact), self.limit)


def pick_trial(standing: Standing, wanted: str) -> Trial:
    """Return the fittest trial of the front that meets all conditions, or the trial of a number.

    Args:
        standing: the study.
        wanted: conditions such as ``parameters<5k`` or ``macs<=1M,accuracy>98``; or a number.

    Raises:
        ConfigError: conditions that can't be read, or that no network of the front meets.
    """
    if wanted.strip().isdecimal():
        return _numbered(standing, int(wanted))
    conditions = [_read(text) for text in wanted.split(",")]
    for trial in standing.front:
        if all(one.holds(trial) for one in conditions):
            return trial
    if not standing.front:
        raise ConfigError("--pick: no evaluation of the study is complete yet")
    raise ConfigError(f"--pick {wanted}: {_why_none(standing, conditions)}")


def _numbered(standing: Standing, number: int) -> Trial:
    if number >= len(standing.trials):
        raise ConfigError(
            f"--pick {number}: the study's trials are 0 to {len(standing.trials) - 1}"
        )
    trial = standing.trials[number]
    if trial.individual.measurement is None:
        raise ConfigError(f"--pick {number}: that trial is {trial.state}, it has no measurement")
    return trial


def _read(text: str) -> _Condition:
    match = _CONDITION.fullmatch(text)
    if match is None or match[1] not in _FACTS:
        raise ConfigError(
            f"--pick must be a trial's number or conditions such as parameters<5k on"
            f" {', '.join(_FACTS)}, got {text}"
        )
    fact = _FACTS[match[1]]
    limit = read_as(f"--pick {text}", fact.parse, match[3])
    assert limit is not None, "there is a text"
    return _Condition(text=text.strip(), fact=fact, comparison=match[2], limit=limit)


def _why_none(standing: Standing, conditions: list[_Condition]) -> str:
    for one in conditions:
        if not any(one.holds(trial) for trial in standing.front):
            values = [_value(trial, one.fact) for trial in standing.front]
            nearest = min(values) if one.comparison.startswith("<") else max(values)
            return (
                f"no network of the front has {one.text}; the nearest has"
                f" {one.fact.format(nearest)}"
            )
    return "no network of the front meets all of these together"


def _value(trial: Trial, fact: _Fact) -> float:
    measured = trial.individual.measurement
    return float("nan") if measured is None else measured.values.get(fact.name, float("nan"))
