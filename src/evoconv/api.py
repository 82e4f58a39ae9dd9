"""evoconv for Python: the same studies as on the command line.

>>> import evoconv
>>> result = evoconv.evolve("images/", time="10m", max_parameters=50_000)  # doctest: +SKIP
>>> result.best.model  # a torch.nn.Module  # doctest: +SKIP

Options have the names of the command line's, with underscores. Text is read as it is there
(``"10m"``, ``"50k"``, ``"99.3"``); numbers are fractions, seconds and bytes.
"""

import time as clock
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evoconv.configure import configure
from evoconv.errors import ConfigError
from evoconv.option_text import field_of, read_as
from evoconv.results import Result, load
from evoconv.study.watch import Unwatched, Watch
from evoconv.units import parse_count, parse_duration

if TYPE_CHECKING:
    from torch import nn

    from evoconv.export.classifier import Classifier
    from evoconv.problems.fitness import FitnessFunction
    from evoconv.session.own_network import OwnNetwork


def evolve(
    source: str | Path,
    *,
    out: str | Path | None = None,
    method: str = "async",
    recipe: str | None = None,
    seed: int | None = None,
    fitness: "str | FitnessFunction | None" = None,
    watch: Watch | None = None,
    **options: Any,
) -> Result:
    """Evolve a classifier for labelled images; return the finished study.

    Args:
        source: a folder or archive of class folders, IDX files, an ``.npz``, or a known name.
        out: the run folder; None for a dated one under ``runs/``.
        method: a name from ``evoconv methods``.
        recipe: a name in ``evoconv.recipes.RECIPES``; None for the method's own.
        seed: fixes the random streams.
        fitness: a name or formula as on the command line, or a function from figures by name
            (``accuracy``, ``cross_entropy``, ``parameters``, ``macs``, ``flash``, ``ram``,
            ``memory``, …) to a number; higher is better. It runs in this process.
        watch: is told what happens; None for silence.
        options: any option of the command line, such as ``time``, ``max_parameters``, ``metric``.

    Raises:
        UserError: data or options that can't be used; the message is one sentence.
        SearchFailed: every candidate failed in the same way.
    """
    return _study("evolve", source, out, method, recipe, seed, fitness, watch, options)


def transfer(
    source: str | Path,
    weights: str | Path | None = None,
    *,
    out: str | Path | None = None,
    method: str = "async",
    seed: int | None = None,
    fitness: "str | FitnessFunction | None" = None,
    watch: Watch | None = None,
    **options: Any,
) -> Result:
    """Evolve how a pretrained network is used for labelled images; return the finished study.

    Args:
        source: as for ``evolve``.
        weights: a run folder of ``pretrain``, or a ``.safetensors``, ``.pth`` or ``.pt`` file; None
            with the option ``plan``, the run folder of a finished transfer.
        out: as for ``evolve``, like the rest.
        method: one that works on anything, not on layers only.
        seed: fixes the random streams.
        fitness: a name, a formula or a function.
        watch: is told what happens; None for silence.
        options: any option of the command line, such as ``time`` or ``included_range``.

    Raises:
        UserError: data, weights or options that can't be used; the message is one sentence.
        SearchFailed: every candidate failed in the same way.
    """
    options["weights"] = None if weights is None else str(weights)
    return _study("transfer", source, out, method, None, seed, fitness, watch, options)


def pretrain(
    source: str | Path,
    *,
    out: str | Path | None = None,
    seed: int | None = None,
    watch: Watch | None = None,
    **options: Any,
) -> Result:
    """Train a whole backbone on labelled images, for ``transfer``; return the finished study.

    Args:
        source: as for ``evolve``.
        out: the run folder; None for a dated one under ``runs/``.
        seed: fixes the random streams.
        watch: is told what happens; None for silence.
        options: any option of the command line, such as ``backbone`` or ``time``.

    Raises:
        UserError: data or options that can't be used; the message is one sentence.
    """
    return _study("pretrain", source, out, "random", None, seed, None, watch, options)


def compress(
    model: "str | Path | nn.Module",
    source: str | Path,
    *,
    mean: Sequence[float] | float | None = None,
    std: Sequence[float] | float | None = None,
    out: str | Path | None = None,
    method: str = "async",
    recipe: str | None = None,
    seed: int | None = None,
    watch: Watch | None = None,
    **options: Any,
) -> Result:
    """Share the weights of a trained network, down to a small file; return the finished study.

    Args:
        model: the run folder of a finished study, or its ``best/``; the name of a known network; or
            a trained module of your own, which is left as it is: images (N, C, H, W) to logits
            (N, K), made of torch's layers, with classes in the alphabetical order of their names.
        source: labelled images, as for ``evolve``; those that the network was trained with. The
            option ``image_size`` is the size that a module of your own takes.
        mean: for a module of your own, what is subtracted from values in [0, 1]: a number for each
            channel, or one for all; None for 0.
        std: by what the difference is divided; None for 1.
        out: the run folder; None for a dated one under ``runs/``. The file is ``model.evo`` in it.
        method: one that works on anything, or on numbers.
        recipe: ``compress``, or ``untrained`` for the method as published; None for the first.
        seed: fixes the random streams; the splits are those of the network's study.
        watch: is told what happens; None for silence.
        options: any option of the command line, such as ``max_accuracy_drop`` or ``time``.

    Raises:
        UserError: a network, data or options that can't be used; the message is one sentence.
    """
    if isinstance(model, str | Path):
        own, name = None, str(model)
        if mean is not None or std is not None:
            raise ConfigError(
                "mean and std are for a module of your own: other networks have theirs"
            )
    else:
        from evoconv.session.own_network import OwnNetwork

        given = {"mean": mean, "std": std}
        known = {name: _channels(one) for name, one in given.items() if one is not None}
        own, name = OwnNetwork(module=model, **known), type(model).__name__
    return _study("compress", source, out, method, recipe, seed, None, watch, options, name, own)


