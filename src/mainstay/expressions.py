"""The little language of derived features, contract rules and pins: parsed into a tree, never evaluated by Python.

Arithmetic (+ - * /), comparison (== != < <= > >=), `and`, `or`, `not`, `min`, `max`, `log`, `abs`, `is_null`, numbers,
columns (in backticks where the name is no identifier) and, in an equality, a category's value in quotes. Anything else
is refused by name. What a tree means on arrays of rows is in `scoring/derive.py`.
"""

import ast
import math
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from mainstay.errors import Refused
from mainstay.suggest import did_you_mean

Kind = Literal["number", "category"]

MAX_LENGTH = 1000
MAX_DEPTH = 40
FUNCTIONS = {"min": (2, 20), "max": (2, 20), "log": (1, 1), "abs": (1, 1), "is_null": (1, 1)}

_BINARY: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
_QUOTED = re.compile(r"`([^`]*)`")


@dataclass(frozen=True, slots=True)
class Number:
    value: float


@dataclass(frozen=True, slots=True)
class Text:
    """A category's value, in quotes."""

    value: str


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator or function and what it applies to."""

    name: str
    arguments: tuple["Node", ...]


Node = Number | Text | Column | Operation


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression: its text as written, and its tree."""

    text: str
    tree: Node

    @property
    def columns(self) -> frozenset[str]:
        """The names of the columns it reads."""
        return frozenset(node.name for node in _walk(self.tree) if isinstance(node, Column))


def parse(text: str, columns: Mapping[str, Kind]) -> Expression:
    """The tree of an expression over the columns given, each a number or a category.

    Refused, with the offending part, for anything outside the language: attribute access, subscripts, other calls,
    unknown columns, arithmetic on categories, more than 1,000 characters or 40 levels.
    """
    if len(text) > MAX_LENGTH:
        raise Refused(f"an expression has at most {MAX_LENGTH} characters, not {len(text)}", text[:40] + "…")
    names: dict[str, str] = {}

    def stand_in(quoted: re.Match[str]) -> str:
        names[f"_quoted_{len(names)}"] = quoted[1]
        return f"_quoted_{len(names) - 1}"

    replaced = _QUOTED.sub(stand_in, text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            parsed = ast.parse(replaced.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Refused("not an expression: write it as in `TotalCharges - tenure * MonthlyCharges`", text) from error
    return Expression(text, _Reader(text, columns, names).read(parsed.body, 0))


def _walk(node: Node) -> Iterator[Node]:
    yield node
    if isinstance(node, Operation):
        for argument in node.arguments:
            yield from _walk(argument)


@dataclass(frozen=True, slots=True)
class _Reader:
    text: str
    columns: Mapping[str, Kind]
    names: Mapping[str, str]

    def read(self, node: ast.expr, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise Refused(f"nested more than {MAX_DEPTH} levels deep", self.text)
        match node:
            case ast.Constant(value=bool() | None):
                raise self._refusal(node)
            case ast.Constant(value=int() | float() as value):
                return self._number(value)
            case ast.Constant(value=str() as value):
                return Text(value)
            case ast.Name(id=name):
                return self._column(self.names.get(name, name))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return Operation("negate", (self._numeric(operand, depth),))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Operation("not", (self._numeric(operand, depth),))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return Operation(_BINARY[type(op)], (self._numeric(left, depth), self._numeric(right, depth)))
            case ast.BoolOp(op=op, values=values):
                name = "and" if isinstance(op, ast.And) else "or"
                return Operation(name, tuple(self._numeric(value, depth) for value in values))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
                return self._comparison(_COMPARE[type(op)], left, right, depth)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(name, arguments, depth)
        raise self._refusal(node)

    def _numeric(self, node: ast.expr, depth: int) -> Node:
        made = self.read(node, depth + 1)
        if isinstance(made, Text) or (isinstance(made, Column) and made.kind == "category"):
            raise Refused(
                f"`{ast.unparse(node)}` is a category: compare it with == or != to a value in quotes", self.text
            )
        return made

    def _comparison(self, operator: str, left: ast.expr, right: ast.expr, depth: int) -> Node:
        sides = (self.read(left, depth + 1), self.read(right, depth + 1))
        for column, value in (sides, sides[::-1]):
            if isinstance(column, Column) and column.kind == "category" and isinstance(value, Text):
                if operator not in ("==", "!="):
                    raise Refused(f"a category has no order: use == or != instead of {operator}", self.text)
                return Operation(operator, (column, value))
        return Operation(operator, (self._numeric(left, depth), self._numeric(right, depth)))

    def _call(self, name: str, arguments: list[ast.expr], depth: int) -> Node:
        if name not in FUNCTIONS:
            raise Refused(f"there is no function `{name}`{did_you_mean(name, FUNCTIONS)}", self.text)
        least, most = FUNCTIONS[name]
        if not least <= len(arguments) <= most:
            wanted = f"{least}" if least == most else f"{least} to {most}"
            raise Refused(f"`{name}` takes {wanted} arguments, not {len(arguments)}", self.text)
        if name == "is_null":
            made = self.read(arguments[0], depth + 1)
            if not isinstance(made, Text):
                return Operation(name, (made,))
        return Operation(name, tuple(self._numeric(argument, depth) for argument in arguments))

    def _column(self, name: str) -> Column:
        if name not in self.columns:
            raise Refused(f"there is no column `{name}`{did_you_mean(name, self.columns)}", self.text)
        return Column(name, self.columns[name])

    def _number(self, value: float) -> Number:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise Refused("a number too large to compute with", self.text)
        return Number(number)

    def _refusal(self, node: ast.expr) -> Refused:
        kind = type(node).__name__
        return Refused(
            f"{kind} is not part of the language: arithmetic, comparison, and/or/not, {', '.join(FUNCTIONS)}",
            self.text,
        )
