"""The flags of the commands that begin a study, made from the option groups.

Values are passed on as text: ``configure`` reads and checks them, for the command line as for
Python.
``--help`` shows the options that most people need, ``--help-all`` every number of every group.
"""

import argparse
from dataclasses import Field, fields
from typing import Any

from evoconv.config import GROUPS
from evoconv.configure import options_of
from evoconv.option_text import flag_of, is_switch, rule_of
from evoconv.options import Options, Rule
from evoconv.recipes import RECIPES, recipes_of
from evoconv.units import format_bytes, format_count, format_duration

COMMON = (
    "time_s",
    "evaluations",
    "stop_at",
    "patience",
    "max_parameters",
    "max_macs",
    "max_flash",
    "max_ram",
    "max_memory",
    "max_latency",
    "bits",
    "device",
    "fitness",
    "target_accuracy",
    "metric",
    "class_weights",
    "image_size",
    "skip_bad_images",
    "group_by",
    "folds",
    "population",
    "weights",
    "backbone",
    "plan",
    "max_accuracy_drop",
    "max_bytes",
    "most_clusters",
    "codebook_bits",
    "repeats",
    "baseline",
    "workers",
    "worker_memory",
)
"""Fields that ``--help`` shows, whichever group they belong to."""

TITLES = {
    "budget": "budget (the first one reached ends the search)",
    "limits": "hard limits (no network beyond them is trained)",
    "data": "images",
    "split": "splits",
    "training": "training",
    "augmentation": "augmentation of training images",
    "stopping": "early stopping of evaluations",
    "saving": "inheritance and repeated evaluation",
    "fitness": "what is improved",
    "evolution": "evolution",
    "space": "networks searched",
    "transfer": "how the pretrained network is used",
    "compress": "compression",
    "final": "the end",
    "workers": "workers",
}


def add_option_flags(parser: argparse.ArgumentParser, command: str, *, show_all: bool) -> None:
    """Add a flag per option of the command; those not asked for are there but not shown."""
    usual = {} if command == "evolve" else RECIPES[recipes_of(command)[0]]
    for name, options in options_of(command).items():
        group = parser.add_argument_group(TITLES[name])
        for one in options:
            default = usual.get(one.name, one.default)
            shown = show_all or one.name in COMMON
            _add_flag(group, GROUPS[name], one, default=default, is_shown=shown)


def option_values(parsed: argparse.Namespace) -> dict[str, Any]:
    """Return the options that were given, by field name, as ``configure`` takes them."""
    names = [one.name for owner in GROUPS.values() for one in fields(owner)]
    return {name: getattr(parsed, name) for name in names if hasattr(parsed, name)}


def default_text(rule: Rule, default: object) -> str:
    """Return an option's default as people write it; nothing where there is none.

    >>> default_text(Rule(help="", unit="percent"), 0.25)
    '25%'
    """
    if default is None:
        return ""
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, tuple):
        return ",".join(default_text(rule, one) for one in default)
    if isinstance(default, str):
        return default
    assert isinstance(default, int | float), f"no option holds {default!r}"
    match rule.unit:
        case "percent":
            return f"{100 * default:.6g}%"
        case "count":
            return format_count(default)
        case "bytes":
            return format_bytes(default)
        case "duration":
            return format_duration(default)
        case _:
            return f"{default:g}"


def _add_flag(
    group: "argparse._ArgumentGroup",
    owner: type[Options],
    one: "Field[Any]",
    *,
    default: object,
    is_shown: bool,
) -> None:
    rule = rule_of(one)
    switch = is_switch(owner, one.name)
    common: dict[str, Any] = {
        "dest": one.name,
        # Nothing is set that wasn't given: a recipe's default must not look like a wish.
        "default": argparse.SUPPRESS,
        "help": _help(rule, default) if is_shown else argparse.SUPPRESS,
    }
    if switch:
        group.add_argument(flag_of(one.name), action=argparse.BooleanOptionalAction, **common)
    else:
        group.add_argument(flag_of(one.name), metavar=_metavar(rule), **common)


def _help(rule: Rule, default: object) -> str:
    text = rule.help
    if rule.choices is not None and not isinstance(default, tuple):
        text += f": {', '.join(map(str, rule.choices))}"
    shown = default_text(rule, default)
    if shown:
        text += f" [{shown}]"
    return text.replace("%", "%%")


def _metavar(rule: Rule) -> str:
    if rule.choices is not None:
        return "NAME"
    words = {"percent": "PERCENT", "count": "N", "bytes": "SIZE", "duration": "TIME"}
    return words.get(rule.unit, "VALUE")
