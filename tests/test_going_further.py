"""Studies that go on after an end, and ends that come in several attempts."""

import json
import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import evoconv
from evoconv.errors import ConfigError, StudyError
from evoconv.execution.executor import Progress
from evoconv.genomes.architecture import read_genome
from evoconv.records import Trial
from evoconv.study.storage import Storage
from evoconv.study.watch import Unwatched
from tests.small_studies import FAST, note_in, write_stripe_files, write_stripes

OPTIONS: dict[str, Any] = FAST | {"seed": 1, "workers": 1}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stripes(tmp_path_factory.mktemp("images") / "stripes.npz")


@pytest.fixture(scope="module")
def finished(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "run"
    return evoconv.evolve(images, out=run, evaluations=3, **OPTIONS).run


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


class Pressing(Unwatched):
    """Ctrl-C when a trial has finished."""

    def finished(self, trial: Trial) -> None:
        raise KeyboardInterrupt


def saved(run: Path) -> bytes:
    return (run / "best" / "model.safetensors").read_bytes()


def test_what_was_trained_and_tested_outlives_an_interrupted_continuation(run: Path) -> None:
    before = saved(run)
    with pytest.raises(KeyboardInterrupt):
        evoconv.resume(run, evaluations=9, watch=Pressing())
    assert saved(run) == before
    summary = evoconv.Result(run).summary
    assert summary["test_accuracy"] is not None
    assert summary["evaluations"] == 4
    # Going on without a word keeps the limit that was set, and comes to an end of its own.
    result = evoconv.resume(run)
    assert result.summary["evaluations"] == 9
    assert result.summary["complete"]
    evoconv.resume(run)
    assert len(result.trials) == 9


def test_a_new_limit_leaves_an_interrupted_study_its_time(images: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        evoconv.evolve(images, out=run, time="20m", evaluations=2, watch=Pressing(), **OPTIONS)
    told: list[float | None] = []

    class Listening(Unwatched):
        def begun(self, *, time_s: float | None, **_: Any) -> None:
            told.append(time_s)

    evoconv.resume(run, evaluations=3, watch=Listening())
    assert told[0] is not None
    assert 600 < told[0] < 1200


def test_a_finish_that_had_no_time_is_done_again_where_there_is_some(run: Path) -> None:
    other = next(one for one in range(3) if one != evoconv.Result(run).summary["trial"])
    evoconv.finish(run, other, time=0.1)
    folder = run / f"trial-{other}"
    evolved = saved(folder)
    assert json.loads((folder / "result.json").read_text())["kept"] == "evolved"
    evoconv.finish(run, other, repeats=2)
    summary = json.loads((folder / "result.json").read_text())
    assert (summary["kept"], summary["repeats"]) == ("retrained", 2)
    trained = saved(folder)
    assert trained != evolved
    # Too little time for a third training: what was trained stays what it is.
    evoconv.finish(run, other, time=0.1, repeats=3)
    summary = json.loads((folder / "result.json").read_text())
    assert (summary["kept"], summary["repeats"]) == ("retrained", 2)
    assert saved(folder) == trained


def test_the_chosen_trial_can_be_finished_beside_the_study(run: Path) -> None:
    before = (run / "result.json").read_bytes()
    number = evoconv.Result(run).summary["trial"]
    evoconv.finish(run, number, repeats=2)
    summary = json.loads((run / f"trial-{number}" / "result.json").read_text())
    assert (summary["trial"], summary["repeats"]) == (number, 2)
    assert (run / "result.json").read_bytes() == before


@pytest.mark.parametrize("call", [evoconv.finish, evoconv.retrain])
def test_no_trainings_are_refused(run: Path, call: Any) -> None:
    with pytest.raises(ConfigError, match="repeats must be at least 1, got 0"):
        call(run, trial=0, repeats=0)


def test_a_training_without_time_takes_a_step_and_ends(run: Path) -> None:
    rows = evoconv.retrain(run, from_scratch=True, time=0.01)
    assert [row["way"] for row in rows] == ["evolved", "from scratch"]
    assert rows[1]["n"] == 1


class KillingTheFirst(Unwatched):
    """Kills the only worker whenever it reports on the first repeat."""

    def __init__(self) -> None:
        self.num_killed = 0

    def finishing(self, running: Sequence[Progress]) -> None:
        if not any((one.message, one.number) == ("repeat", 0) for one in running):
            return
        for child in psutil.Process().children():
            if any("spawn_main" in word for word in child.cmdline()):
                child.kill()
                self.num_killed += 1


@pytest.mark.slow
def test_a_repeat_that_fails_leaves_the_next_one_to_be_saved(images: Path, tmp_path: Path) -> None:
    watch = KillingTheFirst()
    options = OPTIONS | {"final_epochs": 1_000, "repeats": 2, "evaluations": 1}
    result = evoconv.evolve(images, out=tmp_path / "run", watch=watch, **options)
    assert watch.num_killed >= 2
    assert result.summary["repeats"] == 1
    assert result.summary["kept"] == "retrained"
    assert result.summary["complete"]
    with np.load(result.run / "test" / "repeat-1.npz") as stored:
        right = float((stored["logits"].argmax(1) == stored["labels"]).mean())
    assert right == pytest.approx(result.summary["test_accuracy"])
    assert "repeat-0" not in str(note_in(result.run, "final"))


def test_groups_that_changed_are_noticed(tmp_path: Path) -> None:
    source = write_stripe_files(tmp_path / "images", 60)
    names = sorted(path.relative_to(source).as_posix() for path in source.rglob("*.png"))
    file = tmp_path / "groups.csv"

    def write_groups(size: int) -> None:
        lines = [f"{name},lot {place // size}\n" for place, name in enumerate(names)]
        file.write_text("path,group\n" + "".join(lines))

    write_groups(2)
    run = tmp_path / "run"
    evoconv.evolve(source, out=run, group_by=file, evaluations=1, **OPTIONS)
    evoconv.resume(run)
    write_groups(3)
    with pytest.raises(StudyError, match=r"the groups of .*groups\.csv have changed since"):
        evoconv.resume(run, evaluations=2)
    with pytest.raises(StudyError, match="have changed since the study began"):
        evoconv.finish(run, 0)


@pytest.mark.parametrize("limits", [[3], {"time_s": 3}, {"evaluations": "many"}])
def test_limits_that_are_none_are_refused(run: Path, limits: Any) -> None:
    with closing(Storage.open(run, read_genome)) as storage:
        storage.set_note("limits", limits)
    with pytest.raises(
        (ConfigError, StudyError), match=r"evaluations must be|limits in .* damaged"
    ):
        evoconv.resume(run, generations=2)
