"""A pipeline as a folder: what executors and exports ship, and what a run can be repeated from.

Canonical: the same notebook gives the same bytes. Only validated names become paths.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.dataflow.links import edges
from nbpipe.errors import PipelineError
from nbpipe.model import Code, Notebook, Pipeline, Stage
from nbpipe.pipeline.code import definitions_of
from nbpipe.pipeline.codec import decode, encode, version_of

PIPELINE = "pipeline.json"


def write_bundle(pipeline: Pipeline, notebook: Notebook, folder: Path, dest: Path) -> Path:
    """Write the bundle to `dest`, which is replaced as a whole; returns `dest`.

    `folder` is the notebook's, from which the local modules are taken. Raises OSError if it cannot be written.
    """
    scratch = dest.with_name(f".{dest.name}.writing")
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / "stages").mkdir(parents=True)
    # Without what was observed here: the same notebook gives the same bytes on any machine.
    plain = msgspec.structs.replace(pipeline, edges=edges(pipeline.stages, {}), module_marks={})
    (scratch / PIPELINE).write_bytes(encode(plain))
    (scratch / f"notebook{Path(notebook.path).suffix}").write_bytes(notebook.raw)
    for stage in pipeline.stages:
        text = json.dumps(stage_notebook(pipeline, stage), indent=1, ensure_ascii=False, sort_keys=True)
        (scratch / "stages" / f"{stage.name}.ipynb").write_text(f"{text}\n")
    for path, _ in pipeline.modules.values():
        source = (folder / path).resolve()
        target = scratch / "modules" / Path(path).name if path.startswith("..") else scratch / "modules" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_file():
            target.write_bytes(source.read_bytes())
    lines = [f"{name}=={version.partition('+')[0]}" for name, version in sorted(pipeline.distributions.items())]
    (scratch / "requirements.txt").write_text("".join(f"{line}\n" for line in lines))
    shutil.rmtree(dest, ignore_errors=True)
    scratch.replace(dest)
    return dest


def read_bundle(folder: Path) -> Pipeline:
    """The pipeline of a bundle. Raises PipelineError if it is not whole or not what its version says."""
    try:
        pipeline = decode((folder / PIPELINE).read_bytes())
    except OSError as error:
        raise PipelineError(f"the bundle cannot be read: {error.strerror}", name=str(folder)) from error
    if version_of(pipeline) != pipeline.version:
        raise PipelineError("the bundle was changed since it was written", name=str(folder))
    return pipeline


def stage_notebook(pipeline: Pipeline, stage: Stage) -> dict[str, Any]:
    """A clean notebook of one stage, nbformat 4: parameters, setup, definitions, the stage's own cells."""
    snippets = definitions_of(pipeline, stage)
    params = [item for item in snippets if item.kind == "param"]
    others = [item for item in snippets if item.kind != "param"]
    cells = []
    if params:
        cells.append(_cell("\n".join(item.source for item in params), "parameters", ["parameters"]))
    cells += [_cell(code.body, "setup") for code in pipeline.setup]
    if others:
        cells.append(_cell("\n\n".join(item.source for item in others), "definitions"))
    cells += [_own(code) for code in stage.cells]
    for index, cell in enumerate(cells):
        cell["id"] = f"{stage.name[:50]}-{index}"
    return {
        "cells": cells,
        "metadata": {
            "kernelspec": {"name": pipeline.kernel, "display_name": pipeline.kernel, "language": pipeline.language},
            "nbpipe": {"stage": stage.name, "inputs": sorted(stage.flow.inputs), "outputs": list(stage.flow.outputs)},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _own(code: Code) -> dict[str, Any]:
    return _cell(code.body, "stage", ["raises-exception"] if code.may_raise else [])


def _cell(source: str, role: str, tags: list[str] | None = None) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {"nbpipe": {"role": role}, **({"tags": tags} if tags else {})},
        "outputs": [],
        "source": source.splitlines(keepends=True),
    }
