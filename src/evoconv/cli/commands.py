"""What each command does; see ``COMMANDS``.

Heavy modules are imported by those that need them, while Ctrl-C waits: amid an import of torch it
makes C++ code abort.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from evoconv.cli.compressed import decompress, inspect
from evoconv.cli.option_flags import option_values
from evoconv.config import config_from_dict
from evoconv.configure import configure
from evoconv.devices import known_devices
from evoconv.errors import StudyError
from evoconv.evolution.catalogue import METHODS
from evoconv.genomes.architecture import read_genome
from evoconv.interrupts import ctrl_c_waits
from evoconv.option_text import flag_of, read_as
from evoconv.units import parse_count, parse_duration

if TYPE_CHECKING:
    from evoconv.report.standing import Standing
    from evoconv.study.storage import Storage
    from evoconv.study.watch import Watch

Command = Callable[[argparse.Namespace, float], int]


def evolve(parsed: argparse.Namespace, started_at: float) -> int:
    """Run a new study of topologies to its end."""
    return _study(parsed, started_at, method=parsed.method, recipe=parsed.recipe)


def transfer(parsed: argparse.Namespace, started_at: float) -> int:
    """Run a new study of transfer plans to its end."""
    return _study(parsed, started_at, method=parsed.method)


def pretrain(parsed: argparse.Namespace, started_at: float) -> int:
    """Train a backbone."""
    return _study(parsed, started_at, method="random")


def compress(parsed: argparse.Namespace, started_at: float) -> int:
    """Run a new study of shared weights to its end."""
    return _study(
        parsed, started_at, method=parsed.method, recipe=parsed.recipe, model=parsed.network
    )


def _study(
    parsed: argparse.Namespace,
    started_at: float,
    method: str,
    recipe: str | None = None,
    model: str | None = None,
) -> int:
    config = configure(
        parsed.source,
        option_values(parsed),
        method=method,
        recipe=recipe,
        seed=parsed.seed,
        command=parsed.command,
        model=model,
    )
    with ctrl_c_waits():
        from evoconv.cli.watching import run_watched
        from evoconv.session.studies import start_study

    out = None if parsed.out is None else Path(parsed.out)
    runs: list[Path] = []

    def study(watch: "Watch") -> Path:
        runs.append(start_study(config, out, watch, started_at))
        return runs[0]

    code = run_watched(study, metric=config.training.metric, quiet=parsed.quiet, json=parsed.json)
    return code or _compress_after(runs[0], parsed, started_at, config.budget.time_s)


def _compress_after(
    run: Path, parsed: argparse.Namespace, started_at: float, time_s: float | None
) -> int:
    """Compress the network of a finished study that asks for it, and print what that gave."""
    from evoconv.cli.watching import run_watched
    from evoconv.session.compressing import compression_of

    compression = compression_of(run, started_at, time_s)
    if compression is None:
        return 0
    return run_watched(
        compression,
        metric="accuracy",  # compressions know no other
        quiet=parsed.quiet or parsed.json,
        json=False,
    )


def resume(parsed: argparse.Namespace, started_at: float) -> int:
    """Go on with a study."""
    run = Path(parsed.run)
    time_s = read_as("--time", parse_duration, parsed.time)
    evaluations = read_as("--evaluations", parse_count, parsed.evaluations)
    generations = read_as("--generations", parse_count, parsed.generations)
    metric = _metric_of(run)
    with ctrl_c_waits():
        from evoconv.cli.watching import run_watched
        from evoconv.session.studies import resume_study

    code = run_watched(
        lambda watch: resume_study(
            run,
            watch,
            time_s=time_s,
            evaluations=evaluations,
            generations=generations,
            started_at=started_at,
        ),
        metric=metric,
        quiet=parsed.quiet,
        json=parsed.json,
    )
    return code or _compress_after(run, parsed, started_at, time_s)


def finish(parsed: argparse.Namespace, started_at: float) -> int:
    """Train, test and save another trial of a study than the one it chose."""
    run = Path(parsed.run)
    time_s = read_as("--time", parse_duration, parsed.time)
    metric = _metric_of(run)
    with ctrl_c_waits():
        from evoconv.cli.watching import run_watched
        from evoconv.session.opened import finish_trial

    return run_watched(
        lambda watch: (
            finish_trial(
                run,
                parsed.trial,
                watch,
                time_s=time_s,
                repeats=parsed.repeats,
                started_at=started_at,
            ).parent
        ),
        metric=metric,
        quiet=parsed.quiet,
        json=parsed.json,
        number=parsed.trial,
    )


def show(parsed: argparse.Namespace, started_at: float) -> int:  # noqa: ARG001
    """Print a study and save its plot."""
    standing = _standing(Path(parsed.run))
    from evoconv.cli.watching import open_console
    from evoconv.report.show import print_study, result_json

    whole = standing
    if parsed.pick is not None:
        from evoconv.report.pick import pick_trial

        standing = whole.of_trial(pick_trial(whole, parsed.pick).number)
    if parsed.json:
        sys.stdout.write(result_json(standing) + "\n")
        return 0
    from evoconv.report.plots import save_plots

    try:
        save_plots(whole)
    except StudyError as error:
        # A study that may only be read can be shown all the same.
        sys.stderr.write(f"evoconv: {error}\n")
    print_study(open_console(), standing, num_trials=parsed.trials)
    return 0


def predict(parsed: argparse.Namespace, started_at: float) -> int:  # noqa: ARG001
    """Label images."""
    from evoconv.cli.predictions import write_csv, write_json, write_lines
    from evoconv.data.class_folders import iter_image_files

    paths = list(iter_image_files(parsed.paths))
    from evoconv.results import load

    classifier = load(parsed.run)
    predictions = classifier.predict(
        paths, top=parsed.top, on_bad_image=_warn if parsed.skip_bad_images else None
    )
    if parsed.csv:
        write_csv(sys.stdout, predictions)
    elif parsed.json:
        write_json(sys.stdout, predictions)
    else:
        write_lines(sys.stdout, predictions, paths)
    return 0


def evaluate(parsed: argparse.Namespace, started_at: float) -> int:  # noqa: ARG001
    """Test a saved network on labelled images."""
    from evoconv import results
    from evoconv.cli.watching import open_console
    from evoconv.report.confusion import class_report, evaluation_json, evaluation_line

    found = results.evaluate(parsed.run, parsed.source)
    if parsed.json:
        sys.stdout.write(evaluation_json(found.classes, found.confusion, found.measures) + "\n")
        return 0
    sys.stdout.write(evaluation_line(found.num_images, found.measures) + "\n\n")
    console = open_console()
    console.print(class_report(found.classes, found.confusion, console.width))
    return 0


def retrain(parsed: argparse.Namespace, started_at: float) -> int:
    """Train the network of a study again, and print what that gave."""
    run = Path(parsed.run)
    time_s = read_as("--time", parse_duration, parsed.time)
    metric = _metric_of(run)
    with ctrl_c_waits():
        from evoconv.cli.watching import run_watched
        from evoconv.report.show import print_retrained
        from evoconv.session.retraining import retrain_study

    def study(watch: "Watch") -> Path:
        retrain_study(
            run,
            watch,
            from_scratch=parsed.from_scratch,
            number=parsed.trial,
            repeats=parsed.repeats,
            time_s=time_s,
            started_at=started_at,
        )
        return run

    return run_watched(
        study, metric=metric, quiet=parsed.quiet, json=parsed.json, show=print_retrained
    )


def export(parsed: argparse.Namespace, started_at: float) -> int:  # noqa: ARG001
    """Write a saved network in another form."""
    with ctrl_c_waits():
        from evoconv.session.exporting import export_network

    out = None if parsed.out is None else Path(parsed.out)
    export_network(Path(parsed.run), parsed.format, out, _say)
    return 0


def methods(parsed: argparse.Namespace, started_at: float) -> int:  # noqa: ARG001
    """List the methods."""
    width = max(len(name) for name in METHODS)
    for name, method in METHODS.items():
        source = f"\n{'':{width}}  {method.source}" if method.source else ""
        sys.stdout.write(f"{name:{width}}  {method.summary}{source}\n")
    return 0


def devices(parsed: argparse.Namespace, started_at: float) -> int:  # noqa: ARG001
    """List the devices with their limits."""
    file = None if parsed.device_file is None else Path(parsed.device_file)
    known = known_devices(file)
    width = max(map(len, known))
    for name, device in known.items():
        limits = ", ".join(f"{flag_of(key)} {value:,}" for key, value in device.options().items())
        sys.stdout.write(f"{name:{width}}  {device.summary}\n{'':{width}}  {limits}\n")
    return 0


COMMANDS: Mapping[str, Command] = {
    "evolve": evolve,
    "transfer": transfer,
    "pretrain": pretrain,
    "compress": compress,
    "resume": resume,
    "finish": finish,
    "show": show,
    "predict": predict,
    "evaluate": evaluate,
    "retrain": retrain,
    "export": export,
    "inspect": inspect,
    "decompress": decompress,
    "methods": methods,
    "devices": devices,
}


def _say(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")


def _warn(error: Exception) -> None:
    sys.stderr.write(f"evoconv: left out: {error}\n")


@contextmanager
def _stored(run: Path) -> "Iterator[Storage]":
    from evoconv.study.storage import Storage

    if not run.is_dir():
        raise StudyError(f"there is no run folder {run}")
    with closing(Storage.open(run, read_genome)) as storage:
        yield storage


def _metric_of(run: Path) -> str:
    with _stored(run) as storage:
        return config_from_dict(storage.config).training.metric


def _standing(run: Path) -> "Standing":
    from evoconv.report.read_standing import read_standing

    with _stored(run) as storage:
        return read_standing(run, storage)
