"""The notebook as a JSON document, for copies of it."""

from __future__ import annotations

import json
from typing import Any

from nbpipe.model import Notebook
from nbpipe.notebook import databricks
from nbpipe.notebook.libraries import nbformat

_MAJOR = 4


def document(notebook: Notebook) -> dict[str, Any]:
    """Its own JSON, so that whatever is not touched stays as it is; text notebooks and older versions are converted."""
    text = notebook.raw.decode("utf-8-sig")
    if notebook.format == "py" and databricks.is_databricks(text):
        return databricks.document(text)
    if notebook.format != "ipynb":
        nbformat()
        import jupytext

        book = jupytext.reads(text, fmt=notebook.format)
    else:
        own: dict[str, Any] = json.loads(text)
        if own.get("nbformat") == _MAJOR:
            return own
        book = nbformat().reads(text, _MAJOR)
    upgraded: dict[str, Any] = json.loads(nbformat().writes(book, _MAJOR))
    return upgraded
