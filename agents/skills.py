"""Skills: folders with a SKILL.md that tells an agent how something is done, read when it is needed.

Only name and description of a skill stand in the prompt; its text is given when the agent asks for it, and then the
files beside it. A file is read again only when it has changed, never at each turn.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from agents.ports import Skill
from agents.workspaces import Workspace, WorkspaceError, Workspaces

log = structlog.get_logger("skills")

_NAME = r"^[a-z0-9][a-z0-9-]{0,63}$"
_LONGEST_DESCRIPTION = 1024
_LINE = re.compile(r"^([A-Za-z][\w-]*):(?:\s+(.*))?$")


class SkillError(Exception):
    """The skill cannot be used. Its text says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What was read when the file was so: the skill, or what was wrong with it."""

    stamp: tuple[int, int, int]
    skill: Skill | SkillError


class Skills:
    """The skills in the folders below one folder. Its methods read files: call them in a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, _Known] = {}

    def skill(self, name: str) -> Skill:
        """Raises SkillError."""
        if not re.fullmatch(_NAME, name):
            raise SkillError(f"{name[:80]!r} is no name of a skill")
        try:
            found = os.stat(self._folder / name / "SKILL.md", follow_symlinks=False)
        except OSError as error:
            raise SkillError(f"there is no {self._folder / name / 'SKILL.md'}") from error
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        known = self._known.get(name)
        if known is None or known.stamp != stamp:
            known = self._known[name] = _Known(stamp=stamp, skill=self._read(name))
        if isinstance(known.skill, SkillError):
            raise SkillError(str(known.skill))
        return known.skill

    def named(self, names: Sequence[str]) -> Sequence[Skill]:
        """Those that can be used, in this order; of the others the log tells, once for each state of the file."""
        usable = []
        for name in names:
            before = self._known.get(name)
            try:
                usable.append(self.skill(name))
            except SkillError as error:
                if self._known.get(name) is not before:
                    log.warning("skill left out", skill=name, reason=str(error))
        return usable

    def file(self, name: str, path: str) -> str:
        """A text file of a skill's folder. Raises SkillError."""
        self.skill(name)
        try:
            return self._workspace(name).read(path).data.decode()
        except WorkspaceError as error:
            raise SkillError(str(error)) from error
        except UnicodeDecodeError as error:
            raise SkillError(f"{path} is not text") from error

    def files(self, name: str) -> Sequence[str]:
        """What else is in a skill's folder."""
        return [entry.path for entry in self._workspace(name).entries() if entry.path != "SKILL.md"]

    def _workspace(self, name: str) -> Workspace:
        return Workspaces(self._folder).at(self._folder / name)

    def _read(self, name: str) -> Skill | SkillError:
        try:
            return parsed(name, self._workspace(name).read("SKILL.md").data.decode())
        except (WorkspaceError, UnicodeDecodeError, SkillError) as error:
            return SkillError(f"{name}/SKILL.md: {error}")


def parsed(folder: str, text: str) -> Skill:
    """A SKILL.md: `---`, name and description, `---`, then the text. Raises SkillError."""
    lines = text.lstrip("\ufeff").splitlines()
    if not lines or lines[0].strip() != "---":
        raise SkillError("the first line must be ---, before name and description")
    end = next((number for number, line in enumerate(lines[1:], start=1) if line.strip() == "---"), None)
    if end is None:
        raise SkillError("the --- that ends name and description is missing")
    given = _front_matter(lines[1:end])
    name, description = given.get("name", ""), given.get("description", "")
    if name != folder:
        raise SkillError(f"its name is {name!r}: it must be that of its folder, {folder!r}")
    if not description:
        raise SkillError("its description is missing: say what it is for and when to use it")
    return Skill(
        name=name, description=description[:_LONGEST_DESCRIPTION], body="\n".join(lines[end + 1 :]).strip("\n")
    )


def _front_matter(lines: Sequence[str]) -> Mapping[str, str]:
    """Texts by key: the part of YAML that skills use. Indented lines go on the line before them, as folded text;
    what is nested below other keys is not ours to read."""
    given: dict[str, list[str]] = {}
    key = ""
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        start = _LINE.match(line)
        if start:
            key = start[1]
            first = (start[2] or "").strip()
            given[key] = [] if first in ("", ">", "|", ">-", "|-") else [first]
        elif key and line[0].isspace():
            given[key].append(line.strip())
        else:
            raise SkillError(f"the line {line[:60]!r} is no `key: text`")
    return {key: _unquoted(" ".join(parts)) for key, parts in given.items()}


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    if len(text) >= 2 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    return text
