"""Safe conditions: what an operator may write behind `when` in a route, and the router asks for every message.

A condition is parsed and type-checked once, when the configuration is read, so a mistake is shown there with
its column and not months later at night. The language is CEL's expressions without its loops (with Python's
`and`, `or`, `not` and `9 <= hour < 17` beside `&&`, `||`, `!`). Without loops, the work is bounded by the length
of the text: 500 characters of condition over variables of at most 2,000 characters take a few milliseconds
at the very most, and need no clock that would have to interrupt them.

    hour >= 9 and hour < 17 && weekday in ["mon", "tue"] || text.contains("urgent")

Why not a CEL library: docs/decisions/conditions.md. Pure: no I/O, no clock.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from bot.routing.condition_terms import (
    LARGEST,
    METHODS,
    ORDERS,
    Node,
    Run,
    Token,
    Variables,
    applied,
    calculated,
    called,
    compared,
    error,
    known_method,
    list_of,
    need,
    negated,
    text_literal,
    tokens,
)

SIZE_CHARACTERS = 500
TEXT_CHARACTERS = 2_000  # longer values of variables are cut
DEPTH = 20

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


class ConditionFailed(Exception):
    """The condition could not be evaluated for this message (a division by zero). It counts as "does not match"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A parsed condition."""

    source: str
    _run: Run

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
        except (ArithmeticError, KeyError, TypeError) as failure:
            raise ConditionFailed(str(failure)) from failure


class _Parser:
    """Recursive descent, one method a level of precedence, lowest first. Each returns a typed node."""

    def __init__(self, source: str) -> None:
        self._tokens = tokens(source)
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        if self._next.kind == "end":
            raise ValueError("the condition is empty: leave `when` out, or write for example hour >= 9")
        node = self._expression()
        if self._next.kind != "end":
            raise error(self._next.column, f"{self._next.value!r} is one too many", "join two conditions with and")
        if node.kind != "truth":
            raise error(1, f"the condition is a {node.kind}, not true or false", "compare it, for example with ==")
        return node

    # --- reading tokens

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._next
        self._at += 1
        return token

    def _sign(self, *values: str) -> Token | None:
        """Take the next token when it is one of these signs."""
        if self._next.kind == "sign" and self._next.value in values:
            return self._take()
        return None

    def _word(self, value: str) -> Token | None:
        if self._next.kind == "name" and self._next.value == value:
            return self._take()
        return None

    def _expect(self, value: str) -> None:
        if self._sign(value) is None:
            found = repr(self._next.value) if self._next.value else "the end"
            raise error(self._next.column, f"{found} stands where {value!r} is expected", f"add {value!r}")

    # --- precedence, lowest first

    def _expression(self) -> Node:
        self._depth += 1
        if self._depth > DEPTH:
            raise error(self._next.column, f"more than {DEPTH} levels of brackets", "write it simpler")
        node = self._choice()
        self._depth -= 1
        return node

    def _choice(self) -> Node:
        test = self._either()
        mark = self._sign("?")
        if mark is None:
            return test
        need(test, "truth", mark)
        yes = self._expression()
        self._expect(":")
        no = self._expression()
        if yes.kind != no.kind:
            raise error(mark.column, f"one side is a {yes.kind}, the other a {no.kind}", "make both the same")
        ask, then, otherwise = test.run, yes.run, no.run
        return Node(kind=yes.kind, run=lambda v: then(v) if ask(v) else otherwise(v))

    def _either(self) -> Node:
        return self._joined("||", self._both, lambda a, b: lambda v: a(v) or b(v))

    def _both(self) -> Node:
        return self._joined("&&", self._negation, lambda a, b: lambda v: a(v) and b(v))

    def _joined(self, sign: str, below: Callable[[], Node], join: Callable[[Run, Run], Run]) -> Node:
        node = below()
        while mark := self._sign(sign):
            right = below()
            need(node, "truth", mark)
            need(right, "truth", mark)
            node = Node(kind="truth", run=join(node.run, right.run))
        return node

    def _negation(self) -> Node:
        """Python's `not` binds weaker than a comparison, CEL's `!` stronger; each keeps its own rule."""
        negations: list[Token] = []
        while mark := self._word("not"):
            negations.append(mark)
        node = self._comparison()
        return negated(node, negations)

    def _comparison(self) -> Node:
        left = self._sum()
        chain: list[Run] = []
        signs: list[str] = []
        while mark := self._comparing():
            signs.append(mark.value)
            if len(signs) > 1 and not all(sign in ORDERS for sign in signs):
                raise error(mark.column, "a second comparison follows", "put brackets around the first, or use and")
            right = self._sum()
            chain.append(compared(left, mark, right))
            left = right
        if not chain:
            return left
        if len(chain) == 1:
            return Node(kind="truth", run=chain[0])
        return Node(kind="truth", run=lambda v: all(test(v) for test in chain))

    def _comparing(self) -> Token | None:
        if mark := self._sign("==", "!=", *ORDERS) or self._word("in"):
            return mark
        if (mark := self._word("not")) is not None:
            if self._word("in") is None:
                raise error(mark.column, "not stands behind a value", "write and not …, or not in")
            return Token(kind="sign", value="not in", column=mark.column)
        return None

    def _sum(self) -> Node:
        node = self._product()
        while mark := self._sign("+", "-"):
            right = self._product()
            if mark.value == "+" and node.kind == right.kind == "text":
                node = Node(kind="text", run=applied(operator.add, node.run, right.run))
            else:
                node = calculated(node, mark, right)
        return node

    def _product(self) -> Node:
        node = self._unary()
        while mark := self._sign("*", "/", "%"):
            node = calculated(node, mark, self._unary())
        return node

    def _unary(self) -> Node:
        negations: list[Token] = []
        while mark := self._sign("!", "-"):
            negations.append(mark)
        return negated(self._postfix(), negations)

    def _postfix(self) -> Node:
        node = self._primary()
        while mark := self._sign("."):
            name = self._take()
            if name.kind != "name":
                raise error(mark.column, "a function's name is missing behind the dot", f"use {', '.join(METHODS)}")
            known_method(name)
            node = called(node, name, self._arguments())
        return node

    def _arguments(self) -> list[Node]:
        self._expect("(")
        return self._listed(")")

    def _listed(self, end: str) -> list[Node]:
        found: list[Node] = []
        while self._sign(end) is None:
            if found:
                self._expect(",")
                if self._sign(end):  # a comma behind the last one
                    break
            found.append(self._expression())
        return found

    def _primary(self) -> Node:
        token = self._take()
        if token.kind == "number":
            number = int(token.value) if len(token.value) < 20 else LARGEST + 1
            if number > LARGEST:
                raise error(token.column, "the number is too large", "use one below 9,000,000,000,000,000,000")
            return Node(kind="number", run=lambda _: number, literals=(number,))
        if token.kind == "text":
            return text_literal(token)
        if token.kind == "name":
            return self._named(token)
        if token.value == "(":
            node = self._expression()
            self._expect(")")
            return Node(kind=node.kind, run=node.run)
        if token.value == "[":
            return list_of(token, self._listed("]"))
        if token.kind == "end":
            raise error(token.column, "the condition stops too early", "add what is missing")
        raise error(token.column, f"{token.value!r} stands where a value is expected", "put a value before it")

    def _named(self, token: Token) -> Node:
        name = token.value
        if name in {"true", "false", "True", "False"}:
            truth = name.lower() == "true"
            return Node(kind="truth", run=lambda _: truth)
        if name == "size" and self._next.value == "(":
            arguments = self._arguments()
            if len(arguments) != 1:
                raise error(token.column, "size takes one value", "write size(text)")
            return called(arguments[0], token, [])
        if name not in VARIABLES:
            near = get_close_matches(name, [*VARIABLES, *METHODS], n=1)
            meant = f"did you mean {near[0]}?" if near else f"use one of {', '.join(VARIABLES)}, or put text in quotes"
            raise error(token.column, f"{name!r} is not known", meant)
        if VARIABLES[name] == "text":
            return Node(kind="text", run=lambda v: v[name][:TEXT_CHARACTERS], variable=name)
        return Node(kind=VARIABLES[name], run=operator.itemgetter(name), variable=name)
