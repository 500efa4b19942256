"""Arithmetic: an expression is parsed and walked, never executed."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass

from mcp.server.mcpserver.exceptions import ToolError

MAX_EXPRESSION_CHARACTERS = 500
MAX_DEPTH = 250
MAX_BITS = 4096
MAX_FACTORIAL = 400
MAX_DIGITS = 300

Number = int | float


@dataclass(frozen=True)
class Calculation:
    """The value of an arithmetic expression."""

    expression: str
    result: int | float


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, int) and isinstance(exponent, int) and abs(base) > 1 and exponent > 0:
        _bounded(math.log2(abs(base)) * exponent)
    value = base**exponent
    if isinstance(value, complex):
        raise ToolError(f"{base} to the power of {exponent} is not a real number.")
    return value


def _factorial(number: Number) -> int:
    if number != int(number) or not 0 <= number <= MAX_FACTORIAL:
        raise ToolError(f"factorial takes a whole number from 0 to {MAX_FACTORIAL}, not {number}.")
    return math.factorial(int(number))


def _round(number: Number, digits: Number | None = None) -> Number:
    if digits is None:
        return round(number)
    if not isinstance(digits, int) or abs(digits) > MAX_DIGITS:
        raise ToolError(f"round takes a whole number of digits from -{MAX_DIGITS} to {MAX_DIGITS}, not {digits}.")
    return round(number, digits)


def _bounded(bits: Number) -> None:
    if bits > MAX_BITS:
        raise ToolError(f"The result would be larger than {MAX_BITS} bits; use smaller numbers.")


_OPERATORS: dict[type[ast.AST], Callable[..., Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
_CONSTANTS: dict[str, float] = {"pi": math.pi, "e": math.e, "tau": math.tau}
_FUNCTIONS: dict[str, Callable[..., Number]] = {
    "abs": abs, "ceil": math.ceil, "floor": math.floor, "round": _round, "min": min, "max": max,
    "sqrt": math.sqrt, "exp": math.exp, "log": math.log, "log2": math.log2, "log10": math.log10,
    "sin": math.sin, "cos": math.cos, "tan": math.tan, "asin": math.asin, "acos": math.acos, "atan": math.atan,
    "atan2": math.atan2, "hypot": math.hypot, "degrees": math.degrees, "radians": math.radians,
    "gcd": math.gcd, "factorial": _factorial,
}  # fmt: skip


def evaluate(expression: str) -> Number:
    """The value of `expression`, or ToolError with the reason.

    Only numbers, arithmetic, and the functions and constants named above are understood; nothing is executed.
    """
    if len(expression) > MAX_EXPRESSION_CHARACTERS:
        raise ToolError(f"The expression is longer than {MAX_EXPRESSION_CHARACTERS} characters; split it up.")
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ToolError(f"{expression!r} is not an arithmetic expression; write it like 2 * (3 + 4) ** 2.") from None
    try:
        value = _value(tree.body, MAX_DEPTH)
    except ZeroDivisionError:
        raise ToolError(f"{expression!r} divides by zero.") from None
    except OverflowError:
        raise ToolError(f"A number in {expression!r} becomes too large; use smaller numbers.") from None
    except (TypeError, ValueError) as error:
        raise ToolError(f"{expression!r} cannot be calculated: {error}.") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise ToolError(f"The value of {expression!r} is not a finite number.")
    return value


def _value(node: ast.expr, depth: int) -> Number:
    if depth == 0:
        raise ToolError(f"The expression is nested more than {MAX_DEPTH} levels deep; split it up.")
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as value):
            return _sized(value)
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.Name(id=name):
            raise ToolError(f"{name!r} is not known; constants are {', '.join(_CONSTANTS)}.")
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(operand, depth - 1))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _sized(_OPERATORS[type(op)](_value(left, depth - 1), _value(right, depth - 1)))
        case ast.BinOp(op=ast.BitXor()):
            raise ToolError("'^' is not an operator here; write ** for a power.")
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return _sized(_FUNCTIONS[name](*(_value(argument, depth - 1) for argument in arguments)))
        case ast.Call(func=ast.Name(id=name)) if name not in _FUNCTIONS:
            raise ToolError(f"{name!r} is not a known function; there are {', '.join(sorted(_FUNCTIONS))}.")
    raise ToolError("Only arithmetic is understood: numbers, + - * / // % **, parentheses, constants and functions.")


def _sized(value: Number) -> Number:
    if isinstance(value, int):
        _bounded(value.bit_length())
    return value
