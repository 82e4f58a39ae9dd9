"""Expressions that people type: read, valued, and whatever is no arithmetic refused."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoconv.errors import ConfigError
from evoconv.problems.arithmetic import MAX_LENGTH, parse_expression

NAMES = ("accuracy", "macs")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("accuracy", 0.5),
        ("  -accuracy + 2 ", 1.5),
        ("accuracy - 0.1*log10(macs)", 0.5 - 0.1 * 4),
        ("2 ** 3 ** 2", 512.0),
        ("(1 + 2) * 3 - 8 / 4", 7.0),
        ("min(accuracy, 1, macs) + max(macs)", 10_000.5),
        ("sqrt(macs) / abs(-100) + exp(0) + log(1) + log2(8)", 5.0),
        ("1_000 + 1e3", 2000.0),
    ],
)
def test_arithmetic_is_what_it_is_elsewhere(text: str, value: float) -> None:
    expression = parse_expression(text, NAMES)
    assert expression.value({"accuracy": 0.5, "macs": 10_000.0}) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    [
        "1 / (accuracy - 1)",
        "log(accuracy - 1)",
        "sqrt(-accuracy)",
        "(-accuracy) ** 0.5",
        "exp(1e9)",
        "9**9**9**9",
        "1e308 * 10 - 1e308 * 10",
    ],
)
def test_what_has_no_finite_value_is_not_finite_and_raises_nothing(text: str) -> None:
    assert not math.isfinite(parse_expression(text, NAMES).value({"accuracy": 1.0, "macs": 1.0}))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no arithmetic expression"),
        ("accuracy +", "no arithmetic expression"),
        ("accuracy; macs", "no arithmetic expression"),
        ("accuracy\n+ 1", "no arithmetic expression"),
        ("x = 1", "no arithmetic expression"),
        ("acuracy", "nothing is called acuracy; there are accuracy, macs"),
        ("sin(accuracy)", "no function sin; there are sqrt, exp"),
        ("sqrt(1, 2)", "sqrt takes 1, got 2"),
        ("min()", "min takes at least 1, got 0"),
        ("__import__('os').system('true')", "no arithmetic"),
        ("open('x')", "no function open"),
        ("accuracy.real", "no arithmetic"),
        ("(lambda: 1)()", "no arithmetic"),
        ("[accuracy][0]", "no arithmetic"),
        ("accuracy if macs else 1", "no arithmetic"),
        ("accuracy > 1", "no arithmetic"),
        ("True", "no arithmetic"),
        ("'a' * 9", "no arithmetic"),
        ("1j", "no arithmetic"),
        ("sqrt(x=1)", "no arithmetic"),
        ("min(*accuracy)", "no arithmetic"),
        ("macs // 2", "no arithmetic"),
        ("~1", "no arithmetic"),
        ("f'{accuracy}'", "no arithmetic"),
        ("(accuracy := 1)", "no arithmetic"),
        ("\0", "no arithmetic expression"),
        ("1" * (MAX_LENGTH + 1), f"at most {MAX_LENGTH} characters, got {MAX_LENGTH + 1}"),
    ],
)
def test_anything_else_is_refused_in_a_sentence(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_expression(text, NAMES)
    assert said in str(caught.value)


def test_an_expression_knows_its_names() -> None:
    assert parse_expression("1 + 2", NAMES).names == frozenset()
    assert parse_expression("macs * macs", NAMES).names == {"macs"}


def test_the_deepest_that_is_read_has_a_value() -> None:
    assert parse_expression("-" * (MAX_LENGTH - 1) + "1", NAMES).value({}) == -1
    half = (MAX_LENGTH - 1) // 2
    assert parse_expression("(" * half + "1" + ")" * half, NAMES).value({}) == 1


@given(st.text(max_size=40))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    try:
        expression = parse_expression(text, NAMES)
    except ConfigError:
        return
    expression.value({"accuracy": 0.5, "macs": 1.0})
