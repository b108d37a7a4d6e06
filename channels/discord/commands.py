"""Slash commands, message menus and buttons: Discord's forms of the one grammar.

Commands are declared from `CommandSpec`s and come back as the text that the grammar has everywhere (`/kill all`). The
declaration is sent to Discord only when it changed, since Discord limits how often that may be done. Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from channels.base import CommandOption, CommandSpec, EventId, Inbound, Kind, Suggestion
from channels.discord.normalize import Identity, attachments_of, sender_of, text_of
from channels.discord.payloads import Interaction, Message, Option, made_at
from channels.discord.places import Place
from channels.discord.render import units

PING, COMMAND, COMPONENT, AUTOCOMPLETE = 1, 2, 3, 4
SLASH, MESSAGE_MENU = 1, 3
HAND_OVER = "Hand to an agent"
STOP_BUTTON = "threadmill:stop"
_TEXT_OPTION = 3
_MOST_CHOICES = 25
_LONGEST_LABEL = 100
_TOKEN_LIFE = timedelta(minutes=15)
_ANSWER_MARGIN = timedelta(seconds=20)
_LONGEST_WAY = timedelta(seconds=10)  # an interaction is answered within three seconds or never


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerHandle:
    """Ties an answer to an interaction. Its text form is what `Inbound.answer_with` carries."""

    interaction_id: str
    application_id: str
    user_id: str
    token: str
    command: bool  # a command has an answer waiting to be filled in; a button has not

    def __str__(self) -> str:
        form = "command" if self.command else "button"
        return f"{form}/{self.application_id}/{self.interaction_id}/{self.user_id}/{self.token}"

    @classmethod
    def parse(cls, text: str) -> AnswerHandle | None:
        form, _, rest = text.partition("/")
        parts = rest.split("/", 3)
        if form not in ("command", "button") or len(parts) != 4 or not parts[1].isdecimal():
            return None
        application, interaction, user, token = parts
        return cls(
            interaction_id=interaction, application_id=application, user_id=user, token=token, command=form == "command"
        )

    def usable(self, now: datetime) -> bool:
        """Discord takes answers for 15 minutes. An id that holds no real time is tried anyway."""
        age = now - made_at(self.interaction_id)
        return age < _TOKEN_LIFE - _ANSWER_MARGIN or age > timedelta(days=365)


def declared(commands: Sequence[CommandSpec]) -> list[dict[str, Any]]:
    """The body for Discord's bulk registration of these commands."""
    slash = [
        {
            "name": spec.name.lower()[:32],
            "type": SLASH,
            "description": _short(spec.description, spec.name),
            # Discord wants what is required first; the text is put together in the grammar's own order.
            "options": [_declared_option(option) for option in sorted(spec.options, key=lambda o: not o.required)],
        }
        for spec in commands
    ]
    menus = [{"name": HAND_OVER, "type": MESSAGE_MENU}] if any(spec.name == "spawn" for spec in commands) else []
    return slash + menus


