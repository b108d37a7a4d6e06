"""What people and scripts rely on: keys of the configuration, verbs, exit codes, HTTP, chat commands, tools, promises.

Each list here is written out by hand and not read from the code: a name that disappears from the code breaks
somebody's script, and has to break a test first.
"""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from agents.tools.sessions import HistoryTool, ListTool, SendTool, SpawnTool
from agents.tools.subagents import SubagentsTool
from bot.cli.app import run, threadmill
from bot.commands.translations import MENU_TEXTS
from bot.config import load
from tests.slices.harness import running, write_config

ROOT = Path(__file__).resolve().parent.parent

CONFIG = """
[bot]
data = "data"
timezone = "Europe/Berlin"

[web]
host = "127.0.0.1"
port = 8642
token = "${THREADMILL_TOKEN}"

[channels.telegram]
token = "${TELEGRAM_TOKEN}"
base_url = "https://api.telegram.org/bot"

[channels.discord]
token = "${DISCORD_TOKEN}"
base_url = "https://discord.com/api/v10"

[channels.slack]
bot_token = "${SLACK_BOT_TOKEN}"
app_token = "${SLACK_APP_TOKEN}"
base_url = "https://slack.com/api/"

[models.default]
kind = "anthropic"
model = "claude-sonnet-5-5"
api_key = "${ANTHROPIC_API_KEY}"
base_url = "https://api.anthropic.com"
fallback = ["cheap"]

[agents.assistant]
model = "default"
prompt = "You are …"
tools = ["spawn", "send", "web_fetch"]
spawns = ["researcher"]
queue = "steer"
max_depth = 3
max_children = 5
turn_timeout_seconds = 600
budget_usd = 1.0

[[routes]]
channel = "slack"
room = "C0SUPPORT"
on = "message"
agent = "support"
thread = true
when = "hour >= 9 and hour < 17"
priority = "high"

[access]
default_role = "none"

[people.ada]
accounts = ["slack:T1/U1", "telegram:42", "discord:99"]
role = "owner"
reach = ["slack", "telegram"]

[[monitors]]
name = "status-page"
every = "5m"
agent = "watcher"
prompt = "Tell us when the status page reports an incident."
check = { url = "https://example.org/status", changed = true }
report_to = ["slack:T1/C2", "telegram:42"]
"""

NAMED_THERE = """
[models.cheap]
kind = "rehearsal"

[agents.support]
prompt = "You help."

[agents.researcher]
prompt = "You find out."

[agents.watcher]
prompt = "You watch."
"""

ENVIRONMENT = {
    "THREADMILL_TOKEN": "a-token-for-the-page",
    "TELEGRAM_TOKEN": "1:telegram",
    "DISCORD_TOKEN": "discord",
    "SLACK_BOT_TOKEN": "xoxb-slack",
    "SLACK_APP_TOKEN": "xapp-slack",
    "ANTHROPIC_API_KEY": "key",
}


