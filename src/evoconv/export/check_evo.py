"""Read a compressed file in a fresh process: it must hold, bit for bit, what was tested.

``check_evo`` starts ``python -m evoconv.export.check_evo`` with the file and the folder of the
tested network.
"""

import subprocess
import sys
from pathlib import Path

import torch

from evoconv.errors import EvoconvError
from evoconv.export.evo_file import load_evo, stored_state
from evoconv.export.model_file import load_model


def check_evo(file: Path, folder: Path) -> None:
    """Compare a compressed file with a saved network.

    Raises:
        EvoconvError: they are not the same, or the file can't be read; it is removed.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "evoconv.export.check_evo", str(file), str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or ["no message"]
            raise EvoconvError(f"the compressed network could not be checked: {lines[-1]}")
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def _check(file: Path, folder: Path) -> None:
    packed_description, packed = load_evo(file)
    description, network = load_model(folder)
    if packed_description != description:
        raise EvoconvError("it is described otherwise than the network that was tested")
    wanted = stored_state(network)
    for name, tensor in stored_state(packed).items():
        if not torch.equal(tensor, wanted[name]):
            raise EvoconvError(f"its {name} is not that of the network that was tested")


if __name__ == "__main__":
    try:
        _check(Path(sys.argv[1]), Path(sys.argv[2]))
    except EvoconvError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
