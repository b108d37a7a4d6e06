"""Skills: what is read of them, when, and what cannot be read through them."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest

from agents.conversation import system_prompt
from agents.skills import SkillError, Skills, parsed
from agents.tools.base import ToolError
from agents.tools.skills import SkillTool
from bot.cli import doctor_checks
from bot.config import load
from channels.checks import Result
from tests.agents.world import profiles, world
from tests.tools.made import call_of, settled, use

COMPARE = "---\nname: compare\ndescription: Compare offers\n---\n1. Make a table\n"


def made(folder: Path, name: str = "compare", text: str = COMPARE) -> Path:
    below = folder / "skills" / name
    below.mkdir(parents=True, exist_ok=True)
    (below / "SKILL.md").write_text(text)
    return below


@pytest.mark.parametrize(
    ("front", "description"),
    [
        ("description: plain: with a colon", "plain: with a colon"),
        ('description: "quoted \\"so\\""', 'quoted "so"'),
        ("description: 'it''s'", "it's"),
        ("description: >\n  folded\n  text", "folded text"),
        ("license: MIT\nmetadata:\n  author: x\n  version: 1\n# no\ndescription: last", "last"),
    ],
)
def test_what_people_write_before_a_skill_is_understood(front: str, description: str) -> None:
    skill = parsed("x", f"---\nname: x\n{front}\n---\n\nbody\n---\nmore")
    assert (skill.description, skill.body) == (description, "body\n---\nmore")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "first line"),
        ("# A skill", "first line"),
        ("---\nname: x\ndescription: d", "that ends"),
        ("---\nname: y\ndescription: d\n---", "its folder"),
        ("---\nname: x\n---", "description is missing"),
        ("---\nname: x\nwhat\n---", "no `key: text`"),
    ],
)
def test_a_skill_that_is_wrong_says_what_is(text: str, why: str) -> None:
    with pytest.raises(SkillError, match=why):
        parsed("x", text)


async def test_an_agent_reads_its_skills_and_their_files_and_no_others(tmp_path: Path) -> None:
    below = made(tmp_path)
    made(tmp_path, "other", COMPARE.replace("name: compare", "name: other"))
    (below / "forms").mkdir()
    (below / "forms/offer.md").write_text("An offer")
    (tmp_path / "secret").write_text("secret")
    (below / "link").symlink_to(tmp_path / "secret")
    tool = SkillTool(Skills(tmp_path / "skills"))
    async with world(tmp_path) as here:
        call = call_of(here, await settled(here), skills=("compare", "gone"))
        assert await use(tool, call, name="compare") == "1. Make a table\n\nFiles of this skill: forms/offer.md"
        assert await use(tool, call, name="compare", file="forms/offer.md") == "An offer"
        with pytest.raises(ToolError, match="your skills: compare, gone"):
            await use(tool, call, name="other")
        with pytest.raises(ToolError, match="there is no"):
            await use(tool, call, name="gone")
        for path in ("../other/SKILL.md", "link", "/etc/passwd", "forms"):
            with pytest.raises(ToolError):
                await use(tool, call, name="compare", file=path)


async def test_the_prompt_has_names_and_descriptions_only_for_those_who_name_them(tmp_path: Path) -> None:
    made(tmp_path)
    skills = Skills(tmp_path / "skills").named(["compare", "gone"])
    agents = profiles(tools=("skill",), skills=("compare", "gone"))
    async with world(tmp_path, agents=agents) as here:
        session = await settled(here)
        prompt = system_prompt(agents["assistant"], session, date(2026, 1, 1), [], skills)
        assert "- compare: Compare offers" in prompt
        assert "Make a table" not in prompt
        without = system_prompt(profiles()["assistant"], session, date(2026, 1, 1), [], skills)
        assert "compare" not in without


def test_a_file_is_read_once_and_again_when_it_has_changed(tmp_path: Path) -> None:
    below = made(tmp_path)
    skills = Skills(tmp_path / "skills")
    first = skills.skill("compare")
    assert skills.skill("compare") is first
    (below / "SKILL.md").write_text(COMPARE.replace("offers", "prices"))
    os.utime(below / "SKILL.md", ns=(1, 1))
    assert skills.skill("compare").description == "Compare prices"
    (below / "SKILL.md").write_text("broken")
    assert skills.named(["compare"]) == []
    with pytest.raises(SkillError, match="first line"):
        skills.skill("compare")


def test_doctor_names_a_skill_that_is_broken_and_what_is_wrong_with_it(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        '[models.default]\nkind = "rehearsal"\n[agents.a]\nprompt = "x"\nskills = ["good", "broken", "gone"]\n'
    )
    for name, text in (
        ("good", "---\nname: good\ndescription: d\n---\nDo it."),
        ("broken", "---\nname: broken\n---\n"),
    ):
        (tmp_path / "skills" / name).mkdir(parents=True)
        (tmp_path / "skills" / name / "SKILL.md").write_text(text)
    found = doctor_checks.skills(load(file, environ={}))
    assert found.result is Result.FAILED
    assert "broken/SKILL.md: its description is missing" in found.evidence
    assert "(and 1 more)" in found.evidence
    (tmp_path / "skills" / "broken" / "SKILL.md").write_text("---\nname: broken\ndescription: mended\n---\n")
    file.write_text(file.read_text().replace(', "gone"', ""))
    assert doctor_checks.skills(load(file, environ={})).evidence == "2 skills can be read"
