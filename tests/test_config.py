"""The configuration: what a good file becomes, and what each mistake is told as."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from bot.access import Role
from bot.config import Config, ConfigInvalid, load
from bot.config.defaults import DEFAULT_MODEL
from bot.config.schema import schema
from bot.config.times import cron, duration
from bot.config.token import found, settled
from bot.routing.rules import On, Priority
from channels.base import ThreadRef

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "config.example.toml"
SECRETS = {
    "THREADMILL_TOKEN": "page-token-0123456789",
    "TELEGRAM_TOKEN": "123456:telegram-secret",
    "DISCORD_TOKEN": "discord.secret.token",
    "SLACK_BOT_TOKEN": "xoxb-slack-secret",
    "SLACK_APP_TOKEN": "xapp-slack-secret",
    "ANTHROPIC_API_KEY": "sk-ant-secret",
}
BASE = """\
[models.default]
kind = "rehearsal"
[agents.assistant]
prompt = "Be kind."
"""


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(text: str, environ: dict[str, str] | None = None) -> Config:
    Path("config.toml").write_text(text)
    return load(Path("config.toml"), environ=environ or {})


def problems(text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigInvalid) as caught:
        loaded(text, environ)
    return [str(problem) for problem in caught.value.problems]


# --- without a file


def test_without_a_file_and_a_key_there_are_two_agents_and_a_rehearsal() -> None:
    config = load(environ={})
    assert config.file is None
    assert config.rehearsing
    assert (config.web.host, config.web.port, config.web.token) == ("127.0.0.1", 8642, None)
    assert config.bot.data == Path.cwd() / "data"
    assert list(config.agents) == ["assistant", "researcher"]
    assistant = next(iter(config.agents.values()))
    assert assistant.tools == (
        *("sessions_spawn", "subagents", "attachment_read"),
        *("sessions_send", "sessions_list", "sessions_history"),
        "web_fetch",
    )
    assert assistant.spawns == ("researcher",)


def test_without_a_file_a_key_makes_it_claude() -> None:
    config = load(environ={"ANTHROPIC_API_KEY": "sk-ant-secret"})
    model = next(iter(config.models.values()))
    assert (model.kind, model.model, model.key) == ("anthropic", DEFAULT_MODEL, "sk-ant-secret")
    assert not config.rehearsing


def test_the_environment_says_where_the_page_and_the_data_are() -> None:
    environ = {"THREADMILL_PORT": "9000", "THREADMILL_DATA": "/srv/mill", "THREADMILL_TOKEN": "0123456789"}
    config = load(environ=environ)
    assert (config.web.port, config.bot.data) == (9000, Path("/srv/mill"))
    assert config.web.token is not None
    assert config.web.token.get_secret_value() == "0123456789"


def test_the_file_wins_over_the_environment() -> None:
    config = loaded(BASE + '[web]\nport = 1\n[bot]\ndata = "here"\n', {"THREADMILL_PORT": "2", "THREADMILL_DATA": "x"})
    assert (config.web.port, config.bot.data) == (1, Path.cwd() / "here")


@pytest.mark.parametrize("port", ["many", "99999", "-1", "1.5", "80 80"])
def test_a_port_in_the_environment_that_is_none_is_named(port: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"web\.port: .* \(this is the value of THREADMILL_PORT\)"):
        load(environ={"THREADMILL_PORT": port})


def test_config_toml_of_this_folder_is_used_when_none_is_named() -> None:
    Path("config.toml").write_text(BASE + "[web]\nport = 7\n")
    assert load(environ={}).web.port == 7


# --- a whole file


def test_the_example_is_valid_and_becomes_what_it_says() -> None:
    config = load(EXAMPLE, environ=SECRETS)
    assert [(channel.name, channel.kind) for channel in config.channels.values()] == [
        ("telegram", "telegram"),
        ("discord", "discord"),
        ("work-slack", "slack"),
    ]
    urgent, hours, command, mention = config.routes
    assert (urgent.priority, urgent.open_thread, urgent.when is not None) == (Priority.HIGH, True, True)
    assert hours.days == frozenset(range(5))
    assert (command.on, command.command_name, command.role_at_least) == (On.COMMAND, "research", Role.USER)
    assert (mention.on, mention.channel) == (On.MENTION, None)
    ada = config.people["ada"]
    assert ada.role is Role.OWNER
    assert ada.reach == (("work-slack", "work-slack:T1/U1"), ("telegram", "telegram:42"))
    page, morning, launch = config.monitors
    assert page.every == timedelta(minutes=5)
    assert page.check is not None
    assert page.report_to == (ThreadRef.parse("work-slack:T1/C2"), ThreadRef.parse("telegram:42"))
    assert (morning.cron, morning.missed) == ("0 9 * * mon-fri", "skip")
    assert launch.at is not None
    assert launch.at.astimezone(UTC) == datetime(2026, 12, 1, 8, tzinfo=UTC)
    assert config.delivery.max_age == timedelta(hours=24)


def test_the_example_shows_every_table_and_every_key_of_an_agent() -> None:
    text = EXAMPLE.read_text()
    described = schema()
    for table in described["properties"]:
        assert re.search(rf"^\[+{table}\b", text, re.MULTILINE), f"[{table}] is missing"
    for key in set(described["$defs"]["AgentTable"]["properties"]) - {"max_tokens", "thinking_tokens"}:
        assert re.search(rf"^{key} = ", text, re.MULTILINE), f"{key} is missing"


def test_the_schema_is_one_and_accepts_the_example() -> None:
    described = schema()
    Draft202012Validator.check_schema(described)
    values = __import__("tomllib").loads(EXAMPLE.read_text())
    values["monitors"][2]["at"] = "2026-12-01T09:00:00"  # JSON has no dates
    Draft202012Validator(described).validate(values)
    assert list(Draft202012Validator(described).iter_errors({"weeb": {}}))
    assert list(Draft202012Validator(described).iter_errors({"channels": {"telegram": {"tokn": "x"}}}))


def test_every_key_of_the_schema_is_described() -> None:
    described = schema()
    for name, table in described["$defs"].items():
        for key, facts in table.get("properties", {}).items():
            assert facts.get("description") or "$ref" in facts or "const" in facts, f"{name}.{key}"


def test_one_word_or_a_list_may_stand_for_text_and_days_of_a_route() -> None:
    text = (
        BASE
        + '[[routes]]\nagent = "assistant"\ncontains = "help"\ndays = ["mon", "sat-sun"]\nhours = ["9-12", "22-6"]\n'
    )
    (rule,) = loaded(text).routes
    assert rule.contains == ("help",)
    assert rule.days == {0, 5, 6}
    assert len(rule.hours) == 2


def test_groups_of_tools_are_expanded_in_order_and_once() -> None:
    config = loaded(BASE + 'tools = ["subagents", "spawn", "web_fetch"]\n')
    assert next(iter(config.agents.values())).tools == ("subagents", "sessions_spawn", "attachment_read", "web_fetch")


def test_paths_count_from_the_folder_of_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "mill.toml").write_text('[models.default]\nkind = "rehearsal"\nscript = "play.toml"\n')
    config = load(folder / "mill.toml", environ={})
    assert config.bot.data == folder / "data"
    assert next(iter(config.models.values())).script == folder / "play.toml"


# --- the environment in the file


def test_variables_come_from_the_environment_first_and_then_from_the_env_file() -> None:
    Path(".env").write_text("A=file\nexport B='file # b'\n# comment\n")
    config = loaded(BASE.replace("Be kind.", "${A} ${B} $$5 $x"), {"A": "environment"})
    assert next(iter(config.agents.values())).prompt == "environment file # b $5 $x"


def test_without_a_file_the_env_file_of_the_folder_is_read_too() -> None:
    Path(".env").write_text("ANTHROPIC_API_KEY=sk-ant-secret\n")
    assert not load(environ={}).rehearsing


def test_a_missing_variable_is_named_with_its_line() -> None:
    assert problems(BASE.replace("Be kind.", "${NOBODY}")) == [
        "config.toml:4: agents.assistant.prompt: the environment has no NOBODY: set it, or write NOBODY=… into the"
        " .env file beside this one"
    ]


@pytest.mark.parametrize("text", ["${", "${}", "${A B}", "${1}", "a ${ b"])
def test_a_variable_that_is_none_is_told(text: str) -> None:
    assert problems(BASE.replace("Be kind.", text), {"A": "1"}) == [
        "config.toml:4: agents.assistant.prompt: write ${NAME} with the name of an environment variable, or $$ for a"
        " dollar sign"
    ]


def test_a_broken_env_file_is_named_with_its_line() -> None:
    Path(".env").write_text("A=1\n'x\nB=2\n")
    assert problems(BASE) == [".env:2: write NAME=value, one on a line"]


# --- files that are none


def only_problem(file: Path) -> str:
    with pytest.raises(ConfigInvalid) as caught:
        load(file, environ={})
    (problem,) = caught.value.problems
    return str(problem)


def test_a_missing_file_is_told() -> None:
    assert only_problem(Path("nope.toml")) == (
        "nope.toml: there is no such file; write one with `threadmill init`, or name another with --config"
    )


def test_a_folder_is_told() -> None:
    Path("folder").mkdir()
    assert only_problem(Path("folder")) == "folder: is a folder; name the file in it, for example config.toml"


def test_a_pipe_is_told_and_not_waited_for() -> None:
    os.mkfifo("pipe")
    assert only_problem(Path("pipe")) == "pipe: is no regular file; name a TOML file"


def test_a_huge_file_is_told_and_not_read() -> None:
    with Path("huge.toml").open("wb") as stream:
        stream.truncate(5_000_000_000)
    assert only_problem(Path("huge.toml")).startswith(
        "huge.toml: has 5,000,000,000 bytes, and a configuration has at most"
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a = 1\n\x00", "bad.toml:2: is a binary file; name a TOML file"),
        (b"a = 1\nb = '\xff'", "bad.toml:2: is not UTF-8 text; save the file as UTF-8"),
    ],
)
def test_what_is_no_text_is_told(content: bytes, said: str) -> None:
    Path("bad.toml").write_bytes(content)
    assert only_problem(Path("bad.toml")) == said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_told() -> None:
    Path("mine.toml").write_text(BASE)
    Path("mine.toml").chmod(0)
    assert only_problem(Path("mine.toml")).startswith("mine.toml: may not be read")


def test_a_path_through_a_file_is_told() -> None:
    Path("file").touch()
    assert only_problem(Path("file/x.toml")) == "file/x.toml: cannot be read: Not a directory"


def test_a_byte_order_mark_does_no_harm() -> None:
    Path("config.toml").write_bytes(b"\xef\xbb\xbf" + BASE.encode())
    assert load(environ={}).rehearsing


@pytest.mark.parametrize(
    ("text", "line"),
    [("[a]\nb = \n", 2), ("a = 1\na = 2\n", 2), ("[a\n", 1), ("x = [1,\n2,\n", 2), ('a = "\\q"\n', 1), ("a = nan2", 1)],
)
def test_what_is_not_toml_is_told_with_its_line(text: str, line: int) -> None:
    (problem,) = problems(text)
    assert problem.startswith(f"config.toml:{line}: this is not TOML: "), problem


def test_values_nested_without_end_are_told() -> None:
    assert problems("a = " + "[" * 50_000) == ["config.toml: the values are nested too deeply; flatten them"]


# --- mistakes in a file

TELEGRAM = '[channels.telegram]\ntoken = "123456:secret"\n'
MISTAKES = {
    "unknown table": ("[weeb]\n", "config.toml:5: weeb: there is no such table; did you mean 'web'? (known: access,"),
    "unknown key": (
        "[web]\nprot = 1\n",
        "config.toml:6: web.prot: there is no such key; did you mean 'port'? (known: ",
    ),
    "unknown key deep inside": (
        'x\n[models.b]\nkind = "rehearsal"\nprice_usd_per_million = { input = 1.0, output = 1.0, outptu = 1.0 }\n'[2:],
        "config.toml:7: models.b.price_usd_per_million.outptu: there is no such key; did you mean 'output'?",
    ),
    "unknown key of a channel": (
        TELEGRAM + 'tokne = "x"\n',
        "config.toml:7: channels.telegram.tokne: there is no such key; did you mean 'token'?",
    ),
    "missing key": ("[agents.b]\n", "config.toml:5: agents.b.prompt: is missing; add prompt = … (Who it is"),
    "missing key of a channel": (
        "[channels.telegram]\n",
        "config.toml:5: channels.telegram.token: is missing; add token",
    ),
    "text for a number": (
        '[web]\nport = "1"\n',
        "config.toml:6: web.port: write a whole number without quotes, such as 5",
    ),
    "half a number": ("[web]\nport = 1.5\n", "config.toml:6: web.port: write a whole number"),
    "number for text": ("[bot]\ndata = 1\n", 'config.toml:6: bot.data: write text in quotes, such as "text"'),
    "word for a truth": (
        '[[routes]]\nagent = "assistant"\nthread = "yes"\n',
        "config.toml:7: routes[0].thread: write true or false, without quotes",
    ),
    "text for a list": (
        'spawns = "x"\n',
        'config.toml:5: agents.assistant.spawns: write a list, such as ["one", "two"]',
    ),
    "number in a list": ("tools = [1]\n", "config.toml:5: agents.assistant.tools[0]: write text in quotes"),
    "value for a table": ("[people]\nada = 1\n", "config.toml:6: people.ada: write a table: a [header] of its own"),
    "value for all tables": ("[[people]]\n", "config.toml:5: people: write each as a table of its own: [people.NAME]"),
    "single brackets": ("[routes]\n", "config.toml:5: routes: write each with double brackets: [[routes]]"),
    "too small": ("[web]\nport = -1\n", "config.toml:6: web.port: must be at least 0"),
    "too large": ("[web]\nport = 65536\n", "config.toml:6: web.port: must be at most 65535"),
    "not more than nothing": (
        "turn_timeout_seconds = 0\n",
        "config.toml:5: agents.assistant.turn_timeout_seconds: must be more",
    ),
    "not a number": ("budget_usd = nan\n", "config.toml:5: agents.assistant.budget_usd: "),
    "not a choice": (
        'queue = "steeer"\n',
        "config.toml:5: agents.assistant.queue: 'steeer' is not a choice; did you mean 'steer'?",
    ),
    "empty prompt": ('[agents.b]\nprompt = ""\n', "config.toml:6: agents.b.prompt: must not be empty"),
    "no such zone": (
        '[bot]\ntimezone = "Berlin"\n',
        "config.toml:6: bot.timezone: 'Berlin' is no time zone; write one such",
    ),
    "zone with a way out": (
        '[bot]\ntimezone = "../../etc/passwd"\n',
        "config.toml:6: bot.timezone: '../../etc/passwd' is",
    ),
    "short token": ('[web]\ntoken = "short"\n', "config.toml:6: web.token: needs at least 8 ASCII characters"),
    "no such model": (
        'model = "defualt"\n',
        "config.toml:5: agents.assistant.model: there is no model 'defualt'; did you",
    ),
    "no such agent to spawn": (
        'spawns = ["x"]\n',
        "config.toml:5: agents.assistant.spawns[0]: there is no agent 'x'; known",
    ),
    "no such agent to write to": (
        'may_message = ["y"]\n',
        "config.toml:5: agents.assistant.may_message[0]: there is no agent",
    ),
    "no such tool": (
        'tools = ["spwan"]\n',
        "config.toml:5: agents.assistant.tools[0]: there is no tool 'spwan'; did you mean",
    ),
    "said twice": (
        'tools = ["spawn", "spawn"]\n',
        "config.toml:5: agents.assistant.tools[1]: 'spawn' stands here twice",
    ),
    "thinks more than it may say": (
        "max_tokens = 10\nthinking_tokens = 10\n",
        "config.toml:6: agents.assistant.thinking_tokens: must be less than max_tokens",
    ),
    "a bad name": (
        '[agents."a b"]\nprompt = "x"\n',
        'config.toml:5: agents."a b": a name has letters, digits, - and _',
    ),
    "no such kind of channel": (
        '[channels.x]\nkind = "telegrm"\n',
        "config.toml:6: channels.x.kind: 'telegrm' is no kind of channel; did you mean 'telegram'?",
    ),
    "a channel without kind": (
        "[channels.work]\n",
        "config.toml:5: channels.work.kind: 'work' is no kind of channel, so",
    ),
    "a channel that is there": (
        "[channels.web]\n",
        "config.toml:5: channels.web: web is always there and takes no settings",
    ),
    "a model without a name": (
        '[models.b]\nkind = "anthropic"\n',
        'config.toml:5: models.b.model: name the anthropic model to ask, for example model = "claude',
    ),
    "a script of a real model": (
        '[models.b]\nkind = "anthropic"\nmodel = "x"\nscript = "y"\n',
        'config.toml:8: models.b.script: only a model of kind = "rehearsal" follows a script',
    ),
    "no such fallback": (
        '[models.b]\nkind = "rehearsal"\nfallback = ["defaults"]\n',
        "config.toml:7: models.b.fallback[0]: there is no model 'defaults'; did you mean 'default'?",
    ),
    "its own fallback": (
        '[models.b]\nkind = "rehearsal"\nfallback = ["b"]\n',
        "config.toml:7: models.b.fallback[0]: a model cannot be its own fallback",
    ),
    "fallbacks in a circle": (
        '[models.b]\nkind = "rehearsal"\nfallback = ["c"]\n[models.c]\nkind = "rehearsal"\nfallback = ["b"]\n',
        "config.toml:7: models.b.fallback: the fallbacks go round in a circle (b → c → b); take one out",
    ),
    "no such agent of a route": ('[[routes]]\nagent = "b"\n', "config.toml:6: routes[0].agent: there is no agent 'b'"),
    "no such channel of a route": (
        '[[routes]]\nagent = "assistant"\nchannel = "slack"\n',
        "config.toml:7: routes[0].channel: there is no channel 'slack'; known: api, console, web",
    ),
    "a bad condition": (
        '[[routes]]\nagent = "assistant"\nwhen = "hours > 3"\n',
        "config.toml:7: routes[0].when: column 1: 'hours' is not known: did you mean hour?",
    ),
    "bad hours": (
        '[[routes]]\nagent = "assistant"\nhours = ["9-17", "9-25"]\n',
        "config.toml:7: routes[0].hours[1]: '9-25' is not a span of hours",
    ),
    "bad days": (
        '[[routes]]\nagent = "assistant"\ndays = "mon-fry"\n',
        "config.toml:7: routes[0].days: 'mon-fry' names no days",
    ),
    "a command that is not asked": (
        '[[routes]]\nagent = "assistant"\ncommand = "x"\n',
        'config.toml:7: routes[0].command: needs on = "command" beside it',
    ),
    "no account": (
        '[people.ada]\naccounts = ["42"]\n',
        "config.toml:6: people.ada.accounts[0]: '42' is no account; write channel:id, such as telegram:42",
    ),
    "an account of nowhere": (
        '[people.ada]\naccounts = ["slack:T1/U1"]\n',
        "config.toml:6: people.ada.accounts[0]: there is no channel 'slack'",
    ),
    "no accounts": ("[people.ada]\naccounts = []\n", "config.toml:6: people.ada.accounts: needs at least 1 entries"),
    "an account of two": (
        '[people.ada]\naccounts = ["web:1"]\n[people.bob]\naccounts = ["web:1"]\n',
        "config.toml:8: people.bob.accounts[0]: 'web:1' belongs to ada already; remove it from one of the two",
    ),
    "reach without account": (
        TELEGRAM + '[people.ada]\naccounts = ["web:1"]\nreach = ["telegram"]\n',
        "config.toml:9: people.ada.reach[0]: ada has no account on telegram; add telegram:… to her accounts",
    ),
    "reach nowhere": (
        '[people.ada]\naccounts = ["web:1"]\nreach = ["pager"]\n',
        "config.toml:7: people.ada.reach[0]: there is no channel 'pager'",
    ),
}
MONITOR = '[[monitors]]\nname = "m"\nagent = "assistant"\nprompt = "x"\nreport_to = ["web:main"]\n'
MONITOR_MISTAKES = {
    "no schedule": ("", "config.toml:5: monitors[0]: needs exactly one of every, cron and at; this one has none"),
    "two schedules": ('every = "5m"\ncron = "* * * * *"\n', "this one has every and cron"),
    "bad interval": (
        'every = "5 minutes"\n',
        "config.toml:10: monitors[0].every: '5 minutes' is no duration; write it as 30s",
    ),
    "no interval": ('every = "0s"\n', "config.toml:10: monitors[0].every: '0s' must be between 1s and 366d"),
    "cron with four fields": (
        'cron = "* * * *"\n',
        "config.toml:10: monitors[0].cron: '* * * *' has 4 fields; cron has five",
    ),
    "cron out of bounds": (
        'cron = "60 * * * *"\n',
        "config.toml:10: monitors[0].cron: '60' is no minute of a cron expression",
    ),
    "bad time": (
        'at = "tomorrow"\n',
        "config.toml:10: monitors[0].at: 'tomorrow' is no date with time; write it as 2026-",
    ),
    "bad zone": ('every = "5m"\ntimezone = "X"\n', "config.toml:11: monitors[0].timezone: 'X' is no time zone"),
    "bad address": (
        'every = "5m"\ncheck = { url = "ftp://x" }\n',
        "config.toml:11: monitors[0].check.url: must match the",
    ),
    "same name": (
        'every = "5m"\n' + MONITOR + 'every = "5m"\n',
        "config.toml:12: monitors[1].name: there is a monitor 'm'",
    ),
}


MISTAKES |= {
    "a server that is a program and an address": (
        '[mcp.x]\ncommand = "a"\nurl = "https://e.org"\n',
        "config.toml:5: mcp.x: needs either command or url",
    ),
    "a server that is nothing": ("[mcp.x]\n", "config.toml:5: mcp.x: needs either command or url"),
    "a server's address that is none": ('[mcp.x]\nurl = "e.org"\n', "config.toml:6: mcp.x.url: "),
    "headers of a program": (
        '[mcp.x]\ncommand = "a"\nheaders = { A = "b" }\n',
        "config.toml:7: mcp.x.headers: they belong to a url",
    ),
    "a variable for an address": (
        '[mcp.x]\nurl = "https://e.org"\nenv = { A = "b" }\n',
        "config.toml:6: mcp.x.url: args and env belong to a command",
    ),
    "a server's name with a line in it": ('[mcp.a_b]\ncommand = "a"\n', "config.toml:5: mcp.a_b: a server's name has"),
    "a server called as our own tools are": (
        '[mcp.file]\ncommand = "a"\n',
        "config.toml:5: mcp.file: tools of Threadmill itself begin with file_",
    ),
    "a server that is not there": (
        'tools = ["mcp:y"]\n[mcp.x]\ncommand = "a"\n',
        "config.toml:5: agents.assistant.tools",
    ),
    "leave for a server that is not there": (
        'approve = ["mcp:y"]\n[mcp.x]\ncommand = "a"\n',
        "config.toml:5: agents.assistant.approve",
    ),
}


def test_servers_of_tools_are_configured_with_their_secrets() -> None:
    text = (
        'tools = ["mcp:a", "a_one", "b_two"]\napprove = ["mcp:a", "b_two"]\n'
        '[mcp.a]\ncommand = "run-a"\nargs = ["-v"]\nenv = { KEY = "${SECRET}" }\nallow = ["one"]\ntimeout_seconds = 5\n'
        '[mcp.b]\nurl = "https://b.example/mcp"\nheaders = { Authorization = "Bearer ${SECRET}" }\n'
    )
    Path("config.toml").write_text(BASE + text)
    config = load(environ={"SECRET": "s3cret"})
    one, two = config.mcp["a"], config.mcp["b"]
    assert (one.command, one.args, one.env, one.url, one.allow) == (
        "run-a",
        ("-v",),
        {"KEY": "s3cret"},
        None,
        frozenset({"one"}),
    )
    assert (one.timeout_seconds, two.timeout_seconds) == (5.0, 60.0)
    assert (two.command, two.url, two.headers) == (None, "https://b.example/mcp", {"Authorization": "Bearer s3cret"})
    assert next(iter(config.agents.values())).approve == ("mcp:a", "b_two")
    assert "s3cret" not in repr(config)


@pytest.mark.parametrize(("text", "said"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_with_its_line_its_key_and_what_to_do(text: str, said: str) -> None:
    told = problems(BASE + text)
    assert told[0].startswith(said), told[0]
    assert len(told) == 1, told


@pytest.mark.parametrize(("text", "said"), MONITOR_MISTAKES.values(), ids=MONITOR_MISTAKES.keys())
def test_a_mistake_in_a_monitor_is_told(text: str, said: str) -> None:
    told = problems(BASE + MONITOR + text)
    assert said in told[0], told[0]
    assert len(told) == 1, told


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("nowhere", "'nowhere' is not a place: write channel:room"),
        ("slack:T1/C2", "there is no channel 'slack'; known: api, console, web"),
        ("web:", "'web:' names no room"),
        ("web:a/b/c/d", "'web:a/b/c/d' is not a place"),
    ],
)
def test_a_place_to_report_to_must_be_one(place: str, said: str) -> None:
    (told,) = problems(BASE + MONITOR.replace("web:main", place) + 'every = "5m"\n')
    assert told.startswith(f"config.toml:9: monitors[0].report_to[0]: {said}")


def test_all_mistakes_are_told_at_once_in_the_order_of_their_lines() -> None:
    text = '[web]\nport = "x"\nprot = 1\n[agents.a]\nmodel = "b"\nprompt = "${NO}"\ntools = ["zzz"]\n[x]\n'
    told = problems(text)
    assert [int(problem.split(":")[1]) for problem in told] == [2, 3, 5, 6, 7, 8]


def test_a_table_that_is_wrong_inside_may_still_be_named_elsewhere() -> None:
    told = problems(
        '[models.m]\nkind = "x"\n[agents.a]\nmodel = "m"\nprompt = "x"\n[[routes]]\nagent = "b"\n[agents.b]\n'
    )
    assert [problem.split(": ")[1] for problem in told] == ["models.m.kind", "agents.b.prompt"]


# --- secrets


def test_no_secret_is_in_the_representation_of_the_configuration() -> None:
    config = load(EXAMPLE, environ=SECRETS)
    shown = repr(config) + str(config)
    for secret in SECRETS.values():
        assert secret not in shown
        assert secret in config.secrets


def test_no_secret_is_in_an_error() -> None:
    text = """
