"""The user's own notebook, executed: outputs put back into the cells they came from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from nbpipe.model import Notebook


def assemble(
    notebook: Notebook,
    executed: Mapping[int, Mapping[str, Any]],
    *,
    plain: Iterable[int] = (),
    about: Mapping[str, Any] | None = None,
) -> bytes:
    """The bytes of an `.ipynb`: every source as it was, outputs only where a cell was executed.

    `executed` maps cell numbers to `{"outputs": [...]}` in nbformat 4; `plain` are cells that were executed and have none
    (parameters). Counts are given anew, 1, 2, 3 … in notebook order. `about` lands in `metadata.nbpipe`.
    """
    document = _document(notebook)
    counted = {
        number for number, found in executed.items() if found.get("execution_count") is not None or found.get("outputs")
    }
    counted |= set(plain) | set(executed)
    count = 0
    for number, cell in enumerate(document["cells"], start=1):
        if cell.get("cell_type") != "code":
            continue
        cell["outputs"], cell["execution_count"] = [], None
        if number not in counted:
            continue
        count += 1
        cell["execution_count"] = count
        cell["outputs"] = [_numbered(dict(output), count) for output in executed.get(number, {}).get("outputs", ())]
    if about:
        own = document.setdefault("metadata", {}).get("nbpipe")
        document["metadata"]["nbpipe"] = {**(own if isinstance(own, dict) else {}), "run": dict(about)}
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "replace")


def _numbered(output: dict[str, Any], count: int) -> dict[str, Any]:
    if output.get("output_type") == "execute_result":
        output["execution_count"] = count
    return output


def _document(notebook: Notebook) -> dict[str, Any]:
    """The notebook's own JSON; other versions and text notebooks go through their libraries."""
    if notebook.format == "ipynb":
        document: dict[str, Any] = json.loads(notebook.raw.decode("utf-8-sig"))
        if document.get("nbformat") == 4:  # noqa: PLR2004  the only major version with a flat list of cells
            return document
    import jupytext
    import nbformat

    text = notebook.raw.decode("utf-8-sig")
    book = nbformat.reads(text, 4) if notebook.format == "ipynb" else jupytext.reads(text, fmt=notebook.format)
    upgraded: dict[str, Any] = json.loads(nbformat.writes(book, 4))
    return upgraded
