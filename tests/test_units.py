"""Quantities as people write them, and the nonsense they sometimes write."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoconv.errors import ConfigError
from evoconv.units import (
    format_bytes,
    format_count,
    format_duration,
    format_percent,
    parse_bytes,
    parse_count,
    parse_duration,
    parse_percent,
)

PARSERS = (parse_duration, parse_count, parse_bytes, parse_percent)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("10m", 600),
        ("1h30m", 5400),
        ("1h 30m 5s", 5405),
        ("1.5h", 5400),
        (".5s", 0.5),
        ("2d", 172800),
        ("10M", 600),
        (" 10 m ", 600),
        (90, 90),
        (0.25, 0.25),
    ],
)
def test_durations(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("500", 500),
        ("50k", 50_000),
        ("1.5M", 1_500_000),
        ("1.1k", 1100),
        ("0.07k", 70),
        ("2G", 2 * 10**9),
        ("1,300,000", 1_300_000),
        ("12,500k", 12_500_000),
        ("3 T", 3 * 10**12),
        (7, 7),
        (50_000.0, 50_000),
    ],
)
def test_counts(text: str | float, count: int) -> None:
    parsed = parse_count(text)
    assert parsed == count
    assert isinstance(parsed, int)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2048", 2048),
        ("100B", 100),
        ("2MB", 2_000_000),
        ("2M", 2_000_000),
        ("512KiB", 524_288),
        ("28 MB", 28_000_000),
        ("1.5GiB", 1_610_612_736),
        ("1mib", 1_048_576),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    ("text", "fraction"),
    [("99.3", 0.993), ("99.3%", 0.993), ("99.3 %", 0.993), ("100", 1.0), ("0", 0.0), (".5", 0.005)],
)
def test_percents_become_exact_fractions(text: str, fraction: float) -> None:
    assert parse_percent(text) == fraction


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "--",
        "10m10m",
        "k",
        "%",
        "1..5",
        "1_000",
        "５",
        "9" * 5000,
        "1e5",
        "abc",
        "-5",
        "-5%",
        "-5s",
        "nan",
        "inf",
        "-inf",
        "1e3",
        "10x",
        "5 5",
        "1,00",
        "10,0000",
        "1,000,00",
        "0x10",
    ],
)
def test_nonsense_is_refused_with_one_sentence(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert "got" in sentence


@pytest.mark.parametrize("parse", [parse_duration, parse_count, parse_bytes])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, -1, -0.5, 0, 0.0, True, 1e300])
def test_numbers_without_sense_are_refused(parse: Callable[[float], object], number: float) -> None:
    with pytest.raises(ConfigError):
        parse(number)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_duration, "0"),
        (parse_duration, "0h0m"),
        (parse_duration, "5000d"),
        (parse_duration, "30m1h"),
        (parse_duration, "1h30"),
        (parse_count, "0"),
        (parse_count, "0k"),
        (parse_count, "1.5"),
        (parse_count, "2KB"),
        (parse_count, "10000000T"),
        (parse_bytes, "0MB"),
        (parse_bytes, "0.5"),
        (parse_bytes, "2 XB"),
        (parse_bytes, "2 iB"),
        (parse_percent, "100.1"),
    ],
)
def test_what_makes_no_sense_as_this_quantity_is_refused(
    parse: Callable[[str], object], text: str
) -> None:
    with pytest.raises(ConfigError, match=f"got {text}"):
        parse(text)


@settings(max_examples=300)
@given(text=st.text(alphabet="0123456789.-%kKMGmhsdiB ", max_size=12))
def test_any_text_is_understood_or_refused(text: str) -> None:
    for parse in PARSERS:
        try:
            value = parse(text)
        except ConfigError:
            continue
        low, high = value if isinstance(value, tuple) else (value, value)
        assert 0 <= low <= high < 2**128


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.25, "0.25s"),
        (3.24, "3.2s"),
        (9.96, "10s"),
        (59.4, "59s"),
        (59.6, "1m 00s"),
        (598, "9m 58s"),
        (3599.7, "1h 00m"),
        (11_100, "3h 05m"),
        (100_800, "1d 04h"),
    ],
)
def test_durations_are_shown_in_two_parts(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1k"),
        (8_954, "8.95k"),
        (50_000, "50k"),
        (999_499, "999k"),
        (999_500, "1M"),
        (1_234_567, "1.23M"),
        (2 * 10**12, "2T"),
    ],
)
def test_counts_are_shown_with_three_digits(count: int, text: str) -> None:
    assert format_count(count) == text


def test_sizes_and_percents_are_shown_with_their_units() -> None:
    assert format_bytes(999) == "999 B"
    assert format_bytes(28_000_000) == "28 MB"
    assert format_bytes(524_288) == "524 kB"
    assert format_percent(0.993) == "99.30 %"
    assert format_percent(0.5, digits=0) == "50 %"


@given(count=st.integers(min_value=1, max_value=10**14))
def test_a_count_that_is_shown_can_be_typed_in_again(count: int) -> None:
    assert parse_count(format_count(count)) == pytest.approx(count, rel=0.005)
