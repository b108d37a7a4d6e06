"""From a file to plain values: read, parse, and put the environment's values in.

Whatever a path can turn out to be (missing, a folder, a picture, a gigabyte of zeros) becomes a problem with a
sentence, never a traceback. `${NAME}` in any string is replaced by the environment's value, or by that of the
`.env` file beside the configuration; the real environment wins. `$$` stands for one dollar sign.
"""

from __future__ import annotations

import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path as File
from typing import Any

from bot.config.lines import Path, line_of, lines_of, written
from bot.config.problems import ConfigProblem

LARGEST_BYTES = 1_000_000

_DOLLAR = re.compile(r"\$(?:(?P<escape>\$)|\{(?P<name>[^{}]*)\}|(?P<open>\{))")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_AT_LINE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(slots=True, kw_only=True)
class Source:
    """A file's values, where they stand, and what is wrong so far."""

    file: File
    values: dict[str, Any] | None = field(default_factory=dict)  # None: the file cannot be read
    lines: dict[Path, int] = field(default_factory=dict)
    from_environment: dict[str, str] = field(default_factory=dict, repr=False)  # what ${NAME} stood for, by name
    problems: list[ConfigProblem] = field(default_factory=list)

    def problem(self, path: Path, message: str) -> None:
        """Note a problem at a path. What came from the environment is shown as ${NAME}: it may be a secret."""
        for name, value in self.from_environment.items():
            if len(value) >= 4:
                message = message.replace(value, f"${{{name}}}")
        self.problems.append(
            ConfigProblem(file=self.file, line=line_of(self.lines, path), key=written(path), message=message)
        )


def read_source(file: File, environ: Mapping[str, str]) -> Source:
    """Read and parse a configuration file. Its problems are in the result; nothing is raised."""
    source = Source(file=file, values=None)
    text = _text_of(file, source.problems, "; write one with `threadmill init`, or name another with --config")
    if text is None:
        return source
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        source.problems.append(_syntax_problem(file, text, error))
        return source
    except RecursionError:
        source.problems.append(ConfigProblem(file=file, message="the values are nested too deeply; flatten them"))
        return source
    source.lines = lines_of(text)
    source.values = _filled(source, environ, values, ())
    return source


def dotenv(folder: File, problems: list[ConfigProblem]) -> dict[str, str]:
    """The values of a folder's `.env` file; none when there is no such file."""
    file = folder / ".env"
    if not file.exists():
        return {}
    text = _text_of(file, problems)
    if text is None:
        return {}
    from dotenv.parser import parse_stream

    values = {}
    for binding in parse_stream(StringIO(text)):
        if binding.error:
            problems.append(
                ConfigProblem(file=file, line=binding.original.line, message="write NAME=value, one on a line")
            )
        elif binding.key is not None and binding.value is not None:
            values[binding.key] = binding.value
    return values


class _Unreadable(Exception):
    """Why a file gives no text."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


def _text_of(file: File, problems: list[ConfigProblem], when_missing: str = "") -> str | None:
    try:
        return _decoded(_content_of(file, when_missing))
    except _Unreadable as error:
        problems.append(ConfigProblem(file=file, line=error.line, message=str(error)))
        return None


def _content_of(file: File, when_missing: str) -> bytes:
    try:
        found = file.stat()
        if stat.S_ISDIR(found.st_mode):
            raise _Unreadable("is a folder; name the file in it, for example config.toml")
        if not stat.S_ISREG(found.st_mode):
            raise _Unreadable("is no regular file; name a TOML file")
        if found.st_size > LARGEST_BYTES:
            raise _Unreadable(
                f"has {found.st_size:,} bytes, and a configuration has at most {LARGEST_BYTES:,}; is this it?"
            )
        with file.open("rb") as stream:
            return stream.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise _Unreadable(f"there is no such file{when_missing}") from None
    except PermissionError:
        raise _Unreadable("may not be read; check the owner and the mode of the file and its folder") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise _Unreadable(f"cannot be read: {reason}") from None


def _decoded(content: bytes) -> str:
    if b"\0" in content:
        raise _Unreadable("is a binary file; name a TOML file", _line_at(content, content.index(b"\0")))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Unreadable("is not UTF-8 text; save the file as UTF-8", _line_at(content, error.start)) from None


def _line_at(content: bytes, position: int) -> int:
    return content[:position].count(b"\n") + 1


def _syntax_problem(file: File, text: str, error: tomllib.TOMLDecodeError) -> ConfigProblem:
    message = str(error)
    where = _AT_LINE.search(message)
    line, column = None, ""
    if where is not None:
        message = message[: where.start()]
        line = int(where[1]) if where[1] else text.rstrip().count("\n") + 1
        column = f" (column {where[2]})" if where[2] else ""
    return ConfigProblem(
        file=file, line=line, message=f"this is not TOML: {message[:1].lower()}{message[1:]}{column}; text needs quotes"
    )


def _filled(source: Source, environ: Mapping[str, str], value: Any, path: Path) -> Any:
    """The same value with the environment's values in its strings."""
    if isinstance(value, dict):
        return {key: _filled(source, environ, item, (*path, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(source, environ, item, (*path, index)) for index, item in enumerate(value)]
    if not isinstance(value, str) or "$" not in value:
        return value

    def put_in(match: re.Match[str]) -> str:
        name = match["name"]
        if match["escape"]:
            return "$"
        if name is None or not _NAME.fullmatch(name):
            source.problem(path, "write ${NAME} with the name of an environment variable, or $$ for a dollar sign")
            return match[0]
        if name not in environ:
            source.problem(
                path, f"the environment has no {name}: set it, or write {name}=… into the .env file beside this one"
            )
            return match[0]
        source.from_environment[name] = environ[name]
        return environ[name]

    return _DOLLAR.sub(put_in, value)
