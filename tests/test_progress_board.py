"""The board of a session's children, kept on a platform that is slow, refuses, or cannot change what was said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from agents.base import AgentName, Ended, Mode, Session
from agents.team import Task, Team
from bot.showing import progress
from bot.showing.progress import Progress
from bot.showing.rewording import Rewording
from channels.base import Capability, ChannelName, Outbound, Rejected, TemporaryFailure
from channels.delivery import Delivery, DeliveryState
from storage.boards import SqliteBoards
from storage.outbox import SqliteOutbox
from tests.agents.world import ADA, HOME, World, profiles, world
from tests.platform import Platform, Trouble


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PACE_SECONDS", 0.05)


@dataclass
class Shown:
    """A world whose team is shown on a platform."""

    here: World
    team: Team
    platform: Platform
    outbox: SqliteOutbox
    progress: Progress
    parent: Session

    async def child(self, label: str) -> Session:
        task = Task(
            key=label,
            agent=AgentName("assistant"),
            text="wait 30s",
            owner=ADA,
            owner_name="Ada",
            parent=self.parent,
            mode=Mode.RUN,
            label=label,
        )
        return (await self.team.spawn(task)).session

    async def end(self, child: Session, how: Ended = Ended.DONE) -> None:
        await self.here.sessions.end(child.id, how, "it", self.here.now())
        self.here.engine.abort(child.id)
        self.progress.publish(child.id, "ended", {})

    async def deliver(self) -> None:
        """What waits for the parent's thread is said."""
        while isinstance(head := await self.outbox.head(HOME.key, self.here.now()), Delivery):
            taken = await self.outbox.take(head, (head.message,), self.here.now())
            assert taken is not None
            said = await self.outbox.said(taken, await self.platform.send(taken.message), self.here.now())
            self.progress.delivered(said.delivery, DeliveryState.SENT)

    async def until_seen(self, *words: str) -> str:
        """The newest message, once it has all of these words."""
        async with asyncio.timeout(5):
            async with self.platform.said:
                await self.platform.said.wait_for(lambda: all(word in self.platform.texts()[-1] for word in words))
        return self.platform.texts()[-1]


@asynccontextmanager
async def shown(folder: Path, can: Capability) -> AsyncIterator[Shown]:
    platform = Platform(name=ChannelName("web"), capabilities=can)
    async with world(folder, agents=profiles(max_children=20)) as here:
        outbox = SqliteOutbox(here.database)

        class Speaker:
            async def say(self, message: Outbound, *, session: object = None) -> None:
                await outbox.put(message, now=here.now())

        kept = Progress(
            SqliteBoards(here.database),
            Rewording(outbox, lambda _: platform),
            lambda _: platform,
            Speaker(),
            lambda _: "",
            here.now,
        )
        team = Team(
            sessions=here.sessions,
            mailbox=here.mailbox,
            engine=here.engine,
            profiles=here,
            threads=here,
            clock=here.now,
            spawned=kept.spawned,
        )
        parent = await here.says("wait 30s")
        await here.turns_begun(1)
        running = asyncio.create_task(kept.run())
        await asyncio.sleep(0)
        try:
            yield Shown(here, team, platform, outbox, kept, await here.get(parent))
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def closed(it: Shown) -> None:
    async def none_open() -> bool:
        return not await it.here.query("select 1 from boards")

    await it.here.until(none_open)


@pytest.mark.slow
async def test_a_place_that_is_busy_gets_the_newest_text_later_and_no_second_message(tmp_path: Path) -> None:
    async with shown(tmp_path, Capability.EDIT) as it:
        children = [await it.child(f"child-{number}") for number in range(10)]
        await it.deliver()
        busy = Trouble(error=TemporaryFailure("others come first", retry_after=timedelta(seconds=0.1)))
        it.platform.coming += [busy, busy]
        await it.until_seen("10 of 10 agents at work", "child-9")
        for child in children:
            await it.end(child)
        assert "✓" in await it.until_seen("10 agents have ended")
        await closed(it)
        assert len(it.platform.texts()) == 1
        assert it.platform.edits_tried <= 6  # ten ends, told one by one, are no ten edits


@pytest.mark.slow
async def test_a_platform_that_cannot_edit_gets_one_message_at_the_beginning_and_one_at_the_end(tmp_path: Path) -> None:
    async with shown(tmp_path, Capability.NONE) as it:
        alpha, beta = await it.child("alpha"), await it.child("beta")
        await it.deliver()
        await it.end(alpha)
        await it.end(beta, Ended.FAILED)
        await closed(it)
        await it.deliver()
        first, last = it.platform.texts()
        assert "2 of 2 agents at work" in first or "alpha" in first
        assert "1 done, 1 failed" in last


async def test_a_message_that_somebody_deleted_is_left_alone_and_its_end_is_said(tmp_path: Path) -> None:
    async with shown(tmp_path, Capability.EDIT) as it:
        alpha = await it.child("alpha")
        await it.deliver()
        it.platform.always = lambda _: Trouble(error=Rejected("it was deleted"))
        beta = await it.child("beta")
        await it.here.until(lambda: it.platform.edits_tried)
        it.platform.always = lambda _: None
        await it.end(alpha)
        await it.end(beta)
        await closed(it)
        await it.deliver()
        assert it.platform.edits_tried <= 2
        assert "2 agents have ended" in it.platform.texts()[-1]


@pytest.mark.slow
async def test_a_child_spawned_when_all_others_have_just_ended_is_shown_on_the_same_board(
    tmp_path: Path,
) -> None:
    async with shown(tmp_path, Capability.EDIT) as it:
        for number in range(5):
            child = await it.child(f"child-{number}")
            await it.deliver()
            await it.until_seen(f"child-{number}")
            await it.end(child)
        await it.until_seen("5 agents have ended")
        await closed(it)
        assert len(it.platform.texts()) == 1
