"""From options to a study's configuration.

A recipe is a set of defaults across the groups of options; what a person names wins over it.
"""

import difflib
import secrets
from collections.abc import Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from evoconv.config import GROUPS, StudyConfig
from evoconv.data.augmentation import Augmentation
from evoconv.devices import find_device
from evoconv.errors import ConfigError
from evoconv.evolution.catalogue import METHODS, methods_for
from evoconv.evolution.options import EvolutionOptions
from evoconv.genomes.seed_list import canonical_seeds, read_seeds
from evoconv.option_text import UNSET, flag_of, parse_option, read_as
from evoconv.options import Options
from evoconv.paths import expanded, is_there
from evoconv.problems.compress_options import CompressOptions, Uncompressed
from evoconv.problems.transfer_options import TransferOptions
from evoconv.recipes import RECIPES, WITH_A_TARGET, recipes_of
from evoconv.records import Budget
from evoconv.training.options import Recipe

DEFAULT_TIME_S = 600.0

# What each command that begins a study has no use for.
_UNUSED_GROUPS: Mapping[str, tuple[str, ...]] = {
    "evolve": ("transfer",),
    "transfer": ("space", "compress"),
    "pretrain": ("space", "evolution", "saving", "compress"),
    "compress": ("limits", "stopping", "saving", "fitness", "space", "transfer", "final"),
}

_A_PLAN = (
    *("included_range", "frozen_range", "rate_range", "dropout_range", "squeeze_excitation"),
    *("rate_in_full", "usual_plans"),
)
# Why options have no use beside --plan.
_BESIDE_A_PLAN = {
    **dict.fromkeys((*_A_PLAN, "first_plan"), "which says all of that"),
    **dict.fromkeys(("weights", "backbone"), "whose study has its own"),
    **dict.fromkeys(("evaluations", "generations"), "which is trained without a search"),
}
_FOR_COMPRESS_ALONE = tuple(
    one.name
    for one in fields(CompressOptions)
    if one.name not in ("max_accuracy_drop", "max_bytes")
)
_UNUSED_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "evolve": _FOR_COMPRESS_ALONE,
    "transfer": ("learning_rate", "compress"),  # the plan's own counts
    "pretrain": ("compress", *_A_PLAN, "weights", "plan", "first_plan", "feature_cache"),
    # What the network and its own study say, and what is about networks from scratch.
    "compress": (
        *("folds", "metric", "initialisation"),
        *("freeze_share", "freeze_cache", "final_epochs", "final_length"),
    ),
}


def options_of(command: str) -> Mapping[str, list["Field[Any]"]]:
    """Return the options of each command that begins a study, by the groups' names."""
    groups, unused = _UNUSED_GROUPS[command], _UNUSED_OPTIONS[command]
    return {
        title: [one for one in fields(group) if one.name not in unused]
        for title, group in GROUPS.items()
        if title not in groups
    }


def configure(
    source: str,
    changes: Mapping[str, Any],
    *,
    method: str = "async",
    recipe: str | None = None,
    seed: int | None = None,
    command: str = "evolve",
    model: str | None = None,
) -> StudyConfig:
    """Return the configuration of a new study.

    Args:
        source: a path to images, or the name of a known set.
        changes: options by field name, as text or as Python values; see ``parse_option``.
        method: a name in the catalogue of strategies.
        recipe: a name in ``RECIPES``; None for the method's own.
        seed: fixes the study's random streams; None draws one, which is stored.
        command: what is wanted: ``evolve``, ``transfer``, ``pretrain`` or ``compress``.
        model: path of the network that ``compress`` is about.

    Raises:
        ConfigError: an unknown name, or a value that can't be read or is out of range.
    """
    if recipe is None:
        known = METHODS[method].recipe if method in METHODS else "fast"
        recipe = known if command == "evolve" else command
    _check_recipe("--recipe", recipe, command)
    if seed is not None and not 0 <= seed < 2**63:
        raise ConfigError(f"--seed must be in [0, 2^63), got {seed}")
    values = {name: value for name, value in changes.items() if value is not None}
    given = tuple(values)
    _check_names(values, command)
    if not {"evaluations", "generations"} & set(values):
        values.setdefault("time_s", DEFAULT_TIME_S)
    own = METHODS[method].defaults if method in METHODS else {}
    usual = {**RECIPES[recipe], **own}
    if values.get("target_accuracy", UNSET) != UNSET:
        usual |= WITH_A_TARGET.get(recipe, {})
    wanted = _with_room_for_tournaments(_with_files_read({**usual, **values}, values), values)
    groups: dict[str, Any] = {title: _take(group, wanted) for title, group in GROUPS.items()}
    if wanted:
        raise ConfigError(_unknown(next(iter(wanted))))
    check_generations(groups["budget"], method)
    _check_command(command, method, groups["transfer"])
    last = groups["final"].final_recipe or recipe
    _check_recipe("--final-recipe", last, command)
    at_the_end = {**RECIPES[last], **own, **values}
    return StudyConfig(
        source=_from_anywhere(source),
        method=method,
        recipe=recipe,
        seed=secrets.randbits(32) if seed is None else seed,
        final_training=_take(Recipe, at_the_end),
        final_augmentation=_take(Augmentation, at_the_end),
        uncompressed=None if model is None else Uncompressed(model=_from_anywhere(model)),
        given=given,
        **groups,
    )


