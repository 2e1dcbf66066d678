"""Which libraries of a job can be there before its kernel starts, put away until its code imports them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from nbpipe.model import Code, JobSpec, Pipeline, Snippet

#: Libraries that are imported ahead: slow to import, and shown to be the same when they are given back. Every parent of
#: kernels has numpy and pyarrow, which papermill imports.
ROOTS = ("pandas", "scipy", "sklearn", "torch")
#: Variables that they, and what they load, look at when they are imported.
SETTINGS = re.compile(
    r"(OMP|GOMP|KMP|MKL|OPENBLAS|GOTO|BLIS|NUMEXPR|NPY|NUMPY|PANDAS|ARROW|SCIPY|SKLEARN|JOBLIB|LOKY|TORCH|PYTORCH|ATEN|CUDA"
    r"|CUBLAS|CUDNN|NCCL|NVIDIA|TRITON|USE|DISABLE|LD|MALLOC|PYTHON|LANG|LC|TZ|TMPDIR|TEMP|HOME|PATH)(_.*)?|.*_NUM_THREADS"
)
_IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+(.*)|import[ \t]+(.*))", re.MULTILINE)
_NAME = re.compile(r"^\s*([\w.]+)")
#: Code that says one of these may have changed what an import gives before it imports.
_UNSURE = re.compile(
    r"environ|putenv|%env|%set_env|dotenv|sys\.(?:path|modules|meta_path|flags|set)|importlib|__import__|__builtins__"
    r"|addsitedir|setrlimit|setaffinity|runpy|%run|%pylab|%load_ext|ctypes|find_spec|reload"
)
_PYTHONS = ("", "python", "python3")
#: Modules and packages of one project that are looked for.
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
        or spec.kernel not in _PYTHONS
        or spec.gpus
        or spec.nproc
        or {"@environ", "@sys.path"} & spec.ambient.keys()
    ):
        return False
    if any(SETTINGS.fullmatch(name) for name in spec.env) or any(_UNSURE.search(text) for text in texts):
        return False
    return not any(_UNSURE.search(text) for text in _own_modules({Path(spec.cwd), Path(spec.project)}, texts))


def _imported(texts: Iterable[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for text in texts:
        for base, names, plain in _IMPORT.findall(text):
            if base:
                found |= dict.fromkeys([base, *(f"{base}.{name}" for name in _listed(names))])
            else:
                found |= dict.fromkeys(_listed(plain))
    return tuple(name for name in found if name.partition(".")[0] in ROOTS)


def _listed(names: str) -> list[str]:
    """Names of `a as b, c.d`, or of the first line of it."""
    each = names.partition("#")[0].partition(";")[0].strip(" \t()\\").split(",")
    return [match[1] for name in each if (match := _NAME.match(name))]


def _own_modules(folders: Iterable[Path], texts: Iterable[str]) -> Iterable[str]:
    """Sources of the project's own modules that the texts import, and that those import."""
    todo = list(texts)
    seen: set[Path] = set()
    while todo:
        tops = {name.partition(".")[0] for found in _IMPORT.findall(todo.pop()) for name in _all(found)}
        for place in {folder / top for folder in folders for top in tops if top} - seen:
            seen.add(place)
            for path in [place.with_suffix(".py"), *(place.rglob("*.py") if place.is_dir() else ())]:
                try:
                    todo.append(path.read_text(encoding="utf-8", errors="replace"))
                except OSError:
                    continue
                yield todo[-1] if len(seen) < _MOST else "importlib"


def _all(found: tuple[str, str, str]) -> list[str]:
    base, _, plain = found
    return [base] if base else _listed(plain)


def _texts(snippets: Iterable[Snippet]) -> list[str]:
    return [snippet.source for snippet in snippets]


def _place(code: Code) -> int:
    return code.cell
