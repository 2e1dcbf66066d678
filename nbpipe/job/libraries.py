"""Which libraries of a job can be there before its kernel starts, put away until its code imports them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from nbpipe.model import Code, JobSpec, Pipeline, Snippet

#: Libraries that are imported ahead: slow to import, and shown to be the same when they are given back. Every parent of
#: kernels has numpy and pyarrow, which papermill imports.
ROOTS = ("pandas", "scipy", "sklearn", "torch")
#: Libraries that every parent of kernels uses itself, no kernel has before its code imports them, and that add to the
#: filters of warnings: with those among them that they import.
OWN = {"numpy": (), "pyarrow": ("numpy",), "urllib3": (), "requests": ("urllib3",)}
#: Variables that they, and what they load, look at when they are imported.
SETTINGS = re.compile(
    r"(OMP|GOMP|KMP|MKL|OPENBLAS|GOTO|BLIS|NUMEXPR|NPY|NUMPY|PANDAS|ARROW|SCIPY|SKLEARN|JOBLIB|LOKY|TORCH|PYTORCH|ATEN|CUDA"
    r"|CUBLAS|CUDNN|NCCL|NVIDIA|TRITON|USE|DISABLE|LD|MALLOC|PYTHON|LANG|LC|TZ|TMPDIR|TEMP|HOME|PATH|TQDM)(_.*)?"
    r"|TORCH.*|.*_NUM_THREADS"
)
#: Library -> those of them that its own import reads; all of them read how many threads there are to be.
OWN_SETTINGS = {
    "pandas": re.compile(r"(PANDAS|ARROW|NUMEXPR)_.*"),
    "scipy": re.compile(r"(SCIPY|OPENBLAS)_.*"),
    "sklearn": re.compile(r"(SKLEARN|SCIPY|JOBLIB|LOKY|KMP)_.*"),
    "torch": re.compile(r"(TORCH|PYTORCH|ATEN|CUDA|NVIDIA|TRITON|USE|KMP|MKL).*"),
}
THREADS = re.compile(r"(OMP|GOMP|MKL|OPENBLAS|BLIS)_.*|.*_NUM_THREADS")
#: Variables that are looked at when what every parent has imported is imported: numpy, pyarrow.
_READ_BEFORE = re.compile(r"\b(?:OMP|GOMP|MKL|OPENBLAS|GOTO|BLIS|NPY|NUMPY|ARROW)_\w+|_NUM_THREADS\b")
_IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+(.*)|import[ \t]+(.*))", re.MULTILINE)
_NAME = re.compile(r"^\s*([\w.]+)")
#: Code that says one of these may have changed what an import gives before it imports.
_UNSURE = re.compile(
    r"environ|putenv|%env|%set_env|dotenv|sys\.(?:path|modules|meta_path|flags|set)|importlib|__import__|__builtins__"
    r"|addsitedir|setrlimit|setaffinity|runpy|%run|%pylab|%load_ext|ctypes|find_spec|reload|__subclasses__|dictConfig|fileConfig"
    r"|^[ \t]*!|%%!|%%bash|%%sh|%%script|%sx|%system|\bpip\b|\bconda\b|\buv\b|subprocess|os\.system|popen|experimental",
    re.MULTILINE,
)
#: Packages that set nothing around them when they are imported. Another one that does may do so before a library is.
_CALM = {*ROOTS, *sys.stdlib_module_names, "IPython", "PIL", "ipywidgets", "joblib", "matplotlib", "matplotlib_inline"}
_CALM |= {
    "nbpipe",
    "networkx",
    "numpy",
    "plotly",
    "psutil",
    "pyarrow",
    "requests",
    "seaborn",
    "statsmodels",
    "tqdm",
    "yaml",
}
#: Names that stand for the Python that runs the job.
PYTHONS = frozenset({"", "python3", "python"})
#: Files of one project that are looked through.
_MOST = 500


def of_pipeline(pipeline: Pipeline) -> tuple[str, ...]:
    """Modules of `ROOTS`' libraries that the code of a pipeline imports, in the order of the notebook."""
    code = [*pipeline.setup, *(cell for stage in pipeline.stages for cell in stage.cells)]
    return _imported([*_texts(pipeline.snippets), *(cell.body for cell in sorted(code, key=_place))])


