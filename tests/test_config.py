import json
from collections import Counter
from dataclasses import fields
from pathlib import Path

import pytest

from evoconv.config import GROUPS, config_from_dict
from evoconv.configure import configure
from evoconv.errors import ConfigError, StudyError
from evoconv.evolution.catalogue import METHODS, methods_for
from evoconv.option_text import flag_of
from evoconv.recipes import RECIPES, recipes_of
from tests.golden.recipes import by_recipe


def test_no_two_groups_share_the_name_of_an_option() -> None:
    names = Counter(flag_of(one.name) for group in GROUPS.values() for one in fields(group))
    assert [name for name, count in names.items() if count > 1] == []


def test_every_option_is_explained() -> None:
    for group in GROUPS.values():
        for one in fields(group):
            assert one.metadata["rule"].help, one.name


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_configuration_survives_json(recipe: str) -> None:
    config = by_recipe(recipe, time_s="5m")
    assert config_from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_text_is_read_as_people_write_it_and_numbers_as_they_are() -> None:
    text = configure("digits", {"stop_at": "99.5", "time_s": "2m", "max_memory": "2MiB"})
    plain = configure("digits", {"stop_at": 0.995, "time_s": 120, "max_memory": 2**21})
    assert (text.budget, text.limits) == (plain.budget, plain.limits)


def test_a_named_option_wins_over_the_recipe() -> None:
    assert configure("digits", {}, recipe="paper").training.epochs == 10
    assert configure("digits", {"epochs": 3}, recipe="paper").training.epochs == 3
    assert configure("digits", {}, recipe="paper").split.folds == 5


def test_where_few_parameters_are_asked_for_there_is_time_for_more_networks() -> None:
    def affordable(**changes: object) -> int | None:
        return configure("digits", changes, method="compact").budget.affordable_evaluations

    assert (affordable(), affordable(target_accuracy="unset")) == (100, 100)
    assert affordable(target_accuracy=0.99) == 400
    assert affordable(target_accuracy=0.99, affordable_evaluations=7) == 7
    assert configure("digits", {"target_accuracy": 0.99}).budget.affordable_evaluations == 40


def test_time_is_ten_minutes_unless_evaluations_are_counted() -> None:
    assert configure("digits", {}).budget.time_s == 600
    assert configure("digits", {"evaluations": 5}).budget.time_s is None
    assert configure("digits", {"generations": 5}, method="sync").budget.time_s is None
    both = configure("digits", {"evaluations": 5, "time_s": "1m"}).budget
    assert (both.evaluations, both.time_s) == (5, 60)


def test_generations_are_for_methods_that_have_any() -> None:
    for method in methods_for("evolve"):
        if METHODS[method].in_generations:
            assert configure("digits", {"generations": 7}, method=method).budget.generations == 7
        else:
            with pytest.raises(ConfigError, match=f"7: {method} has no generations; sync, gra"):
                configure("digits", {"generations": 7}, method=method)


@pytest.mark.parametrize("command", ["evolve", "transfer", "compress"])
def test_every_method_goes_with_every_recipe_of_a_command(command: str) -> None:
    weights = {"weights": "densenet121"} if command == "transfer" else {}
    for method in methods_for(command):
        for recipe in recipes_of(command):
            config = configure("digits", weights, method=method, recipe=recipe, command=command)
            assert (config.method, config.recipe) == (method, recipe)


def test_a_tournament_that_nobody_named_is_not_larger_than_the_population() -> None:
    def size(method: str = "async", **changes: object) -> int:
        return configure("digits", changes, method=method).evolution.tournament

    assert (size(), size("aging")) == (3, 5)
    assert (size(population=2), size("aging", population="4")) == (2, 4)
    with pytest.raises(ConfigError, match=r"--tournament must be in \[1, population=2\], got 3"):
        size(population=2, tournament=3)


def test_every_study_without_a_seed_gets_its_own() -> None:
    assert configure("digits", {}).seed != configure("digits", {}).seed


def test_a_path_is_kept_so_that_it_holds_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "lots.csv").write_text("path,group\n")
    monkeypatch.chdir(tmp_path)
    config = configure("images", {"group_by": "lots.csv"})
    assert config.source == str(tmp_path / "images")
    assert config.split.group_by == str(tmp_path / "lots.csv")
    assert configure("mnist", {"group_by": "lot(.)"}).source == "mnist"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"tournament": "0"}, "--tournament must be in"),
        ({"final_share": "120"}, "--final-share: a percentage"),
        ({"time_s": "yesterday"}, "--time: a duration"),
        ({"learning_rate": "fast"}, "--learning-rate must be a number, got fast"),
        ({"metric": "luck"}, "--metric must be one of accuracy"),
        ({"folds": 2.5}, "--folds"),
        ({"nonsense": 1}, "unknown option nonsense"),
    ],
)
def test_nonsense_is_one_sentence_with_the_flag(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        configure("digits", changes)


@pytest.mark.parametrize("damage", [None, [], {"source": 1}, {"budget": {"time_s": -1}}, "text"])
def test_a_damaged_configuration_is_refused(damage: object) -> None:
    with pytest.raises(StudyError, match="configuration"):
        config_from_dict(damage)


def test_what_a_recipe_sets_can_be_unset_where_it_may_be() -> None:
    assert configure("digits", {}, recipe="paper", seed=0).training.epochs == 10
    changed = configure("digits", {"epochs": "unset", "time_s": "unset"}, recipe="paper", seed=0)
    assert changed.training.epochs is None
    assert changed.budget.time_s is None
    with pytest.raises(ConfigError, match=r"--metric must be one of .*, got unset"):
        configure("digits", {"metric": "unset"}, seed=0)
    with pytest.raises(ConfigError, match="--population must be a number, got unset"):
        configure("digits", {"population": "unset"}, seed=0)


def test_a_method_brings_its_own_recipe_unless_another_is_named() -> None:
    assert configure("digits", {}, method="compact", seed=0).recipe == "compact"
    assert configure("digits", {}, method="compact", seed=0).saving.inherit is True
    assert configure("digits", {}, method="compact", recipe="fast", seed=0).recipe == "fast"
    assert configure("digits", {}, seed=0).recipe == "fast"


def test_the_final_training_may_be_by_another_recipe() -> None:
    config = configure("digits", {"final_recipe": "fast"}, recipe="paper", seed=0)
    assert (config.training.optimizer, config.augmentation.shift) == ("rmsprop", 0.0)
    plain = configure("digits", {}, recipe="fast", seed=0)
    assert config.final_training == plain.training
    assert config.final_augmentation == plain.augmentation
    named = configure("digits", {"final_recipe": "fast", "batch_size": 32}, recipe="paper", seed=0)
    assert (named.training.batch_size, named.final_training.batch_size) == (32, 32)
    same = configure("digits", {}, recipe="paper", seed=0)
    assert (same.final_training, same.final_augmentation) == (same.training, same.augmentation)
    known = recipes_of("evolve")
    with pytest.raises(ConfigError, match=f"--final-recipe must be one of {', '.join(known)}"):
        configure("digits", {"final_recipe": "slow"}, seed=0)


def test_a_study_from_before_final_recipes_ends_as_it_searched() -> None:
    stored = configure("digits", {"learning_rate": 0.5}, seed=0).to_dict()
    older = {name: one for name, one in stored.items() if not name.startswith("final_")}
    assert config_from_dict(older).final_training.learning_rate == 0.5
