"""The packages of the extra ``compress``, or a sentence that says how to install them."""

import importlib
from types import ModuleType

from evoconv.errors import MissingExtra


def find_package(name: str, purpose: str) -> ModuleType:
    """Return the imported package; ``MissingExtra`` if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtra(f"{purpose} needs {name}: pip install 'evoconv[compress]'") from error
