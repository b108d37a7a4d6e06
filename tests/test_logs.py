"""The log: every line whole, with what was bound, and without a secret or a trick in it."""

import io
import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any, Literal

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from bot import logs
from bot.logs import HIDDEN, Redaction

SECRET = "hunter2-very-secret"
SHAPES = [
    "sk-ant-api03-Zm9vYmFyYmF6cXV4",
    "sk-proj-0123456789abcdefghij",
    "xoxb-1234567890-abcdefghijkl",
    "xapp-1-A0123-4567-abcdef",
    "xoxe.xoxp-1-abcdefgh",
    "123456789:AAF0123456789abcdefghijklmnopqrstuv",
    "MTA1234567890123456789012.GabcDe.0123456789abcdefghijklmnopq",
]


class Log:
    """What was logged."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def start(self, format: Literal["json", "console"] = "json", level: str = "info") -> Redaction:
        return logs.start(level=level, format=format, secrets=[SECRET], stream=self.stream)

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def log() -> Iterator[Log]:
    """A log of its own; logging is afterwards as pytest set it up."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in (*logs._ALWAYS_QUIET, *logs._QUIET)}
    yield Log()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, value in levels.items():
        logging.getLogger(name).setLevel(value)
    logging.captureWarnings(False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_every_line_carries_what_its_caller_bound_that_of_libraries_too(log: Log) -> None:
    log.start()
    with structlog.contextvars.bound_contextvars(session="s1", channel="slack"):
        structlog.get_logger("turn").info("it began", step=3)
        logging.getLogger("slack_bolt").warning("a %s", "hint")
    logging.getLogger("elsewhere").info("alone")
    ours, theirs, alone = log.lines()
    assert (ours["event"], ours["step"], ours["session"], ours["channel"]) == ("it began", 3, "s1", "slack")
    assert (ours["level"], ours["logger"]) == ("info", "turn")
    assert (theirs["event"], theirs["session"], theirs["logger"]) == ("a hint", "s1", "slack_bolt")
    assert "session" not in alone
    assert ours["timestamp"].endswith("Z")


@pytest.mark.parametrize("format", ["json", "console"])
def test_a_known_secret_is_hidden_wherever_it_stands(log: Log, format: Literal["json", "console"]) -> None:
    redaction = log.start(format)
    redaction.add(["made-later-0123"])
    logger = structlog.get_logger("x")
    logger.warning(" ".join(("in the text", SECRET)), field=SECRET, deep={"a": [SECRET]}, later="made-later-0123")
    logging.getLogger("y").warning("in an argument %s", SECRET)
    try:
        raise ValueError(f"in an error {SECRET}")
    except ValueError:
        logger.exception("failed")
        logging.getLogger("y").exception("failed too")
    assert SECRET not in log.text
    assert "made-later" not in log.text
    assert log.text.count("ValueError: in an error [hidden]") == 2


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("around", ["{}", "token={}", "https://host/{}/getMe", '"{}"', "({}).", "bad: {},"])
def test_what_looks_like_a_token_is_hidden(shape: str, around: str) -> None:
    hidden = Redaction()(around.format(shape))
    assert shape not in hidden
    assert HIDDEN in hidden


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("Authorization: Bearer abc", f"Authorization: Bearer {HIDDEN}"),
        ("{'authorization': 'Bot x.y.z', 'a': 1}", f"{{'authorization': 'Bot {HIDDEN}', 'a': 1}}"),
        ('{"Authorization":"abc"}', f'{{"Authorization":"{HIDDEN}"}}'),
        ("GET /?token=abc&after=1", f"GET /?token={HIDDEN}&after=1"),
        ("Bearer abcdefghijklmnopqrst", f"Bearer {HIDDEN}"),
    ],
)
def test_headers_and_addresses_keep_everything_but_the_secret(text: str, hidden: str) -> None:
    assert Redaction()(text) == hidden


@pytest.mark.parametrize(
    "text",
    [
        "the bearer of bad news",
        "slack:T1/C2/1700000000.000100 after 12:30:45",
        "session s7k2m4q9xz took 3.2 s",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "2026-11-21T08:36:02.735273Z",
        "channels.telegram.adapter.something_with_a_long_name",
    ],
)
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert Redaction(["short", ""])(text) == text


PLAIN = st.text(st.characters(codec="utf-8", exclude_characters='"{}[]:, \\'), min_size=6)


@given(PLAIN.filter(lambda secret: secret not in "event" + HIDDEN), st.text(), st.text())
def test_a_line_of_json_stays_json_and_never_holds_the_secret(secret: str, before: str, after: str) -> None:
    line = Redaction([secret])(json.dumps({"event": before + secret + after}, ensure_ascii=False))
    assert secret not in json.loads(line)["event"]


def test_a_telegram_token_in_an_address_is_hidden() -> None:
    token = "123456789:AAF0123456789abcdefghijklmnopqrstuv"
    assert Redaction()(f"https://api.telegram.org/bot{token}/getMe") == f"https://api.telegram.org/bot{HIDDEN}/getMe"


@pytest.mark.parametrize("format", ["json", "console"])
def test_text_from_people_cannot_forge_a_line_or_speak_to_the_terminal(
    log: Log, format: Literal["json", "console"]
) -> None:
    log.start(format)
    structlog.get_logger("x").info("hello\n08:00:00 [error] forged", name="\x1b[31mred\x1b[0m\r\x9b2J\u2028")
    assert len(log.text.splitlines()) == 1
    assert not set(log.text) & set("\x1b\r\x9b\u2028")


def test_the_request_lines_of_http_libraries_are_silent_at_every_level(log: Log) -> None:
    log.start(level="debug")
    for name in ("httpx", "httpx2", "httpcore.http11"):
        logging.getLogger(name).info("HTTP Request: POST https://api.telegram.org/bot1:x/getMe")
    logging.getLogger("telegram.ext").debug("heard at debug")
    assert [line["event"] for line in log.lines()] == ["heard at debug"]


def test_libraries_speak_up_only_when_something_is_wrong(log: Log) -> None:
    log.start()
    logging.getLogger("discord.gateway").info("shard connected")
    logging.getLogger("discord.gateway").warning("shard lost")
    logging.getLogger("channels.discord").info("ours")
    structlog.get_logger("x").debug("too fine")
    assert [line["event"] for line in log.lines()] == ["shard lost", "ours"]


def test_warnings_of_python_are_lines_too(log: Log) -> None:
    log.start()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("old ways", stacklevel=1)
    (line,) = log.lines()
    assert line["logger"] == "py.warnings"
    assert "old ways" in line["event"]


def test_colours_are_for_terminals_only(log: Log) -> None:
    log.start("console")
    structlog.get_logger("x").error("plain")
    assert "\x1b" not in log.text


def test_starting_the_log_does_not_import_rich() -> None:
    program = "import sys; from bot import logs; logs.start(); print(*(name for name in sys.modules if name == 'rich'))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""
