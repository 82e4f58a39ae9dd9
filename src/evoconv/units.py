"""Quantities as people write and read them: 10m, 50k, 2MB, 99.3 %, 10-50.

Percent and points belong to people; files and code hold fractions, seconds, bytes. Nonsense is
refused with one sentence that says how to write it.
"""

import math
import re

from evoconv.errors import ConfigError

_MAX_WHOLE = 2**63 - 1  # what a database column holds
_MAX_SECONDS = 3650 * 86400.0  # beyond it, waiting functions overflow
_NUMBER = r"\d+(?:\.\d+)?|\.\d+"
_DURATION = re.compile(
    "".join(rf"(?:(?P<{unit}>{_NUMBER})\s*{unit}\s*)?" for unit in "dhms"), re.IGNORECASE | re.ASCII
)
_MILLISECONDS = re.compile(rf"(?P<number>{_NUMBER})\s*ms", re.IGNORECASE | re.ASCII)
_QUANTITY = re.compile(rf"(?P<number>{_NUMBER})\s*(?P<unit>[a-z]*)", re.IGNORECASE | re.ASCII)
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))", re.ASCII)
_PERCENT = re.compile(rf"(?P<number>{_NUMBER})\s*%?", re.ASCII)
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BYTES = {
    **_FACTORS,
    "b": 1,
    **{f"{letter}b": factor for letter, factor in _FACTORS.items() if letter},
    **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgt", start=1)},
}


def parse_duration(text: str | float) -> float:
    """Return seconds above 0 from 90, '90s', '10m', '1h30m', '1.5h' or '20ms'; 90 is seconds.

    Raises:
        ConfigError: anything else, or more than ten years.
    """
    plain = _plain(text)
    form = "a duration is written 90, 90s, 10m or 1h30m"
    if re.fullmatch(_NUMBER, plain, re.ASCII):
        seconds = float(plain)
    elif (milliseconds := _MILLISECONDS.fullmatch(plain)) is not None:
        seconds = float(milliseconds["number"]) / 1000
    else:
        match = _DURATION.fullmatch(plain)
        if match is None or not plain:
            raise ConfigError(f"{form}, got {text}")
        seconds = sum(
            float(number) * _SECONDS[unit] for unit, number in match.groupdict("0").items()
        )
    if not 0 < seconds <= _MAX_SECONDS:
        raise ConfigError(f"a duration must be above 0 and at most ten years, got {text}")
    return seconds


def parse_count(text: str | float) -> int:
    """Return a whole number of at least 1 from 500, '50k', '1.5M', '2G' or '50,000'.

    Raises:
        ConfigError: anything else.
    """
    return _whole(text, _FACTORS, "a count is written 500, 50k or 1.5M")


def parse_bytes(text: str | float) -> int:
    """Return a size of at least 1 byte from 2048, '2MB' (10⁶ each), '512KiB' or '28 MB'.

    Raises:
        ConfigError: anything else.
    """
    return _whole(text, _BYTES, "a size is written 2MB, 512KiB or 2048 (bytes)")


def parse_percent(text: str) -> float:
    """Return a fraction in [0, 1] from '99.3' or '99.3%'; '0.5' is half a percent.

    Raises:
        ConfigError: anything else.
    """
    match = _PERCENT.fullmatch(_plain(text))
    if match is None or float(match["number"]) > 100:
        raise ConfigError(f"a percentage is written 99.3 or 99.3% and is at most 100, got {text}")
    # Through the decimal digits: 99.3 / 100 is 0.9929999999999999.
    return float(f"{match['number']}e-2")


def format_duration(seconds: float) -> str:
    """Return '0.25s', '9.5s', '9m 58s', '3h 05m' or '2d 04h'."""
    if seconds < 9.95:
        return f"{round(seconds, 2):.2g}s"
    whole = round(seconds)
    for large, small in (("d", "h"), ("h", "m"), ("m", "s")):
        if whole >= _SECONDS[large]:
            # Rounded down: a clock that shows 3h 05m has passed it.
            rest = whole % _SECONDS[large] // _SECONDS[small]
            return f"{whole // _SECONDS[large]}{large} {rest:02d}{small}"
    return f"{whole}s"


def format_count(count: float) -> str:
    """Return three digits and a factor: '999', '50k', '1.23M'."""
    return _scaled(count, ("", "k", "M", "G", "T"))


def format_bytes(num_bytes: float) -> str:
    """Return three digits and a decimal unit: '999 B', '50 kB', '1.23 MB'."""
    return _scaled(num_bytes, (" B", " kB", " MB", " GB", " TB"))


def format_percent(fraction: float, digits: int = 2) -> str:
    """Return '99.30 %' from 0.993; 'nan %' for what isn't known."""
    return f"{100 * fraction:.{digits}f} %"


def _plain(text: str | float) -> str:
    """Return what a person typed, or the number a program passed in the same form."""
    if isinstance(text, bool):
        raise ConfigError(f"a number was expected, got {text}")
    if isinstance(text, float) and math.isfinite(text):
        return f"{text:.6f}".rstrip("0").rstrip(".")
    return str(text).strip()


def _whole(text: str | float, factors: dict[str, int], form: str) -> int:
    match = _QUANTITY.fullmatch(_THOUSANDS.sub("", _plain(text)))
    if match is None or match["unit"].lower() not in factors:
        raise ConfigError(f"{form}, got {text}")
    value = float(match["number"]) * factors[match["unit"].lower()]
    if not 1 <= value <= _MAX_WHOLE:
        raise ConfigError(f"{form} and is at least 1 and below 2^63, got {text}")
    if abs(value - round(value)) > 1e-6 * value:
        raise ConfigError(f"{form} and must be whole, got {text}")
    return round(value)


def _scaled(value: float, units: tuple[str, ...]) -> str:
    power = 0
    # 999.5 and above would show as 1000 of the smaller unit.
    while abs(value) >= 999.5 and power < len(units) - 1:
        value /= 1000
        power += 1
    return f"{value:.3g}{units[power]}"
