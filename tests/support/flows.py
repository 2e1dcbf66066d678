"""The analysis of a notebook given as the text of its cells."""

from __future__ import annotations

from nbpipe.dataflow.graph import Flow, analyze
from nbpipe.model import Cell, Notebook, Stage
from nbpipe.notebook.stages import outline
from nbpipe.pipeline.params import extract_params


def flow_of(*cells: str) -> Flow:
    """Each text is one code cell, its magic line included."""
    numbered = tuple(Cell(number=number, kind="code", source=text) for number, text in enumerate(cells, start=1))
    found = outline(Notebook(path="notebook.ipynb", sha256="", cells=numbered, metadata={}))
    return analyze(found, extract_params(found)[0])


def stages_of(*cells: str) -> dict[str, Stage]:
    """The stages by name."""
    return {stage.name: stage for stage in flow_of(*cells).stages}


def inputs_of(stage: str, *cells: str) -> dict[str, str]:
    """What one stage takes from above: name -> stage."""
    return stages_of(*cells)[stage].flow.inputs


def data_edges(*cells: str, kind: str = "data") -> set[tuple[str, str, tuple[str, ...]]]:
    """(source, target, names) of every edge of one kind."""
    return {(edge.source, edge.target, edge.names) for edge in flow_of(*cells).edges if edge.kind == kind}
