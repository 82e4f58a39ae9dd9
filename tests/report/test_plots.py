from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from evoconv.errors import StudyError
from evoconv.report.plots import fitness_figure, front_figure, save_plots
from evoconv.report.read_standing import read_standing
from tests.report.studies import MadeStudy, make_study


def figure_of(study: MadeStudy) -> Figure:
    return fitness_figure(read_standing(study.storage.path.parent, study.storage))


def line_labelled(figure: Figure, start: str) -> tuple[list[float], list[float]]:
    """Return the places and heights of the line whose label begins so."""
    (line,) = [one for one in figure.axes[0].lines if str(one.get_label()).startswith(start)]
    return list(np.asarray(line.get_xdata())), list(np.asarray(line.get_ydata()))


def test_the_plots_are_pngs_in_the_run_folder(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    for accuracy in (0.5, 0.9, 1.0):
        study.add(accuracy)
    save_plots(read_standing(tmp_path, study.storage))
    for name in ("fitness.png", "front.png"):
        with Image.open(tmp_path / name) as image:
            assert image.format == "PNG"
            assert np.asarray(image.convert("L")).std() > 5


def test_the_best_so_far_only_rises_and_skips_failures(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    study.fail()
    for accuracy in (0.5, 0.9, 0.8):
        study.add(accuracy)
    study.add(0.5, copy_of=1)
    figure = figure_of(study)
    places, errors = line_labelled(figure, "best so far: 90.00 %")
    assert places == [1, 2, 3, 4]
    assert errors[1:] == pytest.approx([0.5, 0.1, 0.1])
    assert np.isnan(errors[0])
    assert line_labelled(figure, "failed (1)")[0] == [1]


def test_better_is_up_for_accuracies_and_for_losses(tmp_path: Path) -> None:
    for metric in ("accuracy", "cross-entropy"):
        study = make_study(tmp_path / metric, metric=metric)
        study.add(0.5)
        study.add(0.9)
        bottom, top = figure_of(study).axes[0].get_ylim()
        assert bottom > top, "small errors and small losses belong at the top"


def test_colours_that_are_all_alike_need_no_bar(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    study.add(0.5, filters=10)
    study.add(0.9, filters=10)
    standing = read_standing(tmp_path, study.storage)
    assert len(front_figure(standing).axes) == 1
    study.add(0.9, filters=20)
    assert len(front_figure(read_standing(tmp_path, study.storage)).axes) == 2


def test_a_perfect_score_has_a_place_and_a_label(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    study.add(1.0)
    study.add(0.5)
    figure = figure_of(study)
    figure.canvas.draw()
    labels = {tick.get_text() for tick in figure.axes[0].get_yticklabels()}
    assert {"100 %", "99.5 %", "99 %", "90 %", "50 %"} <= labels


@pytest.mark.parametrize("num_failed", [0, 3])
def test_a_study_without_a_result_can_be_drawn(num_failed: int, tmp_path: Path) -> None:
    study = make_study(tmp_path)
    for _ in range(num_failed):
        study.fail()
    save_plots(read_standing(tmp_path, study.storage))
    for name in ("fitness.png", "front.png"):
        assert (tmp_path / name).stat().st_size > 1000


def test_a_folder_that_can_not_be_written_is_one_sentence(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    study.add(0.5)
    standing = read_standing(tmp_path / "gone", study.storage)
    with pytest.raises(StudyError, match=r"fitness.png can't be written"):
        save_plots(standing)
