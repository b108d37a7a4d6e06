"""Leave for a tool call, asked of a person before the call is made.

An approval is bound to the tool and, by a hash, to the exact arguments: a call with others is another question.
It is given once, for the rest of the session, or denied; without an answer in time the call is not made.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agents.questions import ALWAYS, DENY, ONCE, QuestionKind, Questions
from agents.tools.asking import Asker, new_question
from agents.tools.base import Call, ToolError

LABELS: Mapping[str, str] = {ONCE: "Once", ALWAYS: "Always for this session", DENY: "Deny"}
_LONGEST_SHOWN = 2_500  # characters of arguments


def arguments_hash(tool: str, arguments: Mapping[str, Any]) -> str:
    """The same for the same call, whatever the order of its keys."""
    text = json.dumps([tool, arguments], ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class Approvals:
    """Asks whether a call may be made."""

    def __init__(self, asker: Asker, questions: Questions) -> None:
        self._asker = asker
        self._questions = questions

    async def require(self, call: Call, tool: str, arguments: Mapping[str, Any]) -> None:
        """Return when the call, about which somebody must be asked, may be made. Raises Park while nobody has said
        so, ToolError when it may not."""
        if await self._questions.granted(call.session.id, tool):
            return
        bound = arguments_hash(tool, arguments)
        question = new_question(
            call,
            QuestionKind.APPROVAL,
            f"approve:{call.key}:{bound}",
            f"May {tool} run?",
            [(label, value == DENY) for value, label in LABELS.items()],
        )
        question = replace(question, tool=tool, arguments_hash=bound)
        said = _text(call, tool, arguments, question.id)
        answered = await self._asker.answered(call, question, None, call.profile.ask_timeout_seconds, said)
        if answered is None:
            raise ToolError(f"{tool} was not run: nobody approved the call in time. Do without it, or ask again.")
        if answered.answer == DENY or answered.arguments_hash != bound:
            raise ToolError(
                f"{tool} was not run: {answered.answered_by} denied this call. Do not make it again in another form;"
                " do without it, or ask what to do instead."
            )


def _text(call: Call, tool: str, arguments: Mapping[str, Any], id: str) -> str:
    shown = json.dumps(arguments, ensure_ascii=False, indent=2)
    cut = ""
    if len(shown) > _LONGEST_SHOWN:
        cut = f"\n(cut: {len(shown)} characters in all)"
        shown = shown[:_LONGEST_SHOWN]
    fence = "```"
    while fence in shown:
        fence += "`"
    return (
        f"**{call.session.label}** wants to run `{tool}`:\n\n{fence}json\n{shown}\n{fence}{cut}\n\n"
        f"Press a button, or write `/approve {id}`, `/approve {id} always` or `/deny {id}`."
    )
