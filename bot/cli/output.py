"""What verbs print: tables for people, plain aligned columns for pipes, JSON for programs.

Everything that was written by somebody else is shown with its control characters escaped, so that a thread's
name cannot move the cursor or colour the terminal.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import rich_click as click


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column. The `wide` one takes what room is left on a terminal and is cut there, never in a pipe."""

    title: str
    value: Callable[[Any], object]
    right: bool = False
    wide: bool = False


def coloured() -> bool:
    """Whether standard output is a person's terminal that may have colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def print_json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def print_rows(rows: Sequence[object], as_json: bool, columns: Sequence[Column], *, nothing: str) -> None:
    """A listing. `nothing` is what people are told when it is empty: what would stand here, and how it comes."""
    if as_json:
        from storage.view_rows import as_json as outside_form

        print_json(outside_form(rows))
        return
    if not rows:
        click.echo(nothing, err=True)
        return
    cells = [[clean(shown(column.value(row))) for column in columns] for row in rows]
    if sys.stdout.isatty():
        _print_table(columns, cells)
    else:
        _print_plain([[column.title.upper() for column in columns], *cells], columns)


def shown(value: object) -> str:
    """A cell's text."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return str(value)


def usd(value: float | None) -> str:
    return "-" if value is None else f"${value:.4f}"


def clean(text: str) -> str:
    """One line without anything that a terminal would obey."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _escape(letter) for letter in text)


def clean_lines(text: str) -> str:
    """The same for text of several lines."""
    return "\n".join(clean(line.replace("\t", "    ")) for line in text.splitlines())


def _escape(letter: str) -> str:
    return " " if letter in "\n\r\t\v\f\u2028\u2029" else ascii(letter)[1:-1]


def _print_plain(lines: Sequence[Sequence[str]], columns: Sequence[Column]) -> None:
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    for line in lines:
        padded = [
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        ]
        click.echo("  ".join(padded).rstrip())


def _print_table(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold", expand=any(column.wide for column in columns))
    for column in columns:
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=True,
            overflow="ellipsis",
            ratio=1 if column.wide else None,
        )
    for line in cells:
        table.add_row(*(Text(cell) for cell in line))
    Console(no_color=not coloured(), highlight=False).print(table)