def suit(spec: JobSpec) -> bool:
    """Whether the job imports such a library, and nothing of it says that the import would not be the one done ahead.

    A job for which this is false gets a kernel without them: slower, and the same.
    """
    texts = [*_texts(spec.snippets), *(code.body for code in (*spec.setup, *spec.cells))]
    names = _imported(texts)
    if (
        not names
        or spec.kernel not in PYTHONS
        or spec.gpus
        or spec.nproc
        or {"@environ", "@sys.path"} & spec.ambient.keys()
    ):
        return False
    if spec.env or any(_UNSURE.search(text) for text in texts):
        return False
    own, sources = _own_modules({Path(spec.cwd), Path(spec.project)}, texts)
    if any(_UNSURE.search(text) for text in sources):
        return False
    return _tops([*texts, *sources]) <= _CALM | own


def too_late(spec: JobSpec, given: Iterable[str]) -> bool:
    """Whether the job sets variables for libraries that every parent has imported: its kernel has to import them itself.

    `given` are variables that it has besides the parent's: its own, and those that stages above it have set.
    """
    texts = [*_texts(spec.snippets), *(code.body for code in (*spec.setup, *spec.cells))]
    folders = {Path(spec.cwd), Path(spec.project)}
    texts += _own_modules(folders, texts)[1]
    if any("dotenv" in text for text in texts):
        texts += [path.read_text(errors="replace") for folder in folders if (path := folder / ".env").is_file()]
    return any(_READ_BEFORE.search(text) for text in (*given, *texts))


def _imported(texts: Iterable[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for text in texts:
        for base, names, plain in _IMPORT.findall(text):
            if base:
                found |= dict.fromkeys([base, *(f"{base}.{name}" for name in _listed(names))])
            else:
                found |= dict.fromkeys(_listed(plain))
    # What switches something on in another module would do so for stages that never imported it.
    return tuple(name for name in found if name.partition(".")[0] in ROOTS and "experimental" not in name)


def _listed(names: str) -> list[str]:
    """Names of `a as b, c.d`, or of the first line of it."""
    each = names.partition("#")[0].partition(";")[0].strip(" \t()\\").split(",")
    return [match[1] for name in each if (match := _NAME.match(name))]


def _own_modules(folders: Iterable[Path], texts: Iterable[str]) -> tuple[set[str], list[str]]:
    """The project's own modules that the texts import, and that those import: top-level names, and sources."""
    names, sources, todo = set[str](), list[str](), list(texts)
    seen: set[str] = set()
    while todo:
        for top in _tops([todo.pop()]) - seen:
            seen.add(top)
            for place in [folder / top for folder in folders]:
                for path in [place.with_suffix(".py"), *(place.rglob("*.py") if place.is_dir() else ())]:
                    try:
                        todo.append(path.read_text(encoding="utf-8", errors="replace"))
                    except OSError:
                        continue
                    names.add(top)
                    sources.append(todo[-1] if len(sources) < _MOST else "importlib")
    return names, sources


def _tops(texts: Iterable[str]) -> set[str]:
    found = [each for text in texts for each in _IMPORT.findall(text)]
    return {name.partition(".")[0] for each in found for name in _all(each)} - {""}


def _all(found: tuple[str, str, str]) -> list[str]:
    base, _, plain = found
    return [base] if base else _listed(plain)


def _texts(snippets: Iterable[Snippet]) -> list[str]:
    return [snippet.source for snippet in snippets]


def _place(code: Code) -> int:
    return code.cell
