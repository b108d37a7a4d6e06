"""The command line without a running Threadmill: verbs, exit codes, what is printed where."""

import asyncio
import json
import resource
import shutil
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.cli.app import run, threadmill
from bot.cli.banner import banner, page_address
from bot.cli.doctor_machine import clock, integrity, lock, private, space, writable
from bot.cli.examine import run_checks
from bot.cli.failed import Failed
from bot.cli.init import prove
from bot.cli.init_files import Answers, config_text, write
from bot.cli.output import Column, clean, clean_lines, print_rows
from bot.cli.packages import foreign_package
from bot.config import load
from bot.config.text import dotenv
from bot.config.token import WebToken
from channels.checks import Check, CheckResult, Result, ok
from tests.cli_program import verb

ROOT = Path(__file__).resolve().parent.parent
VERBS = ["run", "init", "check", "schema", "doctor", "chat", "status", "sessions", "history", "deliveries"]
VERBS += ["deadletters", "monitors", "cost", "audit", "route", "forget"]
CONFIG = """\
[models.default]
kind = "rehearsal"
[agents.assistant]
prompt = "Be kind."
[agents.support]
prompt = "Be brief."
[channels.slack]
bot_token = "xoxb-secret-secret"
app_token = "xapp-secret-secret"
[[routes]]
name = "office"
channel = "slack"
room = "C1"
agent = "support"
thread = true
hours = "9-17"
[people.ada]
accounts = ["slack:T1/U1"]
role = "owner"
"""


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("THREADMILL_PORT", "THREADMILL_DATA"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def configured() -> None:
    Path("config.toml").write_text(CONFIG)


# --- help


def test_help_names_every_verb_of_the_contract() -> None:
    assert sorted(threadmill.commands) == sorted(VERBS)
    assert {*threadmill.commands["deadletters"].commands} == {"list", "retry", "drop"}  # type: ignore[attr-defined]
    assert {*threadmill.commands["audit"].commands} == {"verify"}  # type: ignore[attr-defined]
    assert {*threadmill.commands["route"].commands} == {"explain"}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "words", [(name,) for name in VERBS] + [("route", "explain"), ("audit", "verify"), ()], ids=" ".join
)
def test_every_verb_explains_itself(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*words, "--help"]) == 0
    assert "Usage: threadmill" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    ["check", "doctor", "status", "sessions", "history", "deliveries", "deadletters", "monitors", "cost", "audit"],
)
def test_every_listing_has_json(words: str) -> None:
    assert "as_json" in {parameter.name for parameter in threadmill.commands[words].params}


def test_help_imports_nothing_slow_and_costs_little(tmp_path: Path) -> None:
    program = "import sys\nfrom bot.cli.app import run\nrun(['--help'])\nprint('|'.join(sys.modules), file=sys.stderr)"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    imported = {name.partition(".")[0] for name in done.stderr.strip().split("|")}
    slow = {"pydantic", "asyncio", "structlog", "aiosqlite", "httpx", "starlette", "discord", "telegram", "anthropic"}
    assert imported & slow == set()
    # Of processor time, since other tests run beside this one; 0.25 s when measured.
    assert after.ru_utime - before.ru_utime < 0.6


# --- the folder it runs from


def test_our_own_packages_are_recognised() -> None:
    assert foreign_package(ROOT) is None


