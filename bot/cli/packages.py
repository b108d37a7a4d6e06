"""Are the packages that Python finds under our names really ours?"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


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
