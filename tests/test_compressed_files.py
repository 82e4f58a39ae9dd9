"""Compressed files that somebody else made, on the command line: sentences, and quiet terminals."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evoconv.cli import main
from evoconv.compression.tensors import DenseTensor
from evoconv.export.evo_file import tensor_shapes, write_evo
from evoconv.genomes.architecture import Architecture
from evoconv.genomes.network_graph import Layer, Made, NetworkGraph, Span, Step
from evoconv.genomes.topology import Topology
from tests.export.test_evo_file import described

Capture = pytest.CaptureFixture[str]
PLAIN = Topology(features=())


def written(
    folder: Path,
    architecture: Architecture = PLAIN,
    classes: tuple[str, ...] = ("a", "b"),
    value: float = 0,
) -> str:
    """Return a compressed file for images of 4×4, all of whose values are one."""
    description = described(architecture, (1, 4, 4), classes)
    tensors = {
        name: DenseTensor(values=np.full(shape, value, np.float32))
        for name, shape in tensor_shapes(description).items()
    }
    write_evo(folder / "a.evo", description, tensors)
    return str(folder / "a.evo")


def images(folder: Path, count: int) -> list[str]:
    names = [str(folder / f"{number}.png") for number in range(count)]
    for name in names:
        Image.fromarray(np.full((4, 4), 255, np.uint8)).save(name)
    return names


@pytest.mark.parametrize("form", [(), ("--csv",), ("--json",)])
def test_names_of_classes_cant_steer_a_terminal(
    form: tuple[str, ...], tmp_path: Path, capsys: Capture
) -> None:
    file = written(tmp_path, classes=("\x1b[2Jone", "two\x9b31m"))
    assert main(["predict", file, *images(tmp_path, 1), "--top", "2", *form]) == 0
    assert main(["inspect", file, *form[:1]] if form != ("--csv",) else ["inspect", file]) == 0
    out = capsys.readouterr().out
    assert "[2Jone" in out
    assert not {"\x1b", "\x9b"} & set(out)


def test_what_a_sentence_quotes_cant_steer_a_terminal(tmp_path: Path, capsys: Capture) -> None:
    assert main(["inspect", str(tmp_path / "\x1b[2J.evo")]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_where_no_number_comes_out_it_is_said(tmp_path: Path, capsys: Capture) -> None:
    file = written(tmp_path, value=3e38)  # finite, but not their sum
    (image,) = images(tmp_path, 1)
    assert main(["predict", file, image, "--json"]) == 2
    assert f"the network gives no finite numbers for {image}" in capsys.readouterr().err
    assert main(["predict", file, image, "--json", "--skip-bad-images"]) == 0
    found = capsys.readouterr()
    assert json.loads(found.out) == []
    assert f"left out: the network gives no finite numbers for {image}" in found.err


def test_a_network_that_cant_take_so_many_images_is_no_crash(
    tmp_path: Path, capsys: Capture
) -> None:
    def does(operation: str, *takes: object) -> Step:
        return Step(does=operation, is_layer=False, takes=takes)  # type: ignore[arg-type]

    # Rows up to the second, so one of one image and two of two: three get two, as logits (2, 16).
    first = Layer(path="a", kind="Linear", options=(("in_features", 16), ("out_features", 2)))
    everything = Span(None, None, None)
    steps = (
        does("flatten", Made(0), 1),
        does("getitem", Made(1), (Span(0, 2, None), everything)),
        does("size", Made(0), 0),
        does("view", Made(2), Made(3), 16),
        Step(does="a", is_layer=True, takes=(Made(4),)),
    )
    file = written(tmp_path, NetworkGraph(layers=(first,), steps=steps, gives=5))
    assert main(["predict", file, *images(tmp_path, 2)]) == 0
    capsys.readouterr()
    assert main(["predict", file, *images(tmp_path, 3)]) == 2
    assert "the network can't take 3 images: shape '[3, 16]'" in capsys.readouterr().err
