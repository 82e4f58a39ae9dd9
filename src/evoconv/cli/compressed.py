"""The commands about compressed files: a look inside, and their tensors for other programs."""

import argparse
import json
import sys
from pathlib import Path

from evoconv.errors import ConfigError
from evoconv.interrupts import ctrl_c_waits
from evoconv.report.sentences import printable
from evoconv.units import format_bytes


def inspect(parsed: argparse.Namespace, started_at: float) -> int:  # noqa: ARG001
    """Print what is in a compressed file, tensor by tensor."""
    with ctrl_c_waits():
        from evoconv.cli.watching import open_console
        from evoconv.export.evo_file import read_evo
        from evoconv.report.compressed import tensor_rows, tensor_table

    path = Path(parsed.file)
    description, tensors = read_evo(path)
    rows = tensor_rows(tensors)
    if parsed.json:
        content = {"bytes": path.stat().st_size, **description.to_dict(), "tensors": rows}
        sys.stdout.write(json.dumps(content, indent=1) + "\n")
        return 0
    channels, height, width = description.input_shape
    sys.stdout.write(
        f"{path}: {format_bytes(path.stat().st_size)}; images of {height}×{width},"
        f" {channels} channel{'' if channels == 1 else 's'};"
        f" {len(description.classes)} classes:"
        f" {printable(', '.join(description.classes))}\n\n"
    )
    open_console().print(tensor_table(rows))
    return 0


def decompress(parsed: argparse.Namespace, started_at: float) -> int:  # noqa: ARG001
    """Write the tensors of a compressed file as a .safetensors file."""
    with ctrl_c_waits():
        from evoconv.artifacts import write_file
        from evoconv.export.evo_file import load_evo
        from evoconv.networks.weights import weights_to_bytes

    out = Path(parsed.out)
    if out.suffix != ".safetensors":
        raise ConfigError(f"--out must end in .safetensors, got {out}")
    _, network = load_evo(Path(parsed.file))
    content = weights_to_bytes(network)
    write_file(out, content)
    sys.stdout.write(f"{out}: {format_bytes(len(content))}\n")
    return 0
