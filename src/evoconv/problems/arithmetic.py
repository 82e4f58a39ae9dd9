"""Arithmetic on named figures, as a person types it: read by a grammar, never run as code."""

import ast
import math
import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from evoconv.errors import ConfigError

MAX_LENGTH = 300
"""Characters of an expression: enough for any fitness, too few to exhaust a reader."""

_OPERATORS: Mapping[type[ast.AST], Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}

# With how many arguments each may be called; None for one or more.
_FUNCTIONS: Mapping[str, tuple[Callable[..., float], int | None]] = {
    "sqrt": (math.sqrt, 1),
    "exp": (math.exp, 1),
    "log": (math.log, 1),
    "log2": (math.log2, 1),
    "log10": (math.log10, 1),
    "abs": (abs, 1),
    "min": (lambda *values: min(values), None),
    "max": (lambda *values: max(values), None),
}


@dataclass(frozen=True)
class Expression:
    """Numbers, names, + - * / ** and parentheses, and the functions sqrt, exp, log, log2, log10,
    abs, min and max.

    Attributes:
        text: what was typed; equal texts are equal expressions.
        names: the names it holds.
    """  # noqa: D205 - one list

    text: str
    names: frozenset[str]

    def value(self, figures: Mapping[str, float]) -> float:
        """Return the value for these figures; NaN where there is none, as 1/0 or sqrt(-1)."""
        try:
            value = _value(ast.parse(self.text, mode="eval").body, figures)
        except (ArithmeticError, ValueError):
            return math.nan
        # A fractional power of a negative number is complex.
        return value if isinstance(value, float) else math.nan


def parse_expression(text: str, names: Collection[str]) -> Expression:
    """Return the expression that the text writes down.

    Args:
        text: one line of at most ``MAX_LENGTH`` characters.
        names: those that it may use.

    Raises:
        ConfigError: it is too long, or holds anything but arithmetic of these names.
    """
    if len(text) > MAX_LENGTH:
        raise ConfigError(f"an expression has at most {MAX_LENGTH} characters, got {len(text):,}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        found = frozenset(_names_in(tree, names))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ConfigError(f"{text!r} is no arithmetic expression") from None
    return Expression(text=text.strip(), names=found)


def _names_in(node: ast.AST, known: Collection[str]) -> set[str]:
    """Return the names under the node, all of which is arithmetic."""
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float()):
            return set()
        case ast.Name(id=name):
            if name in known:
                return {name}
            raise ConfigError(f"nothing is called {name}; there are {', '.join(sorted(known))}")
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            return _names_in(operand, known)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _names_in(left, known) | _names_in(right, known)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            if name not in _FUNCTIONS:
                raise ConfigError(f"no function {name}; there are {', '.join(_FUNCTIONS)}")
            number = _FUNCTIONS[name][1]
            if len(arguments) == number or (number is None and arguments):
                return set().union(*(_names_in(one, known) for one in arguments))
            raise ConfigError(f"{name} takes {number or 'at least 1'}, got {len(arguments)}")
    raise ConfigError(f"{ast.unparse(node)!r} is no arithmetic")


def _value(node: ast.AST, figures: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)  # so that no power grows without bound
        case ast.Name(id=name):
            return float(figures[name])
        case ast.UnaryOp(op=op, operand=operand):
            return _OPERATORS[type(op)](_value(operand, figures))
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_value(left, figures), _value(right, figures))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return float(_FUNCTIONS[name][0](*(_value(one, figures) for one in arguments)))
    raise AssertionError(f"{ast.dump(node)} was not refused")
