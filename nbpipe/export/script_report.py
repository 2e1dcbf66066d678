"""`python -m nbpipe.export.script_report FOLDER REPORT OPTIONS`: run an exported package, and note what its stages give.

Digests are those that a run's results have. The package cannot import nbpipe meanwhile: it has to do without.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbpipe.errors import Unserializable
from nbpipe.store import Store, open_store


class _Without:
    """Finds no module of nbpipe."""

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> None:
        if name.partition(".")[0] == "nbpipe" and name not in sys.modules and _asked_by_package():
            raise ModuleNotFoundError(f"an exported package does without {name}", name=name)


def _asked_by_package() -> bool:
    frame = sys._getframe(1)  # noqa: SLF001
    seen: Any = frame
    while seen is not None:
        module = seen.f_globals.get("__name__", "")
        if not module.startswith(("importlib", "nbpipe.export.script_report", "_frozen")):
            return "_pipeline." in module or module.endswith("_pipeline")
        seen = seen.f_back
    return False


def main(arguments: list[str]) -> int:
    """Run it; the exit code is the package's."""
    folder, report, *options = arguments
    package = next(path.parent for path in Path(folder).glob("*_pipeline/main.py")).name
    store = open_store("memory:")
    sys.path.insert(0, folder)
    sys.meta_path.insert(0, _Without())
    module: Any = importlib.import_module(f"{package}.main")
    found: dict[str, dict[str, Any]] = {}
    for name, function in list(vars(module).items()):
        inner = inspect.unwrap(function) if callable(function) else None
        if inspect.isfunction(inner) and inner.__module__.startswith(f"{package}.stages."):
            setattr(module, name, _watched(function, inner, package, store, found))
    run = module.run

    @functools.wraps(run)
    def measured(**given: Any) -> dict[str, float]:
        metrics: dict[str, float] = run(**given)
        found["metrics"] = metrics
        return metrics

    module.run = measured
    try:
        return int(module.main(options))
    finally:
        Path(report).write_text(json.dumps(found))


def _watched(
    function: Callable[..., Any], inner: Any, package: str, store: Store, found: dict[str, dict[str, Any]]
) -> Callable[..., Any]:
    names = _returned(inner)
    stage = ast.literal_eval(str(inner.__doc__).split(" ", 2)[2].partition(": cell")[0])

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = function(*args, **kwargs)
        values = dict(zip(names, given if len(names) > 1 else (given,), strict=True)) if names else {}
        with _as_in_a_notebook(package):
            saved = store.save_values(values, stage=stage)
            found[stage] = {name: artifact.digest for name, artifact in saved.items()}
            # What it took may have changed in place.
            taken = inspect.signature(inner).bind(*args, **kwargs).arguments
            for name in taken.keys() - values.keys():
                with contextlib.suppress(Unserializable):
                    found[stage][name] = store.save_values({name: taken[name]}, stage=stage)[name].digest
        return given

    return call


def _returned(function: Any) -> list[str]:
    """Names of what the stage gives, as its last line says."""
    source = inspect.getsource(sys.modules[function.__module__])
    tree = next(n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef) and n.name == function.__name__)
    last = tree.body[-1]
    if not isinstance(last, ast.Return) or last.value is None:
        return []
    return [ast.unparse(each) for each in (last.value.elts if isinstance(last.value, ast.Tuple) else [last.value])]


class _as_in_a_notebook:  # noqa: N801 - used as a function
    """Classes and functions of the package are, for a digest, those of `__main__`, as in a kernel."""

    def __init__(self, package: str) -> None:
        self._package = package
        self._changed: list[tuple[Any, str]] = []
        self._main: dict[str, Any] = {}

    def __enter__(self) -> None:
        main = vars(sys.modules["__main__"])
        for name, module in list(sys.modules.items()):
            if name.startswith(f"{self._package}."):
                for each in list(vars(module).values()):
                    if inspect.isclass(each) and each.__module__ == name:
                        self._changed.append((each, name))
                        self._main.setdefault(each.__name__, main.get(each.__name__))
                        each.__module__ = "__main__"
                        main[each.__name__] = each

    def __exit__(self, *_error: object) -> None:
        main = vars(sys.modules["__main__"])
        for each, module in self._changed:
            each.__module__ = module
        for name, before in self._main.items():
            if before is None:
                main.pop(name, None)
            else:
                main[name] = before


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
