"""What holds for every test: nothing leaves the machine, and no real key is in reach.

Both are settled before any test module is imported, so that import time and fixtures of any scope
are covered too. Fixtures stand beside the tests that use them, not here.
"""

import gc
import ipaddress
import os
import shutil
import socket
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import certifi
import pytest
from hypothesis import settings

# The same examples in each run, and none judged by the time that it took: a red run means a broken change.
settings.register_profile("threadmill", deadline=None, derandomize=True)
settings.load_profile("threadmill")


class NetworkBlocked(RuntimeError):
    """A test tried to reach something other than this machine.

    Not an `OSError`: code under test must not take it for an ordinary outage and retry.
    """


def _is_local(address: Any) -> bool:
    if not isinstance(address, tuple):  # the path of a Unix socket
        return True
    host = address[0]
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse_unless_local(address: Any) -> None:
    if not _is_local(address):
        raise NetworkBlocked(f"tests stay on this machine, and this one wanted to connect to {address!r}")


def pytest_configure(config: pytest.Config) -> None:
    real_connect, real_connect_ex = socket.socket.connect, socket.socket.connect_ex

    def connect(self: socket.socket, address: Any) -> None:
        _refuse_unless_local(address)
        real_connect(self, address)

    def connect_ex(self: socket.socket, address: Any) -> int:
        _refuse_unless_local(address)
        return real_connect_ex(self, address)

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", connect)
    patch.setattr(socket.socket, "connect_ex", connect_ex)
    for name in [name for name in os.environ if name == "ANTHROPIC_API_KEY" or name.endswith("_TOKEN")]:
        patch.delenv(name)
    patch.setenv("SSL_CERT_FILE", str(_one_authority(config)))
    config.add_cleanup(patch.undo)


def _one_authority(config: pytest.Config) -> Path:
    """Nothing here is asked over TLS: one authority is enough to trust, where each client would read 140 (20 ms)."""
    folder = Path(tempfile.mkdtemp(prefix="threadmill-authority-"))
    config.add_cleanup(partial(shutil.rmtree, folder, ignore_errors=True))
    end = "-----END CERTIFICATE-----\n"
    (folder / "one.pem").write_text(Path(certifi.where()).read_text("ascii").partition(end)[0] + end, "ascii")
    return folder / "one.pem"


def pytest_collection_finish() -> None:
    """What was imported stays: a collector that does not look at it again takes a third of the time."""
    gc.collect()
    gc.freeze()
