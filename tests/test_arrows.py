"""The house, read from its own imports: arrows point down, heavy and dangerous things have a place.

``LAYERS`` is the drawing of docs and design; a package or file that isn't in it fails the test.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import evoconv

SOURCE = Path(evoconv.__file__).parent

# From the top down. Those of one line never import each other.
LAYERS = (
    ("__main__",),
    ("cli", "__init__"),
    ("api",),
    ("results", "session"),
    ("preparation",),
    ("base_network", "origins", "reused_plan"),
    ("configure",),
    ("config",),
    ("report", "export"),
    ("study",),
    ("problems",),
    ("training",),
    ("evolution", "execution", "data", "networks", "compression", "artifacts"),
    ("genomes",),
    ("devices", "records", "seeds", "option_text", "timetable"),
    ("interrupts", "machine", "options", "paths", "units"),
    ("errors", "recipes"),
)
MAX_LINES = 400


@dataclass(frozen=True, kw_only=True)
class Import:
    """One module that another one imports.

    Attributes:
        target: its dotted name, as far as a file has it.
        for_types: whether it is imported for the type checker only.
        at_once: whether importing the file imports it: not within a function, not for types.
    """

    target: str
    line: int
    for_types: bool
    at_once: bool


def test_imports_point_down() -> None:
    level = {name: index for index, names in enumerate(LAYERS) for name in names}
    wrong = [
        f"{file}:{one.line} imports {one.target}"
        for file in files()
        for one in imports_of(file)
        if (target := part_of(one.target)) is not None
        and target != room_of(file)
        and level[target] <= level[room_of(file)]
    ]
    assert not wrong


def test_the_drawing_names_what_is_there() -> None:
    drawn = [name for names in LAYERS for name in names]
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == {room_of(file) for file in files()}


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {
        module_of(file): {one.target for one in imports_of(file) if one.at_once} for file in files()
    }
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize(
    ("library", "places"),
    [
        (
            "torch",
            (
                *("networks/", "training/", "problems/", "export/"),
                *(
                    "data/batches.py",
                    "compression/number_formats.py",
                    "compression/network_tensors.py",
                    "compression/coupling.py",
                    "compression/folding.py",
                    "compression/tied.py",
                    "compression/course.py",
                    "base_network.py",
                ),
            ),
        ),
        ("safetensors", ("networks/weights.py",)),
        ("sqlalchemy", ("study/",)),
        ("rich", ("report/", "cli/watching.py")),
        ("matplotlib", ("report/plots.py", "report/metric_axis.py")),
        ("sklearn", ("data/named_sets.py", "compression/modulation.py")),
        ("pooch", ("data/cache.py", "data/named_sets.py")),
        ("PIL", ("data/",)),
        ("filelock", ("data/cache.py", "study/lock.py")),
        ("psutil", ("execution/launch.py", "study/lock.py")),
        ("evoconv.data.test_split", ("export/final.py",)),
    ],
)
def test_libraries_and_the_test_split_are_used_in_their_place_only(
    library: str, places: tuple[str, ...]
) -> None:
    users = {
        file
        for file in files()
        for one in imports_of(file)
        if is_within(one.target, library) and not one.for_types
    }
    assert users, f"nobody imports {library}: this test holds nothing any more"
    assert not {file for file in users if not file.startswith(places)}


@pytest.mark.parametrize(
    "room", ["genomes", "evolution", "execution", "study", "config", "configure", "report"]
)
def test_what_never_trains_never_reaches_torch(room: str) -> None:
    seeds = [module_of(file) for file in files() if room_of(file) == room]
    assert seeds
    assert "torch" not in reached_from(seeds)


@pytest.mark.parametrize(
    "library", ["torch", "sqlalchemy", "sklearn", "matplotlib", "rich", "scipy", "safetensors"]
)
def test_the_command_line_imports_nothing_heavy_at_once(library: str) -> None:
    reached = reached_from(["evoconv.cli", "evoconv.__main__"])
    assert "numpy" in reached
    assert library not in reached


def test_only_the_pipe_to_the_workers_carries_pickles() -> None:
    """Workers are our own children. What comes from a file or from elsewhere is never unpickled."""
    ways_to_run_code = ("pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "yaml")
    users = {
        file
        for file in files()
        for one in imports_of(file)
        if any(is_within(one.target, name) for name in ways_to_run_code)
    }
    assert users == {"execution/processes.py", "execution/worker.py"}
    used = {
        node.attr
        for file in users
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle"
    }
    assert used == {"dumps", "loads"}


def test_nothing_is_executed_that_was_read() -> None:
    banned = {"eval", "exec", "compile", "__import__", "torch.jit.load", "os.system"}
    assert not [where for file in files() for where in places_of(file, banned)]


def test_pickles_of_weights_are_read_in_one_place_for_tensors_only() -> None:
    loads = [(f, one) for f in files() for one in calls_in(f) if name_of(one) == "torch.load"]
    assert [file for file, _ in loads] == ["networks/pretrained.py"]
    for _, call in loads:
        values = [word.value for word in call.keywords if word.arg == "weights_only"]
        assert [ast.unparse(value) for value in values] == ["True"]


def test_arrays_are_read_without_pickles() -> None:
    calls = [(file, call) for file in files() for call in calls_in(file)]
    loads = [(file, call) for file, call in calls if name_of(call) == "np.load"]
    assert loads
    for file, call in loads:
        values = [word.value for word in call.keywords if word.arg == "allow_pickle"]
        assert [ast.unparse(value) for value in values] == ["False"], f"{file}:{call.lineno}"


def test_no_shell_and_no_global_random_state() -> None:
    for file in files():
        for call in calls_in(file):
            assert not [word for word in call.keywords if word.arg == "shell"], file
    assert not {
        f"{file}:{one.line}"
        for file in files()
        for one in imports_of(file)
        if is_within(one.target, "random")
    }


@pytest.mark.parametrize(
    "file", sorted(str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py"))
)
def test_a_file_is_a_room_not_a_hall(file: str) -> None:
    text = (SOURCE / file).read_text("utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    assert ast.get_docstring(ast.parse(text)), "a file opens with its job"
    assert not {"utils", "common", "manager", "helper", "helpers", "misc"} & set(
        Path(file).stem.split("_")
    )


@cache
def files() -> tuple[str, ...]:
    """Return every file of the package, relative to it, with forward slashes."""
    return tuple(sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py")))


@cache
def tree_of(file: str) -> ast.Module:
    return ast.parse((SOURCE / file).read_text("utf-8"))


def module_of(file: str) -> str:
    """Return a file's dotted name.

    >>> module_of("data/__init__.py"), module_of("api.py")
    ('evoconv.data', 'evoconv.api')
    """
    parts = ["evoconv", *Path(file).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(file: str) -> str:
    """Return the file's place in the drawing: its package, or itself at the top."""
    return Path(file).with_suffix("").parts[0]


