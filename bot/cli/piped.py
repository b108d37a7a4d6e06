"""`chat` without a person at the keyboard: each line of the input is a message, and only answers are printed."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import rich_click as click

from bot.cli.conversation import Connection, Conversation
from bot.cli.failed import Failed
from bot.cli.output import clean_lines

_LOOK_AGAIN_SECONDS = 1.0  # events tell when to look; this is for those that got lost
_TELLING = {"message", "turn_done", "ended", "reload"}
_SETTLED_STATES = {"refused", "ignored", "dead"}


def answer_lines(conversation: Conversation, lines: Iterable[str], timeout_seconds: float) -> None:
    """Post the lines one after the other, each when the one before is answered. Raises Failed when no answer comes."""
    printed = conversation.newest()
    for line in lines:
        text = line.strip()
        if text:
            printed = _answer(conversation, text, printed, time.monotonic() + timeout_seconds)


def _answer(conversation: Conversation, text: str, printed: int, until: float) -> int:
    """Print the answers to one message; the number of the newest row that was seen."""
    before = printed
    id = conversation.post(text)
    begun = False
    while time.monotonic() < until:
        event = conversation.heard(_LOOK_AGAIN_SECONDS)
        if isinstance(event, Connection):
            if not event.up:
                click.echo(f"threadmill: the connection broke off ({event.why}), trying again", err=True)
            continue
        if event is not None and event.kind not in _TELLING:
            continue
        printed, answered = _print_answers(conversation, printed)
        begun = begun or answered or (event is not None and event.kind == "turn_done")
        if begun and _done(conversation, id, before):
            return _print_answers(conversation, printed)[0]
    raise Failed("no answer in time; the message is kept, and the answer will stand in the thread")


def _print_answers(conversation: Conversation, printed: int) -> tuple[int, bool]:
    """Print what was said since; the number of the newest row, and whether there was an answer."""
    answered = False
    for row in conversation.messages_since(printed):
        printed = int(row["n"])
        if row["side"] == "out":
            answered = True
            click.echo(clean_lines(row["text"]))
    return printed, answered


def _done(conversation: Conversation, id: str, seen: int) -> bool:
    row: dict[str, Any] | None = conversation.row(id, seen)
    if row is None or row["state"] == "new":
        return False
    if row["state"] in _SETTLED_STATES:
        return conversation.quiet(None)
    return conversation.quiet(row["session"])
