"""A rule's tree as a condition of `pandas.DataFrame.query`: which rows break it, three-valued as ours are."""

from collections.abc import Mapping
from typing import Final

from mainstay.data.written import spellings
from mainstay.expressions import Column, Expression, Node, Number, Operation, Text
from mainstay.usecase import Column as Promised

_OTHERWISE: Final = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_LOGIC: Final = ("and", "or", "not", "==", "!=", "<", "<=", ">", ">=", "is_null")


class NoCondition(Exception):
    """There is no such condition; the words say for what."""


def broken(rule: Expression | Node, columns: Mapping[str, Promised]) -> str:
    """The rows of which a rule is definitely false. NoCondition for what pandas has no word for."""
    tree = rule.tree if isinstance(rule, Expression) else rule
    if isinstance(rule, Expression) and not rule.columns:
        raise NoCondition("what is about no column")
    return _Writer(columns).false(tree)


class _Writer:
    def __init__(self, columns: Mapping[str, Promised]) -> None:
        self.columns = columns

    def true(self, node: Node) -> str:
        """Rows of which it is definitely so. A comparison with a missing number is never so in pandas."""
        match node:
            case Operation("and", parts):
                return "(" + " & ".join(self.true(part) for part in parts) + ")"
            case Operation("or", parts):
                return "(" + " | ".join(self.true(part) for part in parts) + ")"
            case Operation("not", (part,)):
                return self.false(part)
            case Operation("is_null", (part,)):
                inner = self.value(part)
                return f"({inner} != {inner})"
            case Operation("==" | "!=" as name, (Column(kind="category") as column, Text(text))):
                return self._listed(column, text, "in" if name == "==" else "not in")
            case Operation("==", (left, right)):
                return f"({self.value(left)} == {self.value(right)})"
            case Operation("!=", (left, right)):
                return self._apart(self.value(left), self.value(right))
            case Operation(name, (left, right)) if name in _OTHERWISE:
                return f"({self.value(left)} {name} {self.value(right)})"
            case _:
                return self._apart(self.value(node), "0")

    def false(self, node: Node) -> str:
        """Rows of which it is definitely not so."""
        match node:
            case Operation("and", parts):
                return "(" + " | ".join(self.false(part) for part in parts) + ")"
            case Operation("or", parts):
                return "(" + " & ".join(self.false(part) for part in parts) + ")"
            case Operation("not", (part,)):
                return self.true(part)
            case Operation("is_null", (part,)):
                inner = self.value(part)
                return f"({inner} == {inner})"
            case Operation("==" | "!=" as name, (Column() as column, Text(text))):
                return self._listed(column, text, "not in" if name == "==" else "in")
            case Operation("==", (left, right)):
                return self._apart(self.value(left), self.value(right))
            case Operation("!=", (left, right)):
                return f"({self.value(left)} == {self.value(right)})"
            case Operation(name, (left, right)) if name in _OTHERWISE:
                return f"({self.value(left)} {_OTHERWISE[name]} {self.value(right)})"
            case _:
                return f"({self.value(node)} == 0)"

    def value(self, node: Node) -> str:
        match node:
            case Number(value):
                return repr(value)
            case Column(name):
                return self._quoted(name)
            case Operation("negate", (part,)):
                return f"(-{self.value(part)})"
            case Operation("+" | "-" | "*" | "/" as name, (left, right)):
                return f"({self.value(left)} {name} {self.value(right)})"
            case Operation("abs" | "log" as name, (part,)):
                return f"{name}({self.value(part)})"
            case Operation(name, _) if name in _LOGIC:
                raise NoCondition("a comparison that is reckoned with")
            case Operation(name, _):
                raise NoCondition(f"`{name}`")
        raise NoCondition("a text by itself")

    def _quoted(self, name: str) -> str:
        if "`" in name or not name.isprintable():
            raise NoCondition(f"a column called {name!r}")
        return f"`{name}`"

    def _listed(self, column: Column, text: str, how: str) -> str:
        name = self._quoted(column.name)
        listed = f"{name} {how} {spellings(text, self.columns[column.name].values or ())!r}"
        return f"({listed})" if how == "in" else f"({listed} & {name} == {name})"

    @staticmethod
    def _apart(left: str, right: str) -> str:
        return f"(({left} < {right}) | ({left} > {right}))"