def part_of(target: str) -> str | None:
    """Return the place in the drawing of an imported module; None for those of others."""
    names = target.split(".")
    if names[0] != "evoconv":
        return None
    return names[1] if len(names) > 1 else "__init__"


def is_within(target: str, package: str) -> bool:
    return target == package or target.startswith(f"{package}.")


@cache
def imports_of(file: str) -> tuple[Import, ...]:
    return tuple(_imports_within(tree_of(file), for_types=False, at_once=True))


def _imports_within(node: ast.AST, *, for_types: bool, at_once: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            for target in _targets(child):
                yield Import(target=target, line=child.lineno, for_types=for_types, at_once=at_once)
            continue
        types = for_types or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test))
        later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _imports_within(child, for_types=types, at_once=at_once and not (types or later))


def _targets(node: ast.Import | ast.ImportFrom) -> Iterable[str]:
    if isinstance(node, ast.Import):
        return [one.name for one in node.names]
    assert node.level == 0, "imports are absolute"
    module = node.module or ""
    modules = {module_of(file) for file in files()}
    return [
        f"{module}.{one.name}" if f"{module}.{one.name}" in modules else module
        for one in node.names
    ]


def reached_from(modules: Iterable[str]) -> set[str]:
    """Return all that importing the modules imports at once, others' by their first name."""
    file_of = {module_of(file): file for file in files()}
    reached: set[str] = set()
    ahead = list(modules)
    while ahead:
        module = ahead.pop()
        if module in reached:
            continue
        reached.add(module)
        if module in file_of:
            # Importing a.b.c imports a and a.b as well.
            parents = module.split(".")[:-1]
            ahead += [".".join(parents[: index + 1]) for index in range(len(parents))]
            ahead += [one.target for one in imports_of(file_of[module]) if one.at_once]
        else:
            reached.add(module.split(".")[0])
    return reached - set(sys.stdlib_module_names)


@cache
def calls_in(file: str) -> tuple[ast.Call, ...]:
    return tuple(node for node in ast.walk(tree_of(file)) if isinstance(node, ast.Call))


def name_of(call: ast.Call) -> str:
    """Return what is called, as it is written."""
    return ast.unparse(call.func)


def places_of(file: str, banned: set[str]) -> list[str]:
    return [
        f"{file}:{call.lineno} {name_of(call)}"
        for call in calls_in(file)
        if name_of(call) in banned
    ]
