"""From plain values to tables: each table is validated by itself, so that one mistake does not hide the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from agents.models.settings import ModelSettings
from bot.config import document
from bot.config.crosscheck import Names
from bot.config.document import Document, Tables
from bot.config.kinds import ALWAYS_THERE, kinds, settings_of
from bot.config.lines import Path
from bot.config.problems import explained, one_of

Report = Callable[[Path, str], None]
Table = TypeVar("Table", bound=BaseModel)


def parsed(values: dict[str, Any], report: Report) -> Tables:
    """The tables that are right; what is wrong with the others is reported."""
    for key in values:
        if key not in Document.model_fields:
            report((key,), f"there is no such table; {one_of(key, list(Document.model_fields))}")
    tables = Tables()
    for key, model in _SINGLE.items():
        if key in values:
            table = _table(model, values[key], (key,), report)
            if table is not None:
                setattr(tables, key, table)
    tables.models = dict(_named("models", ModelSettings, values, report))
    tables.agents = dict(_named("agents", document.AgentTable, values, report))
    tables.mcp = dict(_named("mcp", document.McpTable, values, report))
    tables.people = dict(_named("people", document.PersonTable, values, report))
    tables.routes = dict(_listed("routes", document.RouteTable, values, report))
    tables.monitors = dict(_listed("monitors", document.MonitorTable, values, report))
    for name, raw in _entries("channels", values, report):
        if name not in ALWAYS_THERE:
            _channel(name, raw, tables, report)
    return tables


def names_in(values: dict[str, Any]) -> Names:
    """The names that the file gives, whether or not their tables are right."""

    def keys(table: str) -> tuple[str, ...]:
        found = values.get(table)
        return tuple(found) if isinstance(found, dict) else ()

    return Names(
        channels=keys("channels"),
        models=keys("models"),
        agents=keys("agents"),
        people=keys("people"),
        mcp=keys("mcp"),
    )


_SINGLE: dict[str, type[BaseModel]] = {
    "bot": document.BotTable,
    "web": document.WebTable,
    "access": document.AccessTable,
    "delivery": document.DeliveryTable,
    "retention": document.RetentionTable,
    "limits": document.LimitsTable,
    "fetch": document.FetchTable,
    "logs": document.LogsTable,
}


def _table(model: type[Table], raw: object, at: Path, report: Report) -> Table | None:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        for path, message in explained(error, model):
            report((*at, *path), message)
        return None


def _entries(key: str, values: dict[str, Any], report: Report) -> Iterator[tuple[str, Any]]:
    raw = values.get(key, {})
    if isinstance(raw, dict):
        yield from raw.items()
    else:
        report((key,), f"write each as a table of its own: [{key}.NAME]")


def _named(key: str, model: type[Table], values: dict[str, Any], report: Report) -> Iterator[tuple[str, Table]]:
    for name, raw in _entries(key, values, report):
        table = _table(model, raw, (key, name), report)
        if table is not None:
            yield name, table


def _listed(key: str, model: type[Table], values: dict[str, Any], report: Report) -> Iterator[tuple[int, Table]]:
    raw = values.get(key, [])
    if not isinstance(raw, list):
        report((key,), f"write each with double brackets: [[{key}]]")
        return
    for index, item in enumerate(raw):
        table = _table(model, item, (key, index), report)
        if table is not None:
            yield index, table


def _channel(name: str, raw: Any, tables: Tables, report: Report) -> None:
    at: Path = ("channels", name)
    if not isinstance(raw, dict):
        report(at, f"write it as a table of its own: [channels.{name}]")
        return
    kind = raw.get("kind", name)
    settings = settings_of(kind) if isinstance(kind, str) else None
    if settings is None:
        what = "is no kind of channel" if "kind" in raw else "is no kind of channel, so this table needs kind = …"
        report((*at, "kind"), f"{kind!r} {what}; {one_of(str(kind), kinds())}")
        return
    table = _table(settings, {key: value for key, value in raw.items() if key != "kind"}, at, report)
    if table is not None:
        tables.channels[name] = (kind, table)
