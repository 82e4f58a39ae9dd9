"""Options refuse what is out of range, in one sentence, and explain themselves."""

from dataclasses import FrozenInstanceError, dataclass, fields
from typing import Any

import pytest

from evoconv.errors import ConfigError
from evoconv.option_text import read_as
from evoconv.options import Options, Rule, option
from evoconv.units import parse_duration


@dataclass(frozen=True, kw_only=True)
class Example(Options):
    size: int = option(3, "how large", at_least=1, at_most=9)
    rate: float = option(0.5, "how fast", at_least=0)
    kind: str = option("plain", "which", choices=["plain", "fancy"])
    steps: tuple[float, ...] = option((0.0, 0.2), "where", at_least=0, at_most=0.9)
    limit: int | None = option(None, "how many", at_least=1, unit="count")
    share: float = option(0.5, "how much", at_least=0.1, at_most=0.9, unit="percent")
    note: str = "anything"


def test_the_defaults_and_the_limits_themselves_are_allowed() -> None:
    Example()
    Example(size=1, rate=0, steps=(0, 0.9), limit=1, kind="fancy")
    Example(size=9, steps=())


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"size": 0}, r"^size must be in \[1, 9\], got 0$"),
        ({"size": 10}, r"^size must be in \[1, 9\], got 10$"),
        ({"size": "3"}, r"^size must be in \[1, 9\], got 3$"),
        ({"size": True}, r"^size must be in \[1, 9\], got True$"),
        ({"rate": -0.1}, r"^rate must be .*, got -0.1$"),
        ({"rate": float("nan")}, r"^rate must be .*, got nan$"),
        ({"kind": "odd"}, "^kind must be one of plain, fancy, got odd$"),
        ({"steps": (0.1, 0.95)}, r"^steps must be in \[0, 0.9\], got 0.95$"),
        ({"limit": 0}, r"^limit must be .*, got 0$"),
        (
            {"share": 0.003},
            r"^share must be in \[0.1, 0.9\], got 0.003 \(in percent: 10 to 90, got 0.3\)$",
        ),
    ],
)
def test_a_value_out_of_range_is_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Example(**given)


def test_options_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Example().size = 4  # type: ignore[misc]


def test_a_field_carries_its_rule_for_the_command_line() -> None:
    rules = {one.name: one.metadata.get("rule") for one in fields(Example)}
    assert rules["size"] == Rule(help="how large", at_least=1, at_most=9)
    assert rules["kind"] == Rule(help="which", choices=("plain", "fancy"))
    assert rules["limit"] == Rule(help="how many", at_least=1, unit="count")
    assert rules["note"] is None


def test_what_an_argument_refuses_names_it() -> None:
    assert read_as("--time", parse_duration, None) is None
    assert read_as("--time", parse_duration, 0.5) == 0.5
    assert read_as("--time", parse_duration, "2m") == 120
    with pytest.raises(ConfigError, match=r"^--time: .*, got soon$"):
        read_as("--time", parse_duration, "soon")