def test_a_package_of_somebody_else_is_named(tmp_path: Path) -> None:
    said = foreign_package(tmp_path)
    assert said is not None
    assert f"'agents' is imported from {ROOT / 'agents'}" in said
    assert "environment of its own" in said


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "bot", tmp_path / "bot")
    without_others = [sys.executable, "-S", "-m", "bot", "check"]
    done = subprocess.run(without_others, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert "'agents' is missing beside" in done.stderr


# --- check and schema


def test_check_says_what_is_there(configured: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check"]) == 0
    assert capsys.readouterr().out == (
        "config.toml: fine (1 channel, 1 model, 2 agents, 1 route, 1 person, 0 monitors)\n"
    )


def test_check_names_every_mistake_and_ends_with_two(capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.toml").write_text('[web]\nport = "x"\n[weeb]\n')
    assert run(["check", "--config", "bad.toml"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    port, table, count = told.err.splitlines()
    assert port == "bad.toml:2: web.port: write a whole number without quotes, such as 5"
    assert table.startswith("bad.toml:3: weeb: there is no such table; did you mean 'web'? (known: access, agents,")
    assert count == "2 to put right"


def test_check_tells_programs_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.toml").write_text("[weeb]\n")
    assert run(["check", "--config", "bad.toml", "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["valid"] is False
    assert [(each["file"], each["line"], each["key"]) for each in told["problems"]] == [("bad.toml", 1, "weeb")]
    assert run(["check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["agents"] == 2


def test_schema_prints_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Threadmill's config.toml"


@pytest.mark.parametrize(
    "words", [["nope"], ["check", "--nope"], ["history"], ["sessions", "--limit", "0"]], ids=" ".join
)
def test_wrong_usage_ends_with_two(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 2
    assert "Error" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["run"], ["sessions"], ["chat"], ["status"], ["route", "explain", "--channel", "web",
                                   "--room", "main", "--sender", "x", "hi"]], ids=" ".join)  # fmt: skip
def test_a_broken_configuration_ends_every_verb_with_two(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("config.toml").write_text("[weeb]\n")
    assert run(words) == 2
    assert "config.toml:1: weeb: there is no such table" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["sessions", "deliveries", "deadletters", "monitors", "cost", "audit"])
def test_a_listing_without_a_database_says_how_one_comes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name]) == 1
    assert capsys.readouterr().err.startswith("threadmill: there is no ")


@pytest.mark.parametrize("words", [["chat"], ["deadletters", "retry", "1"]])
def test_what_needs_a_running_one_says_so(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 1
    assert "start one with `threadmill run`" in capsys.readouterr().err


def test_status_works_when_nothing_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["running"], told["overview"]) == (False, None)


# --- route explain

ASK = ["route", "explain", "--channel", "slack", "--room", "C1"]


def explained(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert run([*ASK, "--json", *words]) == 0
    told: dict[str, object] = json.loads(capsys.readouterr().out)
    return told


def test_route_explain_says_which_rule_takes_a_message(configured: None, capsys: pytest.CaptureFixture[str]) -> None:
    told = explained(capsys, "--sender", "T1/U1", "--at", "2026-11-23T10:00", "hello")
    assert (told["decision"], told["agent"], told["thread"]) == ("NewSession", "support", True)
    assert any(each["matched"] and "office" in each["rule"] for each in told["explained"])  # type: ignore[attr-defined]


def test_route_explain_says_why_a_rule_does_not(configured: None, capsys: pytest.CaptureFixture[str]) -> None:
    told = explained(capsys, "--sender", "T1/U1", "--at", "2026-11-23T20:00", "hello")
    assert told["decision"] == "Ignore"
    assert "it is not for mon 20:00" in json.dumps(told["explained"])


def test_route_explain_knows_strangers_and_commands(configured: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert explained(capsys, "--sender", "T1/U9", "--mention", "hello")["decision"] == "Refuse"
    told = explained(capsys, "--sender", "slack:T1/U1", "/kill all")
    assert (told["decision"], told["command"], told["arguments"]) == ("Run", "kill", "all")


def test_route_explain_is_a_table_for_people(configured: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*ASK, "--sender", "T1/U1", "--at", "2026-11-23T10:00", "hi"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == ["RULE", "TAKES", "IT", "WHY"]
    assert "agent support" in out


def test_route_explain_refuses_what_is_not_there(configured: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["route", "explain", "--channel", "slak", "--room", "C1", "--sender", "x", "hi"]) == 2
    assert "known: slack, web, console, api" in capsys.readouterr().err
    assert run([*ASK, "--sender", "x", "--at", "noon", "hi"]) == 2


# --- init


@pytest.mark.slow
def test_init_without_a_terminal_writes_what_the_options_say(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "--model", "rehearsal", "--timezone", "Europe/Berlin"]) == 0
    config = load(environ={})
    assert config.rehearsing
    assert config.bot.timezone.key == "Europe/Berlin"
    assert "ok       model.default" in capsys.readouterr().err


def test_init_does_not_overwrite_and_keeps_the_old_one(capsys: pytest.CaptureFixture[str]) -> None:
    Path("config.toml").write_text("# mine\n")
    assert run(["init", "--model", "rehearsal"]) == 2
    assert "--force" in capsys.readouterr().err
    assert run(["init", "--model", "rehearsal", "--force", "--no-prove"]) == 0
    assert Path("config.toml.bak").read_text() == "# mine\n"


def test_init_names_the_secret_that_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "--model", "rehearsal", "--channel", "telegram", "--owner", "telegram:42"]) == 1
    assert "put TELEGRAM_TOKEN into .env" in capsys.readouterr().err
    config = load(environ={"TELEGRAM_TOKEN": "123456:secret"})
    assert config.people["me"].reach == (("telegram", "telegram:42"),)


def test_init_refuses_a_platform_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "--channel", "irc"]) == 2
    assert "known: discord, slack, telegram" in capsys.readouterr().err


@pytest.mark.slow  # imports the provider's library
def test_init_fails_when_the_model_does_not_answer(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["init", "--model", "local", "--base-url", "http://127.0.0.1:9", "--model-id", "m"]
    assert run(words) == 1
    assert "model.default did not work" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["anthropic", "openai", "local", "rehearsal"])
def test_what_init_writes_is_valid_with_every_platform(kind: str) -> None:
    answers = Answers(
        model_kind=kind,
        channels=("discord", "slack", "telegram"),
        owners=("slack:T1/U1", "telegram:4"),
        timezone="UTC",
        model_id='odd "${name}" $',
    )
    Path("config.toml").write_text(config_text(answers))
    config = load(environ={name: f"123:{name}" for name in answers.secret_names()})
    assert [*config.channels] == ["discord", "slack", "telegram"]
    assert kind == "rehearsal" or next(iter(config.models.values())).model == 'odd "${name}" $'


def test_secrets_go_beside_it_for_the_owner_alone(tmp_path: Path) -> None:
    Path(".env").write_text("OTHER=1\nTELEGRAM_TOKEN=old\n")
    answers = Answers(model_kind="rehearsal", channels=("telegram",), secrets={"TELEGRAM_TOKEN": "1:a'b \\ $c #d"})
    write(tmp_path / "config.toml", answers)
    assert stat.S_IMODE(Path(".env").stat().st_mode) == 0o600
    assert "1:a" not in Path("config.toml").read_text()
    assert dotenv(tmp_path, []) == {"OTHER": "1", "TELEGRAM_TOKEN": "1:a'b \\ $c #d"}


# --- doctor


@pytest.mark.slow
def test_doctor_has_evidence_for_each_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len({each["id"] for each in found}) == len(found) >= 20
    assert all(each["evidence"] for each in found)
    assert all(each["fix"] for each in found if each["result"] in {"failed", "warning"})


def test_doctor_goes_on_when_the_configuration_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    Path("config.toml").write_text("[weeb]\n[wob]\n")
    assert run(["doctor", "--json"]) == 1
    found = {each["id"]: each for each in json.loads(capsys.readouterr().out)}
    assert found["config.valid"]["result"] == "failed"
    assert "(and 1 more)" in found["config.valid"]["evidence"]
    assert found["machine.python"]["result"] in {"ok", "warning"}


def test_doctor_offline_asks_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    Path("config.toml").write_text(
        '[models.m]\nkind = "anthropic"\nmodel = "x"\nbase_url = "http://127.0.0.1:9"\n'
        '[agents.a]\nmodel = "m"\nprompt = "x"\n'
    )
    assert run(["doctor", "--offline"]) == 0
    assert "model.m" not in capsys.readouterr().out
    assert run(["doctor"]) == 1
    assert "failed   model.m" in capsys.readouterr().out


async def test_a_check_that_hangs_or_breaks_spoils_no_other() -> None:
    async def hang() -> CheckResult:
        await asyncio.Event().wait()
        raise AssertionError

    async def break_down() -> CheckResult:
        raise KeyError("x")

    async def pass_() -> CheckResult:
        return ok("fine")

    checks = [Check(id=run.__name__, run=run) for run in (hang, break_down, pass_)]
    done: list[None] = []
    found = await run_checks(checks, lambda: done.append(None), timeout_seconds=0.05)
    assert [each.id for each in found] == ["hang", "break_down", "pass_"]
    assert [each.result.result for each in found] == [Result.FAILED, Result.FAILED, Result.OK]
    assert "no answer within 0.05 s" in found[0].result.evidence
    assert "KeyError" in found[1].result.evidence
    assert len(done) == 3


def test_doctor_sees_a_damaged_database(tmp_path: Path) -> None:
    (tmp_path / "threadmill.db").write_bytes(b"not a database at all" * 500)
    found = integrity(tmp_path)
    assert found.result is Result.FAILED
    assert "backups" in found.fix


def test_doctor_sees_who_may_read_the_data(tmp_path: Path) -> None:
    (tmp_path / "threadmill.db").touch()
    tmp_path.chmod(0o755)
    assert private(tmp_path).result is Result.WARNING
    tmp_path.chmod(0o777)
    assert private(tmp_path).result is Result.FAILED
    tmp_path.chmod(0o700)
    assert private(tmp_path).result is Result.OK


def test_doctor_measures_the_disk_and_the_clock(tmp_path: Path) -> None:
    assert "a sync takes" in writable(tmp_path).evidence or "a sync took" in writable(tmp_path).evidence
    assert "GB free" in space(tmp_path / "not" / "there").evidence
    assert f"{datetime.now(UTC):%Y-%m-%d}" in clock(tmp_path).evidence
    assert lock(tmp_path).evidence == "no process uses the data folder"


# --- what is printed

HOSTILE = "name\x1b]0;owned\x07\x1b[2J\r\n\u202edrow\u2028\x9b31m"


def test_nothing_that_a_terminal_obeys_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert clean(HOSTILE).isprintable()
    print_rows([HOSTILE, "plain"], False, [Column(title="name", value=lambda row: row)], nothing="")
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 3
    assert all(line.isprintable() for line in out.splitlines())
    assert clean_lines("a\tb\nc\x1b") == "a    b\nc\\x1b"


def test_columns_are_aligned_in_a_pipe_and_nothing_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    columns = [
        Column(title="n", value=lambda row: row[0], right=True),
        Column(title="text", value=lambda row: row[1], wide=True),
    ]
    print_rows([(1, "x" * 300), (200, None), (3, True)], False, columns, nothing="")
    assert capsys.readouterr().out.splitlines() == ["  N  TEXT", f"  1  {'x' * 300}", "200  -", "  3  yes"]


def test_an_empty_listing_teaches_people_and_is_a_list_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([], False, [], nothing="Nothing here yet.")
    print_rows([], True, [], nothing="Nothing here yet.")
    told = capsys.readouterr()
    assert (told.out, told.err) == ("[]\n", "Nothing here yet.\n")


def test_the_banner_shows_the_token_only_to_a_person_or_when_it_is_new() -> None:
    config = load(environ={"THREADMILL_PORT": "1234"})
    kept = WebToken(value="made+token/0123456789", new=False, file=Path("data/token"))
    new = WebToken(value="made+token/0123456789", new=True, file=Path("data/token"))
    address = "http://127.0.0.1:1234/?token=made%2Btoken%2F0123456789"
    assert address in banner(config, new, on_terminal=False)
    assert address in banner(config, kept, on_terminal=True)
    in_a_log = banner(config, kept, on_terminal=False)
    assert "made" not in in_a_log
    assert "kept in data/token" in in_a_log
    assert "rehearsal" in in_a_log
    assert "\x1b" not in in_a_log


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("0.0.0.0", "http://127.0.0.1:8642/"),
        ("::", "http://[::1]:8642/"),
        ("::1", "http://[::1]:8642/"),
        ("mill.lan", "http://mill.lan:8642/"),
    ],
)
def test_the_page_is_named_by_an_address_that_a_browser_takes(host: str, address: str) -> None:
    Path("config.toml").write_text(f'[web]\nhost = "{host}"\n')
    assert page_address(load(environ={})) == address


def test_python_dash_m_bot_is_the_same_command(tmp_path: Path) -> None:
    done = verb("--version", folder=tmp_path)
    assert (done.code, done.out.split()[0]) == (0, "threadmill")


PLATFORMS = """\
[models.m]
kind = "rehearsal"
[channels.telegram]
token = "123456:telegram-secret-telegram-secret"
base_url = "http://127.0.0.1:9/bot"
[channels.discord]
token = "discord.secret.discord-secret"
base_url = "http://127.0.0.1:9/api/v10"
[channels.work]
kind = "slack"
bot_token = "xoxb-slack-secret"
app_token = "xapp-slack-secret"
base_url = "http://127.0.0.1:9/api/"
[[routes]]
channel = "work"
room = "C1"
agent = "assistant"
"""


@pytest.mark.slow  # imports three platforms' libraries
def test_doctor_examines_each_platform_and_tells_no_token(capsys: pytest.CaptureFixture[str]) -> None:
    Path("config.toml").write_text(PLATFORMS)
    assert run(["doctor", "--json"]) == 1
    out = capsys.readouterr().out
    found = json.loads(out)
    assert len(found) == len({each["id"] for each in found}) >= 40
    for name in ("telegram", "discord", "work"):
        results = [each["result"] for each in found if each["id"].startswith(f"channel.{name}.")]
        assert "failed" in results
    assert all(each["fix"] for each in found if each["result"] == "failed")
    assert "the check itself broke" not in out
    assert not [token for token in load(environ={}).secrets if token in out]


@pytest.mark.slow
def test_a_platform_that_does_not_answer_is_not_proven(capsys: pytest.CaptureFixture[str]) -> None:
    Path("config.toml").write_text(PLATFORMS)
    with pytest.raises(Failed, match=r"channel\.telegram, channel\.discord, channel\.work did not work"):
        prove(Path("config.toml"))
    said = capsys.readouterr().err
    assert not [token for token in load(environ={}).secrets if token in said]
