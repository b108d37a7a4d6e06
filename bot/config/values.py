"""What a value of the configuration file may be, where that is more than its type: each says what is wrong with it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field

from agents.fetching.addresses import Allowed
from bot.config import times
from bot.routing.conditions import Condition
from bot.routing.rules import Hours, parse_days
from channels.base import ThreadRef


def _as_text(value: object) -> object:
    """TOML has dates of its own; as text they are the same to us."""
    return value.isoformat() if isinstance(value, (date, datetime)) else value


def _zone(name: str) -> str:
    times.time_zone(name)
    return name


def _place(key: str) -> str:
    return ThreadRef.parse(key).key


def _span(text: str) -> str:
    Hours.parse(text)
    return text


def _days(text: str) -> str:
    parse_days(text)
    return text


def _condition(text: str) -> str:
    Condition.parse(text)
    return text


def _host(text: str) -> str:
    Allowed.parse(hosts=(text,))
    return text


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _joined(value: object) -> object:
    """Days may be a list too: mon-fri and ["mon", "tue"] are both natural to write."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ",".join(value)
    return value


T = TypeVar("T")
Moment = Annotated[str, BeforeValidator(_as_text)]
Zone = Annotated[str, AfterValidator(_zone)]
Place = Annotated[str, AfterValidator(_place)]
Span = Annotated[str, AfterValidator(_span)]
Days = Annotated[str, AfterValidator(_days), BeforeValidator(_joined, json_schema_input_type=str | list[str])]
Host = Annotated[str, AfterValidator(_host)]
When = Annotated[str, AfterValidator(_condition)]
Piece = Annotated[str, Field(min_length=1, max_length=500)]
OneOrMore = Annotated[list[T], BeforeValidator(_listed, json_schema_input_type=str | list[str])]
RoleWord = Literal["none", "guest", "user", "operator", "owner"]
Words = Annotated[str, Field(min_length=1, max_length=100_000)]
