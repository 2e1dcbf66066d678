"""Values that certainly cannot be stored for the stages that read them: what makes them is plain to see."""

from __future__ import annotations

import ast

from nbpipe.check.findings import Action, Finding
from nbpipe.check.places import statements_of
from nbpipe.check.rewriting import rewritten
from nbpipe.dataflow.roots import dotted
from nbpipe.model import Code, Notebook, Pipeline, Stage

#: Calls whose results live in one process, with what they give.
_CALLS = {
    "open": "an open file",
    "io.open": "an open file",
    "sqlite3.connect": "a connection",
    "threading.Lock": "a lock",
    "threading.RLock": "a lock",
    "threading.Thread": "a thread",
    "socket.socket": "a socket",
    "subprocess.Popen": "a process",
}


def unstorable_values(pipeline: Pipeline, notebook: Notebook) -> list[Finding]:
    """A finding per output that no format can store. Where stages may be merged, they are, and nothing is wrong."""
    if pipeline.mergeable:
        return []
    generators = _generators(pipeline)
    found = []
    for stage in pipeline.stages:
        read = {name for other in pipeline.stages for name, source in other.flow.inputs.items() if source == stage.name}
        for name in sorted(read & set(stage.flow.outputs)):
            finding = _certain(name, stage, pipeline, generators, notebook)
            if finding is not None:
                found.append(finding)
    return found


def _certain(
    name: str, stage: Stage, pipeline: Pipeline, generators: frozenset[str], notebook: Notebook
) -> Finding | None:
    """The finding, if the only statement of the stage that says `name =` makes such a value."""
    bound = [(code, node) for code, node in statements_of(stage.cells) if _binds(node, name)]
    if len(bound) != 1:
        return None
    code, node = bound[0]
    value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
    kind = _kind(value, generators)
    if value is None or not kind:
        return None
    reader = next(other.name for other in pipeline.stages if other.flow.inputs.get(name) == stage.name)
    return Finding(
        severity="error",
        code="unserializable",
        message=f"'{name}' is {kind}, which cannot be stored for stage '{reader}'",
        fix=f"Create '{name}' in the stage that uses it, or put both cells in one stage."
        + (" Or make a list of it." if kind == "a generator" else ""),
        cell=code.cell,
        line=code.line + node.lineno - 1,
        stage=stage.name,
        name=name,
        actions=_listed(name, value, code, notebook) if kind == "a generator" else (),
    )


def _listed(name: str, value: ast.expr, code: Code, notebook: Notebook) -> tuple[Action, ...]:
    """Make a list of a generator that stands in one line."""
    written = ast.get_source_segment(code.body, value) or ""
    made = f"list{written}" if isinstance(value, ast.GeneratorExp) else f"list({written})"
    return rewritten(notebook, (code.cell, code.line + value.lineno - 1), written, made, f"Make a list of '{name}'")


def _kind(value: ast.expr | None, generators: frozenset[str]) -> str:
    """What kind of value that cannot be stored an expression gives; "" where that is not certain."""
    if isinstance(value, ast.GeneratorExp):
        return "a generator"
    if isinstance(value, ast.Call):
        called = dotted(value.func)
        return "a generator" if called in generators else _CALLS.get(called, "")
    return ""


def _binds(node: ast.stmt, name: str) -> bool:
    """It is bound anywhere in the statement: in a loop or a condition, too."""
    return any(
        isinstance(part, ast.Name) and part.id == name and not isinstance(part.ctx, ast.Load) for part in ast.walk(node)
    )


def _generators(pipeline: Pipeline) -> frozenset[str]:
    """Functions of the notebook that are generators, by plain `def` and without a decorator."""
    found = set()
    for item in pipeline.snippets:
        for _, node in statements_of([Code(cell=1, body=item.source)] if item.kind == "function" else []):
            if isinstance(node, ast.FunctionDef) and not node.decorator_list and _yields(node):
                found.add(node.name)
    return frozenset(found)


def _yields(function: ast.FunctionDef) -> bool:
    """A `yield` of its own, not of a function inside."""
    todo: list[ast.AST] = list(function.body)
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.Yield, ast.YieldFrom)):
            return True
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.GeneratorExp)):
            todo += ast.iter_child_nodes(node)
    return False
