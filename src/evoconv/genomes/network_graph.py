"""A network of one's own, as plain data: its layers, and the steps that run from image to logits.

It is what ``networks.traced`` sees of a torch module. No code is in it, so it can be kept in files
that come from anywhere; ``networks.graph_network`` says which layers and operations there are.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from evoconv.errors import ConfigError

_PATH = re.compile(r"\w+(\.\w+)*", re.ASCII)
_MOST_CHARACTERS = 300
_MOST_STEPS = 20_000
_LARGEST_NUMBER = 1 << 31
_DEEPEST = 4


@dataclass(frozen=True)
class Made:
    """What a step made, as an argument of a later one; step 0 is the batch of images."""

    step: int


@dataclass(frozen=True)
class Span:
    """A range of indices, as Python's ``slice``."""

    start: "Value"
    stop: "Value"
    stride: "Value"


Value = None | bool | int | float | str | Made | Span | tuple["Value", ...]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A torch module that has no others in it.

    Attributes:
        path: its name in the network, as in torch's ``named_modules``.
        kind: the name of its class.
        options: what it is made with, by name.
    """

    path: str
    kind: str
    options: tuple[tuple[str, Value], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Step:
    """A layer or an operation, run on what was made before.

    Attributes:
        does: a layer's path, or an operation's name.
        is_layer: which of both it is.
        takes: its arguments in order.
        named: its other arguments.
    """

    does: str
    is_layer: bool
    takes: tuple[Value, ...]
    named: tuple[tuple[str, Value], ...] = ()

    def sources(self) -> set[int]:
        """Return the steps that it takes something from."""
        return {
            one.step
            for value in (*self.takes, *(value for _, value in self.named))
            for one in _parts(value)
            if isinstance(one, Made)
        }


@dataclass(frozen=True, kw_only=True)
class NetworkGraph:
    """Layers and the steps in which they run; the first step is number 1.

    Attributes:
        gives: the step that makes the logits.

    Raises:
        ConfigError: a name twice or no name, a layer that no step runs, a step that takes what
            isn't made yet, or too many.
    """

    layers: tuple[Layer, ...]
    steps: tuple[Step, ...]
    gives: int

    def __post_init__(self) -> None:
        paths = [one.path for one in self.layers]
        if len(set(paths)) < len(paths):
            raise ConfigError("two layers of a network have the same name")
        if max(len(self.layers), len(self.steps)) > _MOST_STEPS:
            raise ConfigError(f"a network of one's own has at most {_MOST_STEPS:,} steps")
        for path in paths:
            if len(path) > _MOST_CHARACTERS or not _PATH.fullmatch(path):
                raise ConfigError(f"a layer can't be called {path!r:.40}")
        known = set(paths)
        unused = known - {step.does for step in self.steps if step.is_layer}
        if unused:
            raise ConfigError(f"no step runs the layer {min(unused)!r:.40}")
        for number, step in enumerate(self.steps, 1):
            if step.is_layer and step.does not in known:
                raise ConfigError(f"step {number} runs a layer {step.does!r:.40} that isn't there")
            if not all(0 <= source < number for source in step.sources()):
                raise ConfigError(f"step {number} takes what isn't made yet")
        if not 1 <= self.gives <= len(self.steps):
            raise ConfigError(f"there is no step {self.gives}, whose result is the network's")

    def to_json(self) -> str:
        """Return canonical JSON: equal graphs give equal text."""
        layers = {
            layer.path: {"kind": layer.kind, **_named_to_json(layer.options)}
            for layer in self.layers
        }
        steps = [
            {
                ("layer" if step.is_layer else "operation"): step.does,
                "takes": [_to_json(one) for one in step.takes],
                **({"named": _named_to_json(step.named)} if step.named else {}),
            }
            for step in self.steps
        ]
        # Layers stay in their order, which is that of the weights.
        return json.dumps({"layers": layers, "steps": steps, "gives": self.gives})

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "NetworkGraph":
        """Return the graph of parsed JSON, which may come from anywhere; raises ``ConfigError``."""
        _check_keys(content, {"layers", "steps", "gives"})
        layers, steps, gives = content["layers"], content["steps"], content["gives"]
        if not isinstance(layers, dict) or not isinstance(steps, list) or type(gives) is not int:
            raise ConfigError("a network has layers by name, a list of steps, and a number it ends")
        return cls(
            layers=tuple(_layer(path, one) for path, one in layers.items()),
            steps=tuple(_step(one) for one in steps),
            gives=gives,
        )


def _layer(path: str, content: object) -> Layer:
    if not isinstance(content, dict) or not isinstance(content.get("kind"), str):
        raise ConfigError(f"layer {path!r:.40} has no kind")
    options = {name: one for name, one in content.items() if name != "kind"}
    return Layer(path=path, kind=content["kind"], options=_named_from_json(options))


def _step(content: object) -> Step:
    if not isinstance(content, dict):
        raise ConfigError("a step is what it does and what it takes")
    is_layer = "layer" in content
    kind = "layer" if is_layer else "operation"
    _check_keys(content, {kind, "takes"}, frozenset({"named"}))
    does, takes, named = content[kind], content["takes"], content.get("named", {})
    if not isinstance(does, str) or not isinstance(takes, list) or not isinstance(named, dict):
        raise ConfigError(f"a step has a name and a list of what it takes, got {content!r:.60}")
    return Step(
        does=does,
        is_layer=is_layer,
        takes=tuple(_from_json(one) for one in takes),
        named=_named_from_json(named),
    )


def _check_keys(
    content: dict[str, Any], needed: set[str], possible: frozenset[str] = frozenset()
) -> None:
    if not needed <= content.keys() <= needed | possible:
        raise ConfigError(
            f"unknown or missing fields in a network's graph: {sorted(content)!s:.80}"
        )


def _parts(value: Value) -> Iterator[Value]:
    """Yield a value and all that is in it."""
    yield value
    inner: tuple[Value, ...] = ()
    if isinstance(value, Span):
        inner = (value.start, value.stop, value.stride)
    elif isinstance(value, tuple):
        inner = value
    for one in inner:
        yield from _parts(one)


def _named_to_json(named: tuple[tuple[str, Value], ...]) -> dict[str, Any]:
    return {name: _to_json(one) for name, one in named}


def _to_json(value: Value) -> Any:
    match value:
        case Made():
            return {"step": value.step}
        case Span():
            return {"span": [_to_json(one) for one in (value.start, value.stop, value.stride)]}
        case tuple():
            return [_to_json(one) for one in value]
        case _:
            return value


def _named_from_json(named: Mapping[str, object]) -> tuple[tuple[str, Value], ...]:
    return tuple((name, _from_json(one)) for name, one in named.items())


def _from_json(content: object, depth: int = 0) -> Value:
    if depth > _DEEPEST:
        raise ConfigError("an argument of a network's step is nested too deeply")
    match content:
        case None | bool() | str():
            return content
        case int() | float() if abs(content) <= _LARGEST_NUMBER:  # not NaN either
            return content
        case list():
            return tuple(_from_json(one, depth + 1) for one in content)
        case {"step": int(step), **others} if not others:
            return Made(step)
        case {"span": [start, stop, stride], **others} if not others:
            parts = (_from_json(one, depth + 1) for one in (start, stop, stride))
            return Span(*cast(tuple[Value, Value, Value], tuple(parts)))
        case _:
            raise ConfigError(f"a network's step can't take {content!r:.40}")
