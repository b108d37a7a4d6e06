"""Edits while it runs: a good one is taken over, a broken one is reported and changes nothing."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from bot.access import Role
from bot.config import ConfigProblem, load
from bot.config.watch import ConfigWatch

TEXT = """\
[web]
port = 1
[models.default]
kind = "rehearsal"
[agents.assistant]
prompt = "Be kind."
"""


class Edited:
    """A configuration file, a watch on it, and what the watch reported."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "config.toml"
        self.write(TEXT)
        self.reported: list[Sequence[ConfigProblem]] = []
        self.environ = {"WHO": "Ada"}
        self.watch = ConfigWatch(
            load(self.file, environ=self.environ), environ=self.environ, broken=self.reported.append
        )

    def write(self, text: str) -> None:
        """As editors do: a new file in the place of the old one."""
        part = self.file.with_suffix(".part")
        part.write_text(text)
        part.replace(self.file)


@pytest.fixture
def edited(tmp_path: Path) -> Edited:
    return Edited(tmp_path)


def test_an_edit_of_agents_routes_people_monitors_and_access_is_taken_over(edited: Edited) -> None:
    edited.write(
        TEXT.replace("kind.", "brief.")
        + '[[routes]]\nagent = "assistant"\n[access]\ndefault_role = "guest"\n[people.ada]\naccounts = ["web:1"]\n'
        + '[[monitors]]\nname = "m"\nevery = "5m"\nagent = "assistant"\nprompt = "x"\nreport_to = ["web:main"]\n'
    )
    change = edited.watch.look()
    assert change is not None
    assert change.needs_restart == ()
    config = change.config
    assert next(iter(config.agents.values())).prompt == "Be brief."
    assert len(config.routes) == len(config.people) == len(config.monitors) == 1
    assert config.default_role is Role.GUEST
    assert edited.watch.look() is None


def test_a_broken_edit_is_reported_once_and_the_old_one_stays(edited: Edited, caplog: pytest.LogCaptureFixture) -> None:
    edited.write(TEXT + "[weeb]\n")
    assert edited.watch.look() is None
    assert edited.watch.look() is None
    ((problem,),) = edited.reported
    assert (problem.line, problem.key) == (7, "weeb")
    assert "the old one stays" in caplog.text
    edited.write(TEXT.replace("kind.", "brief."))
    change = edited.watch.look()
    assert change is not None
    assert next(iter(change.config.agents.values())).prompt == "Be brief."


def test_what_needs_a_restart_is_named_and_keeps_its_old_value(edited: Edited) -> None:
    more = '[models.other]\nkind = "rehearsal"\n[delivery]\nmax_age_hours = 1\n[retention]\ndays = 3\n'
    edited.write(TEXT.replace("port = 1", "port = 2").replace("kind.", "brief.") + more)
    change = edited.watch.look()
    assert change is not None
    assert change.needs_restart == ("web.port", "delivery.max_age_hours", "models.other", "retention.days")
    assert change.config.web.port == 1
    assert list(change.config.models) == ["default"]
    assert next(iter(change.config.agents.values())).prompt == "Be brief."


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (
            '[models.new]\nkind = "rehearsal"\n[agents.b]\nmodel = "new"\nprompt = "x"\n',
            "the model 'new' is new: restart",
        ),
        (
            '[channels.telegram]\ntoken = "1:x"\n[[routes]]\nagent = "assistant"\nchannel = "telegram"\n',
            "the channel 'telegram' is new: restart",
        ),
        (
            '[channels.telegram]\ntoken = "1:x"\n[people.a]\naccounts = ["telegram:1"]\nreach = ["telegram"]\n',
            "the channel 'telegram' is new: restart",
        ),
    ],
)
def test_an_edit_that_uses_what_is_not_running_yet_is_refused_whole(edited: Edited, edit: str, said: str) -> None:
    edited.write(TEXT + edit)
    assert edited.watch.look() is None
    assert said in str(edited.reported[0][0])


def test_a_touched_file_is_no_edit(edited: Edited) -> None:
    os.utime(edited.file, (1, 1))
    assert edited.watch.look() is None
    assert edited.reported == []


def test_a_file_that_is_away_for_a_moment_is_no_edit(edited: Edited) -> None:
    edited.file.unlink()
    assert edited.watch.look() is None
    edited.write(TEXT)
    assert edited.watch.look() is None
    assert edited.reported == []


def test_a_file_that_stays_away_is_reported_once(edited: Edited) -> None:
    edited.file.unlink()
    for _ in range(4):
        assert edited.watch.look() is None
    ((problem,),) = edited.reported
    assert "there is no such file" in problem.message


def test_the_env_file_beside_it_is_watched_too(edited: Edited) -> None:
    edited.write(TEXT.replace("kind.", "${TONE}."))
    assert edited.watch.look() is None
    (edited.file.parent / ".env").write_text("TONE=brief\n")
    change = edited.watch.look()
    assert change is not None
    assert next(iter(change.config.agents.values())).prompt == "Be brief."


async def test_changes_come_as_they_are_made_and_look_only_now_and_then(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(TEXT)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            file.write_text(TEXT.replace("kind.", "brief."))
        await asyncio.sleep(0)

    watch = ConfigWatch(load(file, environ={}), environ={}, every_seconds=1.0, sleep=sleep)
    change = await anext(aiter(watch.changes()))
    assert next(iter(change.config.agents.values())).prompt == "Be brief."
    assert slept == [1.0] * 3


async def test_without_a_file_there_is_nothing_to_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [change async for change in ConfigWatch(load(environ={})).changes()] == []
