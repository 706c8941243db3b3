"""Formulas of pages: parsed into a small language of arithmetic and named functions, and never executed as Python.

A page is data from somewhere, so its formulas are read with a whitelist: numbers, names that the page defines,
+ − * / ** @, comparisons, and the functions below, whose names are SymPy's where SymPy has them.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import special

from cumulant.errors import FileFormatError

__all__ = ["FUNCTIONS", "Expression", "monomial", "parse"]

Value = Any
Environment = Mapping[str, Value]
Node = Callable[[Environment], Value]

LONGEST = 4000
DEEPEST = 60

FUNCTIONS: dict[str, Callable[..., Value]] = {
    "Abs": np.abs,
    "Max": np.maximum,
    "Min": np.minimum,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "atanh": np.arctanh,
    "besseli": special.iv,
    "besselk": special.kv,
    "cos": np.cos,
    "cosh": np.cosh,
    "digamma": special.digamma,
    "erf": special.erf,
    "exp": np.exp,
    "gamma": special.gamma,
    "log": np.log,
    "loggamma": special.gammaln,
    "sign": np.sign,
    "sin": np.sin,
    "sinh": np.sinh,
    "sqrt": np.sqrt,
    "tan": np.tan,
    "tanh": np.tanh,
}
CONSTANTS = {"pi": float(np.pi), "E": float(np.e), "EulerGamma": float(np.euler_gamma)}

_BINARY: dict[type[ast.operator], Callable[[Value, Value], Value]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.MatMult: operator.matmul,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Value, Value], Value]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


@dataclass(frozen=True)
class Expression:
    """A formula that can be evaluated.

    Parameters
    ----------
    text
        As it was written.
    names
        The variables it needs.
    evaluate
        Takes their values, numbers or arrays, and gives the formula's.

    Examples
    --------
    >>> parse("m4 / m2**2").evaluate({"m2": 2.0, "m4": 6.0})
    1.5
    """

    text: str
    names: frozenset[str]
    evaluate: Node = field(repr=False, compare=False)


def parse(text: str, functions: Mapping[str, Callable[..., Value]] | None = None) -> Expression:
    """Read a formula.

    Parameters
    ----------
    text
        Such as ``"log((1 + m)/(1 - m))/2"``.
    functions
        More functions by name, beside `FUNCTIONS`: tables of a page.

    Raises
    ------
    FileFormatError
        It is no formula, or uses something that formulas may not.
    """
    if len(text) > LONGEST:
        raise FileFormatError(f"a formula of {len(text):,} characters; at most {LONGEST:,} are read")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise FileFormatError(f"'{text}' is not a formula: {error}; write such as 'log(m)/2'") from None
    reader = _Reader(text, {**FUNCTIONS, **(functions or {})})
    evaluate = reader.read(tree.body, 0)
    return Expression(text, frozenset(reader.names), evaluate)


def monomial(text: str, fields: Sequence[str]) -> tuple[int, ...] | None:
    """The power of each field in a product such as ``"x**2*y"``; None if it is another formula."""
    powers = [0] * len(fields)
    for factor in text.replace("**", "^").split("*"):
        name, _, power = factor.strip().partition("^")
        if name.strip() not in fields or not (power.strip() or "1").isdigit():
            return None
        powers[fields.index(name.strip())] += int(power.strip() or "1")
    return tuple(powers)


class _Reader:
    """Turns a syntax tree into closures, node by node, and refuses every other kind of node."""

    def __init__(self, text: str, functions: Mapping[str, Callable[..., Value]]) -> None:
        self.text = text
        self.functions = functions
        self.names: set[str] = set()

    def read(self, node: ast.expr, depth: int) -> Node:
        if depth > DEEPEST:
            raise self.refuse(f"it is nested deeper than {DEEPEST}")
        match node:
            case ast.Constant(value=int() | float() as written) if not isinstance(written, bool):
                # As a float: a power of integers could grow without bound.
                number = float(written)
                return lambda _: number
            case ast.Name():
                return self.variable(node.id)
            case ast.BinOp():
                return self.binary(node, depth)
            case ast.UnaryOp(op=ast.USub()):
                inner = self.read(node.operand, depth + 1)
                return lambda env: -inner(env)
            case ast.UnaryOp(op=ast.UAdd()):
                return self.read(node.operand, depth + 1)
            case ast.Compare(ops=[op], comparators=[right]) if type(op) in _COMPARE:
                compare, a, b = _COMPARE[type(op)], self.read(node.left, depth + 1), self.read(right, depth + 1)
                return lambda env: compare(a(env), b(env))
            case ast.Call(func=ast.Name(), keywords=[]):
                return self.call(node, depth)
        raise self.refuse(f"'{ast.unparse(node)[:60]}' is not arithmetic or a known function")

    def variable(self, name: str) -> Node:
        if name in CONSTANTS:
            value = CONSTANTS[name]
            return lambda _: value
        self.names.add(name)
        return operator.itemgetter(name)

    def binary(self, node: ast.BinOp, depth: int) -> Node:
        if type(node.op) not in _BINARY:
            raise self.refuse(f"'{ast.unparse(node)[:60]}' uses an operator other than + - * / ** @")
        combine = _BINARY[type(node.op)]
        a, b = self.read(node.left, depth + 1), self.read(node.right, depth + 1)
        return lambda env: combine(a(env), b(env))

    def call(self, node: ast.Call, depth: int) -> Node:
        name = getattr(node.func, "id", "")
        if name not in self.functions:
            known = ", ".join(sorted(self.functions))
            raise self.refuse(f"there is no function {name}; there are {known}")
        function = self.functions[name]
        arguments = [self.read(a, depth + 1) for a in node.args]
        if len(arguments) == 1:
            (one,) = arguments
            return lambda env: function(one(env))
        return lambda env: function(*[a(env) for a in arguments])

    def refuse(self, why: str) -> FileFormatError:
        short = self.text if len(self.text) < 80 else self.text[:77] + "…"
        return FileFormatError(f"formula '{short}': {why}")
