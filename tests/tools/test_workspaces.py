"""The guarded folder: what leads out of it, what it may hold, and writers that race."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.tools.files_match import matches
from agents.workspaces import Changed, Quota, Workspace, WorkspaceError, Workspaces, content_hash, parts_of


def never() -> bool:
    return False


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    return Workspaces(tmp_path / "workspaces").workspace("session", "s1")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "workspaces" / "session" / "s1"
    folder.mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    yield folder
    assert (tmp_path / "secret").read_text() == "secret"


def test_what_was_written_is_read_with_its_folders(space: Workspace) -> None:
    assert space.write("a/b/c.txt", b"one", None, never) == space.read("a/b/c.txt").hash
    assert space.read("./a//b/c.txt").data == b"one"
    assert [entry.path for entry in space.entries()] == ["a/b/c.txt"]


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "..",
        "a/../../x",
        "../s2/x",
        "a\0b",
        "",
        ".",
        "a" * 256,
        "a/" * 21 + "x",
        "\udc80",
        "a\nb",
        "é" * 200,
    ],
)
def test_a_path_that_could_mean_anything_else_is_refused(space: Workspace, path: str) -> None:
    for act in (
        lambda: space.read(path),
        lambda: space.write(path, b"x", None, never),
        lambda: space.change(path, bytes.upper, never),
        lambda: space.delete(path, "0" * 16, never),
    ):
        with pytest.raises(WorkspaceError):
            act()


@pytest.mark.requirement("P9")
@pytest.mark.parametrize("kind", ["file link", "folder link", "hard link", "pipe", "dangling link"])
def test_what_leads_out_of_the_workspace_is_neither_read_nor_written_nor_listed(
    space: Workspace, root: Path, tmp_path: Path, kind: str
) -> None:
    path = "x"
    match kind:
        case "file link":
            (root / "x").symlink_to(tmp_path / "secret")
        case "folder link":
            (root / "d").symlink_to(tmp_path)
            path = "d/secret"
        case "hard link":
            os.link(tmp_path / "secret", root / "x")
        case "pipe":
            os.mkfifo(root / "x")
        case _:
            (root / "x").symlink_to(tmp_path / "made")
    for act in (
        lambda: space.read(path),
        lambda: space.write(path, b"x", None, never),
        lambda: space.write(path, b"x", content_hash(b"secret"), never),
        lambda: space.change(path, bytes.upper, never),
        lambda: space.delete(path, content_hash(b"secret"), never),
    ):
        with pytest.raises(WorkspaceError):
            act()
    assert list(space.entries()) == []
    assert not (tmp_path / "made").exists()


@pytest.mark.requirement("P9")
def test_a_folder_that_becomes_a_link_while_it_is_used_leads_nowhere(
    space: Workspace, root: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_text("secret")
    (root / "real").mkdir()
    (root / "real" / "f").write_text("mine")
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            (root / "d").unlink(missing_ok=True)
            (root / "d").symlink_to(outside)
            (root / "d").unlink()
            (root / "real").rename(root / "d")
            (root / "d").rename(root / "real")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(500):
            with suppress(WorkspaceError):
                assert space.read("d/f").data == b"mine"
            with suppress(WorkspaceError):
                space.change("d/f", lambda data: data, never)
    finally:
        over.set()
        thread.join()
    assert [file.read_text() for file in outside.iterdir()] == ["secret"]


_NAMES = st.one_of(
    st.sampled_from(
        ["..", ".", "", "a", "link", "link/secret", "/", "~", "$HOME", "%2e%2e", "..%2f", "．．", "\0", "-rf"]
    ),
    st.text(max_size=8),
)


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_NAMES, max_size=6).map("/".join))
def test_whatever_path_a_model_invents_nothing_outside_is_touched(tmp_path: Path, space: Workspace, path: str) -> None:
    root = tmp_path / "workspaces" / "session" / "s1"
    root.mkdir(parents=True, exist_ok=True)
    (tmp_path / "secret").write_text("secret")
    if not (root / "link").is_symlink():
        (root / "link").symlink_to(tmp_path)
    before = sorted(item.name for item in tmp_path.iterdir())
    try:
        space.write(path, b"written", None, never)
    except WorkspaceError:
        pass
    else:
        assert space.read(path).data == b"written"
        assert (root / "/".join(parts_of(path))).resolve().is_relative_to(root.resolve())
    assert (tmp_path / "secret").read_text() == "secret"
    assert sorted(item.name for item in tmp_path.iterdir()) == before
    assert sorted(item.name for item in (tmp_path / "workspaces").iterdir()) == ["session"]


def test_who_has_not_read_what_he_replaces_is_refused(space: Workspace) -> None:
    first = space.write("x", b"one", None, never)
    with pytest.raises(Changed, match="exists"):
        space.write("x", b"two", None, never)
    second = space.write("x", b"two", first, never)
    with pytest.raises(Changed, match="was changed"):
        space.write("x", b"three", first, never)
    with pytest.raises(Changed, match="was changed"):
        space.delete("x", first, never)
    assert space.delete("x", second, never)
    assert not space.delete("x", second, never)
    with pytest.raises(Changed, match="not there any more"):
        space.write("x", b"four", second, never)


@pytest.mark.requirement("P3")
def test_writing_the_same_once_more_is_done_already(space: Workspace) -> None:
    old = space.write("x", b"one", None, never)
    new = space.write("x", b"two", old, never)
    assert space.write("x", b"two", old, never) == new


def test_of_writers_that_race_one_wins_each_round_and_no_edit_is_lost(space: Workspace) -> None:
    space.write("n", b"", None, never)

    def add(number: int) -> None:
        while True:
            seen = space.read("n")
            try:
                space.write("n", seen.data + b"%d\n" % number, seen.hash, never)
            except Changed:
                continue
            return

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
        list(pool.map(lambda n: space.change("n", lambda data: data + b"%d\n" % n, never), range(40, 80)))
    assert sorted(map(int, space.read("n").data.split())) == list(range(80))


@pytest.mark.requirement("P4")
def test_nothing_is_changed_for_somebody_who_is_gone(space: Workspace, root: Path) -> None:
    hash = space.write("x", b"one", None, never)
    for act in (
        lambda: space.write("x", b"two", hash, lambda: True),
        lambda: space.change("x", bytes.upper, lambda: True),
        lambda: space.delete("x", hash, lambda: True),
    ):
        with pytest.raises(WorkspaceError, match="ended"):
            act()
    assert [item.name for item in root.iterdir()] == ["x"]
    assert space.read("x").data == b"one"


def test_quotas_hold_and_say_what_to_do(tmp_path: Path) -> None:
    space = Workspaces(tmp_path, Quota(file_bytes=10, total_bytes=25, entries=4)).workspace("shared", "team")
    with pytest.raises(WorkspaceError, match="at most 10 bytes"):
        space.write("big", b"x" * 11, None, never)
    one = space.write("d/a", b"x" * 10, None, never)
    space.write("d/b", b"x" * 10, None, never)
    with pytest.raises(WorkspaceError, match="full"):
        space.write("d/c", b"x" * 6, None, never)
    space.write("d/c", b"x", None, never)
    with pytest.raises(WorkspaceError, match="entries"):
        space.write("d/d", b"x", None, never)
    with pytest.raises(WorkspaceError, match="at most 10 bytes"):
        space.change("d/c", lambda data: data * 11, never)
    space.write("d/a", b"y" * 10, one, never)
    assert [entry.path for entry in space.entries()] == ["d/a", "d/b", "d/c"]


def test_files_are_for_their_owner_alone_and_no_half_written_one_stays(space: Workspace, root: Path) -> None:
    space.write("x", b"one", None, never)
    assert stat.S_IMODE((root / "x").stat().st_mode) == 0o600
    assert [item.name for item in root.iterdir()] == ["x"]


def test_a_name_of_a_workspace_cannot_lead_out(tmp_path: Path) -> None:
    for name in ("..", "a/b", "/x", ""):
        with pytest.raises(WorkspaceError):
            Workspaces(tmp_path).workspace("shared", name)
    with pytest.raises(WorkspaceError):
        Workspaces(tmp_path).workspace("..", "x")


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("**", "a/b/c", True),
        ("*", "a/b", False),
        ("*.md", "x.md", True),
        ("**/*.md", "x.md", True),
        ("**/*.md", "a/b/x.md", True),
        ("a/**", "a/b/c", True),
        ("a/**", "a", False),
        ("a/**/c", "a/c", True),
        ("a/**/c", "a/b/d", False),
        ("[ab]?/x", "az/x", True),
    ],
)
def test_patterns_match_paths(pattern: str, path: str, fits: bool) -> None:
    assert matches(pattern.split("/"), path.split("/")) is fits


def test_a_pattern_made_to_be_slow_is_not() -> None:
    assert not matches(["**"] * 60 + ["x"], ["a"] * 20)
    assert not matches(["*a" * 90 + "b"], ["a" * 255])
