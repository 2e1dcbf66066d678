"""Files and ambient state that code names plainly. Only hints: what is missed here is observed when the stage runs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

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
    listed = list(nodes)
    sets = {state for name in _assigned(listed) for pattern, state in _ASSIGNED if pattern.search(name)}
    uses: set[str] = set()
    for node in _calls(listed):
        name = dotted(node.func)
        parts = name.split(".")
        known = [state for size in (3, 2, 1) if (state := _SETS.get(".".join(parts[-size:])))]
        if known:
            sets.add(known[0])
        elif not any(keyword.arg == "random_state" for keyword in node.keywords):
            uses |= {state for pattern, state in _DRAWS if pattern.search(name)}
    return sets, uses


def _assigned(nodes: Iterable[ast.AST]) -> set[str]:
    """Dotted names of what assignments such as `a.b = …` and `a.b["c"] = …` change."""
    found: set[str] = set()
    for node in nodes:
        for part in nodes_of(node):
            if isinstance(part, ast.Subscript | ast.Attribute) and not isinstance(part.ctx, ast.Load):
                target = part.value if isinstance(part, ast.Subscript) else part
                if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Call):
                    found.add(f"{dotted(target.value.func)}.{target.attr}")
                found.add(dotted(target))
    return found


def _calls(nodes: Iterable[ast.AST]) -> list[ast.Call]:
    return [part for node in nodes for part in nodes_of(node) if isinstance(part, ast.Call)]


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
