"""What is wrong with a configuration, as sentences that say where it stands and what to do.

All problems are collected and told at once. pydantic's errors are put into Threadmill's words here; a value
is shown only where it cannot be a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from pathlib import Path as File
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError

from bot.config.lines import Path

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigProblem:
    """One thing to put right. `line` is None and `key` empty where there is none."""

    file: File
    line: int | None = None
    key: str = ""
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line is not None else str(self.file)
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class ConfigInvalid(Exception):
    """The configuration cannot be used. Nothing was started."""

    def __init__(self, problems: Sequence[ConfigProblem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


def one_of(word: str, known: Sequence[str]) -> str:
    """What to write instead: the nearest known word first, then all of them."""
    if not known:
        return "there are none"
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    listed = ", ".join(sorted(known))
    return f"did you mean {near[0]!r}? (known: {listed})" if near else f"known: {listed}"


def explained(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[Path, str]]:
    """pydantic's errors as paths within `model` and sentences."""
    for detail in error.errors(include_url=False):
        path: Path = tuple(part for part in detail["loc"] if part != "[key]")
        sentence = _sentence(detail, path, model)
        if detail["type"] == "value_error":
            # A rule about several keys names the one to change: "script: only a rehearsal follows a script".
            key, colon, rest = sentence.partition(": ")
            table = _type_at(model, path)
            if colon and _is_model(table) and key in table.model_fields:
                path, sentence = (*path, key), rest
        yield path, sentence


def _sentence(detail: ErrorDetails, path: Path, model: type[BaseModel]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "extra_forbidden":
        return _unknown_key(path, model)
    if kind == "missing":
        return _missing_key(path, model)
    if kind in {"literal_error", "enum"}:
        return _not_a_choice(detail["input"], _type_at(model, path))
    if kind in _SENTENCES:
        return _SENTENCES[kind](context)
    if kind in _WANTED:
        return f"write {_WANTED[kind]}"
    return detail["msg"][:1].lower() + detail["msg"][1:]


_WANTED: Mapping[str, str] = {
    "string_type": 'text in quotes, such as "text"',
    "int_type": "a whole number without quotes, such as 5",
    "int_from_float": "a whole number, such as 5",
    "int_parsing": "a whole number without quotes, such as 5",
    "float_type": "a number without quotes, such as 1.5",
    "finite_number": "a finite number",
    "bool_type": "true or false, without quotes",
    "list_type": 'a list, such as ["one", "two"]',
    "dict_type": "a table: a [header] of its own, or { key = value }",
    "model_type": "a table: a [header] of its own, or { key = value }",
    "path_type": "a path in quotes",
}

_SENTENCES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than_equal": lambda context: f"must be at least {context['ge']:g}",
    "greater_than": lambda context: f"must be more than {context['gt']:g}",
    "less_than_equal": lambda context: f"must be at most {context['le']:g}",
    "less_than": lambda context: f"must be less than {context['lt']:g}",
    "string_too_short": lambda _: "must not be empty",
    "string_too_long": lambda context: f"must have at most {context['max_length']} characters",
    "too_short": lambda context: f"needs at least {context['min_length']} entries",
    "too_long": lambda context: f"takes at most {context['max_length']} entries",
    "string_pattern_mismatch": lambda context: f"must match the pattern {context['pattern']}",
}


def _unknown_key(path: Path, model: type[BaseModel]) -> str:
    key = str(path[-1])
    table = _type_at(model, path[:-1])
    known = list(table.model_fields) if _is_model(table) else []
    return f"there is no such key; {one_of(key, known)}"


def _missing_key(path: Path, model: type[BaseModel]) -> str:
    table = _type_at(model, path[:-1])
    described = table.model_fields[str(path[-1])].description if _is_model(table) else None
    return f"is missing; add {path[-1]} = … ({described})" if described else f"is missing; add {path[-1]} = …"


def _not_a_choice(given: object, wanted: Any) -> str:
    choices = [str(choice.value if isinstance(choice, Enum) else choice) for choice in _choices(wanted)]
    shown = repr(given) if isinstance(given, (str, int, float, bool)) else "this"
    return f"{shown} is not a choice; {one_of(given if isinstance(given, str) else '', choices)}"


def _choices(wanted: Any) -> Sequence[Any]:
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return list(wanted)
    return get_args(wanted) if get_origin(wanted) is Literal else ()


def _type_at(model: type[BaseModel], path: Path) -> Any:
    """The declared type at a path of a model; None where the model says nothing."""
    found: Any = model
    for part in path:
        found = _without_none(found)
        if _is_model(found):
            field = found.model_fields.get(str(part))
            found = field.annotation if field is not None else None
        else:
            inner = get_args(found)
            found = inner[-1] if get_origin(found) in {dict, list} and inner else None
    return _without_none(found)


def _without_none(found: Any) -> Any:
    if get_origin(found) in {Union, UnionType}:
        kinds = [kind for kind in get_args(found) if kind is not NoneType]
        return kinds[0] if len(kinds) == 1 else None
    return found


def _is_model(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, BaseModel)


def secrets_in(value: object) -> Iterator[str]:
    """Every secret value inside a parsed table, for the log to hide."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secrets_in(getattr(value, name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from secrets_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from secrets_in(item)