def test_the_configuration_of_the_contract_loads(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(CONFIG + NAMED_THERE, "utf-8")
    config = load(file, environ=ENVIRONMENT)
    assert sorted(config.channels) == ["discord", "slack", "telegram"]
    assert config.web.port == 8642
    assert config.agents[next(iter(config.agents))].budget_usd == 1.0
    assert [plan.name for plan in config.monitors] == ["status-page"]
    assert [name for name, _ in config.people["ada"].reach] == ["slack", "telegram"]


def test_the_rehearsal_is_the_model_when_nothing_is_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load(environ={"THREADMILL_PORT": "8700", "THREADMILL_DATA": str(tmp_path / "elsewhere")})
    assert config.rehearsing
    assert (config.web.host, config.web.port) == ("127.0.0.1", 8700)
    assert config.bot.data == tmp_path / "elsewhere"
    with_key = load(environ={"ANTHROPIC_API_KEY": "key"})
    assert not with_key.rehearsing
    assert (with_key.web.port, with_key.bot.data.name) == (8642, "data")


# --- the command line ----------------------------------------------------------------------------

VERBS = {
    *("run", "init", "check", "doctor", "chat", "schema", "status", "sessions", "history", "deliveries"),
    *("deadletters", "monitors", "cost", "audit", "route"),
}
WITH_JSON = VERBS - {"run", "init", "chat", "schema", "route"}


def test_every_verb_is_there_and_every_listing_has_json() -> None:
    assert set(threadmill.commands) >= VERBS
    for name in WITH_JSON:
        options = {option for parameter in threadmill.commands[name].params for option in parameter.opts}
        assert "--json" in options, name
    groups: dict[str, Any] = {name: threadmill.commands[name] for name in ("deadletters", "audit", "route")}
    assert {"list", "retry", "drop"} <= set(groups["deadletters"].commands)
    assert "verify" in groups["audit"].commands
    explain = groups["route"].commands["explain"]
    assert {"--channel", "--room", "--sender", "--json"} <= {
        option for parameter in explain.params for option in parameter.opts
    }


def test_exit_codes_are_0_fine_1_failed_2_usage_or_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = str(write_config(tmp_path))
    bad = tmp_path / "bad.toml"
    bad.write_text("[bot]\nfolder = 'x'\n", "utf-8")
    assert run(["--help"]) == 0
    assert run(["check", "--config", good]) == 0
    assert run(["history", "nobody", "--config", good]) == 1
    assert run(["nonsense"]) == 2
    assert run(["history"]) == 2
    capsys.readouterr()
    assert run(["check", "--config", str(bad)]) == 2
    assert f"{bad}:2: bot.folder: " in capsys.readouterr().err


@pytest.mark.slow
def test_listings_print_one_json_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_config(tmp_path)
    asyncio.run(_run_once(file))
    for verb in ("status", "sessions", "deliveries", "deadletters", "monitors", "cost", "audit"):
        capsys.readouterr()
        code = run([verb, "--json", "--config", str(file)])
        said = capsys.readouterr()
        assert code == 0, said.err
        json.loads(said.out)


async def _run_once(file: Path) -> None:
    """So that there is a database to look at."""
    async with running(file):
        pass


# --- HTTP ----------------------------------------------------------------------------------------

LISTINGS = ("sessions", "deliveries", "deadletters", "monitors", "audit", "cost")


@pytest.mark.slow
@pytest.mark.requirement("P3")
async def test_http_answers_as_the_contract_says(tmp_path: Path) -> None:
    async with running(write_config(tmp_path)) as threadmill_at_work:
        client, post = threadmill_at_work.client, threadmill_at_work.post
        async with httpx.AsyncClient(base_url=client.base_url) as anybody:
            for path in ("/healthz", "/readyz", "/metrics"):
                assert (await anybody.get(path)).status_code == 200, path
            for name in LISTINGS:
                _is_problem(await anybody.get(f"/api/v1/{name}"), 401)
        assert {"web", "console", "api"} <= set((await client.get("/healthz")).json()["channels"])
        assert "# TYPE" in (await client.get("/metrics")).text

        assert (await post("room", "say Once", "m1")).status_code == 202
        assert (await post("room", "say Once", "m1")).status_code == 200
        assert (await threadmill_at_work.heard("room", "Once")).count("Once") == 1
        await threadmill_at_work.settled()
        assert await threadmill_at_work.rows("select count(*) from turns") == [(1,)]

        for name in LISTINGS:
            assert name in (await client.get(f"/api/v1/{name}")).json(), name
        _is_problem(await client.post("/api/v1/threads/room/messages", content=b"{", headers=_JSON), 400)
        _is_problem(await client.post("/api/v1/threads/room/messages", json={"words": "x"}), 422)
        _is_problem(await client.get("/api/v1/nothing"), 404)
        async with client.stream("GET", "/api/v1/events") as events:
            assert events.status_code == 200
            assert events.headers["content-type"].startswith("text/event-stream")


_JSON = {"content-type": "application/json"}


def _is_problem(answer: Any, status: int) -> None:
    """An RFC 9457 problem document."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    document = answer.json()
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]


# --- chat commands and tools ---------------------------------------------------------------------

COMMANDS = {
    *("help", "spawn", "agents", "steer", "kill", "stop", "status", "history", "send", "focus", "unfocus", "new"),
    *("model", "queue", "cost", "retry", "monitor", "approve", "deny", "link", "whoami", "health", "deadletters"),
}


async def test_every_chat_command_is_there(tmp_path: Path) -> None:
    async with running(write_config(tmp_path)) as threadmill_at_work:
        there = set(threadmill_at_work.application.current.routes().commands)
        assert there >= COMMANDS
        for language, texts in MENU_TEXTS.items():
            assert set(texts) == there, f"the menu in {language} tells each command"


PARAMETERS: dict[Any, set[str]] = {
    SpawnTool: {
        *("task", "label", "agent", "model", "mode", "thread", "context", "timeout_seconds"),
        "workspace",
    },
    SendTool: {"session", "message", "timeout_seconds"},
    ListTool: {"kinds", "active_minutes", "limit", "message_limit"},
    HistoryTool: {"session", "limit"},
    SubagentsTool: {"action", "target", "message"},
}


def test_the_agents_tools_have_their_names_and_parameters() -> None:
    names = ["sessions_spawn", "sessions_send", "sessions_list", "sessions_history", "subagents"]
    assert [tool.name for tool in PARAMETERS] == names
    for tool, parameters in PARAMETERS.items():
        assert parameters <= set(tool.arguments.model_fields), tool.name
    schema = SpawnTool.arguments.model_json_schema()["properties"]
    assert schema["mode"]["enum"] == ["run", "session"]
    assert schema["context"]["enum"] == ["isolated", "fork"]
    assert SubagentsTool.arguments.model_json_schema()["properties"]["action"]["enum"] == [
        "list",
        "steer",
        "kill",
        "wait",
    ]


# --- promises ------------------------------------------------------------------------------------


def test_every_promise_is_carried_by_a_test_and_no_test_carries_another() -> None:
    promised = {
        line.split()[1]
        for line in (ROOT / "ARCHITECTURE.md").read_text("utf-8").splitlines()
        if line.startswith("- P") and line.split()[1].removeprefix("P").isdigit()
    }
    assert promised == {f"P{number}" for number in range(1, 11)}
    carried = {
        requirement: file
        for file in (ROOT / "tests").rglob("test_*.py")
        for marked in re.findall(r"mark\.requirement\(([^)]*)\)", file.read_text("utf-8"))
        for requirement in (id.strip().strip("\"'") for id in marked.split(","))
    }
    assert promised - set(carried) == set(), "promises that no test carries"
    assert {id: file.name for id, file in carried.items() if id not in promised} == {}, "unknown promises"
