"""Files and ambient state that code names plainly. Only hints: what is missed here is observed when the stage runs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from nbpipe.dataflow.roots import dotted

_SETS = {
    "random.seed": "@random",
    "np.random.seed": "@numpy.random",
    "numpy.random.seed": "@numpy.random",
    "torch.manual_seed": "@torch.random",
    "os.chdir": "@cwd",
    "pd.set_option": "@pandas.options",
    "np.set_printoptions": "@numpy.printoptions",
}
_DRAWS = (
    (re.compile(r"^random\.(?!seed|Random|SystemRandom)\w+$"), "@random"),
    (re.compile(r"^(np|numpy)\.random\.(?!seed|default_rng|RandomState|Generator|SeedSequence)\w+$"), "@numpy.random"),
    (re.compile(r"(^|\.)(train_test_split|shuffle|resample|make_\w+)$"), "@numpy.random"),
    (re.compile(r"^torch\.(rand\w*|bernoulli|multinomial|normal|dropout)$"), "@torch.random"),
)
_READERS = re.compile(
    r"(^|\.)(read_\w+|load|loadtxt|genfromtxt|imread|memmap|fromfile|loads_file|load_workbook|scan_\w+)$"
)
_WRITERS = re.compile(
    r"(^|\.)(to_csv|to_parquet|to_pickle|to_json|to_excel|to_feather|to_hdf|save|savez|savetxt|savefig|imsave|tofile|write_\w+)$"
)
_FIRST_OR_SECOND = frozenset({"save", "dump"})


def files(nodes: Iterable[ast.AST]) -> tuple[set[str], set[str]]:
    """Literal paths that calls name: (read, written)."""
    reads: set[str] = set()
    writes: set[str] = set()
    for node in _calls(nodes):
        name = dotted(node.func) or (node.func.attr if isinstance(node.func, ast.Attribute) else "")
        paths = [text for argument in node.args[:2] if (text := _path(argument)) is not None]
        tail = name.split(".")[-1]
        if name in {"open", "io.open"} and paths:
            (writes if _writes(node) else reads).add(paths[0])
        elif tail in {"read_text", "read_bytes"} and isinstance(node.func, ast.Attribute):
            reads |= {text for text in [_path(node.func.value)] if text}
        elif tail in {"write_text", "write_bytes"} and isinstance(node.func, ast.Attribute):
            writes |= {text for text in [_path(node.func.value)] if text}
        elif _WRITERS.search(name) and paths:
            writes.add(paths[-1 if tail in _FIRST_OR_SECOND else 0])
        elif _READERS.search(name) and paths:
            reads.add(paths[0])
    return reads, writes


def ambient(nodes: Iterable[ast.AST]) -> tuple[set[str], set[str]]:
    """Ambient state that code plainly sets, and plainly draws from: (sets, uses)."""
    sets: set[str] = set()
    uses: set[str] = set()
    for node in _calls(nodes):
        name = dotted(node.func)
        if name in _SETS:
            sets.add(_SETS[name])
            continue
        if any(keyword.arg == "random_state" for keyword in node.keywords):
            continue
        uses |= {state for pattern, state in _DRAWS if pattern.search(name)}
    return sets, uses


def _calls(nodes: Iterable[ast.AST]) -> list[ast.Call]:
    return [part for node in nodes for part in ast.walk(node) if isinstance(part, ast.Call)]


def _path(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and 0 < len(node.value) < 300:  # noqa: PLR2004  a path
        return None if "\n" in node.value or "://" in node.value else node.value
    if isinstance(node, ast.Call) and dotted(node.func).split(".")[-1] == "Path" and node.args:
        return _path(node.args[0])
    return None


def _writes(node: ast.Call) -> bool:
    modes = [a.value for a in node.args[1:2] if isinstance(a, ast.Constant)]
    modes += [k.value.value for k in node.keywords if k.arg == "mode" and isinstance(k.value, ast.Constant)]
    return any(isinstance(mode, str) and set(mode) & set("wax+") for mode in modes)
