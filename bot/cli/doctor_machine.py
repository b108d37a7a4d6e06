"""Checks of this machine: Python, disk, database, clock, port, and who may read what."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sqlite3
import ssl
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bot.cli.doctor_channels import in_use
from bot.cli.failed import Failed
from channels.checks import Check, CheckResult, failed, ok, skipped, warning

if TYPE_CHECKING:
    from bot.config import Config

_LEAST_FREE_BYTES = 200_000_000
_LITTLE_FREE_BYTES = 1_000_000_000
_BUILT = datetime(2026, 11, 1, tzinfo=UTC)  # no clock can be right that shows less
_AHEAD_SECONDS = 120
_FEW_FILES = 1024


def without_config() -> Sequence[Check]:
    """What can be asked without any configuration."""
    return [_local("machine.python", python), _local("machine.packages", packages), _local("machine.sqlite", sqlite)]


def of(config: Config) -> Sequence[Check]:
    data = config.bot.data
    return [
        _local("machine.clock", lambda: clock(data)),
        _local("machine.memory", memory),
        _local("machine.files", open_files),
        _local("machine.tls", certificates),
        _local("machine.proxy", proxy),
        _local("data.writable", lambda: writable(data)),
        _local("data.space", lambda: space(data)),
        _local("data.private", lambda: private(data)),
        _local("data.lock", lambda: lock(data)),
        _local("database.integrity", lambda: integrity(data)),
        _local("database.schema", lambda: schema(data)),
        _local("database.log", lambda: write_ahead_log(data)),
        Check(id="database.audit", run=lambda: audit_chain(data), network=False),
        _local("web.port", lambda: port(config)),
        _local("web.token", lambda: token(config)),
    ]


def _local(id: str, run: Callable[[], CheckResult]) -> Check:
    async def in_thread() -> CheckResult:
        return await asyncio.to_thread(run)

    return Check(id=id, run=in_thread, network=False)


def python() -> CheckResult:
    version = sys.version.split()[0]
    if sys.version_info < (3, 11):  # noqa: UP036 - that is the question
        return failed(f"Python {version}", "install Python 3.11 or newer and run `make install` again")
    if sys.prefix == sys.base_prefix:
        return warning(f"Python {version}, outside of a virtual environment", "use the one that `make install` makes")
    return ok(f"Python {version} in {sys.prefix}")


def packages() -> CheckResult:
    from bot.cli.packages import foreign_package

    stranger = foreign_package(Path(__file__).resolve().parent.parent.parent)
    return ok("all four folders are ours") if stranger is None else failed(stranger, "make a new environment")


def sqlite() -> CheckResult:
    if sqlite3.sqlite_version_info < (3, 35):
        return failed(f"SQLite {sqlite3.sqlite_version}", "install a Python that is built with SQLite 3.35 or newer")
    return ok(f"SQLite {sqlite3.sqlite_version}")


def clock(data: Path) -> CheckResult:
    now = datetime.now(UTC)
    if now < _BUILT:
        return failed(
            f"the clock says {now:%Y-%m-%d %H:%M} UTC", "set the clock; `timedatectl set-ntp true` keeps it right"
        )
    try:
        newest = _question(data, "select max(received_at) from inbox")
    except (sqlite3.Error, FileNotFoundError):
        return ok(f"{now:%Y-%m-%d %H:%M:%S} UTC")
    ahead = int(newest or 0) / 1_000_000 - now.timestamp()
    if ahead > _AHEAD_SECONDS:
        return failed(
            f"the newest message is {ahead:.0f} s in the future", "the clock went back: set it, and keep it set by NTP"
        )
    return ok(f"{now:%Y-%m-%d %H:%M:%S} UTC, no message is from the future")


def memory() -> CheckResult:
    try:
        pages = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return skipped("this system does not say how much memory is free")
    free = f"{pages / 1_000_000:,.0f} MB free"
    return ok(free) if pages > 150_000_000 else warning(free, "stop other programs: Threadmill wants about 150 MB")


def open_files() -> CheckResult:
    """Connections, the database and each tool's process take one each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    seen = f"{soft} files may be open at once"
    if 0 <= soft < _FEW_FILES:
        return warning(seen, f"`ulimit -n 4096` before the start (up to {hard}), or LimitNOFILE=4096 in its unit")
    return ok(seen)


