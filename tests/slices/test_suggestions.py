"""What Discord offers while a command is typed: what there is, for whom it is, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.slices.harness import Running, running, write_config
from tests.slices.screens import ADAS, EVES, DiscordScreen, discord
from tests.slices.waiting import until
from tests.stored import hear

pytestmark = pytest.mark.slow

BOBS = "bob"
MORE = """
[people.bob]
accounts = ["discord:{bob}"]
role = "user"

[[monitors]]
name = "status-page"
every = "1h"
agent = "assistant"
prompt = "Look at the weather."
report_to = ["{room}"]
"""


class Typing:
    """Somebody types into an option, and sees what he is offered."""

    def __init__(self, screen: DiscordScreen) -> None:
        self._screen = screen

    async def sees(self, line: str, option: str, typed: str = "", *, by: str = ADAS) -> dict[str, str]:
        """The offered values with their labels."""
        world, screen = self._screen.world, self._screen
        person = screen.accounts[by].partition(":")[2]
        asked = world.types(screen.room.room, line, {option: typed}, option, by=person)

        async def answered() -> bool:
            return world.interaction(asked)["response"] is not None

        await until(answered, f"/{line} {option} is answered")
        response = world.interaction(asked)["response"]
        assert response["type"] == 8
        return {choice["value"]: choice["name"] for choice in response["data"]["choices"]}


async def test_what_is_offered_while_a_command_is_typed_is_what_this_person_may_use_it_on(tmp_path: Path) -> None:
    async with discord() as screen:
        bob = screen.world.person("Bob")
        screen.know(BOBS, bob)
        file = write_config(tmp_path, [screen], more=MORE.format(bob=bob, room=screen.room.key))
        async with running(file, [screen]) as threadmill:
            await screen.world.declared.wait()
            screen.says(screen.room, "say Compare X and Y")
            await threadmill.home_of("assistant-1")
            screen.says(screen.room, "say This is Bob's", by=BOBS)
            await threadmill.home_of("assistant-2")
            await threadmill.settled()
            await threadmill.database.write(lambda tx: hear(tx, "lost", "lost", state="dead", decision="it failed"))
            before = await _counted(threadmill)
            await _sessions(Typing(screen), threadmill)
            await _other_things(Typing(screen))
            assert await _counted(threadmill) == before, "typing is no event"


async def _sessions(typing: Typing, threadmill: Running) -> None:
    (id,) = (await threadmill.rows("select id from sessions where label = 'assistant-1'"))[0]
    everything = await typing.sees("kill", "session")
    assert next(iter(everything)) == "all"
    assert set(everything) == {"all", "assistant-1", "assistant-2"}
    assert everything["assistant-1"].startswith(f"assistant-1 ({id}) · idle · ")
    assert everything["assistant-1"].endswith("say Compare X and Y")
    assert list(await typing.sees("steer", "session", "TANT-2")) == ["assistant-2"]
    assert list(await typing.sees("status", "session", id)) == ["assistant-1"]
    assert list(await typing.sees("history", "session", "compare x")) == ["assistant-1"]
    assert set(await typing.sees("kill", "session", by=BOBS)) == {"all", "assistant-2"}
    assert await typing.sees("kill", "session", by=EVES) == {"all": "all"}
    assert await typing.sees("stop", "session", "assistant", by=EVES) == {}


async def _other_things(typing: Typing) -> None:
    assert list(await typing.sees("spawn", "agent", "re")) == ["researcher"]
    assert await typing.sees("spawn", "agent", by=EVES) == {}
    assert set(await typing.sees("model", "model")) == {"default", "other"}
    assert await typing.sees("model", "model", by=EVES) == {}
    monitors = await typing.sees("monitor", "monitor", "weather")
    assert monitors == {"status-page": "status-page · every 1h · Look at the weather."}
    assert await typing.sees("monitor", "monitor", by=BOBS) == {}
    assert [label.endswith("it failed · lost") for label in (await typing.sees("deadletters", "id")).values()] == [True]
    assert await typing.sees("deadletters", "id", by=BOBS) == {}


async def _counted(threadmill: Running) -> list[tuple[int, int]]:
    return await threadmill.rows("select (select count(*) from inbox), (select count(*) from deliveries)")
