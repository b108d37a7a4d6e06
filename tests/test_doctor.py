"""`doctor` as a whole: enough checks, each documented; what it knows of channels by itself."""

from __future__ import annotations

import fcntl
import json
import re
import sqlite3
from pathlib import Path

import pytest

from bot.app import now
from bot.cli import doctor_channels, doctor_machine
from bot.cli.app import run
from bot.cli.doctor_channels import heard, in_use, people, undelivered
from bot.cli.doctor_checks import prices, reached
from bot.config import Config, load
from channels.base import ChannelName, DeliveryKey, Outbound, ThreadRef
from channels.checks import Result
from storage.audit import AuditLog
from storage.database import opened
from storage.outbox import SqliteOutbox

DOC = Path(__file__).parent.parent / "docs" / "doctor.md"
KINDS = ("discord", "slack", "telegram")
CONFIG = """\
[models.default]
kind = "rehearsal"
[channels.telegram]
token = "123456:telegram-secret-telegram-secret"
base_url = "http://127.0.0.1:9/bot"
[channels.discord]
token = "discord.secret.discord-secret"
base_url = "http://127.0.0.1:9/api/v10"
[channels.slack]
bot_token = "xoxb-slack-secret"
app_token = "xapp-slack-secret"
base_url = "http://127.0.0.1:9/api/"
[agents.assistant]
prompt = "You help."
spawns = ["researcher"]
[agents.researcher]
prompt = "You find things out."
""" + "".join(f'[[routes]]\nchannel = "{kind}"\nroom = "77"\nagent = "assistant"\n' for kind in KINDS)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "config.toml").write_text(CONFIG)
    return load(tmp_path / "config.toml", environ={})


def documented() -> dict[str, set[str]]:
    """The ids of each section of docs/doctor.md."""
    sections: dict[str, set[str]] = {}
    for section in DOC.read_text("utf-8").split("\n## ")[1:]:
        sections[section.splitlines()[0]] = set(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE))
    return sections


@pytest.mark.slow  # imports three platforms' libraries
def test_each_check_is_documented_and_there_are_many(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    assert config.file is not None
    assert run(["doctor", "--json", "--config", str(config.file)]) == 1
    found = [each["id"] for each in json.loads(capsys.readouterr().out)]
    sections = documented()
    told = {id for name in ("The machine", "The data", "The configuration") for id in sections[name]}
    for kind in KINDS:
        own = {*sections["Every platform"], *sections[kind.capitalize()]}
        told |= {id.replace("NAME", kind, 1).replace("ROOM", "77") for id in own}
    told = {id.replace("model.NAME", "model.default") for id in told}
    assert set(found) == told - {"mcp.NAME"}, "no tool server is configured here"
    assert len(found) == len(set(found)) >= 75


async def test_what_came_in_and_what_could_not_go_out_is_known_from_the_store(tmp_path: Path) -> None:
    assert heard(tmp_path, "slack", "do this").result is Result.SKIPPED
    async with opened(tmp_path) as database:
        assert heard(tmp_path, "slack", "do this").fix == "do this"
        assert undelivered(tmp_path, "slack").result is Result.OK
        place = ThreadRef(channel=ChannelName("slack"), space="T1", room="C1")
        message = Outbound(key=DeliveryKey("k"), to=place, text="hello")
        outbox = SqliteOutbox(database)
        await outbox.put(message, now=now())
        assert undelivered(tmp_path, "slack").result is Result.OK
        await database.write(lambda tx: tx.execute("update deliveries set state = 'dead', error = 'no such channel'"))
        found = undelivered(tmp_path, "slack")
        assert found.result is Result.WARNING
        assert "1 could not be delivered, such as: no such channel" in found.evidence
        assert undelivered(tmp_path, "sl").result is Result.OK
        await database.write(
            lambda tx: (
                tx.execute(
                    "insert into inbox (channel, event_id, kind, place, account, sender_name, is_bot, text, mentioned,"
                    " direct, sent_at, received_at) values ('slack', 'e', 'message', 'slack:T1/C1', 'slack:T1/U1',"
                    " 'Ada', 0, 'hi', 0, 0, 0, 1700000000000000)"
                ).rowcount
            )
        )
        assert heard(tmp_path, "slack", "x").evidence == "the newest event is a message, from 2023-11-14 22:13 UTC"
    assert (await doctor_machine.audit_chain(tmp_path)).result is Result.OK


async def test_a_changed_audit_log_is_found(tmp_path: Path) -> None:
    assert (await doctor_machine.audit_chain(tmp_path)).result is Result.SKIPPED
    async with opened(tmp_path) as database:
        log = AuditLog(database)
        for action in ("spawn", "kill"):
            await log.record(at=now(), actor="slack:T1/U1", action=action, resource="x")
    with sqlite3.connect(tmp_path / "threadmill.db") as connection:
        connection.execute("drop trigger if exists audit_no_update")
        for (name,) in connection.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            connection.execute(f"drop trigger {name}")
        connection.execute("update audit set action = 'other' where action = 'spawn'")
    connection.close()
    found = await doctor_machine.audit_chain(tmp_path)
    assert found.result is Result.FAILED
    assert "row 1 of the audit log" in found.evidence


def test_a_running_threadmill_is_not_disturbed(config: Config) -> None:
    data = config.bot.data
    data.mkdir()
    assert in_use(data) is None
    file = data / "threadmill.lock"
    file.write_text("4711\n")
    assert in_use(data) is None
    with file.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert in_use(data) == "4711"
        left_out = list(doctor_channels.of(config.channels[ChannelName("telegram")], config))
        assert not [check for check in left_out if check.disturbs]
        assert "channel.telegram.second_poller" in [check.id for check in left_out]


async def test_what_the_configuration_lacks_is_told(config: Config) -> None:
    assert people(config, "telegram").result is Result.WARNING
    assert reached(config).result is Result.OK
    assert config.file is not None
    lonely = (
        CONFIG + '[agents.lonely]\nprompt = "Nobody calls me."\n[models.new]\nkind = "anthropic"\nmodel = "never"\n'
    )
    more = '[people.ada]\naccounts = ["telegram:42"]\nrole = "owner"\n'
    config.file.write_text(lonely + 'api_key = "k-123456789"\n' + more)
    changed = load(config.file, environ={})
    assert people(changed, "telegram").evidence == "with an account there: ada"
    assert "lonely" in reached(changed).evidence
    found = await prices(changed)
    assert "new" in found.evidence
    assert "price_usd_per_million" in found.fix
