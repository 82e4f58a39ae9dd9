"""From what people write to the values of options, and back.

An option's name on the command line is its field's name with dashes and without the unit: the field
``time_s`` is ``--time``.
"""

from collections.abc import Callable
from dataclasses import Field
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from evoconv.errors import ConfigError
from evoconv.options import Options, Rule
from evoconv.units import parse_bytes, parse_count, parse_duration, parse_percent

T = TypeVar("T")

UNSET = "unset"


def flag_of(name: str) -> str:
    """Return the command line's name of a field, e.g. ``--trial-time`` of ``trial_time_s``."""
    return "--" + name.removesuffix("_s").replace("_", "-")


def field_of(name: str) -> str:
    """Return the field's name of an option as people name it in Python: ``time`` is ``time_s``."""
    return f"{name}_s" if name in ("time", "trial_time") else name


def rule_of(one: "Field[Any]") -> Rule:
    """Return the rule of a field made by ``option``."""
    rule: Rule = one.metadata["rule"]
    return rule


def parse_option(owner: type[Options], one: "Field[Any]", value: object) -> Any:
    """Return the value of an option from text as people write it, or from a Python value.

    Numbers given as Python values are taken as they are: fractions, seconds, bytes. Text follows
    the option's unit: ``99.3`` is a percentage where percentages are expected. ``unset`` is None
    where an option may be that, whatever a recipe has for it.

    Raises:
        ConfigError: it can't be read; the sentence names the option.
    """
    kind = _kind(owner, one.name)
    if value == UNSET and NoneType in get_args(get_type_hints(owner)[one.name]):
        return None
    if isinstance(value, Path):
        value = str(value)
    if not isinstance(value, str):
        return _checked(kind, one.name, tuple(value) if isinstance(value, list) else value)
    try:
        return _reader(kind, rule_of(one))(value)
    except ConfigError as error:
        raise ConfigError(f"{flag_of(one.name)}: {error}") from None
    except ValueError:
        raise ConfigError(f"{flag_of(one.name)} must be a number, got {value}") from None


def _checked(kind: Any, name: str, value: object) -> object:
    """Return a Python value as it is, if it is of the option's kind."""
    wanted = {int: (int,), float: (int, float), bool: (bool,)}.get(kind)
    if wanted is None or value is None:
        return value
    if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{flag_of(name)} must be of type {kind.__name__}, got {value!r:.50}")
    return value


def read_as(flag: str, parse: Callable[[Any], T], value: object) -> T | None:
    """Return what ``parse`` makes of the value, None for None; its refusal names the flag."""
    try:
        return None if value is None else parse(value)
    except ConfigError as error:
        raise ConfigError(f"{flag}: {error}") from None


def is_switch(owner: type[Options], name: str) -> bool:
    """Return whether an option is on or off."""
    return _kind(owner, name) is bool


def _kind(owner: type[Options], name: str) -> Any:
    """Return the field's type without None."""
    hint = get_type_hints(owner)[name]
    kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    return kinds[0] if NoneType in get_args(hint) else hint


def _reader(kind: Any, rule: Rule) -> Callable[[str], Any]:
    by_unit: dict[str, Callable[[str], Any]] = {
        "percent": parse_percent,
        "count": parse_count,
        "bytes": parse_bytes,
        "duration": parse_duration,
    }
    if kind is bool:
        return _parse_switch
    if kind in (int, float):
        return by_unit.get(rule.unit, kind)  # type: ignore[no-any-return]
    if get_origin(kind) is tuple:
        read = by_unit.get(rule.unit, get_args(kind)[0])
        return lambda text: tuple(read(part.strip()) for part in text.split(","))
    return str


def _parse_switch(text: str) -> bool:
    if text.lower() not in ("yes", "no", "true", "false"):
        raise ConfigError(f"must be yes or no, got {text}")
    return text.lower() in ("yes", "true")
