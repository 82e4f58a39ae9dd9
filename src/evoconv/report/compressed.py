"""What is in a compressed network, tensor by tensor, as figures and as a table."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from evoconv.compression.tensors import (
    SharedTensor,
    StoredTensor,
    bits_of_each,
    codebook_holders,
)
from evoconv.report.tables import new_table
from evoconv.units import format_count


def tensor_rows(tensors: Mapping[str, StoredTensor]) -> list[dict[str, Any]]:
    """Return a row of figures per tensor.

    ``clusters`` is None for what is stored whole. ``bytes`` are by the entropy of the indices and
    the size of codebooks or values, so their sum is near the file's size and not equal to it.
    ``coupled_to`` is the first tensor with the same codebook, with which this counts, or None.
    """
    stored, names = list(tensors.values()), list(tensors)
    rows = []
    for name, one, bits, holder in zip(
        names, stored, bits_of_each(stored), codebook_holders(stored), strict=True
    ):
        first = None if names[holder] == name else names[holder]
        rows.append(_row(name, one) | {"bytes": bits / 8, "coupled_to": first})
    return rows


def tensor_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the rows as a table, with their sum."""
    table = new_table(
        *("tensor", "shape", "weights", "clusters", "zeros", "bits", "bytes"), num_left=1
    )
    # Names give way where the terminal is narrow; figures never do.
    table.columns[0].no_wrap = False
    table.columns[0].overflow = "fold"
    for row in rows:
        clusters = "whole" if row["clusters"] is None else f"{row['clusters']:,}"
        if row["codebooks"] > 1:
            clusters += f" in {row['codebooks']:,} codebooks"
        if row["coupled_to"]:
            clusters += f" of {row['coupled_to']}"
        table.add_row(
            row["name"],
            "×".join(map(str, row["shape"])) or "1",
            format_count(row["weights"]),
            clusters,
            f"{100 * row['zeros'] / max(row['weights'], 1):.1f} %",
            str(row["bits"]),
            f"{row['bytes']:,.0f}",
        )
    table.add_section()
    weights, size = (sum(row[name] for row in rows) for name in ("weights", "bytes"))
    table.add_row("all", "", format_count(weights), "", "", "", f"{size:,.0f}")
    return table


def _row(name: str, one: StoredTensor) -> dict[str, Any]:
    values = one.values
    clusters, codebooks = None, 0
    if isinstance(one, SharedTensor):
        codebooks, clusters = one.codebooks.shape
    return {
        "name": name,
        "shape": list(values.shape),
        "weights": int(values.size),
        "clusters": clusters,
        "codebooks": codebooks,
        "zeros": int(np.count_nonzero(values == 0)),
        "bits": one.bits,
    }
