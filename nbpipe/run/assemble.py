"""The user's own notebook, executed: outputs put back into the cells they came from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from nbpipe.model import Notebook
from nbpipe.notebook.document import document


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
    copy = document(notebook)
    counted = {
        number for number, found in executed.items() if found.get("execution_count") is not None or found.get("outputs")
    }
    counted |= set(plain) | set(executed)
    count = 0
    displays: dict[str, list[dict[str, Any]]] = {}
    for number, cell in enumerate(copy["cells"], start=1):
        if cell.get("cell_type") != "code":
            continue
        cell["outputs"], cell["execution_count"] = [], None
        if number not in counted:
            continue
        count += 1
        cell["execution_count"] = count
        found = executed.get(number, {})
        cell["outputs"] = [_numbered(dict(output), count) for output in found.get("outputs", ())]
        for name, places in found.get("displays", {}).items():
            displays.setdefault(name, []).extend(cell["outputs"][place] for place in places)
        for name, new in found.get("updates", {}).items():
            # A later stage has updated what an earlier one shows.
            for output in displays.get(name, ()):
                output.update(new)
    if about:
        own = copy.setdefault("metadata", {}).get("nbpipe")
        copy["metadata"]["nbpipe"] = {**(own if isinstance(own, dict) else {}), "run": dict(about)}
    return (json.dumps(copy, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "replace")


def _numbered(output: dict[str, Any], count: int) -> dict[str, Any]:
    if output.get("output_type") == "execute_result":
        output["execution_count"] = count
    return output