def certificates() -> CheckResult:
    """Without certificates to check against, no platform can be trusted to be itself."""
    known = ssl.create_default_context().cert_store_stats()["x509_ca"]
    if known:
        return ok(f"{known} certificate authorities are known")
    where = ssl.get_default_verify_paths().openssl_capath
    if where and Path(where).is_dir() and any(Path(where).iterdir()):
        return ok(f"certificate authorities are looked up in {where}")
    return failed("no certificate authority is known", "install the package ca-certificates")


def proxy() -> CheckResult:
    """The platforms' libraries go where the environment says."""
    from urllib.parse import urlsplit
    from urllib.request import getproxies

    named = {kind: urlsplit(url) for kind, url in getproxies().items() if kind in ("http", "https", "all")}
    if not named:
        return ok("no proxy is set: connections go out directly")
    broken = [kind for kind, parts in named.items() if not parts.hostname]
    if broken:
        return failed(
            f"the proxy for {', '.join(broken)} is no address",
            "write it as http://host:port in HTTPS_PROXY, or unset it",
        )
    return ok(
        "connections go through " + ", ".join(sorted({f"{parts.hostname}:{parts.port}" for parts in named.values()}))
    )


def writable(data: Path) -> CheckResult:
    if not data.exists():
        above = next((folder for folder in data.parents if folder.exists()), data)
        if os.access(above, os.W_OK):
            return ok(f"{data} is made at the first start")
        return failed(f"{data} is missing and {above} cannot be written", "make the folder, or set `data` under [bot]")
    try:
        with tempfile.TemporaryFile(dir=data) as stream:
            stream.write(b"x")
            stream.flush()
            began = time.perf_counter()
            os.fsync(stream.fileno())
            took = (time.perf_counter() - began) * 1000
    except OSError as error:
        return failed(
            f"{data}: {error.strerror}", "make it a folder that this user may write, on a disk that is not full"
        )
    if took > 250:
        return warning(f"a sync took {took:.0f} ms", "use a local disk: every accepted message waits for a sync")
    return ok(f"{data}, a sync takes {took:.1f} ms")


def space(data: Path) -> CheckResult:
    there = next((folder for folder in (data, *data.parents) if folder.exists()), Path("/"))
    free = shutil.disk_usage(there).free
    seen = f"{free / 1_000_000_000:.1f} GB free"
    if free < _LEAST_FREE_BYTES:
        return failed(seen, "make room: with a full disk nothing is accepted any more")
    return ok(seen) if free > _LITTLE_FREE_BYTES else warning(seen, "make room, or set `days` under [retention]")


def private(data: Path) -> CheckResult:
    if not data.exists():
        return skipped("there is no data yet")
    mode = stat.S_IMODE(data.stat().st_mode)
    database = data / "threadmill.db"
    readable = database.exists() and stat.S_IMODE(database.stat().st_mode) & 0o004
    if mode & 0o002:
        return failed(f"everybody on this machine may write {data}", f"chmod 700 {data}")
    if mode & 0o005 and readable:
        return warning(f"everybody on this machine may read the conversations in {data}", f"chmod 700 {data}")
    return ok(f"{data} has the mode {mode:o}")


def lock(data: Path) -> CheckResult:
    try:
        owner = in_use(data)
    except OSError as error:
        return failed(f"{data / 'threadmill.lock'}: {error.strerror}", "let this user read it")
    return ok(f"process {owner} uses the data folder" if owner else "no process uses the data folder")


