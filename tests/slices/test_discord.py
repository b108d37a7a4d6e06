"""What only Discord has, in the whole of Threadmill: private threads, forums, deleted threads, other bots, bursts."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from agents.fenced import fenced
from bot import event_queues
from channels.base import ThreadRef
from channels.discord.commands import HAND_OVER
from tests.fakes.discord.world import PRIVATE_THREAD, Json
from tests.slices.harness import Running, running, write_config
from tests.slices.screens import EVES, DiscordScreen, discord
from tests.slices.waiting import until

QUEUE_LIMIT = 50  # as configured by default

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def hurrying(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends something goes ahead sooner than it does at work."""
    monkeypatch.setattr(event_queues, "_HURRY_SECONDS", 0.1)


MORE = """
[[routes]]
channel = "discord"
room = "{forum}"
agent = "assistant"

[[routes]]
channel = "discord"
room = "{bots}"
agent = "assistant"
bots = true
"""


@pytest.mark.requirement("P7")
async def test_private_threads_forums_deleted_threads_new_names_and_other_bots(tmp_path: Path) -> None:
    async with discord() as screen:
        world = screen.world
        bots = world.new_channel("bots")
        file = write_config(tmp_path, [screen], more=MORE.format(forum=world.forum, bots=bots))
        async with running(file, [screen]) as threadmill:
            await _what_is_asked_in_a_private_thread_is_shown_there_alone(threadmill, screen)
            await _a_post_in_a_forum_is_answered_in_the_post(threadmill, screen)
            await _a_thread_that_is_deleted_ends_its_session(threadmill, screen)
            await _names_are_for_display_alone(threadmill, screen)
            await _two_bots_talk_for_three_rounds(threadmill, screen, bots)


async def _what_is_asked_in_a_private_thread_is_shown_there_alone(threadmill: Running, screen: DiscordScreen) -> None:
    world = screen.world
    where = _thread(screen, world.opens_thread(world.room, "secret", kind=PRIVATE_THREAD))
    screen.says(where, "spawn researcher as alpha: (say The secret word) then join then say All is back")
    await threadmill.shows(screen, where, "All is back")
    await threadmill.command(screen, where, "/spawn researcher say The secret word", "without a thread")
    await threadmill.settled()
    assert list(screen.said_anywhere()) == [where.thread]
    assert list(screen.threads()) == [where]


async def _names_are_for_display_alone(threadmill: Running, screen: DiscordScreen) -> None:
    world = screen.world
    world.users[world.ada] |= {"username": "somebody", "global_name": "Somebody Else"}
    world.users[world.stranger] |= {"username": "ada", "global_name": "Ada"}
    screen.says(screen.home(EVES), "say Let me in", by=EVES)
    await threadmill.shows(screen, screen.home(EVES), "do not know you")
    await threadmill.command(screen, screen.home(), "/whoami", "role owner")


async def _a_post_in_a_forum_is_answered_in_the_post(threadmill: Running, screen: DiscordScreen) -> None:
    world = screen.world
    post = ThreadRef(
        channel=screen.name,
        space=world.guild_id,
        room=world.forum,
        thread=world.opens_thread(world.forum, "An idea"),
    )
    screen.says(post, "say I like it")
    await threadmill.shows(screen, post, "I like it")
    assert [id for id, channel in world.channels.items() if channel.get("parent_id") == world.forum] == [post.thread]


async def _a_thread_that_is_deleted_ends_its_session(threadmill: Running, screen: DiscordScreen) -> None:
    screen.says(screen.room, "wait 20s then say Too late")
    home = await threadmill.home_of("assistant-3")
    await threadmill.until(lambda: threadmill.application.engine.awake, "the turn runs")
    screen.world.removes(str(home.thread))

    async def ended() -> bool:
        found = await threadmill.rows("select state, ended from sessions where label = 'assistant-3'")
        return found == [("ended", "killed")]

    await until(ended, "the deletion ends the session")
    await threadmill.settled()
    assert await threadmill.rows("select count(*) from deliveries where state in ('dead', 'pending')") == [(0,)]


async def _two_bots_talk_for_three_rounds(threadmill: Running, screen: DiscordScreen, bots: str) -> None:
    world = screen.world
    other = world.person("Echo", bot=True)
    say = world.add_message

    def echoing(channel: str, author: str, text: str, **more: Any) -> Json:
        said = say(channel, author, text, **more)
        if channel == bots and author == world.bot and text:
            say(channel, other, f"say You said {text}")
        return said

    world.add_message = echoing  # type: ignore[method-assign, assignment]
    say(bots, other, "say Hello")
    where = ThreadRef(channel=screen.name, space=world.guild_id, room=bots)

    async def ignored() -> bool:
        return bool(await threadmill.rows("select 1 from inbox where decision like '%for 3 rounds%'"))

    await until(ignored, "the other bot is answered no more")
    await threadmill.settled()
    assert len(screen.said(where)) == 3


