"""Albums: several updates at Telegram, one message to people and to agents."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from channels.base import Kind
from tests.conformance.rig_telegram import TelegramRig, joined
from tests.fakes.telegram.world import ADA, GROUP

A, B, C = ("a.txt", b"a"), ("b.txt", b"b"), ("c.txt", b"c")


@pytest.fixture
async def rig() -> AsyncIterator[TelegramRig]:
    async with joined() as running:
        yield running


@pytest.mark.requirement("P1")
async def test_an_album_is_one_message_with_all_its_files_and_takes_no_other_with_it(rig: TelegramRig) -> None:
    world = rig.world
    _, second = world.sends_album(GROUP, A, B)
    world.says(GROUP, "and a word")
    first, *_ = world.sends_album(ADA, A, B, C, caption="/spawn read these")
    album, word, command = await rig.intake.wait_for(3)
    assert [file.name for file in album.attachments] == ["a.txt", "b.txt"]
    assert (word.text, word.attachments) == ("and a word", ())
    assert (command.kind, command.text, command.message_id) == (Kind.COMMAND, "/spawn read these", str(first))
    assert [file.name for file in command.attachments] == ["a.txt", "b.txt", "c.txt"]
    await world.wait_until(lambda: world.confirmed == world.next_update_id - 1)
    assert len(rig.intake.events) == 3
    assert world.update_of[GROUP, second] < world.confirmed


@pytest.mark.slow
async def test_files_that_come_a_moment_later_belong_to_their_album(rig: TelegramRig) -> None:
    world, server = rig.world, rig.server
    world.sends_album(ADA, A, caption="three files", group="77")
    await world.wait_until(lambda: not server.is_polled)
    world.sends_album(ADA, B, C, group="77")
    [album] = await rig.intake.wait_for(1)
    assert (album.text, len(album.attachments)) == ("three files", 3)
