"""README and docs/ say what is so: the tree, the example, names of options, defaults, keys."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields, is_dataclass
from inspect import Parameter, signature
from pathlib import Path

import pytest

import evoconv
from evoconv.cli import main
from evoconv.cli.commands import COMMANDS
from evoconv.config import GROUPS
from evoconv.export.classifier import Classifier, Evaluation, Prediction
from evoconv.option_text import field_of
from evoconv.records import CurvePoint, Failure, Individual, Measurement, Trial
from evoconv.report.read_standing import read_standing
from evoconv.report.result import summary_of
from evoconv.results import Best, Result
from tests.golden.recipes import PATH, page
from tests.report.studies import make_study

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "evoconv"
README = (ROOT / "README.md").read_text("utf-8")
PAGES = [
    ROOT / name
    for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")
    if (ROOT / name).is_file()
] + sorted((ROOT / "docs").glob("*.md"))
FLAG = r"(?<![\w-])--[a-z](?:-?[a-z])*"
FOREIGN_FLAGS = {"--index-url", "--no-deps"}  # of pip

in_every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of the README in a language."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [text for kind, text in found if kind == language]


def tree_entries() -> Iterator[tuple[str, str]]:
    """Yield path and purpose of each entry of the README's tree."""
    (tree,) = [one for one in blocks("") if one.startswith("src/evoconv/")]
    folders: list[tuple[int, str]] = []
    for line in tree.splitlines():
        found = re.fullmatch(r"( *)(\S+)(?: {2,}(\S.*))?", line)
        assert found is not None, f"not an entry: {line!r}"
        indent, name, purpose = len(found[1]), found[2], found[3] or ""
        while folders and folders[-1][0] >= indent:
            folders.pop()
        path = "".join(folder for _, folder in folders) + name
        if name.endswith("/"):
            folders.append((indent, name))
        yield path, purpose


def test_every_source_file_has_its_line_in_the_tree() -> None:
    named = {path for path, _ in tree_entries()}
    files = {
        path.relative_to(ROOT).as_posix()
        for path in [*SOURCE.rglob("*.py"), SOURCE / "py.typed"]
        if not is_mark(path)
    }
    assert files - named == set()


def is_mark(path: Path) -> bool:
    """Return whether it only marks a package: then the folder's line speaks for it."""
    return path.name == "__init__.py" and len(path.read_text("utf-8").splitlines()) <= 1


def test_every_entry_of_the_tree_exists_and_has_a_purpose() -> None:
    entries = list(tree_entries())
    assert len({path for path, _ in entries}) == len(entries), "an entry is there twice"
    for path, purpose in entries:
        place = ROOT / path
        assert place.is_dir() if path.endswith("/") else place.is_file(), f"{path} is not there"
        assert purpose or path == "src/evoconv/", f"{path} has no purpose"


def test_the_example_names_only_public_things() -> None:
    (example,) = blocks("python")
    tree = ast.parse(example)
    compile(tree, "README.md", "exec")
    public = {name for kind in (Result, Best, Classifier) for name in vars(kind)}
    public |= set(evoconv.__all__)
    kinds = (Result, Best, Trial, Individual, Measurement, Failure, CurvePoint)
    for kind in (*kinds, Prediction, Evaluation):
        assert is_dataclass(kind)
        public |= {one.name for one in fields(kind)}
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert used <= {name for name in public if not name.startswith("_")}
    from_package = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "evoconv"
    }
    assert from_package <= set(evoconv.__all__)


def test_the_example_gives_only_options_there_are() -> None:
    (example,) = blocks("python")
    known = {one.name for group in GROUPS.values() for one in fields(group)}
    own = {
        name
        for name, one in signature(evoconv.evolve).parameters.items()
        if one.kind is not Parameter.VAR_KEYWORD
    }
    (call,) = [
        node
        for node in ast.walk(ast.parse(example))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "evoconv.evolve"
    ]
    for word in call.keywords:
        assert word.arg is not None
        assert word.arg in own or field_of(word.arg) in known


@pytest.mark.slow
def test_the_example_runs(tmp_path: Path) -> None:
    (example,) = blocks("python")
    assert 'time="1m"' in example
    script = tmp_path / "example.py"
    script.write_text(example.replace('time="1m"', 'evaluations=3, final_epochs=2, time="90s"'))
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "test accuracy" in done.stdout


def flags_of(capsys: pytest.CaptureFixture[str]) -> set[str]:
    """Return every flag that the help of a command shows."""
    for command in COMMANDS:
        flag = (
            "--help-all" if command in ("evolve", "transfer", "pretrain", "compress") else "--help"
        )
        with pytest.raises(SystemExit):
            main([command, flag])
    return set(re.findall(FLAG, capsys.readouterr().out))


@in_every_page
def test_every_flag_in_the_documents_is_known(
    page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = flags_of(capsys)
    found = set(re.findall(FLAG, page.read_text("utf-8")))
    assert found - known - FOREIGN_FLAGS == set()


@in_every_page
def test_every_file_in_the_documents_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    for name in re.findall(r"`([\w/.-]+/[\w.-]+\.(?:py|json|md))`", text):
        roots = (ROOT, SOURCE, page.parent)
        known = name.startswith("best/") or any((root / name).is_file() for root in roots)
        assert known, f"{page.name} names {name}, which is not there"
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / link).is_file(), f"{page.name} links to {link}, which is not there"


@in_every_page
def test_every_variable_in_the_documents_is_read_somewhere(page: Path) -> None:
    sources = "".join(path.read_text("utf-8") for path in SOURCE.rglob("*.py"))
    for name in set(re.findall(r"EVOCONV_[A-Z]+", page.read_text("utf-8"))):
        assert f'"{name}"' in sources


def test_the_page_of_options_and_recipes_is_written_from_the_code() -> None:
    assert PATH.read_text("utf-8") == page(), "run: python -m tests.golden.recipes"


def test_the_keys_of_the_result_are_written_down(tmp_path: Path) -> None:
    with closing(make_study(tmp_path).storage) as storage:
        keys = list(summary_of(read_standing(tmp_path, storage)))
    page = (ROOT / "docs" / "study-folder.md").read_text("utf-8")
    section = page.partition("## result.json")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == keys


def test_the_pinned_torch_is_the_one_that_people_are_told_to_install() -> None:
    pinned = re.findall(r"^torch==\S+$", (ROOT / "constraints.txt").read_text("utf-8"), re.M)
    assert re.findall(r"torch==\S+", README) == pinned
