"""Tables for people: the search, the network layer by layer, its test, the best trials."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from evoconv.genomes.shapes import layer_table
from evoconv.genomes.topology import Topology
from evoconv.problems.fitness import formula_of
from evoconv.records import Measurement, Trial
from evoconv.report.notes import Augmentations, Compressed, Images
from evoconv.report.search_facts import search_facts
from evoconv.report.sentences import measure_text, network_text, printable
from evoconv.report.standing import Standing
from evoconv.training.options import METRICS
from evoconv.units import format_bytes, format_count, format_duration, format_percent

_TITLES = {
    "accuracy": "accuracy",
    "balanced-accuracy": "balanced",
    "macro-f1": "macro F1",
    "cross-entropy": "cross-entropy",
}
_MAX_FRONT = 12


def search_table(standing: Standing, summary: dict[str, Any]) -> RenderableType:
    """Return how the search went: data, evaluations, time, why it ended."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column()
    for title, sentence in search_facts(standing, summary):
        grid.add_row(title, Text(printable(sentence)))
    return grid


def network_table(standing: Standing, summary: dict[str, Any]) -> RenderableType:
    """Return the best network's layers with shapes, parameters and multiply-accumulates."""
    best = standing.best
    if standing.images is None or best is None:
        return Text("no evaluation is complete yet")
    if standing.topology is None:
        layers: RenderableType = Text(printable(network_text(best.individual.genome)))
    else:
        layers = _layers_table(standing.topology, standing.images, summary)
    memory = (
        f"{format_bytes(summary['memory_bytes'])} of memory at {standing.limits.bits} bits:"
        f" {format_bytes(summary['weight_bytes'])} weights,"
        f" {format_bytes(summary['peak_activation_bytes'])} peak activations; MACs are"
        " multiply-accumulates per image"
    )
    if standing.compressed is not None:
        layers = Group(layers, Text(_compressed_text(standing.compressed)))
    origin = f"Network: trial {best.number} ({printable(best.individual.operator)})"
    return Group(Text(origin, style="bold"), layers, Text(memory), *_latency(standing))


def _compressed_text(one: Compressed) -> str:
    text = (
        f"model.evo: {format_bytes(one.bytes)}, {one.ratio_bytes:.1f} times smaller than its"
        f" parameters in float32 ({format_bytes(one.dense_bytes)}); by the published formula"
        f" {one.ratio_formula:.1f} over all parameters, {one.ratio_layer_mean:.1f} as the mean of"
        " its layers"
    )
    if one.is_within_limit is False:
        text += f"; it takes {one.bytes:,} bytes, more than --max-bytes {one.max_bytes:,} allows"
    return text


def _layers_table(topology: Topology, images: Images, summary: dict[str, Any]) -> Table:
    table = new_table("layer", "", "output", "parameters", "MACs", num_left=2)
    rows = layer_table(topology, images.input_shape, len(images.classes))
    table.add_row("input", "", _shape(images.input_shape), "", "")
    for row in rows:
        table.add_row(
            row.name,
            row.description,
            _shape(row.output_shape),
            f"{row.parameters:,}" if row.parameters else "",
            f"{row.macs:,}" if row.macs else "",
        )
    table.add_section()
    table.add_row("total", "", "", f"{summary['parameters']:,}", f"{summary['macs']:,}")
    return table


def measures_table(summary: dict[str, Any]) -> RenderableType:
    """Return measures on validation and test images, the baseline's beside them."""
    table = new_table("", *(_TITLES[name] for name in METRICS), "parameters", num_left=1)
    table.add_row("validation", *_measures(summary, "validation_"), _count(summary["parameters"]))
    if summary["repeats"]:
        table.add_row("test", *_measures(summary, "test_"), _count(summary["parameters"]))
    if summary["baseline_test_accuracy"] is not None:
        parameters = _count(summary["baseline_parameters"])
        is_compressed = summary.get("base_test_accuracy") is not None
        name = "before, test" if is_compressed else "baseline, test"
        table.add_row(name, *_measures(summary, "baseline_test_"), parameters)
    return Group(table, *(Text(printable(one)) for one in _remarks(summary)))


def best_trials_table(standing: Standing, num_trials: int) -> RenderableType:
    """Return the best trials of the search, the best first."""
    return _trials_table(
        "Best trials, on validation images", standing.ranked[:num_trials], standing
    )


def front_table(standing: Standing) -> RenderableType:
    """Return the Pareto front, the fittest first; of a long one some rows are left out."""
    front = standing.front
    shown = front
    if len(front) > _MAX_FRONT:
        # Evenly over the front, its two ends included.
        step = (len(front) - 1) / (_MAX_FRONT - 1)
        shown = tuple(front[round(index * step)] for index in range(_MAX_FRONT))
    sizes = "bytes" if standing.size == "bytes" else "parameters and multiply-accumulates"
    title = f"Pareto front: no other evaluation is as accurate with as few {sizes}"
    if len(shown) < len(front):
        title += f" ({len(shown)} of {len(front)})"
    return _trials_table(title, shown, standing)


def augmentations_table(compared: Augmentations) -> RenderableType:
    """Return the augmentations that were compared, and what became of them."""
    table = new_table("augmentation", *(_TITLES[name] for name in METRICS), "", num_left=1)
    for name, values in compared.values.items():
        taken = "used at the end" if name in compared.taken else ""
        table.add_row(printable(name), *_measures(values or {}, "validation_"), taken)
    title = f"Augmentations: compared on trial {compared.trial}, on validation images"
    return Group(Text(title, style="bold"), table)


