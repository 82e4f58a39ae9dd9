"""What a person gets who installs the wheel: a command that works, from an empty environment."""

import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1]
# Builds for machines without a GPU; from the usual index come gigabytes of CUDA packages.
CPU_INDEX = "https://download.pytorch.org/whl/cpu"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of its own that is cleared at once: an environment with torch is large."""
    folder = tmp_path_factory.mktemp("wheel")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def wheel(place: Path) -> Path:
    # A copy, for a build leaves things behind.
    copy = place / "source"
    copy.mkdir()
    shutil.copytree(
        HOUSE / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(HOUSE / name, copy / name)
    do(sys.executable, "-m", "build", "--wheel", "--outdir", str(place / "dist"), cwd=copy)
    (built,) = (place / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(place: Path, wheel: Path) -> Path:
    """The folder of commands of an environment that holds the wheel and what it needs."""
    venv.create(place / "venv", with_pip=True)
    commands = place / "venv" / ("Scripts" if os.name == "nt" else "bin")
    constraints = HOUSE / "constraints.txt"
    torch = re.search(r"^torch==\S+", constraints.read_text(), re.MULTILINE)
    assert torch is not None
    install = (str(commands / "python"), "-m", "pip", "install", "--quiet")
    do(*install, "--no-deps", "--retries", "1", "--index-url", CPU_INDEX, torch[0], cwd=place)
    do(*install, "-c", str(constraints), str(wheel), cwd=place)
    return commands


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"evoconv", next(name for name in tops if name.endswith(".dist-info"))}
    assert "evoconv/py.typed" in names
    sources = {path.relative_to(HOUSE / "src").as_posix() for path in HOUSE.rglob("src/**/*.py")}
    assert {name for name in names if name.endswith(".py")} == sources


def test_installed_it_evolves_and_predicts(environment: Path, place: Path) -> None:
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    where = do(
        *(str(environment / "python"), "-c", "import evoconv; print(evoconv.__file__)"),
        cwd=elsewhere,
    )
    assert Path(where.strip()).is_relative_to(place)
    evoconv = str(environment / "evoconv")
    do(evoconv, "evolve", "digits", "--time", "20s", "--out", "run", cwd=elsewhere)
    result = json.loads((elsewhere / "run/result.json").read_text())
    assert result["complete"] is True
    assert result["evaluations"] >= 1
    assert result["test_accuracy"] > 0.3
    assert result["parameters"] > 0
    assert (elsewhere / "run/best/model.safetensors").is_file()
    assert "Confusion matrix" in do(evoconv, "show", "run", cwd=elsewhere)


def do(*words: str, cwd: Path) -> str:
    """Run a command that must succeed, and return what it printed."""
    own = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(words, cwd=cwd, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout
