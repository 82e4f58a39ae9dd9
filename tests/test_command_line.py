"""The command as people use it: real files in, sentences and exit codes out."""

import csv
import json
import os
import pickle
import signal
import struct
import subprocess
import zlib
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import evoconv
from evoconv.cli import main
from evoconv.evolution.catalogue import methods_for
from tests.data.files import (
    draw,
    encode,
    encode_idx,
    tree_of,
    write_idx_pair,
    write_tar,
    write_tree,
    write_zip,
)
from tests.small_studies import FAST, command, flags, write_stripe_files

Capture = pytest.CaptureFixture[str]
FINISHED = FAST | {"evaluations": 3, "workers": 1, "seed": 4, "final_epochs": 40}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stripe_files(tmp_path_factory.mktemp("images") / "stripes")


@pytest.fixture(scope="module")
def done(images: Path) -> "subprocess.CompletedProcess[str]":
    """A whole study on class folders, by a process of its own, in ``runs/`` of the images."""
    words = command("evolve", "stripes", "--json", *flags(FINISHED))
    return subprocess.run(words, cwd=images.parent, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def run(done: "subprocess.CompletedProcess[str]", images: Path) -> Path:
    assert done.returncode == 0, done.stderr
    (folder,) = (images.parent / "runs").iterdir()
    return folder


def test_with_json_the_result_alone_is_on_standard_output(
    done: "subprocess.CompletedProcess[str]", run: Path
) -> None:
    result = json.loads(done.stdout)
    assert result == json.loads((run / "result.json").read_text())
    assert result["complete"] is True
    assert result["evaluations"] == 3
    assert "new best" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_without_a_name_gets_one_that_says_what_it_is(run: Path) -> None:
    assert run.name.startswith("stripes-async-")


def test_predict_prints_path_label_and_the_next_best(
    run: Path, images: Path, capsys: Capture
) -> None:
    paths = sorted((images / "rows").glob("*.png"))[:2]
    assert main(["predict", str(run), *map(str, paths)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert [line.split()[0] for line in lines] == [str(path) for path in paths]
    for line in lines:
        assert len({"rows", "columns", "checks"} & set(line.replace(",", " ").split())) == 2
        assert line.count("%") == 2


def test_predict_takes_folders_and_writes_csv(run: Path, images: Path, capsys: Capture) -> None:
    assert main(["predict", str(run), str(images), "--csv", "--top", "3"]) == 0
    header, *rows = csv.reader(StringIO(capsys.readouterr().out))
    assert header == [
        *("path", "label", "probability", "label_2", "probability_2", "label_3", "probability_3")
    ]
    assert {row[0] for row in rows} == {str(path) for path in images.rglob("*.png")}
    for row in rows:
        assert set(row[1::2]) == {"rows", "columns", "checks"}
        chances = [float(cell) for cell in row[2::2]]
        assert chances == sorted(chances, reverse=True)
        assert sum(chances) == pytest.approx(1, abs=1e-4)


def test_predict_json_agrees_with_python(run: Path, images: Path, capsys: Capture) -> None:
    path = next((images / "checks").glob("*.png"))
    assert main(["predict", str(run), str(path), "--json", "--top", "1"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    (prediction,) = evoconv.load(run).predict([path])
    assert one["label"] == prediction.label
    assert one["probability"] == pytest.approx(prediction.probability)
    assert len(one["ranking"]) == 1


def test_predict_leaves_out_what_is_no_image_only_if_asked(
    run: Path, images: Path, tmp_path: Path, capsys: Capture
) -> None:
    good = next((images / "checks").glob("*.png"))
    bad = tmp_path / "torn.png"
    bad.write_bytes(good.read_bytes()[:40])
    assert main(["predict", str(run), str(good), str(bad), str(good)]) == 2
    assert "torn.png" in capsys.readouterr().err
    words = ["--skip-bad-images", str(good), str(bad), str(good)]
    assert main(["predict", str(run), *words]) == 0
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == [str(good)] * 2
    assert err.startswith("evoconv: left out: ")
    assert err.count("torn.png") == 1
    assert main(["predict", str(run), "--skip-bad-images", str(bad)]) == 0
    assert capsys.readouterr().out == ""


def test_predict_reads_other_forms_of_the_same_image(
    run: Path, images: Path, tmp_path: Path, capsys: Capture
) -> None:
    """A photo of another kind is brought to what the network was trained on."""
    path = next((images / "rows").glob("*.png"))
    with Image.open(path) as opened:
        opened.convert("RGBA").save(tmp_path / "a.png")
        opened.convert("RGB").save(tmp_path / "b.bmp")
        opened.save(tmp_path / "c.webp", lossless=True)
    words = [str(path), *(str(tmp_path / name) for name in ("a.png", "b.bmp", "c.webp"))]
    assert main(["predict", str(run), *words, "--json"]) == 0
    first, *others = json.loads(capsys.readouterr().out)
    assert len(others) == 3
    for one in others:
        assert one["label"] == first["label"]
        assert one["probability"] == pytest.approx(first["probability"], abs=1e-5)


def test_evaluate_prints_measures_and_confusion(run: Path, images: Path, capsys: Capture) -> None:
    assert main(["evaluate", str(run), str(images), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["num_images"] == 150
    assert sum(map(sum, found["confusion"])) == 150
    assert main(["evaluate", str(run), str(images)]) == 0
    assert "150 images" in capsys.readouterr().out


def test_evaluate_takes_a_part_of_the_classes_but_no_others(
    run: Path, images: Path, tmp_path: Path, capsys: Capture
) -> None:
    some = {f"rows/{path.name}": path.read_bytes() for path in (images / "rows").iterdir()}
    assert main(["evaluate", str(run), str(write_tree(tmp_path / "rows", some)), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["num_images"] == len(some)
    others = write_tree(tmp_path / "others", tree_of(classes=("rows", "spots")))
    assert main(["evaluate", str(run), str(others)]) == 2
    assert "spots" in capsys.readouterr().err


def test_show_says_what_to_type_next(run: Path, capsys: Capture) -> None:
    assert main(["show", str(run)]) == 0
    assert f"evoconv predict {run}" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["methods"], ["--help"], ["evolve", "--help-all"]])
def test_a_reader_who_has_seen_enough_gets_no_complaint(words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as output:
        ended = subprocess.run(
            command(*words), stdout=output, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ended.returncode in (0, 128 + signal.SIGPIPE)
    assert ended.stderr == ""


def test_predictions_piped_into_head_end_cleanly(run: Path, images: Path) -> None:
    predict = subprocess.Popen(
        command("predict", str(run), str(images), "--csv"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    head = subprocess.run(
        ["head", "-n", "1"], stdin=predict.stdout, capture_output=True, text=True, check=True
    )
    assert predict.stdout is not None
    predict.stdout.close()
    assert head.stdout.startswith("path,label")
    assert predict.stderr is not None
    assert predict.stderr.read() == ""
    assert predict.wait() in (0, 128 + signal.SIGPIPE)
    predict.stderr.close()


def test_a_mistake_is_a_sentence_in_a_real_process_too(tmp_path: Path) -> None:
    ended = subprocess.run(
        command("evolve", "nowhere"), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("evoconv: no such file or folder: nowhere")
    assert ended.stderr.count("\n") == 1


# -- bad input: a maker of files in an empty folder, and what the sentence must hold --------------

Files = Callable[[Path], object]
TREE = tree_of()


def png_of_size(width: int, height: int) -> bytes:
    """Return a small PNG file that declares a large image."""
    data = bytearray(encode(draw(0, 8, 8)))
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


def idx_with(images: bytes | None = None, labels: bytes | None = None) -> Files:
    """Return a maker of a folder of IDX files, with some of them replaced."""

    def write(folder: Path) -> None:
        write_idx_pair(folder, "train", draw(1, 20, 8, 8), np.arange(20, dtype=np.uint8) % 2)
        for kind, content in (("images-idx3", images), ("labels-idx1", labels)):
            if content is not None:
                (folder / f"train-{kind}-ubyte.gz").unlink()
                (folder / f"train-{kind}-ubyte").write_bytes(content)

    return write


def zip_declaring_gigabytes(folder: Path) -> None:
    data = bytearray(write_zip(folder.with_suffix(".zip"), TREE).read_bytes())
    # The unpacked size in the first entry of the central directory.
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = b"\xfe\xff\xff\xff"
    folder.with_suffix(".zip").write_bytes(data)


def tree_with(files: dict[str, bytes]) -> Files:
    return lambda folder: write_tree(folder, files)


IDX_IMAGES = encode_idx(draw(1, 20, 8, 8))
TRUNCATED = {"cat/bad.png": TREE["cat/0.png"][:60]}

BAD_SOURCES: dict[str, tuple[Files, list[str], list[str]]] = {
    "nothing there": (lambda folder: None, ["data"], ["no such file or folder: data", "digits"]),
    "empty folder": (lambda folder: folder.mkdir(), ["data"], ["data is an empty folder"]),
    "one class": (
        tree_with({path: data for path, data in TREE.items() if "cat" in path}),
        ["data"],
        ["only one class", "'cat'", "two"],
    ),
    "images in no class": (tree_with({"1.png": TREE["cat/0.png"]}), ["data"], ["one folder per"]),
    "no images": (tree_with({"cat/notes.txt": b"x", "dog/a.doc": b"x"}), ["data"], ["no images"]),
    "fewer images than folds": (
        tree_with(TREE),
        ["data", "--folds", "9"],
        ["class 'cat'", "9 folds", "too few"],
    ),
    "a truncated image": (tree_with(TREE | TRUNCATED), ["data"], ["cat/bad.png", "truncated"]),
    "no image at all": (
        tree_with(TREE | {"dog/bad.png": b"not a picture"}),
        ["data"],
        ["dog/bad.png"],
    ),
    "only bad images": (
        tree_with({f"{name}/{n}.png": b"x" for name in "ab" for n in range(4)}),
        ["data", "--skip-bad-images"],
        ["none of the 8 images can be read"],
    ),
    "an image that would fill the memory": (
        tree_with(TREE | {"cat/huge.png": png_of_size(60_000, 60_000)}),
        ["data"],
        ["cat/huge.png", "larger than an image may be"],
    ),
    "IDX: wrong magic": (
        idx_with(images=b"\0\0\x0d" + IDX_IMAGES[3:]),
        ["data"],
        ["train-images", "magic number 00000d03 instead of 00000803"],
    ),
    "IDX: too short": (
        idx_with(images=IDX_IMAGES[:-7]),
        ["data"],
        ["train-images", "declares 20 x 8 x 8", "1,273"],
    ),
    "IDX: too long": (idx_with(images=IDX_IMAGES + b"12"), ["data"], ["train-images", "more"]),
    "IDX: labels for others": (
        idx_with(labels=encode_idx(np.arange(17, dtype=np.uint8) % 2)),
        ["data"],
        ["20 train images", "17 labels"],
    ),
    "npz: labels for others": (
        lambda folder: np.savez(
            folder.with_suffix(".npz"), images=draw(1, 20, 8, 8), labels=np.arange(9) % 2
        ),
        ["data.npz"],
        ["20", "9 labels"],
    ),
    "npz: code in it": (
        lambda folder: np.savez(
            folder.with_suffix(".npz"),
            images=draw(1, 4, 8, 8),
            labels=np.array([print, 1, 2, 3], dtype=object),
        ),
        ["data.npz"],
        ["data.npz"],
    ),
    "npz: other arrays": (
        lambda folder: np.savez(folder.with_suffix(".npz"), pictures=draw(1, 4, 8, 8)),
        ["data.npz"],
        ["pictures", "images"],
    ),
    "tar: a member outside": (
        lambda folder: write_tar(folder.with_suffix(".tar"), TREE | {"../dog/7.png": b"x"}),
        ["data.tar"],
        ["points outside it", "../dog/7.png"],
    ),
    "zip: a member outside": (
        lambda folder: write_zip(folder.with_suffix(".zip"), TREE | {"/etc/cat/7.png": b"x"}),
        ["data.zip"],
        ["points outside it", "/etc/cat/7.png"],
    ),
    "zip: a bomb": (zip_declaring_gigabytes, ["data.zip"], ["unpacks to more than"]),
    "a damaged archive": (
        lambda folder: folder.with_suffix(".zip").write_bytes(b"PK\3\4 nonsense"),
        ["data.zip"],
        ["data.zip", "damaged"],
    ),
    "another kind of file": (
        lambda folder: folder.with_suffix(".pkl").write_bytes(pickle.dumps([1])),
        ["data.pkl"],
        ["data.pkl", "no folder", ".npz"],
    ),
    "groups by a file that is not there": (
        tree_with(TREE),
        ["data", "--group-by", "lots.csv"],
        ["lots.csv"],
    ),
    "groups by an expression that is none": (
        tree_with(TREE),
        ["data", "--group-by", "("],
        ["group", "no regular expression", "("],
    ),
    "no network within the parameters": (
        tree_with(TREE),
        ["data", "--max-parameters", "7"],
        ["smallest network", "parameters", "7"],
    ),
    "no network within the multiply-accumulates": (
        tree_with(TREE),
        ["data", "--max-macs", "10"],
        ["smallest network", "10"],
    ),
    "no network within the memory": (
        tree_with(TREE),
        ["data", "--max-memory", "100"],
        ["smallest network", "100"],
    ),
    "a run folder below a file": (
        tree_with(TREE),
        ["data", "--out", "data/cat/0.png/run"],
        ["data/cat/0.png/run"],
    ),
    "a run folder that is a file": (
        tree_with(TREE),
        ["data", "--out", "data/cat/0.png"],
        ["data/cat/0.png"],
    ),
}


@pytest.mark.parametrize("case", BAD_SOURCES)
def test_what_cannot_be_learned_from_is_one_sentence(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    write, words, wanted = BAD_SOURCES[case]
    monkeypatch.chdir(tmp_path)
    write(Path("data"))
    assert main(["evolve", *words, "--evaluations", "1"]) == 2
    assert_one_sentence(capsys, wanted)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--time", "soon"], ["--time", "soon"]),
        (["--time", "-5m"], ["--time"]),
        (["--time=-5m"], ["--time", "-5m"]),
        (["--time", "0"], ["--time", "0"]),
        (["--time", "nan"], ["--time", "nan"]),
        (["--time", "1e400"], ["--time", "1e400"]),
        (["--trial-time", "ten"], ["--trial-time", "ten"]),
        (["--evaluations", "0"], ["--evaluations", "0"]),
        (["--evaluations", "2.5"], ["--evaluations", "2.5"]),
        (["--max-parameters", "many"], ["--max-parameters", "many"]),
        (["--max-parameters", "-1"], ["--max-parameters", "-1"]),
        (["--max-memory", "2 tons"], ["--max-memory", "2 tons"]),
        (["--image-size", "0"], ["image-size", "0"]),
        (["--image-size", "48y"], ["image-size", "48y"]),
        (["--image-size", "99999999"], ["image-size", "99999999"]),
        (["--workers", "0"], ["--workers", "0"]),
        (["--workers", "two"], ["--workers", "two"]),
        (["--worker-memory", "lots"], ["--worker-memory", "lots"]),
        (["--stop-at", "150"], ["--stop-at", "150"]),
        (["--folds", "0"], ["--folds", "0"]),
        (["--population", "0"], ["--population", "0"]),
        (["--crossover", "nan"], ["--crossover", "nan"]),
        (["--min-filters", "50", "--max-filters", "10"], ["filters", "50", "10"]),
        (["--activations", "relu,magic"], ["--activations", "magic", "relu", "tanh"]),
        (["--seed", "x"], ["--seed", "x"]),
        (["--seed", "-1"], ["--seed", "-1"]),
        (["--method", "magic"], ["--method", "magic", *methods_for("evolve")]),
        (["--recipe", "magic"], ["--recipe", "magic", "fast", "long", "paper"]),
        (["--metric", "magic"], ["--metric", "magic", "macro-f1"]),
        (["--tims", "5m"], ["--tims", "--time"]),
    ],
)
def test_nonsense_is_refused_in_one_sentence(
    words: list[str],
    wanted: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["evolve", "digits", *words]) == 2
    assert_one_sentence(capsys, wanted)
    assert not list(tmp_path.iterdir())


def test_bad_images_are_skipped_when_asked_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    write_stripe_files(Path("data"))
    (tmp_path / "data/rows/bad.png").write_bytes(TRUNCATED["cat/bad.png"])
    words = ["--out", "run", "--skip-bad-images", *flags(FINISHED | {"evaluations": 1})]
    assert main(["evolve", "data", *words]) == 0
    out, err = capsys.readouterr()
    assert "1 image skipped that can't be read: " in out
    assert "rows/bad.png" in out
    assert err == ""
    notes = json.loads((tmp_path / "run/result.json").read_text())["data"]["notes"]
    assert any("rows/bad.png" in note for note in notes)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["predict", "RUN", "nowhere.png"], ["no such file or folder: nowhere.png"]),
        (["predict", "RUN", "empty"], ["empty", "no images"]),
        (["predict", "RUN", "broken.png"], ["broken.png", "truncated"]),
        (["predict", "RUN", "IMAGE", "--top", "4"], ["--top", "[1, 3]", "4"]),
        (["predict", "RUN", "IMAGE", "--top", "0"], ["--top", "0"]),
        (["predict", "RUN", "IMAGE", "--top", "x"], ["--top", "x"]),
        (["predict", "empty", "IMAGE"], ["empty", "no saved model"]),
        (["predict", "nowhere", "IMAGE"], ["nowhere", "no saved model"]),
        (["evaluate", "RUN", "nowhere"], ["no such file or folder: nowhere"]),
        (["evaluate", "nowhere", "empty"], ["nowhere", "no saved model"]),
        (["show", "empty"], ["empty holds no study"]),
        (["show", "damaged"], ["damaged"]),
        (["resume", "damaged"], ["damaged"]),
        (["resume", "empty"], ["empty holds no study"]),
        (["resume", "RUN", "--time", "soon"], ["--time", "soon"]),
        (["resume", "RUN", "--evaluations", "none"], ["--evaluations", "none"]),
        (["evolve", "IMAGE", "--out", "RUN"], ["no folder"]),
    ],
)
def test_a_mistake_with_a_finished_study_is_one_sentence(
    words: list[str],
    wanted: list[str],
    run: Path,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    monkeypatch.chdir(tmp_path)
    image = next(images.rglob("*.png"))
    (tmp_path / "broken.png").write_bytes(image.read_bytes()[:50])
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged/study.db").write_bytes(b"SQLite format 3\0" + bytes(range(200)))
    real = {"RUN": str(run), "IMAGE": str(image)}
    assert main([real.get(word, word) for word in words]) == 2
    assert_one_sentence(capsys, wanted)


def assert_one_sentence(capsys: Capture, wanted: list[str]) -> None:
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("evoconv: ")
    assert err.count("\n") == 1
    assert len(err) < 500
    assert "Traceback" not in err
    assert [word for word in wanted if word not in err] == [], err
