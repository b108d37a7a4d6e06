"""Commands in a place that belongs to somebody else's session, and about sessions that have ended."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from agents.base import NotFound, Session
from bot.access import Action, Principal, Role
from bot.commands import cost, focus, retry
from bot.commands.base import Denied, Request, Targets
from channels.base import Account
from storage.views import Views
from tests.agents.world import ADA, HOME, World, world

EVE = Account("web:eve")


def asks(account: Account, bound: Session | None, arguments: str = "") -> Request:
    principal = Principal(account=account, person=None, name="x", role=Role.USER, accounts=frozenset({account}))
    return Request(
        principal=principal,
        where=HOME,
        direct=False,
        bound=bound,
        arguments=arguments,
        key=f"{account}{arguments}",
        inbox=1,
        message_id=None,
        now=datetime.now(UTC),
    )


async def eves(here: World) -> Session:
    """A session of Eve's own, in a place of hers."""
    session = await here.says("say hello", HOME.in_room)
    await here.database.write(lambda tx: tx.execute("update sessions set owner = ? where id = ?", (EVE, session.id)))
    return session


@pytest.mark.requirement("P9")
async def test_a_place_is_not_taken_from_somebody_elses_session(tmp_path: Path) -> None:
    async with world(tmp_path, runs=False) as here:
        adas, own = await here.says("say hello"), await eves(here)
        targets = Targets(here.sessions)
        with pytest.raises(Denied):
            await focus.unfocus(here.sessions).run(asks(EVE, adas))
        with pytest.raises(Denied):
            await focus.focus(here.sessions, targets).run(asks(EVE, adas, own.id))
        bound = await here.sessions.bound(HOME)
        assert bound is not None
        assert bound.id == adas.id
        await focus.unfocus(here.sessions).run(asks(ADA, adas))
        assert await here.sessions.bound(HOME) is None
        await focus.focus(here.sessions, targets).run(asks(EVE, None, own.id))
        bound = await here.sessions.bound(HOME)
        assert bound is not None
        assert bound.id == own.id


@pytest.mark.requirement("P9")
async def test_what_a_session_costs_is_told_to_its_owner(tmp_path: Path) -> None:
    async with world(tmp_path, runs=False) as here:
        adas = await here.says("say hello")
        command = cost.command(Views(here.database))
        assert adas.label in await command.run(asks(ADA, adas))
        assert adas.label not in await command.run(asks(EVE, adas))


@pytest.mark.requirement("P9")
async def test_whoever_asks_by_the_beginning_of_an_id_learns_no_others(tmp_path: Path) -> None:
    async with world(tmp_path, runs=False) as here:
        adas, eves_own = await here.says("say hello"), await eves(here)
        with pytest.raises(NotFound, match="fits several") as refused:
            await Targets(here.sessions).named(asks(EVE, None), "s", Action.KILL)
        assert adas.id not in str(refused.value)
        assert eves_own.id not in str(refused.value)


async def test_a_retry_of_what_has_ended_is_not_promised(tmp_path: Path) -> None:
    async with world(tmp_path, runs=False) as here:
        adas = await here.says("say hello")
        await here.team.kill(adas.id, by="Ada")
        command = retry.command(here.team, Targets(here.sessions))
        assert "has ended" in await command.run(asks(ADA, None, adas.id))
