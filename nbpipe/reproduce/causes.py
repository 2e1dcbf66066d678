"""What probably made a stage give something else: calls whose answers nobody can repeat. Looks at code, runs nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from nbpipe.dataflow.transform import parse
from nbpipe.errors import PipelineError
from nbpipe.model import Pipeline, Stage
from nbpipe.pipeline.code import definitions_of

#: A call -> what it depends on. Names as they are usually imported.
_CALLS = (
    (
        re.compile(
            r"^time\.(time|time_ns|perf_counter|perf_counter_ns|monotonic|process_time|ctime|localtime|strftime)$"
        ),
        "reads the clock",
    ),
    (re.compile(r"(^|\.)(datetime|date|Timestamp)\.(now|utcnow|today)$"), "reads the clock"),
    (
        re.compile(r"^(uuid\.uuid[14]|os\.urandom|secrets\.\w+|random\.SystemRandom)$"),
        "is random and cannot be seeded",
    ),
    (
        re.compile(r"^(requests|httpx)\.(get|post|request|head)$|(^|\.)(urlopen|urlretrieve)$"),
        "asks the network",
    ),
    (
        re.compile(r"^os\.getpid$|^(socket|platform)\.(gethostname|node|platform)$|^(os\.getcwd|Path\.cwd)$"),
        "names this place",
    ),
)
_UNSEEDED = re.compile(r"(^|\.)(default_rng|RandomState|SeedSequence|Random)$")
_FETCHES = re.compile(r"(read|load|open|get|fetch|request|retrieve|connect)\w*$")
_ADDRESS = re.compile(r"^(https?|ftp|s3|gs)://")


def causes_in(pipeline: Pipeline, stage: Stage) -> list[str]:
    """A line per call in the stage, the setup and the definitions it uses, with its place."""
    found: dict[str, None] = {}
    pieces = [(code.body, code.cell, code.line) for code in (*stage.cells, *pipeline.setup)]
    pieces += [(item.source, item.cell, item.line) for item in definitions_of(pipeline, stage)]
    for body, cell, first in pieces:
        try:
            tree = parse(body)
        except PipelineError:
            continue
        for line, text in _calls(tree):
            found[f"{text} (cell {cell}, line {first + line - 1})"] = None
    return list(found)


def _calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        if _UNSEEDED.search(name) and not node.args and not node.keywords:
            yield node.lineno, f"{name}() is not given a seed"
        for pattern, what in _CALLS:
            if pattern.search(name):
                yield node.lineno, f"{name}() {what}"
        words = [part.value for part in node.args if isinstance(part, ast.Constant) and isinstance(part.value, str)]
        if _FETCHES.search(name) and any(_ADDRESS.match(word) for word in words):
            yield node.lineno, f"{name}() asks the network"
