"""Devices by name: what they set, files of one's own, and nonsense."""

from pathlib import Path

import pytest

from evoconv.cli import main
from evoconv.configure import configure
from evoconv.devices import DEVICES, MAX_FILE_BYTES, find_device, known_devices
from evoconv.errors import ConfigError

OWN = """
[camera]
summary = "our camera"
bits = 16
max_flash = "300kB"
max_ram = 50_000
max_latency = "20ms"

[cortex-m4]
bits = 8
max_ram = "64kB"
"""


@pytest.mark.parametrize("name", DEVICES)
def test_a_device_sets_its_limits(name: str) -> None:
    limits = configure("digits", {"device": name}, seed=0).limits
    assert limits.device == name
    for option, value in DEVICES[name].options().items():
        assert getattr(limits, option) == value


def test_what_is_named_wins_over_the_device_and_the_device_over_the_recipe() -> None:
    limits = configure("digits", {"device": "cortex-m4", "max_ram": "100kB"}, seed=0).limits
    assert (limits.max_ram, limits.max_flash, limits.bits) == (100_000, 1_000_000, 8)
    own = configure("digits", {"bits": "16"}, method="gradient", seed=0).limits
    assert (own.max_memory, own.bits) == (28_000_000, 16)
    plain = configure("digits", {"device": "unset"}, seed=0).limits
    assert (plain.device, plain.max_ram) == (None, None)


def test_a_file_adds_devices_and_replaces_some(tmp_path: Path) -> None:
    file = tmp_path / "devices.toml"
    file.write_text(OWN, "utf-8")
    known = known_devices(file)
    assert list(known) == [*DEVICES, "camera"]
    assert known["camera"].options() == {
        "bits": 16,
        "max_flash": 300_000,
        "max_ram": 50_000,
        "max_latency": 0.02,
    }
    assert known["cortex-m4"].max_flash is None
    limits = configure("digits", {"device": "camera", "device_file": file}, seed=0).limits
    assert (limits.max_latency, limits.bits) == (0.02, 16)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[camera", "is no TOML"),
        (b"\xff", "is no TOML"),
        (b"camera = 3", "camera: a device is a table"),
        (b"[camera]\nmax_rom = 3", "a device has no max_rom; it has summary, bits, max_flash"),
        (b"[camera]\nmax_ram = 'much'", "camera: max_ram: a size is written"),
        (b"[camera]\nbits = '8'", "bits must be a whole number, got '8'"),
        (b"[camera]\nsummary = 8", "summary must be text, got 8"),
        (b"#" * (MAX_FILE_BYTES + 1), "has more than 1,000,000 bytes"),
    ],
)
def test_nonsense_in_a_file_is_a_sentence(content: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "devices.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        known_devices(file)
    assert said in str(caught.value)
    assert str(file) in str(caught.value)


def test_bits_of_ones_own_are_checked_where_they_are_used(tmp_path: Path) -> None:
    file = tmp_path / "devices.toml"
    file.write_text("[odd]\nbits = 7", "utf-8")
    with pytest.raises(ConfigError, match="--bits must be one of 8, 16, 32, got 7"):
        configure("digits", {"device": "odd", "device_file": str(file)}, seed=0)


def test_an_unknown_device_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="--device must be one of fpga-28mb, cortex-m4, cort"):
        find_device("toaster")


def test_the_command_lists_them_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "devices.toml"
    file.write_text(OWN, "utf-8")
    assert main(["devices", "--device-file", str(file)]) == 0
    listed = capsys.readouterr().out
    assert "camera       our camera" in listed or "camera     our camera" in listed
    assert "--bits 16, --max-flash 300,000, --max-ram 50,000, --max-latency 0.02" in listed
    assert main(["devices", "--device-file", str(tmp_path / "no.toml")]) == 2
    assert "no.toml can't be read" in capsys.readouterr().err
