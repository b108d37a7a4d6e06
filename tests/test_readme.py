"""README.md tells the truth: what it shows can be typed, what it names is there."""

import re
from pathlib import Path

import pytest

from bot.cli.app import threadmill
from bot.cli.route import CHAT_COMMANDS
from tests.readme_commands import COMMANDS, plain

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"

pytestmark = pytest.mark.skipif(not README.exists(), reason="there is no README.md")


def shown() -> list[str]:
    """Every command in the ```sh blocks, in order."""
    if not README.exists():
        return []
    blocks = re.findall(r"^```sh\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [plain(line) for line in lines if line.strip() and not line.startswith("#")]


def test_it_shows_how_to_start() -> None:
    assert "make run" in shown()


@pytest.mark.parametrize("command", dict.fromkeys(shown()))
def test_every_command_that_is_shown_is_known(command: str) -> None:
    assert command in COMMANDS, f"say in tests/readme_commands.py how {command!r} is tested"


RUN = [command for command in dict.fromkeys(shown()) if command in COMMANDS and COMMANDS[command].run is not None]


@pytest.mark.slow
@pytest.mark.parametrize("command", RUN)
def test_every_command_that_is_shown_works(command: str, tmp_path: Path) -> None:
    run = COMMANDS[command].run
    assert run is not None
    ended = run(tmp_path)
    assert ended.code == 0, ended.err


@pytest.mark.parametrize("command", [command for command, how in COMMANDS.items() if how.elsewhere])
def test_what_is_run_elsewhere_is_there(command: str) -> None:
    file, _, target = COMMANDS[command].elsewhere.partition(": ")
    assert re.search(rf"^{target}:", (ROOT / file).read_text("utf-8"), re.MULTILINE)


def test_every_verb_that_the_text_names_exists() -> None:
    named = re.findall(r"`(?:\.venv/bin/)?threadmill ([a-z]+)", README.read_text("utf-8"))
    assert named
    assert set(named) <= set(threadmill.commands)


def test_every_chat_command_of_the_contract_is_named_and_no_other() -> None:
    text = README.read_text("utf-8")
    named = set(re.findall(r"(?<![\w./`-])`/([a-z]+)[^`]*`", text))
    assert named == set(CHAT_COMMANDS)


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README.read_text("utf-8")):
        assert (ROOT / target).exists(), target
