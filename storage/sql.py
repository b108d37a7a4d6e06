"""Named queries: all SQL stands in `storage/queries/*.sql`, a paragraph each under `-- name: the_name`.

SQL in files of its own can be read as a whole, tried in a shell, and moved to another database.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


def load(file: str) -> Mapping[str, str]:
    """The queries of `storage/queries/<file>.sql` by name."""
    text = files("storage").joinpath("queries", f"{file}.sql").read_text("utf-8")
    pieces = _NAME.split(text)[1:]
    return dict(zip(pieces[::2], (body.strip() for body in pieces[1::2]), strict=True))