def finalists_table(standing: Standing) -> RenderableType:
    """Return the finalists with what their full trainings measured, as far as they are done."""
    table = new_table(
        "trial", *(_TITLES[name] for name in METRICS), "parameters", "MACs", num_left=0
    )
    for one in standing.finalists:
        known = standing.trials[one.trial].individual.measurement
        costs = {} if known is None else known.values
        table.add_row(
            str(one.trial),
            *_measures(one.values or {}, "validation_"),
            *(_count(costs.get(name)) for name in ("parameters", "macs")),
        )
    title = "Finalists: trained in full before the best was chosen, on validation images"
    return Group(Text(title, style="bold"), table)


def _trials_table(title: str, trials: Sequence[Trial], standing: Standing) -> RenderableType:
    metric = standing.metric
    by_formula = formula_of(standing.objective) is not None
    columns = ["fitness"] if by_formula else []
    columns += [_TITLES[metric]] + ([] if metric == "accuracy" else ["accuracy"])
    sizes, words = ["parameters", "MACs", "memory"], ["made by"]
    if standing.size == "bytes":
        sizes, words = ["file"], ["clusters", "made by"]
    table = new_table("trial", *columns, *sizes, "time", *words, num_left=0)
    for column in table.columns[-len(words) :]:
        column.justify = "left"
        # They give way where the terminal is narrow; figures never do.
        column.no_wrap = False
    for trial in trials:
        measured = trial.individual.measurement
        assert measured is not None, "a complete trial is measured"
        fitness = [f"{standing.objective.fitness(measured):.4g}"] if by_formula else []
        table.add_row(str(trial.number), *fitness, *_trial_cells(trial, measured, metric))
    return Group(Text(title, style="bold"), table)


def new_table(*headers: str, num_left: int) -> Table:
    """Return an empty table of the house: the first ``num_left`` columns left-aligned."""
    table = Table(box=None, padding=(0, 1), header_style="dim", pad_edge=False)
    for index, header in enumerate(headers):
        is_left = index < num_left
        table.add_column(
            header,
            justify="left" if is_left else "right",
            no_wrap=not is_left or index == 0,
        )
    return table


def _latency(standing: Standing) -> list[Text]:
    checked = standing.checked
    if checked is None:
        return []
    said = f"{1000 * checked.latency_s:.3g} ms per image on one thread"
    said += f" (median of {checked.latency_n})"
    limit = standing.limits.max_latency
    if limit is not None and checked.latency_s > limit:
        said += f": more than the {1000 * limit:g} ms of --max-latency, which it kept in the search"
    return [Text(said)]


def _measures(summary: Mapping[str, Any], prefix: str) -> list[str]:
    values = {name: summary.get(f"{prefix}{name.replace('-', '_')}") for name in METRICS}
    return [measure_text(name, value) for name, value in values.items()]


def _remarks(summary: dict[str, Any]) -> list[str]:
    remarks = []
    if summary["test_accuracy_std"] is not None:
        low, high = summary["test_accuracy_min"], summary["test_accuracy_max"]
        remarks.append(
            f"test accuracy {100 * summary['test_accuracy']:.2f} ±"
            f" {format_percent(summary['test_accuracy_std'])} (mean and standard deviation of"
            f" {summary['repeats']} trainings), from {format_percent(low)} to"
            f" {format_percent(high)}; the first one is saved"
        )
    if summary["kept"] == "evolved" and summary.get("base_test_accuracy") is None:
        why = summary["kept_why"] or "--final evolved"
        remarks.append(f"the weights are those of the search: {why}")
    if summary["kept"] == "continued":
        remarks.append("the weights are those of the search, trained further")
    if summary["repeats"] and summary["baseline_test_accuracy"] is None:
        remarks.append("no baseline was trained")
    return remarks


def _trial_cells(trial: Trial, measured: Measurement, metric: str) -> list[str]:
    values = measured.values
    shown = [metric] if metric == "accuracy" else [metric, "accuracy"]
    memory = values.get("memory_bytes")
    sizes = [
        _count(values.get("parameters")),
        _count(values.get("macs")),
        "–" if memory is None else format_bytes(memory),
    ]
    words = [printable(trial.individual.operator)]
    if "bytes" in values:
        sizes = [format_bytes(values["bytes"])]
        words.insert(0, network_text(trial.individual.genome).replace(" clusters", "", 1))
    return [
        *(_value_text(name, values) for name in shown),
        *sizes,
        format_duration(trial.seconds),
        *words,
    ]


def _value_text(name: str, values: Mapping[str, float]) -> str:
    """Return a measure; of an accuracy that is a mean also the deviation and of how many."""
    text = measure_text(name, values.get(f"validation_{name.replace('-', '_')}"))
    num_trainings = values.get("trainings", 1)
    if name != "accuracy" or num_trainings < 2:
        return text
    deviation = 100 * values.get("validation_accuracy_std", 0)
    return f"{text} ± {deviation:.2f}, n={num_trainings:.0f}"


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(str(side) for side in shape)


def _count(value: float | None) -> str:
    return "–" if value is None else format_count(value)