def _channels(values: Sequence[float] | float) -> tuple[float, ...]:
    given = (values,) if isinstance(values, int | float) else values
    return tuple(float(one) for one in given)


def _study(
    command: str,
    source: str | Path,
    out: str | Path | None,
    method: str,
    recipe: str | None,
    seed: int | None,
    fitness: "str | FitnessFunction | None",
    watch: Watch | None,
    options: dict[str, Any],
    model: str | Path | None = None,
    own: "OwnNetwork | None" = None,
) -> Result:
    from evoconv.problems.fitness import FUNCTION
    from evoconv.session.studies import start_study

    started_at = clock.time()
    changes = {field_of(name): value for name, value in options.items()}
    function = fitness if callable(fitness) else None
    if fitness is not None:
        changes["fitness"] = fitness if function is None else FUNCTION
    config = configure(
        str(source),
        changes,
        method=method,
        recipe=recipe,
        seed=seed,
        command=command,
        model=None if model is None else str(model),
    )
    run = start_study(
        config, None if out is None else Path(out), watch or Unwatched(), started_at, function, own
    )
    return _compressed(run, watch, started_at, config.budget.time_s)


def _compressed(run: Path, watch: Watch | None, started_at: float, time_s: float | None) -> Result:
    """Return the study after the compression that it asks for, if it does."""
    from evoconv.session.compressing import compression_of

    if (compression := compression_of(run, started_at, time_s)) is not None:
        compression(watch or Unwatched())
    return Result(run)


def resume(
    run: str | Path,
    *,
    time: str | float | None = None,
    evaluations: str | int | None = None,
    generations: str | int | None = None,
    fitness: "FitnessFunction | None" = None,
    watch: Watch | None = None,
) -> Result:
    """Go on with a study where it stopped; return it finished.

    Args:
        run: its run folder.
        time: time for this call; None for what is left of the study's own.
        evaluations: a new limit for the whole study.
        generations: a new limit for the whole study.
        fitness: the function that the study was begun with, if it was.
        watch: is told what happens; None for silence.

    Raises:
        UserError: no such study, one in use, or images that have changed since.
    """
    from evoconv.session.studies import resume_study

    started_at = clock.time()
    time_s = read_as("--time", parse_duration, time)
    resume_study(
        Path(run),
        watch or Unwatched(),
        time_s=time_s,
        evaluations=read_as("--evaluations", parse_count, evaluations),
        generations=read_as("--generations", parse_count, generations),
        started_at=started_at,
        fitness=fitness,
    )
    return _compressed(Path(run), watch, started_at, time_s)


def finish(
    run: str | Path,
    trial: int,
    *,
    time: str | float | None = None,
    repeats: int = 1,
    watch: Watch | None = None,
) -> "Classifier":
    """Train, test and save another trial of a study, such as one of its Pareto front.

    Args:
        run: the study's run folder; the network goes to ``trial-N`` in it, with a ``result.json``.
        trial: the trial's number.
        time: time for this call; None for as long as it needs.
        repeats: how many trainings; the test accuracy is their mean.
        watch: is told what happens; None for silence.

    Raises:
        UserError: no such study or trial, or one without a measurement.
    """
    from evoconv.session.opened import finish_trial

    started_at = clock.time()
    folder = finish_trial(
        Path(run),
        trial,
        watch or Unwatched(),
        time_s=read_as("--time", parse_duration, time),
        repeats=repeats,
        started_at=started_at,
    )
    return load(folder)


def retrain(
    run: str | Path,
    *,
    from_scratch: bool = False,
    trial: int | None = None,
    time: str | float | None = None,
    repeats: int = 1,
    watch: Watch | None = None,
) -> list[dict[str, Any]]:
    """Train a trial's network again; return what it and the evolved weights reach.

    Args:
        run: the study's run folder; what is measured is stored there.
        from_scratch: begin with new weights; else go on from the evolved ones.
        trial: its number; None for the one that the study chose.
        time: time for all trainings; None for as long as they need.
        repeats: how many trainings there are to be in all, earlier calls included.
        watch: is told what happens.

    Returns:
        A row per way that was tried so far, ``evolved`` first: ``way``, the number of trainings
        ``n``, those that ``failed``, and lists of fractions, one for each training:
        ``validation_accuracies`` and ``test_accuracies``.

    Raises:
        UserError: no such study or trial, or one whose weights are not kept any more.
    """
    from evoconv.session.retraining import retrain_study

    number = retrain_study(
        Path(run),
        watch or Unwatched(),
        from_scratch=from_scratch,
        number=trial,
        repeats=repeats,
        time_s=read_as("--time", parse_duration, time),
        started_at=clock.time(),
    )
    rows: list[dict[str, Any]] = Result(Path(run)).summary["retrained"][str(number)]
    return rows


def export_network(run: str | Path, *, format: str = "onnx", out: str | Path | None = None) -> Path:
    """Write a saved network in another form, check it in a fresh process, return the file.

    Args:
        run: a run folder, or one of a finished trial in it.
        format: as on the command line.
        out: the file; None for one beside the network.

    Raises:
        UserError: no such format or network, or a package that is not installed.
        EvoconvError: the file doesn't give what the network gives; it is removed.
    """
    from evoconv.session import exporting

    return exporting.export_network(
        Path(run), format, None if out is None else Path(out), lambda _: None
    )
