"""The JSON Schema of config.toml, for editors that complete and check while one types."""

from __future__ import annotations

from typing import Any

from bot.config.document import Document
from bot.config.kinds import kinds, settings_of


def schema() -> dict[str, Any]:
    """A draft 2020-12 schema. Each kind of channel has its own keys; a table's name is its kind when none is said."""
    found = Document.model_json_schema()
    definitions = found.setdefault("$defs", {})
    by_name: dict[str, Any] = {}
    with_kind: list[dict[str, Any]] = []
    for kind in kinds():
        settings = settings_of(kind)
        if settings is None:
            continue
        described = settings.model_json_schema(ref_template="#/$defs/{model}")
        definitions.update(described.pop("$defs", {}))
        described["title"] = f"{kind} channel"
        keys = described.setdefault("properties", {})
        named = {**described, "properties": {"kind": {"const": kind}, **keys}}
        definitions[f"channel_{kind}"] = named
        definitions[f"channel_{kind}_by_kind"] = {**named, "required": ["kind", *described.get("required", [])]}
        by_name[kind] = {"$ref": f"#/$defs/channel_{kind}"}
        with_kind.append({"$ref": f"#/$defs/channel_{kind}_by_kind"})
    channels = found["properties"]["channels"]
    # A table that is called telegram may well be of another kind, so its kind decides when it says one.
    channels["properties"] = {name: {"anyOf": [reference, *with_kind]} for name, reference in by_name.items()}
    channels["additionalProperties"] = {"anyOf": with_kind}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Threadmill's config.toml",
        **{key: value for key, value in found.items() if key != "title"},
    }
