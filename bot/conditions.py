"""Safe conditions: what an operator may write behind `when` in a route, and the router asks for every message.

A condition is parsed and type-checked once, when the configuration is read, so a mistake is shown there with
its column and not months later at night. The language is CEL's expressions without its loops (with Python's
`and`, `or`, `not` and `9 <= hour < 17` beside `&&`, `||`, `!`). Without loops, the work is bounded by the length
of the text: 500 characters of condition over variables of at most 2,000 characters cannot take longer than a
millisecond, and need no clock that would have to interrupt them.

    hour >= 9 and hour < 17 && weekday in ["mon", "tue"] || text.contains("urgent")

Why not a CEL library: docs/decisions/conditions.md. Pure: no I/O, no clock.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

SIZE_CHARACTERS = 500
TEXT_CHARACTERS = 2_000  # longer values of variables are cut
DEPTH = 20
_LARGEST = 2**63 - 1  # as in CEL

Variables = Mapping[str, Any]
_Run = Callable[[Variables], Any]

VARIABLES: Mapping[str, str] = {
    "hour": "number",  # of the day in the bot's time zone, 0 to 23
    "minute": "number",
    "weekday": "text",  # mon, tue, wed, thu, fri, sat, sun
    "date": "text",  # 2026-11-21
    "channel": "text",
    "room": "text",
    "thread": "text",  # empty in the room itself
    "text": "text",
    "sender": "text",  # the display name: never a proof of anything
    "account": "text",  # slack:T1/U1
    "role": "text",
    "mentioned": "truth",
    "direct": "truth",
    "has_attachments": "truth",
}
_KNOWN_VALUES: Mapping[str, tuple[str, ...]] = {
    "weekday": ("mon", "tue", "wed", "thu", "fri", "sat", "sun"),
    "role": ("none", "guest", "user", "operator", "owner"),
}


class ConditionFailed(Exception):
    """The condition could not be evaluated for this message (a division by zero). It counts as "does not match"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A parsed condition."""

    source: str
    _run: _Run

    @classmethod
    def parse(cls, source: str) -> Condition:
        """Raises ValueError with a sentence that names the column and what to do."""
        if len(source) > SIZE_CHARACTERS:
            raise ValueError(
                f"the condition has {len(source)} characters, and {SIZE_CHARACTERS} are allowed:"
                " divide it into several routes"
            )
        node = _Parser(source).whole()
        return cls(source=source, _run=node.run)

    def holds(self, variables: Variables) -> bool:
        """Is it true of a message? `variables` has all of VARIABLES. Raises ConditionFailed."""
        try:
            return bool(self._run(variables))
        except (ArithmeticError, KeyError, TypeError) as error:
            raise ConditionFailed(str(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    kind: str  # number, text, name, sign, end
    value: str
    column: int  # counts from 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    """A typed piece of the expression. `variable` and `literals` are kept to check comparisons with known values."""

    kind: str  # number, text, truth, "list of …"
    run: _Run
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
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
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
_METHODS = (*_TESTS, "lowerAscii", "size")


def _tokens(source: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            raise _error(at + 1, f"{source[at]!r} is not understood here", _hint(source[at:]))
        kind = str(match.lastgroup)
        if kind != "space":
            value = match.group()
            if kind == "name" and value in _WORDS:
                kind, value = "sign", _WORDS[value]
            found.append(_Token(kind=kind, value=value, column=at + 1))
        at = match.end()
    found.append(_Token(kind="end", value="", column=len(source) + 1))
    return found


def _hint(rest: str) -> str:
    if rest[0] in "\"'":
        return "close the text with the same quotation mark on the same line"
    return {"=": "write == to compare", "&": "write && or and", "|": "write || or or"}.get(
        rest[0], 'write for example hour >= 9 and text.contains("urgent")'
    )


def _error(column: int, what: str, what_to_do: str) -> ValueError:
    return ValueError(f"column {column}: {what}: {what_to_do}")


class _Parser:
    """Recursive descent, one method a level of precedence, lowest first. Each returns a typed node."""

    def __init__(self, source: str) -> None:
        self._tokens = _tokens(source)
        self._at = 0
        self._depth = 0

    def whole(self) -> _Node:
        if self._next.kind == "end":
            raise ValueError("the condition is empty: leave `when` out, or write for example hour >= 9")
        node = self._expression()
        if self._next.kind != "end":
            raise _error(self._next.column, f"{self._next.value!r} is one too many", "join two conditions with and")
        if node.kind != "truth":
            raise _error(1, f"the condition is a {node.kind}, not true or false", "compare it, for example with ==")
        return node

    # --- reading tokens

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._next
        self._at += 1
        return token

    def _sign(self, *values: str) -> _Token | None:
        """Take the next token when it is one of these signs."""
        if self._next.kind == "sign" and self._next.value in values:
            return self._take()
        return None

    def _word(self, value: str) -> _Token | None:
        if self._next.kind == "name" and self._next.value == value:
            return self._take()
        return None

    def _expect(self, value: str) -> None:
        if self._sign(value) is None:
            found = repr(self._next.value) if self._next.value else "the end"
            raise _error(self._next.column, f"{found} stands where {value!r} is expected", f"add {value!r}")

    # --- precedence, lowest first

    def _expression(self) -> _Node:
        self._depth += 1
        if self._depth > DEPTH:
            raise _error(self._next.column, f"more than {DEPTH} levels of brackets", "write it simpler")
        node = self._choice()
        self._depth -= 1
        return node

    def _choice(self) -> _Node:
        test = self._either()
        mark = self._sign("?")
        if mark is None:
            return test
        _need(test, "truth", mark)
        yes = self._expression()
        self._expect(":")
        no = self._expression()
        if yes.kind != no.kind:
            raise _error(mark.column, f"one side is a {yes.kind}, the other a {no.kind}", "make both the same")
        ask, then, otherwise = test.run, yes.run, no.run
        return _Node(kind=yes.kind, run=lambda v: then(v) if ask(v) else otherwise(v))

    def _either(self) -> _Node:
        return self._joined("||", self._both, lambda a, b: lambda v: a(v) or b(v))

    def _both(self) -> _Node:
        return self._joined("&&", self._negation, lambda a, b: lambda v: a(v) and b(v))

    def _joined(self, sign: str, below: Callable[[], _Node], join: Callable[[_Run, _Run], _Run]) -> _Node:
        node = below()
        while mark := self._sign(sign):
            right = below()
            _need(node, "truth", mark)
            _need(right, "truth", mark)
            node = _Node(kind="truth", run=join(node.run, right.run))
        return node

    def _negation(self) -> _Node:
        """Python's `not` binds weaker than a comparison, CEL's `!` stronger; each keeps its own rule."""
        negations: list[_Token] = []
        while mark := self._word("not"):
            negations.append(mark)
        node = self._comparison()
        return _negated(node, negations)

    def _comparison(self) -> _Node:
        left = self._sum()
        chain: list[_Run] = []
        signs: list[str] = []
        while mark := self._comparing():
            signs.append(mark.value)
            if len(signs) > 1 and not all(sign in _ORDERS for sign in signs):
                raise _error(mark.column, "a second comparison follows", "put brackets around the first, or use and")
            right = self._sum()
            chain.append(_compared(left, mark, right))
            left = right
        if not chain:
            return left
        if len(chain) == 1:
            return _Node(kind="truth", run=chain[0])
        return _Node(kind="truth", run=lambda v: all(test(v) for test in chain))

    def _comparing(self) -> _Token | None:
        if mark := self._sign("==", "!=", *_ORDERS) or self._word("in"):
            return mark
        if (mark := self._word("not")) is not None:
            if self._word("in") is None:
                raise _error(mark.column, "not stands behind a value", "write and not …, or not in")
            return _Token(kind="sign", value="not in", column=mark.column)
        return None

    def _sum(self) -> _Node:
        node = self._product()
        while mark := self._sign("+", "-"):
            right = self._product()
            if mark.value == "+" and node.kind == right.kind == "text":
                node = _Node(kind="text", run=_applied(operator.add, node.run, right.run))
            else:
                node = _calculated(node, mark, right)
        return node

    def _product(self) -> _Node:
        node = self._unary()
        while mark := self._sign("*", "/", "%"):
            node = _calculated(node, mark, self._unary())
        return node

    def _unary(self) -> _Node:
        negations: list[_Token] = []
        while mark := self._sign("!", "-"):
            negations.append(mark)
        return _negated(self._postfix(), negations)

    def _postfix(self) -> _Node:
        node = self._primary()
        while mark := self._sign("."):
            name = self._take()
            if name.kind != "name":
                raise _error(mark.column, "a function's name is missing behind the dot", f"use {', '.join(_METHODS)}")
            _known_method(name)
            node = _called(node, name, self._arguments())
        return node

    def _arguments(self) -> list[_Node]:
        self._expect("(")
        return self._listed(")")

    def _listed(self, end: str) -> list[_Node]:
        found: list[_Node] = []
        while self._sign(end) is None:
            if found:
                self._expect(",")
                if self._sign(end):  # a comma behind the last one
                    break
            found.append(self._expression())
        return found

    def _primary(self) -> _Node:
        token = self._take()
        if token.kind == "number":
            number = int(token.value) if len(token.value) < 20 else _LARGEST + 1
            if number > _LARGEST:
                raise _error(token.column, "the number is too large", "use one below 9,000,000,000,000,000,000")
            return _Node(kind="number", run=lambda _: number, literals=(number,))
        if token.kind == "text":
            return _text(token)
        if token.kind == "name":
            return self._named(token)
        if token.value == "(":
            node = self._expression()
            self._expect(")")
            return _Node(kind=node.kind, run=node.run)
        if token.value == "[":
            return _list(token, self._listed("]"))
        if token.kind == "end":
            raise _error(token.column, "the condition stops too early", "add what is missing")
        raise _error(token.column, f"{token.value!r} stands where a value is expected", "put a value before it")

    def _named(self, token: _Token) -> _Node:
        name = token.value
        if name in {"true", "false", "True", "False"}:
            truth = name.lower() == "true"
            return _Node(kind="truth", run=lambda _: truth)
        if name == "size" and self._next.value == "(":
            arguments = self._arguments()
            if len(arguments) != 1:
                raise _error(token.column, "size takes one value", "write size(text)")
            return _called(arguments[0], token, [])
        if name not in VARIABLES:
            near = get_close_matches(name, [*VARIABLES, *_METHODS], n=1)
            meant = f"did you mean {near[0]}?" if near else f"use one of {', '.join(VARIABLES)}, or put text in quotes"
            raise _error(token.column, f"{name!r} is not known", meant)
        if VARIABLES[name] == "text":
            return _Node(kind="text", run=lambda v: v[name][:TEXT_CHARACTERS], variable=name)
        return _Node(kind=VARIABLES[name], run=operator.itemgetter(name), variable=name)


def _need(node: _Node, kind: str, mark: _Token) -> None:
    if node.kind != kind:
        raise _error(mark.column, f"{mark.value} needs a {kind}, and this is a {node.kind}", "compare it first")


def _negated(node: _Node, signs: list[_Token]) -> _Node:
    for sign in reversed(signs):
        minus = sign.value == "-"
        _need(node, "number" if minus else "truth", sign)
        run = _applied_one(operator.neg if minus else operator.not_, node.run)
        node = _Node(kind=node.kind, run=run)
    return node


def _applied_one(function: Callable[[Any], Any], value: _Run) -> _Run:
    return lambda v: function(value(v))


def _applied(function: Callable[[Any, Any], Any], left: _Run, right: _Run) -> _Run:
    return lambda v: function(left(v), right(v))


def _compared(left: _Node, mark: _Token, right: _Node) -> _Run:
    sign = mark.value
    if sign in {"in", "not in"}:
        if right.kind not in {f"list of {left.kind}", "list of nothing"} and not left.kind == right.kind == "text":
            raise _error(
                mark.column, f"a {left.kind} cannot be in a {right.kind}", 'write for example weekday in ["mon", "tue"]'
            )
        if right.kind != "text":
            _check_values(left, right, mark)
        wanted = sign == "in"
        a, b = left.run, right.run
        return lambda v: (a(v) in b(v)) == wanted
    if left.kind != right.kind:
        raise _error(
            mark.column,
            f"a {left.kind} is compared with a {right.kind}",
            "put text in quotes and numbers without" if "number" in {left.kind, right.kind} else "make both the same",
        )
    if sign in _ORDERS:
        if left.kind not in {"number", "text"}:
            raise _error(mark.column, f"{sign} cannot compare a {left.kind}", "use == or !=")
        return _applied(_ORDERS[sign], left.run, right.run)
    _check_values(left, right, mark)
    _check_values(right, left, mark)
    return _applied(operator.eq if sign == "==" else operator.ne, left.run, right.run)


def _check_values(one: _Node, other: _Node, mark: _Token) -> None:
    """`weekday == "monday"` would never be true: say so now."""
    known = _KNOWN_VALUES.get(one.variable)
    for value in other.literals if known else ():
        if known and value not in known:
            raise _error(mark.column, f"{one.variable} is never {value!r}", f"use {', '.join(known)}")


def _calculated(left: _Node, mark: _Token, right: _Node) -> _Node:
    for node in (left, right):
        _need(node, "number", mark)
    return _Node(kind="number", run=_applied(_ARITHMETIC[mark.value], left.run, right.run))


def _bounded(function: Callable[[int, int], int]) -> Callable[[int, int], int]:
    def run(left: int, right: int) -> int:
        result = function(left, right)
        if abs(result) > _LARGEST:
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


def _known_method(name: _Token) -> None:
    if name.value not in _METHODS:
        near = get_close_matches(name.value, _METHODS, n=1)
        meant = f"did you mean {near[0]}?" if near else f"use {', '.join(_METHODS)}"
        raise _error(name.column, f"there is no function {name.value!r}", meant)


def _called(node: _Node, name: _Token, arguments: list[_Node]) -> _Node:
    method = name.value
    if method == "size" and node.kind.startswith("list"):
        return _Node(kind="number", run=_applied_one(len, node.run))
    if node.kind != "text":
        raise _error(name.column, f"{method} needs a text, and this is a {node.kind}", f"write text.{method}(…)")
    if method in _TESTS:
        if [argument.kind for argument in arguments] != ["text"]:
            raise _error(name.column, f"{method} takes one text", f'write text.{method}("urgent")')
        return _Node(kind="truth", run=_applied(_TESTS[method], node.run, arguments[0].run))
    if arguments:
        raise _error(name.column, f"{method} takes nothing in its brackets", f"write {method}()")
    if method == "size":
        return _Node(kind="number", run=_applied_one(len, node.run))
    return _Node(kind="text", run=_applied_one(_lower_ascii, node.run))


_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def _lower_ascii(text: str) -> str:
    return text.translate(_LOWER)


def _text(token: _Token) -> _Node:
    def unescape(match: re.Match[str]) -> str:
        what = match.group(1)
        if len(what) == 5:
            return chr(int(what[1:], 16))
        if what not in _ESCAPES:
            raise _error(token.column, f"\\{what} is not known", "write a backslash twice to mean itself")
        return _ESCAPES[what]

    value = _ESCAPE.sub(unescape, token.value[1:-1])
    return _Node(kind="text", run=lambda _: value, literals=(value,))


def _list(token: _Token, items: list[_Node]) -> _Node:
    kinds = {item.kind for item in items}
    if len(kinds) > 1 or any(kind.startswith("list") for kind in kinds):
        raise _error(token.column, "the list mixes different things", "make all its values text, or all numbers")
    kind = f"list of {kinds.pop() if kinds else 'nothing'}"
    literals = tuple(value for item in items for value in item.literals)
    if len(literals) == len(items):
        return _Node(kind=kind, run=lambda _: literals, literals=literals)
    runs = tuple(item.run for item in items)
    return _Node(kind=kind, run=lambda v: tuple(run(v) for run in runs), literals=literals)
