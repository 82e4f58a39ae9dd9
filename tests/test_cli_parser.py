from dataclasses import fields
from typing import Any

import pytest

from evoconv.cli.commands import COMMANDS
from evoconv.cli.option_flags import COMMON, TITLES, default_text, option_values
from evoconv.cli.parser import build_parser
from evoconv.config import GROUPS
from evoconv.configure import configure, options_of
from evoconv.errors import ConfigError
from evoconv.option_text import flag_of, is_switch, rule_of

COMMANDS_WITH_OPTIONS = ("evolve", "transfer", "pretrain")
EVERY_FIELD = [(owner, one) for owner in GROUPS.values() for one in fields(owner)]
FIELDS_OF = {
    command: [
        (GROUPS[title], one) for title, options in options_of(command).items() for one in options
    ]
    for command in COMMANDS_WITH_OPTIONS
}


def values_of(*words: str, command: str = "evolve") -> dict[str, Any]:
    arguments = [command, "images", *words]
    return option_values(build_parser(arguments).parse_args(arguments))


def help_of(*words: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as end:
        build_parser(words).parse_args(words)
    assert end.value.code == 0
    return capsys.readouterr().out


def test_every_option_has_a_flag_that_reaches_the_configuration() -> None:
    assert len(EVERY_FIELD) > 50
    for command, known in FIELDS_OF.items():
        for owner, one in known:
            flag, no_flag = flag_of(one.name), flag_of(one.name).replace("--", "--no-", 1)
            if is_switch(owner, one.name):
                assert values_of(flag, command=command) == {one.name: True}
                assert values_of(no_flag, command=command) == {one.name: False}
            else:
                assert values_of(flag, "x", command=command) == {one.name: "x"}


def test_defaults_are_written_so_that_they_can_be_typed() -> None:
    plain = configure("images", {})
    for owner, one in EVERY_FIELD:
        text = default_text(rule_of(one), one.default)
        if text:
            group = next(name for name, kind in GROUPS.items() if kind is owner)
            command = group if group in ("transfer", "compress") else "evolve"
            given = {one.name: text.replace(" ", "")}
            if command == "transfer":
                given |= {"weights": "PRETRAINED"}
            again = configure("images", given, command=command)
            assert getattr(getattr(again, group), one.name) == one.default, one.name
    assert plain.method == "async"


def test_nothing_is_set_that_was_not_given() -> None:
    assert values_of() == {}
    assert values_of("--time", "5m", "--no-baseline") == {"time_s": "5m", "baseline": False}


def test_every_group_has_a_title_and_every_common_option_exists() -> None:
    assert set(TITLES) == set(GROUPS)
    assert set(COMMON) <= {one.name for _, one in EVERY_FIELD}


def test_every_command_can_be_typed_and_is_carried_out() -> None:
    with pytest.raises(ConfigError, match="choose from") as refused:
        build_parser([]).parse_args(["fly"])
    assert all(f"'{name}'" in str(refused.value) for name in COMMANDS)


def test_help_shows_what_most_people_need(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of("evolve", "--help", capsys=capsys)
    mine = {one.name for _, one in FIELDS_OF["evolve"]}
    assert all(flag_of(name) in text for name in COMMON if name in mine)
    assert "--weights" in help_of("transfer", "--help", capsys=capsys)
    assert "--epsilon" not in text
    assert "see --help-all" in text


def test_help_all_shows_every_number_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    for command, known in FIELDS_OF.items():
        text = " ".join(help_of(command, "--help-all", capsys=capsys).split())
        assert all(flag_of(one.name) in text for _, one in known)
    text = " ".join(help_of("evolve", "--help-all", capsys=capsys).split())
    assert "--residual-share PERCENT share of residual blocks among those [0%]" in text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["evolve"], "the following arguments are required: SOURCE"),
        (["evolve", "x", "--tiem", "5m"], "evolve doesn't know --tiem; did you mean --time?"),
        (["evolve", "x", "--max-param", "5"], "did you mean --max-parameters?"),
        (["evolve", "x", "--method", "magic"], "invalid choice: 'magic' .*async"),
        (["evolve", "x", "--recipe", "slow"], "invalid choice: 'slow' .*paper"),
        (["evolve", "x", "--seed", "one"], "--seed: invalid int value: 'one'"),
        (["evolve", "x", "--time"], "--time: expected one argument"),
        (["show", "x", "--trials", "-1"], "--trials: must not be negative"),
        (["predict", "x"], "the following arguments are required: IMAGE"),
        (["predict", "x", "y", "--csv", "--json"], "--json: not allowed with argument --csv"),
    ],
)
def test_bad_usage_is_one_sentence(words: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as refused:
        build_parser(words).parse_args(words)
    assert "\n" not in str(refused.value)
