"""evoconv: evolves convolutional image classifiers that fit a budget.

The public names are loaded when they are first used, so that the command line answers at once and a
worker process watches over its coordinator before anything large is imported.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evoconv.api import (
        compress,
        evolve,
        export_network,
        finish,
        pretrain,
        resume,
        retrain,
        transfer,
    )
    from evoconv.errors import EvoconvError, SearchFailed, UserError
    from evoconv.results import Best, Result, evaluate, load

__all__ = [
    "Best",
    "EvoconvError",
    "Result",
    "SearchFailed",
    "UserError",
    "compress",
    "evaluate",
    "evolve",
    "export_network",
    "finish",
    "load",
    "pretrain",
    "resume",
    "retrain",
    "transfer",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'evoconv' has no attribute {name!r}")
    home = "evoconv.api"
    if name.endswith(("Error", "Failed")):
        home = "evoconv.errors"
    elif name in ("Best", "Result", "evaluate", "load"):
        home = "evoconv.results"
    return getattr(import_module(home), name)
