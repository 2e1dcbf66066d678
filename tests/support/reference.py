"""What a fresh kernel gives when it runs the pipeline's cells from top to bottom."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

_ROLE = re.compile(r"^%%(stage|check|setup|params)\b[ \t]*([a-z][a-z0-9_-]*)?[^\n]*\n?")
_ADDRESS = re.compile(r"0x[0-9a-f]{6,}|ipykernel_\d+/\d+\.py")
_DIGESTS = """
def _nbp_digests(names):
    import json
    from nbpipe.store.digest import digest
    space = get_ipython().user_ns
    print(json.dumps({n: digest(space[n]) if n in space else "absent" for n in names}))
_nbp_digests(%r)
del _nbp_digests
"""


@dataclass
class Reference:
    """Outputs per cell number, digests per stage and name, and the error that ended it."""

    outputs: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    digests: dict[str, dict[str, str]] = field(default_factory=dict)
    error: str = ""


def run_all(notebook: Any, folder: Path, names: dict[str, list[str]]) -> Reference:
    """Run in one kernel: params, then per stage in notebook order the setup cells and the stage's cells.

    `names` says which variables to digest after the last cell of which stage.
    """
    result = Reference()
    params, setup, stages = _sort(notebook)
    last = {name: number for number, name, _ in stages}
    scratch = nbformat.v4.new_notebook(metadata=notebook.metadata)
    client = NotebookClient(scratch, kernel_name="python3", resources={"metadata": {"path": str(folder)}}, timeout=60)

    first: dict[int, Any] = {}

    def execute(number: int, source: str, tags: list[str]) -> list[dict[str, Any]]:
        cell = nbformat.v4.new_code_cell(source, metadata={"tags": tags})
        scratch.cells.append(cell)
        try:
            client.execute_cell(cell, len(scratch.cells) - 1)
        finally:
            first.setdefault(number, cell)
        return list(cell.outputs)

    # Texts are hashed anew in every process, unless told otherwise; runs fix how, and any way is as good as another.
    with client.setup_kernel(env={**os.environ, "PYTHONHASHSEED": "0"}):
        try:
            for number, source, tags in params:
                execute(number, source, tags)
            current = ""
            for number, name, (source, tags) in stages:
                if name and name != current:
                    for setup_number, setup_source, setup_tags in setup:
                        execute(setup_number, setup_source, setup_tags)
                current = name or current
                execute(number, source, tags)
                if last[name] == number and names.get(name):
                    printed = execute(-number, _DIGESTS % (sorted(names[name]),), [])
                    # A busy kernel sends one line in several pieces.
                    result.digests[name] = _json("".join(out["text"] for out in printed))
        except CellExecutionError as failed:
            result.error = f"{failed.ename}: {failed.evalue}"
    # Read at the end: a later cell may update what an earlier one shows.
    result.outputs = {number: normal(cell.outputs) for number, cell in first.items()}
    return result


def _json(text: str) -> dict[str, str]:
    import json

    found: dict[str, str] = json.loads(text)
    return found


def _sort(notebook: Any) -> tuple[list[Any], list[Any], list[Any]]:
    params: list[Any] = []
    setup: list[Any] = []
    stages: list[Any] = []
    for number, cell in enumerate(notebook.cells, start=1):
        match = _ROLE.match(cell.source)
        if cell.cell_type != "code":
            continue
        if match is None:  # exploration: definitions that the stages may use
            stages.append((number, "", (cell.source, [])))
            continue
        body, tags = cell.source[match.end() :], list(cell.metadata.get("tags", []))
        if not body.startswith("%%"):
            body = "#\n" + body  # line numbers count the magic line
        role, name = match.group(1), match.group(2)
        if role == "params" and not name:
            params.append((number, body, tags))
        elif role == "setup":
            setup.append((number, body, tags))
        elif role in {"stage", "check"}:
            stages.append((number, name, (body, tags)))
    return params, setup, stages


def normal(outputs: list[Any]) -> list[dict[str, Any]]:
    """Outputs in a form that can be compared: streams joined, memory addresses and counts taken out."""
    result: list[dict[str, Any]] = []
    for output in outputs:
        kind = output["output_type"]
        if kind == "stream":
            if result and result[-1].get("stream") == output["name"]:
                result[-1]["text"] += _ADDRESS.sub("0x", output["text"])
            else:
                result.append({"stream": output["name"], "text": _ADDRESS.sub("0x", output["text"])})
        elif kind == "error":
            result.append({"error": output["ename"], "value": output["evalue"]})
        else:
            data = {mime: _ADDRESS.sub("0x", str(value)) for mime, value in output["data"].items()}
            result.append({"kind": kind, "data": data})
    return result
