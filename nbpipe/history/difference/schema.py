"""The JSON Schema of a diff, made from its structs: `python -m nbpipe.history.difference.schema docs/formats/diff.schema.json`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.history.difference.shape import SCHEMA, Diff


def schema() -> dict[str, Any]:
    """JSON Schema 2020-12. Fields that newer versions add are allowed."""
    (made,), parts = msgspec.json.schema_components([Diff], ref_template="#/$defs/{name}")
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"A diff of nbpipe, schema {SCHEMA}"}
    # The number is always written, and says which schema this is.
    parts["Diff"]["properties"]["schema"] |= {"const": SCHEMA}
    parts["Diff"]["required"] = sorted({*parts["Diff"]["required"], "schema"})
    return {**head, **made, "$defs": parts}


def text() -> str:
    """The file as it lies in the documentation."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text(), encoding="utf-8")
