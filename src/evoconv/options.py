"""Options: frozen dataclasses whose fields say what they mean and what is allowed.

Each options class lives beside its owner; the command line and the Python interface are made from
the same fields, so a number is named, explained and limited in one place::

    @dataclass(frozen=True, kw_only=True)
    class EvolutionOptions(Options):
        tournament: int = option(3, "how many members compete to be a parent", at_least=1)

A value out of range is refused, never repaired.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from evoconv.errors import ConfigError

Unit = Literal["", "percent", "count", "bytes", "duration"]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What is allowed for one option, and how it is explained.

    ``unit`` tells how people write it: ``percent`` is 99.5 on the command line and 0.995 in files,
    ``count`` understands 50k, ``bytes`` 2MiB, ``duration`` 10m.
    """

    help: str
    at_least: float | None = None
    at_most: float | None = None
    choices: tuple[str | int, ...] | None = None
    unit: Unit = ""


def option(
    default: Any,
    help: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    choices: Sequence[str | int] | None = None,
    unit: Unit = "",
) -> Any:
    """Return a dataclass field with a rule; limits hold for each member of a tuple."""
    rule = Rule(
        help=help,
        at_least=at_least,
        at_most=at_most,
        choices=None if choices is None else tuple(choices),
        unit=unit,
    )
    return field(default=default, metadata={"rule": rule})


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of all options: checks every field against its rule when it is made."""

    def __post_init__(self) -> None:
        """Raise ``ConfigError`` naming the option, the limit and the value."""
        for one in fields(self):
            rule = one.metadata.get("rule")
            value = getattr(self, one.name)
            if rule is None or value is None:
                continue
            for item in value if isinstance(value, tuple) else (value,):
                _check(one.name, rule, item)


def _check(name: str, rule: Rule, value: object) -> None:
    if rule.choices is not None and value not in rule.choices:
        raise ConfigError(f"{name} must be one of {', '.join(map(str, rule.choices))}, got {value}")
    if rule.at_least is None and rule.at_most is None:
        return
    low = -math.inf if rule.at_least is None else rule.at_least
    high = math.inf if rule.at_most is None else rule.at_most
    sentence = f"{name} must be in [{low:g}, {high:g}], got {value}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(sentence)
    if low <= value <= high:
        return
    if rule.unit == "percent":
        # Who writes 0.3 on the command line and means 30 % must see how it was read.
        sentence += f" (in percent: {100 * low:g} to {100 * high:g}, got {100 * value:g})"
    raise ConfigError(sentence)