async def audit_chain(data: Path) -> CheckResult:
    """Who did what must not have been changed behind our back."""
    from storage.audit import AuditLog, read_head
    from storage.database import StorageError, opened_for_reading

    try:
        async with opened_for_reading(data) as database:
            found = await AuditLog(database).verify(read_head(data / "audit.head"))
    except StorageError as error:
        return skipped("there is no database yet" if not (data / "threadmill.db").exists() else str(error))
    if found.broken is not None:
        return failed(
            f"row {found.broken.n} of the audit log {found.broken.why}",
            f"`threadmill audit verify` shows it; compare with the copies in {data / 'backups'}",
        )
    return ok(f"{found.rows} rows, unbroken")


def integrity(data: Path) -> CheckResult:
    try:
        found = _question(data, "pragma quick_check(1)")
    except FileNotFoundError:
        return skipped("there is no database yet")
    except sqlite3.Error as error:
        return failed(str(error), f"stop Threadmill, keep a copy, and put back the newest file of {data / 'backups'}")
    if found != "ok":
        return failed(str(found), f"stop Threadmill, keep a copy, and put back the newest file of {data / 'backups'}")
    return ok(f"{data / 'threadmill.db'} is sound ({(data / 'threadmill.db').stat().st_size / 1_000_000:.1f} MB)")


def schema(data: Path) -> CheckResult:
    from importlib.resources import files

    known = sum(1 for file in files("storage").joinpath("migrations").iterdir() if file.name.endswith(".sql"))
    try:
        have = int(_question(data, "pragma user_version") or 0)
    except FileNotFoundError:
        return skipped("there is no database yet")
    except sqlite3.Error as error:
        return failed(str(error), "see database.integrity")
    if have > known:
        return failed(f"schema {have}, this version knows {known}", "install the newer Threadmill again")
    return ok(f"schema {have}" + (f"; {known} after the next start, with a backup first" if have < known else ""))


def write_ahead_log(data: Path) -> CheckResult:
    file = data / "threadmill.db-wal"
    size = file.stat().st_size if file.exists() else 0
    if size > 200_000_000:
        return warning(
            f"{file.name} has {size / 1_000_000:.0f} MB", "restart Threadmill; end other readers of the database"
        )
    return ok(f"{size / 1_000_000:.1f} MB")


def port(config: Config) -> CheckResult:
    import socket

    from bot.cli.client import running

    host, number = config.web.host, config.web.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if number == 0:
        return ok("any free port is taken")
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError as error:
            if error.errno != 98 and "in use" not in (error.strerror or ""):
                return failed(f"{host}:{number}: {error.strerror}", "change `host` or `port` under [web]")
        else:
            return ok(f"{host}:{number} is free")
    try:
        running(config).ask("GET", "/healthz", timeout_seconds=5.0)
    except Failed:
        return failed(f"another program listens on {host}:{number}", "stop it, or choose another `port` under [web]")
    return ok(f"Threadmill answers on {host}:{number}")


def token(config: Config) -> CheckResult:
    from bot.config.token import token_file

    if config.web.token is not None:
        if len(config.web.token.get_secret_value()) < 16:
            return warning(
                "the configured token is short", "use 16 characters or more, or leave it out to have one made"
            )
        return ok("configured")
    file = token_file(config)
    if not file.exists():
        return ok(f"one is made at the first start, in {file}")
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        return failed(f"{file} has the mode {mode:o}: others on this machine may read it", f"chmod 600 {file}")
    return ok(f"{file}, for its owner alone")


def _question(data: Path, query: str) -> int | str | None:
    """The first column of the first row, on a connection that cannot write."""
    file = data / "threadmill.db"
    if not file.exists():
        raise FileNotFoundError(file)
    connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=5)
    try:
        row = connection.execute(query).fetchone()
    finally:
        connection.close()
    found: int | str | None = row[0] if row else None
    return found
