"""The way in: `threadmill` and `python -m bot`.

Threadmill is an application of four folders in an environment of its own. Before anything else happens, this makes
sure that the Python is new enough and that the other three folders are the ones beside this one, since a
stranger's package of the same name would fail later and in strange ways.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path


def main() -> None:
    """Run the command line; ends the process with 0 (fine), 1 (it failed) or 2 (usage or configuration)."""
    if sys.version_info < (3, 11):  # noqa: UP036 - somebody may start it with any Python
        sys.exit(f"threadmill: needs Python 3.11 or newer, and this is {sys.version.split()[0]}: {sys.executable}")
    stranger = foreign_package(Path(__file__).resolve().parent.parent)
    if stranger is not None:
        sys.exit(f"threadmill: {stranger}")
    from bot.cli.app import run

    sys.exit(run(sys.argv[1:]))


def foreign_package(home: Path) -> str | None:
    """What is wrong when one of our packages is not the one in `home`; None when all are."""
    for name in ("agents", "channels", "storage"):
        spec = find_spec(name)
        if spec is None:
            return f"the folder {name!r} is missing beside {home / 'bot'}: install Threadmill again"
        if spec.origin is None or Path(spec.origin).resolve().parent != home / name:
            where = spec.origin or ", ".join(spec.submodule_search_locations or ())
            return (
                f"{name!r} is imported from {where} and not from {home / name}: another package has the same name."
                " Install Threadmill in an environment of its own"
            )
    return None


if __name__ == "__main__":
    main()
