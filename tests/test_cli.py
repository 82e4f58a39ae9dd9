import json
import os
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

from evoconv.cli import main
from evoconv.cli.predictions import write_csv, write_json, write_lines
from evoconv.evolution.catalogue import METHODS
from evoconv.export.classifier import Prediction
from evoconv.report.read_standing import read_standing
from evoconv.report.result import write_result
from tests.report.studies import logits_of, make_study
from tests.small_studies import (
    command,
    finished,
    start,
    trials_in,
    wait_until,
    write_stripes,
)

LABELS = [0, 1, 2, 0, 1, 2]
PREDICTIONS = [
    Prediction(path=Path("a, b.png"), ranking=(("cat", 0.9), ("dog", 0.1))),
    Prediction(path=Path("c.png"), ranking=(("dog", 0.75), ("cat", 0.25))),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study."""
    folder = tmp_path_factory.mktemp("study")
    study = make_study(folder)
    study.add(0.9)
    study.fail()
    study.end(0, [logits_of(LABELS, 3)], LABELS)
    write_result(read_standing(folder, study.storage))
    study.storage.close()
    return folder


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    heavy = ("torch", "sklearn", "matplotlib", "sqlalchemy", "rich")
    code = (
        "import sys\n"
        "from evoconv.cli import main\n"
        "try:\n    main(['--help'])\n"
        f"finally:\n    print([one for one in {heavy} if one in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert all(name in done.stdout for name in ("evolve", "resume", "show", "predict"))


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("evoconv ")


def test_methods_are_listed_with_their_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods"]) == 0
    text = capsys.readouterr().out
    for name, method in METHODS.items():
        assert name in text
        assert method.summary in text
        assert method.source in text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["evolve", "nowhere", "--time", "soon"], "--time: a duration is written"),
        (["evolve", "nowhere", "--max-memory", "2 tons"], "--max-memory: a size is written"),
        (["evolve", "nowhere", "--stop-at", "101"], "--stop-at: a percentage"),
        (["evolve", "nowhere", "--tournament", "99"], "--tournament must be in [1, population=20]"),
        (["evolve", "nowhere", "--metric", "luck"], "--metric must be one of accuracy"),
        (["evolve", "nowhere"], "no such file or folder: nowhere"),
        (["resume", "nowhere"], "there is no run folder nowhere"),
        (["resume", ".", "--time", "soon"], "--time: a duration is written"),
        (["show", "nowhere"], "there is no run folder nowhere"),
        (["show", "."], ". holds no study"),
        (["predict", ".", "nowhere.png"], "no such file or folder: nowhere.png"),
        (["evaluate", ".", "nowhere"], "no saved model in ."),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(
    words: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"evoconv: {sentence}")
    assert err.count("\n") == 1
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_debugging_shows_where_an_error_came_from() -> None:
    environment = {**os.environ, "EVOCONV_DEBUG": "1"}
    done = subprocess.run(
        command("show", "nowhere"), capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_show_prints_the_study_and_saves_its_plot(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "fitness.png").unlink(missing_ok=True)
    assert main(["show", str(run), "--trials", "1"]) == 0
    out, err = capsys.readouterr()
    assert "Confusion matrix" in out
    assert err == ""
    assert (run / "fitness.png").stat().st_size > 1000


def test_show_json_is_the_result_and_nothing_else(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", str(run), "--json"]) == 0
    assert capsys.readouterr().out == (run / "result.json").read_text()


def test_a_closed_pipe_ends_quietly(run: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as output:
        done = subprocess.run(
            command("show", str(run)), stdout=output, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 128 + signal.SIGPIPE
    assert done.stderr == ""


def test_a_terminal_without_unicode_gets_escapes_not_errors(run: Path) -> None:
    done = subprocess.run(
        command("show", str(run)),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert "8\\xd78" in done.stdout


def test_predictions_for_people_are_aligned_lines() -> None:
    output = StringIO()
    write_lines(output, PREDICTIONS, [one.path for one in PREDICTIONS])
    assert output.getvalue().splitlines() == [
        "a, b.png  cat 90.00 %   then dog 10.00 %",
        "c.png     dog 75.00 %   then cat 25.00 %",
    ]


def test_predictions_as_csv_quote_what_must_be() -> None:
    output = StringIO()
    write_csv(output, PREDICTIONS)
    assert output.getvalue().splitlines() == [
        "path,label,probability,label_2,probability_2",
        '"a, b.png",cat,0.900000,dog,0.100000',
        "c.png,dog,0.750000,cat,0.250000",
    ]


def test_predictions_as_json_hold_the_ranking() -> None:
    output = StringIO()
    write_json(output, PREDICTIONS)
    first, second = json.loads(output.getvalue())
    assert (first["path"], first["label"], first["probability"]) == ("a, b.png", "cat", 0.9)
    assert second["ranking"][1] == {"label": "cat", "probability": 0.25}


def test_interrupting_saves_the_best_and_says_how_to_go_on(tmp_path: Path) -> None:
    source = write_stripes(tmp_path / "stripes.npz")
    words = ("evolve", str(source), "--out", "my run", "--time", "5m", "--image-passes", "400")
    process = subprocess.Popen(
        command(*words, "--max-macs", "300k"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    line = next(line for line in process.stdout if "new best" in line)
    assert "accuracy" in line
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == (
        "evoconv: interrupted; the best so far is in my run/best;"
        " go on with: evoconv resume 'my run'\n"
    )
    assert json.loads((tmp_path / "my run/result.json").read_text())["complete"] is False
    assert main(["show", str(tmp_path / "my run")]) == 0


def test_a_request_to_terminate_ends_the_workers_too(tmp_path: Path) -> None:
    source = write_stripes(tmp_path / "stripes.npz")
    words = ("evolve", str(source), "--out", "run", "--time", "5m", "--json")
    process = subprocess.Popen(
        command(*words),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    next(line for line in process.stderr if "validation images" in line)
    process.terminate()
    # The pipes reach their end only when no worker holds them any more.
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert out == ""
    assert "Traceback" not in err
    assert "go on with: evoconv resume run" in err


@pytest.mark.parametrize("in_background", [False, True])
def test_a_request_to_terminate_saves_the_best_so_far(tmp_path: Path, in_background: bool) -> None:
    source = write_stripes(tmp_path / "stripes.npz")
    words = ("evolve", str(source), "--out", "run", "--time", "5m", "--image-passes", "400")
    # A shell's script starts what it leaves in the background with Ctrl-C ignored.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_background else None
    try:
        process = start(*words, cwd=tmp_path)
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
    try:
        wait_until(lambda: len(finished(trials_in(tmp_path / "run"))) >= 2, "two evaluations")
        process.terminate()
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 143
    assert "the best so far is in run/best" in err
    assert (tmp_path / "run" / "best" / "model.json").is_file()


def test_a_study_from_end_to_end_prints_nothing_but_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    source = str(write_stripes(tmp_path / "stripes.npz"))
    done = subprocess.run(
        command(
            *("evolve", source, "--out", "run", "--evaluations", "2", "--image-passes", "400"),
            *("--final-epochs", "2", "--max-macs", "300k", "--workers", "1", "--json"),
        ),
        capture_output=True,
        text=True,
        check=True,
    )
    result = json.loads(done.stdout)
    assert result["complete"] is True
    assert result["evaluations"] == 2
    assert result["baseline_test_accuracy"] is not None
    assert "new best" in done.stderr
    assert main(["evaluate", "run", source, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["num_images"] == 150
    assert main(["resume", "run", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
