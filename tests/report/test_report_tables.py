from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType

from evoconv.genomes.shapes import layer_table
from evoconv.report.read_standing import read_standing
from evoconv.report.result import summary_of
from evoconv.report.standing import Standing
from evoconv.report.tables import (
    best_trials_table,
    front_table,
    measures_table,
    network_table,
    search_table,
)
from tests.report.studies import SHAPE, MadeStudy, logits_of, make_study, topology

LABELS = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]


def printed(part: RenderableType, width: int = 80) -> str:
    console = Console(file=StringIO(), width=width)
    console.print(part)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def read(study: MadeStudy) -> tuple[Standing, dict[str, Any]]:
    standing = read_standing(study.storage.path.parent, study.storage)
    return standing, summary_of(standing)


def squeezed(text: str) -> str:
    return " ".join(text.split())


def ended(run: Path, num_repeats: int = 2) -> tuple[Standing, dict[str, Any]]:
    study = make_study(run)
    study.add(0.91)
    wrong = [1, *LABELS[1:]]
    study.end(0, [logits_of(one, 3) for one in (wrong, LABELS)[:num_repeats]], LABELS)
    return read(study)


def test_the_network_is_shown_layer_by_layer_with_its_totals(tmp_path: Path) -> None:
    standing, summary = ended(tmp_path)
    text = printed(network_table(standing, summary))
    for row in layer_table(topology(10), SHAPE, 3):
        shape = "×".join(str(side) for side in row.output_shape)
        figures = " ".join(f"{one:,}" for one in (row.parameters, row.macs) if one)
        line = next(line for line in text.splitlines() if line.startswith(row.name))
        assert squeezed(line) == f"{row.name} {row.description} {shape} {figures}".strip()
    assert f"total {summary['parameters']:,} {summary['macs']:,}" in squeezed(text)
    assert "0.42 ms per image on one thread (median of 50)" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_of_a_long_front_the_ends_and_an_even_choice_are_shown(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    for size in range(1, 31):
        study.add(0.5 + size / 100, filters=size)
    standing, _ = read(study)
    assert len(standing.front) == 30
    text = printed(front_table(standing), width=120)
    rows = [line.split() for line in text.splitlines()[2:]]
    numbers = [int(row[0]) for row in rows]
    assert len(numbers) == 12
    assert (numbers[0], numbers[-1]) == (29, 0)
    assert numbers == sorted(numbers, reverse=True)
    assert "(12 of 30)" in text


def test_a_mean_of_several_trainings_is_shown_with_its_spread(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    study.add(0.9)
    standing, _ = read(study)
    (trial,) = standing.trials
    measured = trial.individual.measurement
    assert measured is not None
    values = {**measured.values, "trainings": 3.0, "validation_accuracy_std": 0.0123}
    again = replace(trial.individual, measurement=replace(measured, values=values))
    repeated = replace(standing, trials=(replace(trial, individual=again),))
    assert "90.00 % ± 1.23, n=3" in printed(best_trials_table(repeated, 1), width=120)
    assert "±" not in printed(best_trials_table(standing, 1), width=120)


def test_what_was_saved_is_said_only_if_it_was(tmp_path: Path) -> None:
    standing, summary = ended(tmp_path)
    assert "stopping early" not in printed(search_table(standing, summary))
    summary["savings"] = {"stopping": 0.4, "freezing": 0.0, "inheritance": -0.1}
    text = squeezed(printed(search_table(standing, summary), width=200))
    assert "stopping early left out 40.0 % of the image passes;" in text
    assert "trainings with inherited weights were 10.0 % longer" in text
    assert "frozen" not in text


def test_the_test_has_mean_deviation_and_extremes_and_the_baseline_beside_it(
    tmp_path: Path,
) -> None:
    _, summary = ended(tmp_path)
    text = squeezed(printed(measures_table(summary)))
    assert "validation 91.00 %" in text
    assert "test 95.00 %" in text
    assert "baseline, test 90.00 %" in text
    assert "test accuracy 95.00 ± 7.07 % (mean and standard deviation of 2 trainings)" in text
    assert "from 90.00 % to 100.00 %" in text


def test_one_training_has_no_deviation_to_show(tmp_path: Path) -> None:
    _, summary = ended(tmp_path, num_repeats=1)
    assert "±" not in printed(measures_table(summary))


def test_before_the_end_there_is_no_row_of_the_test(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    study.add(0.91)
    _, summary = read(study)
    text = squeezed(printed(measures_table(summary)))
    assert "validation 91.00 %" in text
    assert "test " not in text


def test_kept_weights_are_explained(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    study.add(0.91)
    study.end(0, [logits_of(LABELS, 3)], LABELS)
    note = study.storage.note("final")
    study.storage.set_note("final", {**note, "kept": "evolved", "why": "the time was short"})
    _, summary = read(study)
    assert "the weights are those of the search: the time was short" in printed(
        measures_table(summary)
    )


def test_a_search_under_way_says_what_runs(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    study.add(0.91, redraws=1)
    study.add(None)
    text = squeezed(printed(search_table(*read(study))))
    assert "1 evaluation in" in text
    assert "ended not yet; running: 1" in text
    assert "33.3 % of the networks drawn were dropped" in text


def test_a_finished_search_says_why_it_ended(tmp_path: Path) -> None:
    text = squeezed(printed(search_table(*ended(tmp_path))))
    assert "alpha was dropped" in text
    assert "ended all 3 evaluations are done" in text


def test_without_an_evaluation_there_is_no_network(tmp_path: Path) -> None:
    assert "no evaluation is complete yet" in printed(network_table(*read(make_study(tmp_path))))


def test_the_best_trials_come_first_with_the_measure_that_counts(tmp_path: Path) -> None:
    study = make_study(tmp_path, metric="cross-entropy")
    for accuracy in (0.5, 0.9, 0.7):
        study.add(accuracy)
    standing, _ = read(study)
    lines = printed(best_trials_table(standing, 2)).splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["1", "2"]
    assert "1 0.1100 90.00 %" in squeezed(lines[2])


def test_hostile_text_in_a_study_can_not_steer_the_terminal(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    study.add(0.91)
    study.storage.set_note("data", {**study.storage.note("data"), "source": "\x1b[2J[red]x"})
    text = printed(search_table(*read(study)))
    assert "\x1b" not in text
    assert "[red]x" in text
