"""Which network of the front a person gets."""

from pathlib import Path

import pytest

from evoconv.cli import main
from evoconv.errors import ConfigError
from evoconv.report.pick import pick_trial
from evoconv.report.read_standing import read_standing
from evoconv.report.standing import Standing
from tests.report.studies import make_study


@pytest.fixture
def standing(tmp_path: Path) -> Standing:
    """Trials 0, 2 and 4 are the front; 1 is larger and worse than 0; 3 has failed."""
    study = make_study(tmp_path)
    study.add(0.95, filters=40)
    study.add(0.94, filters=50)
    study.add(0.90, filters=20)
    study.fail()
    study.add(0.80, filters=5)
    return read_standing(tmp_path, study.storage)


def test_the_front_is_what_nothing_beats_in_everything(standing: Standing) -> None:
    assert [one.number for one in standing.front] == [0, 2, 4]


def test_the_fittest_that_meets_the_conditions_is_picked(standing: Standing) -> None:
    sizes = [one.individual.measurement.values["parameters"] for one in standing.front]  # type: ignore[union-attr]
    assert pick_trial(standing, f"parameters<{sizes[0]:.0f}").number == 2
    assert pick_trial(standing, f"parameters<={sizes[0]:.0f}").number == 0
    assert pick_trial(standing, f"parameters<{sizes[1]:.0f}").number == 4
    assert pick_trial(standing, "accuracy>85, memory<1GB").number == 0
    assert pick_trial(standing, "macs<1M").number == 0


def test_a_number_picks_any_measured_trial(standing: Standing) -> None:
    assert pick_trial(standing, "1").number == 1


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ("parameters<10", r"no network of the front has parameters<10; the nearest has \d+"),
        ("accuracy>99", "no network of the front has accuracy>99; the nearest has 95.00 %"),
        ("accuracy>94,macs<20k", "no network of the front meets all of these together"),
        ("size<5k", "conditions such as parameters<5k on parameters, macs, memory, accuracy, got"),
        ("parameters<", "got parameters<"),
        ("parameters=5", "got parameters=5"),
        ("parameters<many", "--pick parameters<many: "),
        ("accuracy>120", "--pick accuracy>120: "),
        ("", "got $"),
        ("9", "--pick 9: the study's trials are 0 to 4"),
        ("3", "--pick 3: that trial is failed, it has no measurement"),
    ],
)
def test_what_can_not_be_picked_is_one_sentence(
    wanted: str, sentence: str, standing: Standing
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        pick_trial(standing, wanted)


def test_nothing_can_be_picked_where_nothing_is_measured(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    study.fail()
    with pytest.raises(ConfigError, match="no evaluation of the study is complete yet"):
        pick_trial(read_standing(tmp_path, study.storage), "parameters<5k")


def test_show_prints_the_picked_network_and_how_to_finish_it(
    standing: Standing, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", str(standing.run), "--pick", "4"]) == 0
    text = capsys.readouterr().out
    assert "Network: trial 4" in text
    assert f"evoconv finish {standing.run} --trial 4" in text
    assert (standing.run / "front.png").is_file()
    assert not (standing.run / "trial-4").exists()