async def test_a_message_with_nothing_but_a_file_is_handed_to_an_agent_from_its_menu(tmp_path: Path) -> None:
    async with discord() as screen, running(write_config(tmp_path, [screen]), [screen]) as threadmill:
        world = screen.world
        await world.declared.wait()
        quiet = world.new_channel("quiet")
        file = world.attach(quiet, "note.txt", b"say From the file", "text/plain")
        message = world.says(quiet, "", attachments=[file], by=world.stranger)
        world.hands_over(quiet, message, HAND_OVER)
        home = await threadmill.home_of("assistant-1")
        assert home.thread == message
        await threadmill.settled()
        (task,) = (await threadmill.rows("select task from sessions"))[0]
        assert task == "[The file note.txt:]\n" + fenced("say From the file"), "its author speaks for nobody else"
        assert (await threadmill.rows("select attachments from mail"))[0][0] is not None


@pytest.mark.requirement("P4")
@pytest.mark.parametrize(
    ("in_hand", "told"), [("look", "wrote before the /kill"), ("/spawn look", "went ahead of this")]
)
async def test_a_kill_waits_for_no_file_and_what_it_went_ahead_of_begins_nothing(
    tmp_path: Path, in_hand: str, told: str
) -> None:
    async with discord() as screen, running(write_config(tmp_path, [screen]), [screen]) as threadmill:
        world, home = screen.world, screen.home()
        screen.says(home, "wait 30s then say Never")
        await threadmill.until(lambda: threadmill.application.engine.awake, "the turn runs")
        screen.server.faults.files_wait_for = fetched = asyncio.Event()
        world.says(home.room, in_hand, attachments=[world.attach(home.room, "large.bin", b"x")])
        screen.says(home, "say Behind the file")
        screen.says(home, "/spawn say Spawned behind the file")
        asked = time.monotonic()
        await threadmill.command(screen, home, "/kill", "Killed assistant-1")
        assert time.monotonic() - asked < 1.5
        fetched.set()
        await threadmill.shows(screen, home, told)
        refused = "select count(*) from inbox where state = 'refused' and decision like 'a /kill went ahead%'"
        await threadmill.settled()
        assert await threadmill.rows(refused) == [(2 + (in_hand == "look"),)]
        assert len([text for text in screen.said(home) if "before the /kill" in text]) == 1
        assert await threadmill.rows("select label, ended from sessions") == [("assistant-1", "killed")]
        screen.says(home, "say After it")
        await threadmill.shows(screen, home, "After it")


async def test_a_strangers_kill_cancels_nothing_that_others_wrote(tmp_path: Path) -> None:
    async with discord() as screen, running(write_config(tmp_path, [screen]), [screen]) as threadmill:
        world = screen.world
        screen.server.faults.files_wait_for = fetched = asyncio.Event()
        world.says(world.room, "say Ada is answered", attachments=[world.attach(world.room, "large.bin", b"x")])
        await threadmill.command(screen, screen.room, "/kill", "do not know you", by=EVES)
        fetched.set()
        await threadmill.shows(screen, await threadmill.home_of("assistant-1"), "Ada is answered")


@pytest.mark.requirement("P5")
async def test_a_burst_is_refused_in_one_sentence(tmp_path: Path) -> None:
    async with discord() as screen, running(write_config(tmp_path, [screen]), [screen]) as threadmill:
        home = screen.home()
        screen.says(home, "wait 30s then say Never")
        await threadmill.until(lambda: threadmill.application.engine.awake, "the turn runs")
        for number in range(200):
            screen.says(home, f"say Number {number}")
        await threadmill.shows(screen, home, "too much waiting")
        await threadmill.command(screen, home, "/kill", "Killed assistant-1")
        await threadmill.settled()
        found = "select count(*) from inbox where kind = 'message' and state = 'refused'"
        assert await threadmill.rows(found) == [(200 - QUEUE_LIMIT,)]
        refused = [text for text in screen.said(home) if "too much waiting" in text]
        assert len(refused) == 1


def _thread(screen: DiscordScreen, id: str) -> ThreadRef:
    return ThreadRef(channel=screen.name, space=screen.world.guild_id, room=screen.world.room, thread=id)