[channels.telegram]
token = "${T} ${T}"
tokens = "${T}"
base_url = "${T}"
[models.m]
kind = "${T}"
base_url = "${T}"
model = "x"
[agents."${T}"]
prompt = "x"
model = "${T}"
queue = "${T}"
[web]
token = "${T} "
port = "${T}"
[[monitors]]
name = "${T}"
"""
    told = "\n".join(problems(text, {"T": "hunter2-very-secret"}))
    assert "hunter2" not in told
    assert "${T}" in told


# --- the token of the page


def test_a_made_token_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    config = load(environ={})
    assert found(config) is None
    made = settled(config)
    assert made.new
    assert made.file == tmp_path / "data" / "token"
    assert made.file.stat().st_mode & 0o777 == 0o600
    assert made.file.parent.stat().st_mode & 0o777 == 0o700
    again = settled(config)
    assert (again.value, again.new) == (made.value, False)
    assert made.value not in repr(made)


def test_a_configured_token_is_not_written_anywhere(tmp_path: Path) -> None:
    token = settled(load(environ={"THREADMILL_TOKEN": "0123456789"}))
    assert (token.value, token.new, token.file) == ("0123456789", False, None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "short\n", "two words in a token file\n"])
def test_a_token_file_that_holds_none_is_replaced(content: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "token").write_text(content)
    assert settled(load(environ={})).new


# --- words for times


@given(st.integers(0, 300), st.integers(0, 99), st.integers(0, 99), st.integers(1, 99))
def test_durations_add_up(days: int, hours: int, minutes: int, seconds: int) -> None:
    text = f"{days}d{hours}h{minutes}m{seconds}s"
    assert duration(text) == timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


@pytest.mark.parametrize(
    "text", ["* * * * *", "*/5 0-6,22 1,15 jan-mar mon-fri", "0 9 * * 7", "59 23 31 12 sun", "0 0 1-31/2 * *"]
)
def test_cron_expressions_are_accepted(text: str) -> None:
    assert cron(f"  {text.replace(' ', '  ')} ") == text


SLIPS = """60 * * * *
* 24 * * *
* * 0 * *
* * * 13 *
* * * * 8
5-1 * * * *
*/0 * * * *
*/x * * * *
a * * * *
* * * * monday
, * * * *
1- * * * *
-1 * * * *
² * * * *
* * * * * *"""


@pytest.mark.parametrize("text", SLIPS.splitlines())
def test_cron_expressions_with_a_slip_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"cron|backwards"):
        cron(text)


# --- what it costs


@pytest.mark.slow
def test_loading_imports_nothing_of_a_platform_a_model_or_the_log() -> None:
    program = (
        "import json, sys\nfrom pathlib import Path\nfrom bot.config import load\n"
        f"load(Path({str(EXAMPLE)!r}), environ={SECRETS!r})\nprint(json.dumps(sorted(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    imported = {name.partition(".")[0] for name in json.loads(result.stdout)}
    unwanted = {
        "discord",
        "telegram",
        "slack_sdk",
        "slack_bolt",
        "anthropic",
        "openai",
        "httpx",
        "aiohttp",
        "structlog",
    }
    assert imported & (unwanted | {"rich", "click", "aiosqlite", "starlette"}) == set()
