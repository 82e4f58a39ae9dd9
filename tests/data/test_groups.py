from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoconv.data.groups import group_numbers, joined
from evoconv.errors import ConfigError, DataError

NAMES = ("ok/lot7_1.png", "ok/lot7_2.png", "bad/lot8_1.png", "bad/lot7_9.png")


def test_the_first_group_of_the_expression_names_the_group() -> None:
    numbers = group_numbers(NAMES, r"lot(\d+)_(\d+)")
    assert (numbers == numbers[0]).tolist() == [True, True, False, True]


def test_without_a_group_the_whole_match_names_it() -> None:
    assert len(set(group_numbers(NAMES, r"_\d"))) == 3


@pytest.mark.parametrize("expression", [r"lot(8)", r"(lot9)?_1"])
def test_a_path_without_a_group_is_named(expression: str) -> None:
    with pytest.raises(DataError, match=r"finds no group in ok/lot7_1.png"):
        group_numbers(NAMES, expression)


def test_a_wrong_expression_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--group-by is no regular expression: .*, got lot\("):
        group_numbers(NAMES, "lot(")


def write_csv(path: Path, lines: list[str]) -> str:
    path.write_text("\n".join(lines), encoding="utf-8-sig")
    return str(path)


def test_a_csv_file_names_groups(tmp_path: Path) -> None:
    lines = ["group,path,more", *(f"g{row % 2},{name},x" for row, name in enumerate(NAMES))]
    numbers = group_numbers(NAMES, write_csv(tmp_path / "groups.CSV", lines))
    assert (numbers == numbers[0]).tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["path;group"], "must have the columns path and group"),
        ([], "must have the columns path and group"),
        (["path,group", "ok/lot7_1.png,1"], "no group for ok/lot7_2.png, bad/lot8_1.png, bad"),
        (["path,group", *(f"{name}," for name in NAMES)], r"no group for .* and 1 more"),
        (["path,group", *NAMES], "no group for"),
    ],
)
def test_an_incomplete_csv_file_is_refused(lines: list[str], reason: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=reason):
        group_numbers(NAMES, write_csv(tmp_path / "x.csv", lines))


def test_a_missing_or_binary_csv_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"can't read .*gone.csv"):
        group_numbers(NAMES, str(tmp_path / "gone.csv"))
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00path")
    with pytest.raises(DataError, match=r"can't read .*x.csv"):
        group_numbers(NAMES, str(tmp_path / "x.csv"))


def components(first: list[int], second: list[int]) -> list[set[int]]:
    """Return the connected rows, by merging sets one pair at a time."""
    found = [{row} for row in range(len(first))]
    for a in range(len(first)):
        for b in range(a):
            if first[a] == first[b] or second[a] == second[b]:
                merged = next(one for one in found if a in one) | next(
                    one for one in found if b in one
                )
                found = [one for one in found if not one & merged] + [merged]
    return found


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=25))
def test_what_is_connected_by_groups_or_copies_gets_one_number(
    pairs: list[tuple[int, int]],
) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    numbers = joined(np.array(first, dtype=np.int64), np.array(second, dtype=np.int64))
    by_number = [set(np.flatnonzero(numbers == one).tolist()) for one in set(numbers.tolist())]
    assert sorted(map(sorted, by_number)) == sorted(map(sorted, components(first, second)))