def fingerprint(declaration: Sequence[Mapping[str, Any]], application_id: str) -> str:
    text = json.dumps([application_id, declaration], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """What somebody has typed so far into an option of a command."""

    command: CommandSpec
    option: CommandOption
    text: str

    @property
    def fitting(self) -> Sequence[Suggestion]:
        """Of the option's own choices those that fit, first those that begin like it."""
        begun = self.text.casefold()
        found = [choice for choice in self.option.choices if begun in choice.casefold()]
        found.sort(key=lambda choice: not choice.casefold().startswith(begun))
        return [Suggestion(value=choice, label=choice) for choice in found]


def typed(raw: Interaction, commands: Sequence[CommandSpec]) -> Typed | None:
    """What an autocomplete interaction asks about. None when it is nothing of ours."""
    focused = next((option for option in (raw.data.options if raw.data else []) if option.focused), None)
    spec = _spec(raw.data.name, commands) if raw.data is not None else None
    if focused is None or spec is None:
        return None
    option = next((option for option in spec.options if option.name.lower()[:32] == focused.name), None)
    return Typed(command=spec, option=option, text=str(focused.value or "").strip()) if option is not None else None


def choices(suggestions: Sequence[Suggestion]) -> list[dict[str, str]]:
    """As Discord takes them: at most 25, each once, 100 characters long. A longer value would be cut into another."""
    offered = {each.value: each.label for each in suggestions if 0 < units(each.value) <= _LONGEST_LABEL}
    return [{"name": _short(label, value), "value": value} for value, label in list(offered.items())[:_MOST_CHOICES]]


def interaction(
    raw: Interaction, at: Place, me: Identity, commands: Sequence[CommandSpec], now: datetime
) -> Inbound | None:
    """A command that was given or a button that was pressed."""
    person = raw.person
    if person is None or raw.data is None or raw.type not in (COMMAND, COMPONENT):
        return None
    handle = AnswerHandle(
        interaction_id=raw.id,
        application_id=raw.application_id or me.application_id,
        user_id=person.id,
        token=raw.token,
        command=raw.type == COMMAND,
    )
    kind, text, payload, about = _said(raw, me, commands)
    return Inbound(
        id=EventId(f"interaction:{raw.id}"),
        kind=kind,
        where=at.ref(me.channel),
        sender=sender_of(person, me, raw.member),
        text=text,
        sent_at=min(max(made_at(raw.id), now - _LONGEST_WAY), now),
        message_id=about.id if about is not None else None,
        attachments=attachments_of(about) if about is not None and raw.type == COMMAND else (),
        mentioned=True,
        direct=at.direct,
        payload=payload,
        answer_with=str(handle),
    )


def _said(
    raw: Interaction, me: Identity, commands: Sequence[CommandSpec]
) -> tuple[Kind, str, str | None, Message | None]:
    """Kind, text, payload, and the message that it is about."""
    data = raw.data
    assert data is not None
    if raw.type == COMPONENT:
        if data.custom_id == STOP_BUTTON:
            return Kind.COMMAND, "/stop", None, raw.message
        return Kind.BUTTON, "", data.custom_id, raw.message
    if data.type != SLASH:
        target = (data.resolved.messages if data.resolved is not None else {}).get(data.target_id or "")
        about = Message.model_validate({"channel_id": raw.place_id, **target}) if target else None
        return Kind.COMMAND, f"/spawn -- {text_of(about, me) if about is not None else ''}".rstrip(), None, about
    return Kind.COMMAND, _command_text(data.name, data.options, _spec(data.name, commands)), None, None


def _command_text(name: str, options: Sequence[Option], spec: CommandSpec | None) -> str:
    order = {option.name.lower()[:32]: place for place, option in enumerate(spec.options)} if spec is not None else {}
    given = sorted(options, key=lambda option: order.get(option.name, len(order)))
    words = [str(option.value).strip() for option in given if option.value is not None]
    return " ".join([f"/{spec.name if spec is not None else name}", *(word for word in words if word)])


def _spec(name: str, commands: Sequence[CommandSpec]) -> CommandSpec | None:
    return next((spec for spec in commands if spec.name.lower()[:32] == name), None)


def _declared_option(option: CommandOption) -> dict[str, Any]:
    declaration: dict[str, Any] = {
        "name": option.name.lower()[:32],
        "type": _TEXT_OPTION,
        "description": _short(option.description, option.name),
        "required": option.required,
    }
    if option.takes is not None or len(option.choices) > _MOST_CHOICES:
        declaration["autocomplete"] = True
    elif option.choices:
        declaration["choices"] = [{"name": choice[:100], "value": choice[:100]} for choice in option.choices]
    return declaration


def _short(description: str, name: str) -> str:
    text = " ".join(description.split()) or name
    if units(text) <= _LONGEST_LABEL:
        return text
    text = text[: _LONGEST_LABEL - 1]
    while units(text) > _LONGEST_LABEL - 1:
        text = text[:-1]
    return text + "…"
