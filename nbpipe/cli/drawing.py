"""The graph of a pipeline as text: one row per stage, a rail for every stage whose results are still wanted below.

    ● load
    ├─● look         ← load: images, labels
    ● prepare        ← load: images, labels
    ├─● train_cnn    ← prepare: X_train
    ├─│─● train_svm  ← prepare: X_train
    ●─┴─┘ evaluate   ← prepare: X_test; train_cnn: net; train_svm: svm

`┴` and `┘` end a rail, `┼`, `├` and `┤` take from it and let it go on, a plain `│` only crosses.
"""

from __future__ import annotations

from collections.abc import Iterator

from nbpipe.cli.text import cut, pad, width
from nbpipe.model import Pipeline

_LABEL_LIMIT = 24


def draw(pipeline: Pipeline, columns: int) -> str:
    """The drawing, no line wider than `columns`."""
    rows = list(_rails(pipeline))
    names = [f"{rail} {name}" for rail, name in rows]
    left = max((width(text) for text in names), default=0) + 2
    lines = []
    for (_, name), text in zip(rows, names, strict=True):
        label = label_of(pipeline, name)
        lines.append(cut(f"{pad(text, left)}← {label}" if label else text, columns))
    return "\n".join(lines)


def label_of(pipeline: Pipeline, stage: str) -> str:
    """What the stage needs, by giver: `prepare: X, y; load (file): data.csv`."""
    needs: dict[str, list[str]] = {}
    for edge in pipeline.edges:
        if edge.target == stage:
            mark = "" if edge.kind in ("data", "after") else f" ({edge.kind})"
            needs.setdefault(f"{edge.source}{mark}", []).extend(edge.names)
    return "; ".join(f"{giver}: {', '.join(names)}" if names else giver for giver, names in needs.items())


def _rails(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """The rails left of each stage, and the stage, in notebook order."""
    givers: dict[str, set[str]] = {stage.name: set() for stage in pipeline.stages}
    for edge in pipeline.edges:
        givers[edge.target].add(edge.source)
    last = {giver: stage.name for stage in pipeline.stages for giver in givers[stage.name]}
    columns: list[str | None] = []
    for stage in pipeline.stages:
        mine = givers[stage.name]
        ending = {giver for giver in mine if last[giver] == stage.name}
        at = next((n for n, owner in enumerate(columns) if owner in ending), None)
        if at is None:
            first = max((n + 1 for n, owner in enumerate(columns) if owner in mine), default=0)
            at = next((n for n in range(first, len(columns)) if columns[n] is None), len(columns))
        if at == len(columns):
            columns.append(None)
        yield _row(columns, at, mine, ending, "◆" if stage.kind == "check" else "●"), stage.name
        columns = [None if owner in ending else owner for owner in columns]
        columns[at] = stage.name if stage.name in last else None
        while columns and columns[-1] is None:
            columns.pop()


def _row(columns: list[str | None], at: int, mine: set[str], ending: set[str], symbol: str) -> str:
    touched = [n for n, owner in enumerate(columns) if owner in mine and n != at] + [at]
    low, high = min(touched), max(touched)
    cells = []
    for n, owner in enumerate(columns):
        if n == at:
            mark = symbol
        elif n in touched:
            mark = _joint(first=n == low, last=n == high, ends=owner in ending)
        else:
            mark = "│" if owner is not None else "─" if low < n < high else " "
        cells.append(mark + ("─" if low <= n < high else " "))
    return "".join(cells).rstrip()


def _joint(*, first: bool, last: bool, ends: bool) -> str:
    if first:
        return "└" if ends else "├"
    if last:
        return "┘" if ends else "┤"
    return "┴" if ends else "┼"


def dot(pipeline: Pipeline) -> str:
    """The graph in Graphviz' language. Names are quoted as its grammar wants."""
    lines = [f"digraph {_quoted(pipeline.name)} {{", "  rankdir=LR;", "  node [shape=box, style=rounded];"]
    for stage in pipeline.stages:
        shape = " [shape=diamond]" if stage.kind == "check" else ""
        lines.append(f"  {_quoted(stage.name)}{shape};")
    for edge in pipeline.edges:
        style = ", style=dashed" if edge.kind != "data" else ""
        label = _quoted(cut(", ".join(edge.names), _LABEL_LIMIT))
        lines.append(f"  {_quoted(edge.source)} -> {_quoted(edge.target)} [label={label}{style}];")
    return "\n".join([*lines, "}"])


def mermaid(pipeline: Pipeline) -> str:
    """The graph for Mermaid, which GitHub, JupyterLab and many wikis draw."""
    ids = {stage.name: f"s{n}" for n, stage in enumerate(pipeline.stages)}
    lines = ["flowchart LR"]
    for stage in pipeline.stages:
        before, after = ("{", "}") if stage.kind == "check" else ("[", "]")
        lines.append(f'  {ids[stage.name]}{before}"{_entity(stage.name)}"{after}')
    for edge in pipeline.edges:
        arrow = "-->" if edge.kind == "data" else "-.->"
        label = f'|"{_entity(cut(", ".join(edge.names), _LABEL_LIMIT))}"|' if edge.names else ""
        lines.append(f"  {ids[edge.source]} {arrow}{label} {ids[edge.target]}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'


def _entity(text: str) -> str:
    return "".join(char if char.isalnum() or char in " _-,./…@" else f"#{ord(char)};" for char in text)
