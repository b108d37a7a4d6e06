"""The set-up itself: locks that can be trusted, a Makefile that says what it does, names that are ours.

These tests look at files and at what is installed; none of them installs anything.
"""

import os
import re
import socket
import subprocess
import sys
import tomllib
from importlib.metadata import Distribution, distributions
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LOCKS = sorted(ROOT.glob("requirements*.lock"))
PACKAGES = ("bot", "channels", "agents", "storage")


def requirements_in(lock: Path) -> dict[str, str]:
    """Each pinned name with its version, marker and hashes, as they stand in a lock file."""
    entries = re.split(r"\n(?=\S)", lock.read_text().strip())
    return {entry.partition("==")[0]: entry.partition("==")[2] for entry in entries}


def declared(table: list[str]) -> set[str]:
    return {
        re.split(r"[\[<>=;\s]", requirement)[0].replace(".", "-").replace("_", "-").lower() for requirement in table
    }


def test_there_is_a_lock_for_running_one_for_developing_and_one_for_the_installer() -> None:
    assert [lock.name for lock in LOCKS] == [
        "requirements-dev.lock",
        "requirements-installer.lock",
        "requirements.lock",
    ]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_locked_requirement_has_an_exact_version_and_hashes(lock: Path) -> None:
    for name, rest in requirements_in(lock).items():
        assert re.match(r"[0-9]", rest), f"{name} has no exact version"
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", rest), f"{name} has no hash"


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_names_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert not re.search(r"^\s*(-i\b|-f\b|--(extra-)?index-url|--find-links|--trusted-host)", text, re.MULTILINE)
    assert " @ " not in text


def test_the_lock_for_developing_contains_the_one_for_running() -> None:
    running, developing = (requirements_in(ROOT / name) for name in ("requirements.lock", "requirements-dev.lock"))
    assert {name: developing.get(name) for name in running} == running


def test_everything_that_is_declared_is_locked() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups, project = pyproject["dependency-groups"], pyproject["project"]
    extras = [requirement for extra in project["optional-dependencies"].values() for requirement in extra]
    running = declared(project["dependencies"] + groups["build"])
    assert running <= requirements_in(ROOT / "requirements.lock").keys()
    assert running | declared(groups["dev"] + extras) <= requirements_in(ROOT / "requirements-dev.lock").keys()
    assert declared(groups["installer"]) <= requirements_in(ROOT / "requirements-installer.lock").keys()


@pytest.mark.slow
def test_what_is_installed_fits_together() -> None:
    result = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_help_lists_every_target_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    shown = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, env=clean_environment()
    )
    assert set(re.findall(r"^  make (\S+)", shown.stdout, re.MULTILINE)) == set(phony[1].split())


def clean_environment() -> dict[str, str]:
    """Without what an outer `make` hands to an inner one."""
    return {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}


def top_level_names(distribution: Distribution) -> set[str]:
    names = {file.parts[0].removesuffix(".py") for file in distribution.files or []}
    return names | set((distribution.read_text("top_level.txt") or "").split())


def test_no_other_distribution_claims_one_of_our_package_names() -> None:
    claims = {
        distribution.name: claimed
        for distribution in distributions()
        if distribution.name != "threadmill" and (claimed := top_level_names(distribution) & set(PACKAGES))
    }
    assert claims == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_our_packages_are_the_ones_in_this_folder(package: str) -> None:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin == str(ROOT / package / "__init__.py")


def test_threadmill_is_installed_with_its_command() -> None:
    command = Path(sys.executable).parent / "threadmill"
    assert os.access(command, os.X_OK)


def test_a_connection_that_would_leave_the_machine_is_refused() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client,
        pytest.raises(RuntimeError, match="stay on this machine"),
    ):
        client.connect(("192.0.2.1", 443))


def test_no_key_of_the_person_at_the_keyboard_is_in_reach() -> None:
    assert not [name for name in os.environ if name == "ANTHROPIC_API_KEY" or name.endswith("_TOKEN")]
