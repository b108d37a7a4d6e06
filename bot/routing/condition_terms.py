"""The pieces that a condition is made of: tokens, and typed nodes with what they compute.

Each function here joins nodes to a larger one and checks their kinds, so that a mistake is an error of the
configuration, with its column, and next to nothing is left that can fail when a message is there.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

LARGEST = 2**63 - 1  # as in CEL

Variables = Mapping[str, Any]
Run = Callable[[Variables], Any]

_KNOWN_VALUES: Mapping[str, tuple[str, ...]] = {
    "weekday": ("mon", "tue", "wed", "thu", "fri", "sat", "sun"),
    "role": ("none", "guest", "user", "operator", "owner"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    kind: str  # number, text, name, sign, end
    value: str
    column: int  # counts from 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A typed piece of the expression. `variable` and `literals` are kept to check comparisons with known values."""

    kind: str  # number, text, truth, "list of …"
    run: Run
    variable: str = ""
    literals: tuple[Any, ...] = ()


_TOKEN = re.compile(
    r"""(?P<space>\s+)
    | (?P<number>\d+)
    | (?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    | (?P<name>[A-Za-z_][A-Za-z_0-9]*)
    | (?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%<>!()\[\],.?:])""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'"}
_WORDS = {"and": "&&", "or": "||"}
ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TESTS: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda text, part: part in text,
    "startsWith": str.startswith,
    "endsWith": str.endswith,
}
METHODS = (*_TESTS, "lowerAscii", "size")


def tokens(source: str) -> list[Token]:
    found: list[Token] = []
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            raise error(at + 1, f"{source[at]!r} is not understood here", _hint(source[at:]))
        kind = str(match.lastgroup)
        if kind != "space":
            value = match.group()
            if kind == "name" and value in _WORDS:
                kind, value = "sign", _WORDS[value]
            found.append(Token(kind=kind, value=value, column=at + 1))
        at = match.end()
    found.append(Token(kind="end", value="", column=len(source) + 1))
    return found


def _hint(rest: str) -> str:
    if rest[0] in "\"'":
        return "close the text with the same quotation mark on the same line"
    return {"=": "write == to compare", "&": "write && or and", "|": "write || or or"}.get(
        rest[0], 'write for example hour >= 9 and text.contains("urgent")'
    )


def error(column: int, what: str, what_to_do: str) -> ValueError:
    return ValueError(f"column {column}: {what}: {what_to_do}")


def need(node: Node, kind: str, mark: Token) -> None:
    if node.kind != kind:
        raise error(mark.column, f"{mark.value} needs a {kind}, and this is a {node.kind}", "compare it first")


def negated(node: Node, signs: list[Token]) -> Node:
    for sign in reversed(signs):
        minus = sign.value == "-"
        need(node, "number" if minus else "truth", sign)
        run = applied_one(operator.neg if minus else operator.not_, node.run)
        node = Node(kind=node.kind, run=run)
    return node


def applied_one(function: Callable[[Any], Any], value: Run) -> Run:
    return lambda v: function(value(v))


def applied(function: Callable[[Any, Any], Any], left: Run, right: Run) -> Run:
    return lambda v: function(left(v), right(v))


def compared(left: Node, mark: Token, right: Node) -> Run:
    sign = mark.value
    if sign in {"in", "not in"}:
        if right.kind not in {f"list of {left.kind}", "list of nothing"} and not left.kind == right.kind == "text":
            raise error(
                mark.column, f"a {left.kind} cannot be in a {right.kind}", 'write for example weekday in ["mon", "tue"]'
            )
        if right.kind != "text":
            _check_values(left, right, mark)
        wanted = sign == "in"
        a, b = left.run, right.run
        return lambda v: (a(v) in b(v)) == wanted
    if left.kind != right.kind:
        raise error(
            mark.column,
            f"a {left.kind} is compared with a {right.kind}",
            "put text in quotes and numbers without" if "number" in {left.kind, right.kind} else "make both the same",
        )
    if sign in ORDERS:
        if left.kind not in {"number", "text"}:
            raise error(mark.column, f"{sign} cannot compare a {left.kind}", "use == or !=")
        return applied(ORDERS[sign], left.run, right.run)
    _check_values(left, right, mark)
    _check_values(right, left, mark)
    return applied(operator.eq if sign == "==" else operator.ne, left.run, right.run)


def _check_values(one: Node, other: Node, mark: Token) -> None:
    """`weekday == "monday"` would never be true: say so now."""
    known = _KNOWN_VALUES.get(one.variable)
    for value in other.literals if known else ():
        if known and value not in known:
            raise error(mark.column, f"{one.variable} is never {value!r}", f"use {', '.join(known)}")


def calculated(left: Node, mark: Token, right: Node) -> Node:
    for node in (left, right):
        need(node, "number", mark)
    return Node(kind="number", run=applied(_ARITHMETIC[mark.value], left.run, right.run))


def _bounded(function: Callable[[int, int], int]) -> Callable[[int, int], int]:
    def run(left: int, right: int) -> int:
        result = function(left, right)
        if abs(result) > LARGEST:
            raise OverflowError("the number becomes too large")
        return result

    return run


def _divided(left: int, right: int) -> int:
    """Towards zero, as in CEL."""
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


_ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "+": _bounded(operator.add),
    "-": _bounded(operator.sub),
    "*": _bounded(operator.mul),
    "/": _divided,
    "%": lambda left, right: left - right * _divided(left, right),
}


def known_method(name: Token) -> None:
    if name.value not in METHODS:
        near = get_close_matches(name.value, METHODS, n=1)
        meant = f"did you mean {near[0]}?" if near else f"use {', '.join(METHODS)}"
        raise error(name.column, f"there is no function {name.value!r}", meant)


def called(node: Node, name: Token, arguments: list[Node]) -> Node:
    method = name.value
    if method == "size" and node.kind.startswith("list"):
        return Node(kind="number", run=applied_one(len, node.run))
    if node.kind != "text":
        raise error(name.column, f"{method} needs a text, and this is a {node.kind}", f"write text.{method}(…)")
    if method in _TESTS:
        if [argument.kind for argument in arguments] != ["text"]:
            raise error(name.column, f"{method} takes one text", f'write text.{method}("urgent")')
        return Node(kind="truth", run=applied(_TESTS[method], node.run, arguments[0].run))
    if arguments:
        raise error(name.column, f"{method} takes nothing in its brackets", f"write {method}()")
    if method == "size":
        return Node(kind="number", run=applied_one(len, node.run))
    return Node(kind="text", run=applied_one(_lower_ascii, node.run))


_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def _lower_ascii(text: str) -> str:
    return text.translate(_LOWER)


def text_literal(token: Token) -> Node:
    def unescape(match: re.Match[str]) -> str:
        what = match.group(1)
        if len(what) == 5:
            return chr(int(what[1:], 16))
        if what not in _ESCAPES:
            raise error(token.column, f"\\{what} is not known", "write a backslash twice to mean itself")
        return _ESCAPES[what]

    value = _ESCAPE.sub(unescape, token.value[1:-1])
    return Node(kind="text", run=lambda _: value, literals=(value,))


def list_of(token: Token, items: list[Node]) -> Node:
    kinds = {item.kind for item in items}
    if len(kinds) > 1 or any(kind.startswith("list") for kind in kinds):
        raise error(token.column, "the list mixes different things", "make all its values text, or all numbers")
    kind = f"list of {kinds.pop() if kinds else 'nothing'}"
    literals = tuple(value for item in items for value in item.literals)
    if len(literals) == len(items):
        return Node(kind=kind, run=lambda _: literals, literals=literals)
    runs = tuple(item.run for item in items)
    return Node(kind=kind, run=lambda v: tuple(run(v) for run in runs), literals=literals)