def _with_files_read(wanted: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with what files say in their place; what was given wins over a device."""
    if str(group_by := wanted.get("group_by")).lower().endswith(".csv"):
        wanted["group_by"] = _from_anywhere(str(group_by))
    if (device := wanted.get("device")) is not None and device != UNSET:
        file = wanted.get("device_file")
        found = find_device(device, None if file is None else expanded(file))
        wanted = {**wanted, **found.options(), **given}
    for name in ("weights", "plan", "base_weights"):
        if isinstance(path := wanted.get(name), str | Path):
            wanted[name] = _from_anywhere(str(path))
    if isinstance(seeds := wanted.get("seeds"), str | Path):
        wanted["seeds"] = read_as("--seeds", read_seeds, expanded(seeds))
    elif seeds is not None:
        wanted["seeds"] = read_as("--seeds", canonical_seeds, seeds)
    return wanted


def _with_room_for_tournaments(wanted: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options; a tournament that nobody named is not larger than the population."""
    if "tournament" in given:
        return wanted
    own = {one.name: one for one in fields(EvolutionOptions)}
    population, size = (
        parse_option(EvolutionOptions, own[name], wanted.get(name, own[name].default))
        for name in ("population", "tournament")
    )
    return {**wanted, "tournament": min(population, size)}


def check_generations(budget: Budget, method: str) -> None:
    """Raise ``ConfigError`` if generations limit a search that has none."""
    if budget.generations is None or method not in METHODS or METHODS[method].in_generations:
        return
    known = ", ".join(name for name, one in METHODS.items() if one.in_generations)
    raise ConfigError(
        f"--generations {budget.generations}: {method} has no generations; {known} have,"
        " and --evaluations ends any search"
    )


def _check_names(values: Mapping[str, Any], command: str) -> None:
    """Raise ``ConfigError`` for an option of another command."""
    known = {one.name for options in options_of(command).values() for one in options}
    others = {one.name for group in GROUPS.values() for one in fields(group)} - known
    for name in values:
        if name in others:
            raise ConfigError(f"{flag_of(name)} is no option of evoconv {command}")
        if "plan" in values and name in _BESIDE_A_PLAN:
            raise ConfigError(f"{flag_of(name)} has no use beside --plan, {_BESIDE_A_PLAN[name]}")


def _check_command(command: str, method: str, options: TransferOptions) -> None:
    """Raise ``ConfigError`` if a command lacks what it is about, or a method can't do it."""
    if command == "transfer" and options.weights is None and options.plan is None:
        raise ConfigError(
            "transfer needs --weights, a folder made by evoconv pretrain or a file of weights; or"
            " --plan, a finished transfer"
        )
    known = methods_for(command)
    if method in METHODS and method not in known:
        what = {"topologies": "layers", "vectors": "rows of numbers"}[METHODS[method].genomes]
        raise ConfigError(f"--method {method} evolves {what}; {command} has {', '.join(known)}")


def _check_recipe(flag: str, name: str, command: str) -> None:
    known = recipes_of(command)
    if name not in known:
        raise ConfigError(f"{flag} must be one of {', '.join(known)}, got {name}")


def _from_anywhere(path_or_name: str) -> str:
    """Return a path that still holds when the study is resumed from another folder."""
    path = expanded(path_or_name)
    return str(path.resolve()) if is_there(path) else path_or_name


def _take(group: type[Options], wanted: dict[str, Any]) -> Any:
    """Return the group with the values meant for it, which are taken out of ``wanted``."""
    values = {
        one.name: parse_option(group, one, wanted.pop(one.name))
        for one in fields(group)
        if one.name in wanted
    }
    try:
        return group(**values)
    except ConfigError as error:
        raise ConfigError(_as_flags(str(error), group)) from None


def _as_flags(sentence: str, group: type[Options]) -> str:
    """Return the sentence with a leading field name written as its flag."""
    word, _, rest = sentence.partition(" ")
    return f"{flag_of(word)} {rest}" if word in {one.name for one in fields(group)} else sentence


def _unknown(name: str) -> str:
    known = sorted(one.name for group in GROUPS.values() for one in fields(group))
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"
    return f"unknown option {name}{hint}"
