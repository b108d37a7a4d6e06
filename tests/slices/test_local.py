"""The channels of the program itself, over HTTP: the page, the terminal and the API keep what the platforms keep."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.slices.harness import running, write_config

pytestmark = pytest.mark.slow


@pytest.mark.requirement("P3")
@pytest.mark.parametrize("channel", ["api", "web", "console"])
async def test_threads_commands_and_children_work_and_outlive_a_restart(tmp_path: Path, channel: str) -> None:
    file = write_config(tmp_path)
    async with running(file) as threadmill:

        async def ask(thread: str, text: str, *expects: str) -> list[str]:
            assert (await threadmill.post(thread, text, channel=channel)).status_code == 202
            return await threadmill.heard(thread, *expects, channel=channel)

        await ask("room", "say Good morning", "Good morning")
        await ask("room", "/whoami", f"{channel}:", "owner")
        await ask("room", "/status", "assistant-1", "1 turns")
        await ask("room", "/nonsense", "There is no command /nonsense")
        await ask("room", "spawn researcher as alpha: (say Found it)\njoin\nsay All is back", "All is back")
        child = await threadmill.home_of("alpha")
        assert child.channel == channel
        said = await threadmill.heard(child.thread or "", "I am **alpha**", "Found it", channel=channel)
        assert said.count("Found it") == 1
        await ask("office", "/spawn researcher wait 20s then say Never", "Spawned **researcher-1**")
        await ask("office", "/agents", "researcher-1")
        await ask("office", "/kill all", "Killed", "researcher-1")
        await threadmill.boards_closed()
        await threadmill.settled()
        told = await threadmill.rows("select key from deliveries order by n")
    async with running(file) as threadmill:
        await threadmill.settled()
        assert await threadmill.rows("select key from deliveries order by n") == told, "a restart says nothing again"
        await threadmill.post("room", "say A new conversation", channel=channel)
        await threadmill.heard("room", "A new conversation", channel=channel)


@pytest.mark.requirement("P2")
async def test_messages_that_come_while_a_turn_runs_join_it_or_wait_by_the_queue_mode(tmp_path: Path) -> None:
    async with running(write_config(tmp_path)) as threadmill:
        for mode, turns in (("followup", 3), ("collect", 2)):
            await threadmill.post(mode, "say Here")
            await threadmill.heard(mode, "Here")
            await threadmill.post(mode, f"/queue {mode}")
            await threadmill.heard(mode, f"**{mode}**")
            before = (await threadmill.rows("select count(*) from turns"))[0][0]
            await threadmill.post(mode, "wait 0.3s then say One")
            await threadmill.until(lambda: threadmill.application.engine.awake, "the turn runs")
            await threadmill.post(mode, "say Two")
            await threadmill.post(mode, "say Three")
            said = "\n".join(await threadmill.heard(mode, "One", "Two", "Three"))
            assert said.index("One") < said.index("Two") < said.index("Three")
            await threadmill.settled()
            assert (await threadmill.rows("select count(*) from turns"))[0][0] == before + turns, mode


@pytest.mark.requirement("P4")
async def test_stop_ends_the_turn_at_once_and_interrupt_begins_the_next(tmp_path: Path) -> None:
    async with running(write_config(tmp_path)) as threadmill:
        await threadmill.post("room", "wait 60s then say Never")
        await threadmill.until(lambda: threadmill.application.engine.awake, "the turn runs")
        await threadmill.post("room", "/stop")
        await threadmill.heard("room", "Stopped the turn")
        await threadmill.settled()
        await threadmill.post("room", "/queue interrupt")
        await threadmill.heard("room", "**interrupt**")
        await threadmill.post("room", "wait 60s then say Never")
        await threadmill.until(lambda: threadmill.application.engine.awake, "the turn runs")
        await threadmill.post("room", "say Instead")
        said = await threadmill.heard("room", "Instead")
        await threadmill.settled()
        assert "Never" not in said
        outcomes = await threadmill.rows("select outcome from turns order by started_at")
        assert [outcome for (outcome,) in outcomes] == ["stopped", "interrupted", "done"]


@pytest.mark.requirement("P10")
async def test_what_people_decide_by_command_is_in_the_audit_log_without_their_words(tmp_path: Path) -> None:
    async with running(write_config(tmp_path)) as threadmill:
        await threadmill.post("room", "say Here")
        await threadmill.heard("room", "Here")
        for line in (
            *("/queue", "/monitor list", "/deadletters"),  # these only look
            *("/queue collect", "/model other", "/steer assistant-1 mind the gap", "/send assistant-1 a wish", "/new"),
        ):
            await threadmill.post("room", line)
            await threadmill.settled()
        rows = await threadmill.rows(
            "select actor, action, resource, detail from audit where actor = 'api:owner' order by n"
        )
        actions = [action for _, action, _, _ in rows]
        assert [action for action in actions if action != "spawn"] == ["queue", "model", "steer", "send", "new"]
        assert not any("gap" in detail or "wish" in detail for *_, detail in rows)
