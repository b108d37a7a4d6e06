"""The log: one line an event on standard error, for a person on a terminal and as JSON for a machine.

Every line carries what its caller has bound (session, channel, delivery, monitor), those of the platforms'
libraries too, since they pass through here. No secret passes: values that the configuration calls secret, and
whatever has the shape of a token, are taken out of the finished line, tracebacks included. Text from
people cannot forge a line or speak to the terminal: control characters are shown escaped.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Iterable, MutableMapping
from importlib import import_module
from typing import IO, Any, Literal

HIDDEN = "[hidden]"
_SHORTEST_SECRET = 6  # shorter values would take words out of harmless lines

_SHAPES = re.compile(
    r"""
      (?P<keep>                                             # the word before it stays
          authorization\\?["']?\s*[:=]\s*\\?["']?(?:(?:bearer|bot|basic)\s+)?
        | \b(?:bearer|basic)\s+(?=[\w.~+/-]{16})
        | [?&](?:token|key|api_key|secret|access_token)=
      )[^\s"'\\,&}\]]+
    | \b(?:sk|pk)-[\w-]{16,}                                # Anthropic, OpenAI
    | \bxox[a-z](?:\.[a-z]+)?-[\w-]{8,} | \bxapp-[\w-]{8,}   # Slack
    | (?<!\d)\d{5,12}:[\w-]{30,}                            # Telegram, also in /bot<token>/
    | \b[\w-]{23,28}\.[\w-]{6}\.[\w-]{27,}                  # Discord
    """,
    re.VERBOSE | re.IGNORECASE,
)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")

# Their INFO lines are one line a request, with Telegram's token in the address; DEBUG shows headers.
_ALWAYS_QUIET = ("httpx", "httpx2", "httpcore", "httpcore2", "hpack", "anthropic", "openai")
_QUIET = ("aiohttp", "aiosqlite", "apscheduler", "asyncio", "discord", "slack_bolt", "slack_sdk", "telegram", "uvicorn")


class Redaction:
    """Takes secrets out of text. Values can be added while the program runs."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._values: set[str] = set()
        self._known: re.Pattern[str] | None = None
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        for secret in secrets:
            if len(secret) >= _SHORTEST_SECRET:
                as_json = (json.dumps(secret, ensure_ascii=ascii)[1:-1] for ascii in (True, False))
                self._values |= {secret, *as_json, repr(secret)[1:-1]}
        if self._values:
            longest_first = sorted(self._values, key=len, reverse=True)
            self._known = re.compile("|".join(re.escape(value) for value in longest_first))

    def __call__(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        return _SHAPES.sub(lambda match: (match["keep"] or "") + HIDDEN, text)


def start(
    *,
    level: str = "info",
    format: Literal["auto", "console", "json"] = "auto",
    secrets: Iterable[str] = (),
    stream: IO[str] | None = None,
) -> Redaction:
    """Begin to log. The redaction is returned so that secrets made later can be added."""
    library = _structlog()
    stream = stream or sys.stderr
    redaction = Redaction(secrets)
    on_terminal = stream.isatty()
    as_json = format == "json" or (format == "auto" and not on_terminal)
    shared: list[Any] = [
        library.contextvars.merge_contextvars,
        library.stdlib.add_log_level,
        library.stdlib.add_logger_name,
        library.processors.TimeStamper(fmt="iso" if as_json else "%H:%M:%S", utc=as_json),
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        _formatter(library, shared, redaction, as_json, on_terminal and not os.environ.get("NO_COLOR"))
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    number = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(number)
    for name in _ALWAYS_QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(number, logging.WARNING) if number > logging.DEBUG else logging.DEBUG)
    logging.captureWarnings(True)
    library.configure(
        processors=[
            *shared,
            library.stdlib.PositionalArgumentsFormatter(),
            library.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=library.stdlib.LoggerFactory(),
        wrapper_class=library.make_filtering_bound_logger(number),
        cache_logger_on_first_use=False,
    )
    return redaction


def _formatter(
    library: Any, shared: list[Any], redaction: Redaction, as_json: bool, coloured: bool
) -> logging.Formatter:
    if as_json:
        renderer = library.processors.JSONRenderer(ensure_ascii=False, default=str)
    else:
        renderer = library.dev.ConsoleRenderer(
            colors=coloured, exception_formatter=library.dev.plain_traceback, pad_event_to=0, sort_keys=False
        )
    inner = library.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, library.stdlib.ExtraAdder()],
        processors=[
            library.stdlib.ProcessorFormatter.remove_processors_meta,
            library.processors.format_exc_info,
            _escaped,
            _ordered,
            renderer,
        ],
    )
    return _Redacting(inner, redaction)


class _Redacting(logging.Formatter):
    """The last thing that happens to a line."""

    def __init__(self, inner: logging.Formatter, redaction: Redaction) -> None:
        super().__init__()
        self._inner = inner
        self._redaction = redaction

    def format(self, record: logging.LogRecord) -> str:
        return self._redaction(self._inner.format(record))


def _escaped(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Control characters shown as what they are; the lines of a traceback stay lines."""
    for key, value in event.items():
        if isinstance(value, str):
            parts = value.split("\n") if key == "exception" else [value]
            event[key] = "\n".join(_CONTROL.sub(lambda match: ascii(match[0])[1:-1], part) for part in parts)
    return event


def _ordered(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """What every line has comes first, so that lines can be read one under the other."""
    first = {key: event[key] for key in ("timestamp", "level", "logger", "event") if key in event}
    return {**first, **event}


def _structlog() -> Any:
    """structlog without rich. It imports rich for tracebacks that we do not use, and that costs 150 ms and 7 MB."""
    if "structlog" in sys.modules:
        return sys.modules["structlog"]
    before = sys.modules.get("rich")
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        return import_module("structlog")
    finally:
        if before is None:
            del sys.modules["rich"]
        else:
            sys.modules["rich"] = before
