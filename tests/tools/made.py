"""Calls of tools, as a turn would make them, without a model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agents.base import Claim, Session, TurnId
from agents.tools.base import Call, Tool, parse
from tests.agents.world import World


def call_of(here: World, session: Session, id: str = "call-1", **profile: Any) -> Call:
    """A call by the session, with the claim that it has now."""
    return Call(
        id=id,
        session=session,
        profile=replace(here.agents[session.agent], **profile),
        claim=Claim(session=session.id, epoch=session.epoch, turn=TurnId(f"{session.id}.t1")),
        now=here.now(),
        begun_at=here.now(),
    )


async def use(tool: Tool, call: Call, **arguments: Any) -> str:
    """The tool's answer, its arguments checked as a model's are."""
    return await tool.run(call, parse(tool, arguments))


async def settled(here: World, text: str = "say hello") -> Session:
    """A session whose first turn is over."""
    session = await here.says(text)
    await here.at_rest()
    return await here.get(session)
