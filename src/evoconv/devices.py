"""Devices that networks must fit, by name: limits on memory, and the bits of a value.

Sources: the memory that Mitschke et al., section 2.1, name for modern FPGAs; the others are common
microcontrollers. All of a device's memory is given: who needs some for a program gives a lower
limit beside the name.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoconv.errors import ConfigError
from evoconv.units import parse_bytes, parse_count, parse_duration

MAX_FILE_BYTES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Device:
    """What a device allows, as values of the options of the same names; None for no limit."""

    summary: str
    bits: int = 32
    max_flash: int | None = None
    max_ram: int | None = None
    max_memory: int | None = None
    max_parameters: int | None = None
    max_macs: int | None = None
    max_latency: float | None = None

    def options(self) -> dict[str, Any]:
        """Return the options that the device sets."""
        return {
            name: value
            for name, value in vars(self).items()
            if name != "summary" and value is not None
        }


DEVICES: Mapping[str, Device] = {
    "fpga-28mb": Device(
        summary="FPGA with 28 MB for weights and activations (Mitschke et al.)",
        max_memory=28_000_000,
    ),
    "cortex-m4": Device(
        summary="microcontroller with 256 kB of RAM and 1 MB of flash, 8-bit values",
        bits=8,
        max_ram=256_000,
        max_flash=1_000_000,
    ),
    "cortex-m7": Device(
        summary="microcontroller with 512 kB of RAM and 2 MB of flash, 8-bit values",
        bits=8,
        max_ram=512_000,
        max_flash=2_000_000,
    ),
}

_READERS: Mapping[str, Any] = {
    "max_flash": parse_bytes,
    "max_ram": parse_bytes,
    "max_memory": parse_bytes,
    "max_parameters": parse_count,
    "max_macs": parse_count,
    "max_latency": parse_duration,
}


def find_device(name: str, file: Path | None = None) -> Device:
    """Return the device of that name; ``ConfigError`` names the known ones."""
    known = known_devices(file)
    if name not in known:
        raise ConfigError(f"--device must be one of {', '.join(known)}, got {name}")
    return known[name]


def known_devices(file: Path | None = None) -> dict[str, Device]:
    """Return ``DEVICES``, and those of a TOML file, which may replace some.

    Raises:
        ConfigError: the file can't be read, or something in it makes no sense.
    """
    return {**DEVICES, **({} if file is None else _read(file))}


def _read(file: Path) -> dict[str, Device]:
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{file} has more than {MAX_FILE_BYTES:,} bytes")
        content = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{file} can't be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file} is no TOML: {error}") from None
    return {name: _device_from(f"{file}, {name}", table) for name, table in content.items()}


def _device_from(where: str, table: object) -> Device:
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: a device is a table, such as [my-device]")
    known = ("summary", "bits", *_READERS)
    values: dict[str, Any] = {"summary": "of your own"}
    for name, value in table.items():
        if name not in known:
            raise ConfigError(f"{where}: a device has no {name}; it has {', '.join(known)}")
        try:
            values[name] = _READERS[name](value) if name in _READERS else value
        except ConfigError as error:
            raise ConfigError(f"{where}: {name}: {error}") from None
    if type(values["summary"]) is not str:
        raise ConfigError(f"{where}: summary must be text, got {values['summary']!r:.50}")
    if type(values.get("bits", 32)) is not int:
        raise ConfigError(f"{where}: bits must be a whole number, got {values['bits']!r:.50}")
    return Device(**values)
