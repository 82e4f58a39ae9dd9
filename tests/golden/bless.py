"""Golden trajectories: which individuals each method bears on the toy problem.

They fix what must not change by accident, above all the order in which randomness is used. After a
change that is meant to alter a search, look at the difference that this makes::

    python -m tests.golden.bless
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from evoconv.evolution.catalogue import METHODS
from evoconv.study.stop import StopRules
from tests.simulation import ToyRun, ToySpace

PATH = Path(__file__).with_name("trajectories.json")


def trajectory(method: str) -> list[str]:
    """Return a line for each individual: integers and operators, no floats."""
    run = ToyRun(method=method, slots=3, space=ToySpace(limit=22), stop=StopRules(evaluations=60))
    run.go()
    lines = []
    for trial in run.log.trials():
        one = trial.individual
        genome = one.genome.to_json()
        parents = ",".join(map(str, one.parents))
        ending = "failed" if one.failure else "complete" if one.measurement else "none"
        lines.append(f"{genome} of [{parents}] by {one.operator} after {one.redraws} {ending}")
    return lines


def main() -> None:
    """Write the file anew."""
    golden: dict[str, Any] = {"numpy": np.__version__}
    golden["methods"] = {method: trajectory(method) for method in METHODS}
    PATH.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
