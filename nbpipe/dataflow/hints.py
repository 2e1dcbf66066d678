"""Files and ambient state that code names plainly. Only hints: what is missed here is observed when the stage runs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from nbpipe.dataflow.nodes import nodes_of
from nbpipe.dataflow.roots import dotted

#: Calls that set ambient state, by the end of their dotted name.
_SETS = {
    "random.seed": "@random",
    "np.random.seed": "@numpy.random",
    "numpy.random.seed": "@numpy.random",
    "torch.manual_seed": "@torch.random",
    "os.chdir": "@cwd",
    "os.putenv": "@environ",
    "os.environ.update": "@environ",
    "os.environ.setdefault": "@environ",
    "os.environ.pop": "@environ",
    "load_dotenv": "@environ",
    "sys.path.append": "@sys.path",
    "sys.path.insert": "@sys.path",
    "sys.path.extend": "@sys.path",
    "sys.setrecursionlimit": "@sys.limits",
    "os.umask": "@sys.limits",
    "gc.disable": "@sys.limits",
    "csv.field_size_limit": "@csv",
    "csv.register_dialect": "@csv",
    "socket.setdefaulttimeout": "@socket",
    "pd.set_option": "@pandas.options",
    "pandas.set_option": "@pandas.options",
    "np.set_printoptions": "@numpy.options",
    "numpy.set_printoptions": "@numpy.options",
    "np.seterr": "@numpy.options",
    "plt.style.use": "@matplotlib.rcParams",
    "plt.rc": "@matplotlib.rcParams",
    "mpl.rc": "@matplotlib.rcParams",
    "matplotlib.rc": "@matplotlib.rcParams",
    "rcParams.update": "@matplotlib.rcParams",
    "sns.set": "@matplotlib.rcParams",
    "sns.set_theme": "@matplotlib.rcParams",
    "sns.set_style": "@matplotlib.rcParams",
    "sns.set_context": "@matplotlib.rcParams",
    "sns.set_palette": "@matplotlib.rcParams",
    "warnings.filterwarnings": "@warnings",
    "warnings.simplefilter": "@warnings",
    "logging.basicConfig": "@logging",
    "logging.disable": "@logging",
    "locale.setlocale": "@locale",
    "torch.set_default_dtype": "@torch.defaults",
    "torch.set_default_device": "@torch.defaults",
    "torch.set_num_threads": "@torch.defaults",
    "torch.use_deterministic_algorithms": "@torch.defaults",
    "torch.set_printoptions": "@torch.defaults",
    "sklearn.set_config": "@sklearn.config",
    "time.tzset": "@environ",
}
#: What is assigned to sets ambient state.
_ASSIGNED = (
    (re.compile(r"(^|\.)rcParams$"), "@matplotlib.rcParams"),
    (re.compile(r"^os\.environ$"), "@environ"),
    (re.compile(r"^sys\.path$"), "@sys.path"),
    (re.compile(r"^(pd|pandas)\.options\."), "@pandas.options"),
    (re.compile(r"getcontext\.\w+$"), "@decimal"),
)
#: The library that every stage importing it reads the state of; "" for what every stage reads.
OWNERS = {
    "@cwd": "",
    "@environ": "",
    "@sys.path": "",
    "@sys.limits": "",
    "@warnings": "",
    "@logging": "logging",
    "@locale": "",
    "@decimal": "decimal",
    "@csv": "csv",
    "@socket": "",
    "@pandas.options": "pandas",
    "@numpy.options": "numpy",
    "@matplotlib.rcParams": "matplotlib",
    "@torch.defaults": "torch",
    "@sklearn.config": "sklearn",
    "@polars.config": "polars",
}
_DRAWS = (
    (re.compile(r"^random\.(?!seed|Random|SystemRandom)\w+$"), "@random"),
    (re.compile(r"^(np|numpy)\.random\.(?!seed|default_rng|RandomState|Generator|SeedSequence)\w+$"), "@numpy.random"),
    (re.compile(r"(^|\.)(train_test_split|shuffle|resample|make_\w+)$"), "@numpy.random"),
    (re.compile(r"^torch\.(rand\w*|bernoulli|multinomial|normal|dropout)$"), "@torch.random"),
)
#: Of the name of a file that is no text.
_SURROGATE = re.compile("[\ud800-\udfff]")
_READERS = re.compile(
    r"(^|\.)(read_\w+|load|loadtxt|genfromtxt|imread|memmap|fromfile|loads_file|load_workbook|scan_\w+)$"
)
_WRITERS = re.compile(
    r"(^|\.)(to_csv|to_parquet|to_pickle|to_json|to_excel|to_feather|to_hdf|save|savez|savetxt|savefig|imsave|tofile|write_\w+)$"
)
_FIRST_OR_SECOND = frozenset({"save", "dump"})


class Hints(NamedTuple):
    """What the nodes of some code say plainly: literal paths read and written, ambient state set and drawn from."""

    reads: set[str]
    writes: set[str]
    sets: set[str]
    uses: set[str]


def of(calls: Iterable[ast.Call], stored: Iterable[ast.Attribute | ast.Subscript]) -> Hints:
    """Of all calls in some code, and of what it assigns or deletes but for plain names."""
    found = Hints(set(), set(), set(), set())
    for node in calls:
        name = dotted(node.func)
        kind = _kind_of_call(name or (node.func.attr if isinstance(node.func, ast.Attribute) else ""))
        if kind:
            _file(node, kind, found)
        state, drawn = _state_of_call(name)
        if state:
            found.sets.add(state)
        elif drawn and not any(keyword.arg == "random_state" for keyword in node.keywords):
            found.uses.update(drawn)
    for target in stored:
        for name in _assigned(target):
            found.sets.update(_state_of_assigned(name))
    return found


def files(nodes: Iterable[ast.AST]) -> tuple[set[str], set[str]]:
    """Literal paths that calls name: (read, written)."""
    found = _of_trees(nodes)
    return found.reads, found.writes


def ambient(nodes: Iterable[ast.AST]) -> tuple[set[str], set[str]]:
    """Ambient state that code plainly sets, and plainly draws from: (sets, uses)."""
    found = _of_trees(nodes)
    return found.sets, found.uses


def _of_trees(nodes: Iterable[ast.AST]) -> Hints:
    parts = [part for node in nodes for part in nodes_of(node)]
    stored = [part for part in parts if isinstance(part, ast.Subscript | ast.Attribute)]
    return of(
        [part for part in parts if isinstance(part, ast.Call)],
        [part for part in stored if not isinstance(part.ctx, ast.Load)],
    )


@lru_cache(maxsize=8192)
def _kind_of_call(name: str) -> str:
    """What a function does with a path: "open", "reads", "writes", "writes last", or of the path it is called on; "" for nothing."""
    tail = name.rpartition(".")[2]
    if name in {"open", "io.open"}:
        return "open"
    if tail in {"read_text", "read_bytes"}:
        return "own reads"
    if tail in {"write_text", "write_bytes"}:
        return "own writes"
    if _WRITERS.search(name):
        return "writes last" if tail in _FIRST_OR_SECOND else "writes"
    return "reads" if _READERS.search(name) else ""


def _file(node: ast.Call, kind: str, found: Hints) -> None:
    """Take in the path that such a call names."""
    paths = [text for argument in node.args[:2] if (text := _path(argument)) is not None]
    if kind.startswith("own") and isinstance(node.func, ast.Attribute):
        own = _path(node.func.value)
        if own:
            (found.reads if kind == "own reads" else found.writes).add(own)
    elif kind == "open" and paths:
        (found.writes if _writes(node) else found.reads).add(paths[0])
    elif kind in {"writes", "writes last", "own writes"} and paths:
        found.writes.add(paths[-1 if kind == "writes last" else 0])
    elif kind in {"reads", "own reads"} and paths:
        found.reads.add(paths[0])


@lru_cache(maxsize=8192)
def _state_of_call(name: str) -> tuple[str, frozenset[str]]:
    """Ambient state that a function sets, "" for none, and that it draws from."""
    parts = name.split(".")
    for size in (3, 2, 1):
        state = _SETS.get(".".join(parts[-size:]))
        if state:
            return state, frozenset()
    return "", frozenset(state for pattern, state in _DRAWS if pattern.search(name))


@lru_cache(maxsize=8192)
def _state_of_assigned(name: str) -> frozenset[str]:
    return frozenset(state for pattern, state in _ASSIGNED if pattern.search(name))


def _assigned(node: ast.Attribute | ast.Subscript) -> list[str]:
    """Dotted names of what an assignment such as `a.b = …` and `a.b["c"] = …` changes."""
    target = node.value if isinstance(node, ast.Subscript) else node
    if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Call):
        return [f"{dotted(target.value.func)}.{target.attr}", dotted(target)]
    return [dotted(target)]


def _path(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and 0 < len(node.value) < 300:  # noqa: PLR2004  a path
        return None if "\n" in node.value or "://" in node.value or _SURROGATE.search(node.value) else node.value
    if isinstance(node, ast.Call) and dotted(node.func).split(".")[-1] == "Path" and node.args:
        return _path(node.args[0])
    return None


def _writes(node: ast.Call) -> bool:
    modes = [a.value for a in node.args[1:2] if isinstance(a, ast.Constant)]
    modes += [k.value.value for k in node.keywords if k.arg == "mode" and isinstance(k.value, ast.Constant)]
    return any(isinstance(mode, str) and set(mode) & set("wax+") for mode in modes)
