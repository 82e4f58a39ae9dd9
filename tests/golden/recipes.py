"""The page of all options and recipes, written from the code::

python -m tests.golden.recipes
"""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from evoconv.cli.option_flags import TITLES, default_text
from evoconv.config import GROUPS, StudyConfig
from evoconv.configure import configure
from evoconv.option_text import UNSET, flag_of, rule_of
from evoconv.recipes import RECIPES, recipes_of

PATH = Path(__file__).parents[2] / "docs" / "recipes.md"

_HEAD = """\
# Options and recipes

A recipe is a set of defaults. Every number is an option, and an option that is given wins. `fast`
finds as good a network as a short time allows; `long` is the same with a longer end; `paper` is the
setting of Vidnerová and Neruda 2018, with Keras 2's defaults where the paper names none; `compact`
and `gradient` are the methods' of these names, `transfer`, `pretrain` and `compress` the
commands', and `untrained` is another of `compress`. In all of them, hard sigmoid is Keras 2's
0.2x + 0.5 and leaky ReLU has slope 0.1.

Where a recipe has a value that should not be, write `unset`: `--epoch-patience unset`.

In Python the names have underscores: `--max-parameters` is `max_parameters`. This page is written
by `python -m tests.golden.recipes`.
"""


def page() -> str:
    """Return the page as Markdown."""
    return "\n".join([_HEAD, *_tables()])


def by_recipe(recipe: str, **options: Any) -> StudyConfig:
    """Return what the recipe gives, for the command that has it."""
    if recipe in recipes_of("evolve"):
        return configure("digits", options, recipe=recipe, seed=0)
    if recipe in recipes_of("transfer"):
        options["weights"] = "PRETRAINED"
    command = next(one for one in ("transfer", "pretrain", "compress") if recipe in recipes_of(one))
    return configure("digits", options, recipe=recipe, seed=0, command=command)


def _tables() -> Iterator[str]:
    configs = [by_recipe(recipe) for recipe in RECIPES]
    for group, owner in GROUPS.items():
        yield f"## {TITLES[group].capitalize()}\n"
        yield f"| option | what it is | {' | '.join(RECIPES)} |"
        yield "|---|---|" + "---|" * len(RECIPES)
        for one in fields(owner):
            values = [
                default_text(rule_of(one), getattr(getattr(config, group), one.name)) or UNSET
                for config in configs
            ]
            choices = rule_of(one).choices
            rest = "" if choices is None else f": {', '.join(map(str, choices))}"
            yield f"| `{flag_of(one.name)}` | {rule_of(one).help}{rest} | {' | '.join(values)} |"
        yield ""


if __name__ == "__main__":
    PATH.write_text(page(), encoding="utf-8")
