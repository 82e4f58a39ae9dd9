"""How a search went, fact by fact: data, evaluations, savings, limits, why it ended."""

import math
from typing import Any

from evoconv.problems.fitness import formula_of
from evoconv.problems.objectives import TargetAccuracy
from evoconv.problems.transfer_options import NO_ROOM
from evoconv.records import Trial
from evoconv.report.sentences import counts_text, limits_text
from evoconv.report.standing import Standing
from evoconv.units import format_duration, format_percent


def search_facts(standing: Standing, summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Return titles with sentences; an empty title goes on with the one before."""
    images = standing.images
    facts = [("study", f"{standing.run}, {standing.method}, recipe {standing.recipe}")]
    if images is not None:
        channels, height, width = images.input_shape
        facts.append(
            (
                "images",
                f"{images.source}: {images.num_images:,} of {len(images.classes)} classes,"
                f" {height}×{width}, {channels} channel{'' if channels == 1 else 's'};"
                f" {images.num_training:,} to train, {images.num_test:,} to test",
            )
        )
        facts += [("", note) for note in images.notes]
    counts = counts_text(summary["evaluations"], summary["failed"], summary["copies"])
    facts.append(("search", f"{counts} in {format_duration(standing.seconds)}"))
    if summary["worker_busy"] is not None:
        facts[-1] = ("search", f"{facts[-1][1]}; workers busy {_percent(summary['worker_busy'])}")
    if saved := _savings_text(summary["savings"]):
        facts.append(("saved", saved))
    if num_crowded := sum(map(_lacked_room, standing.evaluations)):
        facts.append(
            (
                "",
                f"{num_crowded:,} trainings computed again what frozen layers give, for lack of"
                " room (--feature-cache)",
            )
        )
    if summary["redraw_rate"]:
        rate = _percent(summary["redraw_rate"])
        facts.append(("", f"{rate} of the networks drawn were dropped: infeasible or known"))
    if (kept := limits_text(standing.limits)) is not None:
        facts.append(("limits", kept))
    if (formula := formula_of(standing.objective)) is not None:
        best = summary["best_fitness"]
        reached = "" if best is None else f"; that of the best is {best:.4g}"
        facts.append(("fitness", formula + reached))
    if standing.target_reached is not None:
        facts.append(("target", _target_text(standing)))
    if standing.stop_reason is not None:
        facts.append(("ended", standing.stop_reason))
    else:
        running = [str(one.number) for one in standing.running]
        facts.append(("ended", f"not yet; running: {', '.join(running)}" if running else "not yet"))
    facts.append(("seed", f"{standing.seed}; {standing.precision or 'precision not chosen yet'}"))
    return facts


def _lacked_room(trial: Trial) -> bool:
    measured = trial.individual.measurement
    return measured is not None and any(one.startswith(NO_ROOM) for one in measured.remarks)


def _savings_text(savings: dict[str, float | None]) -> str:
    """Return what was saved and how, of what was saved at all; empty if it was nothing."""
    said = []
    if savings["stopping"]:
        said.append(f"stopping early left out {_percent(savings['stopping'])} of the image passes")
    if savings["freezing"]:
        frozen = _percent(savings["freezing"])
        said.append(f"frozen layers saved {frozen} of the multiply-accumulates of training")
    if (shorter := savings["inheritance"]) is not None:
        word = "longer" if shorter < 0 else "shorter"
        said.append(f"trainings with inherited weights were {_percent(abs(shorter))} {word}")
    return "; ".join(said)


def _target_text(standing: Standing) -> str:
    assert isinstance(standing.objective, TargetAccuracy)
    target = f"{format_percent(standing.objective.target)} validation accuracy"
    if standing.size == "parameters":
        target += " less its error"
    if standing.target_reached:
        return f"{target}: reached"
    if standing.shown is not None:
        return f"{target}: not reached by this network"
    if math.isfinite(standing.objective.most):
        return f"{target}: no network within --max-bytes reached it"
    return f"{target}: no network reached it; the most accurate one was chosen"


def _percent(fraction: float) -> str:
    return format_percent(fraction, digits=1)
