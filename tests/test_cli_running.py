"""The command line beside a running Threadmill: the real process, the real database, the real HTTP interface."""

import json
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.cli.route import CHAT_COMMANDS
from tests.cli_program import Started, started, verb
from tests.terminal import Terminal

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def mill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """One Threadmill for all tests that only talk to it; something was said in it already."""
    with started(tmp_path_factory.mktemp("mill")) as running:
        said = running.verb("chat", "--thread", "first", stdin="say hello\n\n/status\n")
        assert said.code == 0, said.err
        yield running


def answers(mill: Started, *lines: str, thread: str) -> list[str]:
    said = mill.verb("chat", "--thread", thread, "--timeout", "20", stdin="\n".join(lines) + "\n")
    assert said.code == 0, said.err
    return said.out.splitlines()


def as_json(mill: Started, *words: str) -> object:
    done = mill.quick(*words, "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_a_new_token_is_shown_once_and_kept_for_the_owner_alone(mill: Started) -> None:
    file = mill.folder / "data" / "token"
    assert f"http://127.0.0.1:{mill.env['THREADMILL_PORT']}/?token={file.read_text().strip()}" in mill.banner
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_status_shows_the_channels_and_what_goes_on(mill: Started) -> None:
    told = as_json(mill, "status")
    assert isinstance(told, dict)
    assert told["running"] is True
    assert told["overview"]["dead_letters"] == 0
    said = mill.quick("status").out
    assert "running    yes" in said
    assert "web: connected" in said


def test_piped_chat_prints_the_answers_only_each_before_the_next_question(mill: Started) -> None:
    assert answers(mill, "say one", "  ", "say two", "say three", thread="order") == ["one", "two", "three"]


def test_piped_chat_waits_for_what_it_set_going(mill: Started) -> None:
    said = answers(mill, "spawn researcher: wait 1s then say the answer is 42", thread="children")
    assert "the answer is 42" in "\n".join(said)


def test_piped_chat_answers_commands_and_what_is_refused(mill: Started) -> None:
    help_, unknown = "\n".join(answers(mill, "/help", thread="help")), answers(mill, "/nope", thread="help")
    assert unknown == ["There is no command /nope. /help lists all."]
    offered = {name for name in CHAT_COMMANDS if f"`/{name}" in help_}
    assert {"help", "spawn", "steer", "kill", "stop", "status", "history", "agents", "whoami"} <= offered


def test_help_in_chat_offers_nothing_that_the_command_line_does_not_know(mill: Started) -> None:
    said = "\n".join(answers(mill, "/help", thread="help"))
    offered = {line.split("`")[1].split()[0].removeprefix("/") for line in said.splitlines() if line.startswith("- `/")}
    assert offered <= set(CHAT_COMMANDS)


def test_piped_chat_gives_up_after_its_time(mill: Started) -> None:
    said = mill.verb("chat", "--thread", "slow", "--timeout", "1", stdin="wait 30s\n")
    assert said.code == 1
    assert "no answer in time" in said.err
    assert answers(mill, "/stop", thread="slow")


def test_every_listing_shows_the_same_facts_to_people_and_programs(mill: Started) -> None:
    (session,) = [row for row in as_json(mill, "sessions") if row["home"] == "console:/main/first"]  # type: ignore[attr-defined]
    table = mill.quick("sessions").out.splitlines()
    assert table[0].split()[:4] == ["ID", "LABEL", "AGENT", "STATE"]
    assert any(session["id"] in line and session["label"] in line for line in table)
    steps = as_json(mill, "history", session["label"])
    assert [step["kind"] for step in steps["steps"]] == ["input", "model"]  # type: ignore[index]
    shown = mill.quick("history", session["id"][:6]).out
    assert "say hello" in shown
    assert "rehearsal" in shown
    sent = as_json(mill, "deliveries")
    assert {row["state"] for row in sent} == {"sent"}  # type: ignore[attr-defined]
    assert as_json(mill, "deadletters") == as_json(mill, "deadletters", "list") == []
    assert as_json(mill, "monitors") == []
    assert sum(row["calls"] for row in as_json(mill, "cost")) >= 1  # type: ignore[attr-defined]
    assert {row["action"] for row in as_json(mill, "audit")} >= {"spawn", "model"}  # type: ignore[attr-defined]


def test_an_unknown_session_is_told(mill: Started) -> None:
    done = mill.quick("history", "nobody")
    assert done.code == 1
    assert "there is no session 'nobody'" in done.err


@pytest.mark.requirement("P10")
def test_the_audit_log_is_verified(mill: Started) -> None:
    told = as_json(mill, "audit", "verify")
    assert isinstance(told, dict)
    assert told["valid"] is True
    assert told["rows"] >= 2
    assert len(told["hash"]) == 64


def test_a_dead_letter_that_is_none_is_told(mill: Started) -> None:
    done = mill.quick("deadletters", "retry", "12345")
    assert done.code == 1
    assert "no dead letter '12345'" in done.err


def test_doctor_knows_that_it_is_running(mill: Started) -> None:
    done = mill.quick("doctor", "--json")
    found = {each["id"]: each for each in json.loads(done.out)}
    assert done.code == 0, found
    assert found["web.port"]["evidence"].startswith("Threadmill answers on")
    assert found["data.lock"]["evidence"].startswith(f"process {mill.process.pid} uses")
    assert found["database.integrity"]["result"] == "ok"


def test_a_wrong_token_is_told(mill: Started) -> None:
    env = {**mill.env, "THREADMILL_TOKEN": "another-token-0123456789"}
    done = verb("chat", folder=mill.folder, env=env, stdin="hi\n")
    assert done.code == 1
    assert "does not know this token" in done.err


def test_a_second_one_is_refused_on_the_same_port_and_on_the_same_data(mill: Started, tmp_path: Path) -> None:
    same_port = verb("run", folder=tmp_path, env=mill.env)
    assert same_port.code == 1
    assert f"port {mill.env['THREADMILL_PORT']}" in same_port.err
    assert "Traceback" not in same_port.err
    same_data = verb("run", folder=mill.folder, env={"THREADMILL_PORT": "0"})
    assert same_data.code == 1
    assert f"(process {mill.process.pid})" in same_data.err
    assert "Traceback" not in same_data.err


def test_chat_on_a_terminal_streams_steers_stops_and_leaves(mill: Started) -> None:
    assert answers(mill, "say hello", thread="terminal") == ["hello"]  # so that a session is bound and watched
    terminal = Terminal("chat", "--thread", "terminal", folder=mill.folder, env=mill.env)
    terminal.wait_for("hello")  # what was said before
    terminal.wait_for("› ")
    terminal.type("say good morning\n")
    terminal.wait_for("good morning\r\n")  # as it was typed
    terminal.wait_for("morning")
    terminal.wait_for("tokens")
    terminal.wait_for("› ")
    terminal.type("say begun then wait 20s\n")
    terminal.wait_for("20s\r\n")  # as it was typed
    terminal.wait_for("begun")
    terminal.type("\x03")
    terminal.wait_for("stopping …")
    terminal.wait_for("stopped")
    terminal.wait_for("Stopped the turn")
    terminal.wait_for("› ")
    terminal.type("/who\t\n")
    terminal.wait_for("console:owner")
    terminal.wait_for("› ")
    terminal.type("\x04")
    terminal.wait_for("the conversation goes on without you")
    assert terminal.wait() == 0
    assert stat.S_IMODE((mill.folder / "data" / "chat.history").stat().st_mode) == 0o600


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_stops_it_gracefully_and_a_restart_goes_on(number: signal.Signals, tmp_path: Path) -> None:
    with started(tmp_path) as first:
        assert first.verb("chat", stdin="say hello\n").out == "hello\n"
        assert first.stop(number) == 0
        token = (tmp_path / "data" / "token").read_text().strip()
        assert token in first.banner
    with started(tmp_path) as second:
        assert token not in second.banner
        assert "kept in" in second.banner
        assert [row["turns"] for row in json.loads(second.verb("sessions", "--json").out)] == [1]
        assert second.verb("chat", stdin="say again\n").out == "again\n"
        assert second.stop(number) == 0
