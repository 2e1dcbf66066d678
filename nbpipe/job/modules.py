"""Local modules that a stage has loaded: their sources, and the plain data that they keep at their top level."""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbpipe.job.definitions import behaviour, state
from nbpipe.job.sources import is_local
from nbpipe.model import AmbientState, JobSpec
from nbpipe.pipeline.contents import source_digest
from nbpipe.store.digest import Undigestable, digest

#: How the globals of a local module are called among ambient state.
MODULE = "@module:"
_DEEPEST = 6
#: Characters of a digest that only says whether two are the same.
_SHORT = 16
_FIXED = (type(None), bool, int, float, complex, str, bytes, tuple, frozenset)


class LocalModules:
    """Globals of local modules, given back when a module is imported and compared when the cells are done."""

    def __init__(self, spec: JobSpec, store: Any) -> None:
        self._root = Path(spec.project).resolve()
        self._given = {name.removeprefix(MODULE): a for name, a in spec.ambient.items() if name.startswith(MODULE)}
        self._store = store
        self._stage = spec.stage
        #: Module -> digest of its globals when it was imported, and had what earlier stages left in it.
        self._before: dict[str, str] = {}
        #: Module -> digest of each of its globals as its import made them.
        self._made: dict[str, dict[str, str]] = {}
        self._others: dict[str, dict[str, Any]] = {}

    def restore(self) -> None:
        """Modules that were there before the cells get what earlier stages left in them."""
        for name in self._given.keys() & sys.modules.keys():
            self.loaded(name)

    def loaded(self, name: str) -> None:
        """The module has just been imported for the first time."""
        from nbpipe.store.values import load_values

        if name in self._before:
            return
        module = sys.modules[name]
        self._made[name] = {key: _digest(value)[:_SHORT] for key, value in _globals(module).items()}
        if name in self._given:
            vars(module).update(load_values(self._store, {name: self._given[name]}, {})[name])
        self._before[name] = digest(_globals(module))
        self._others[name] = _others(module)

    def observed(self) -> tuple[AmbientState, ...]:
        """What the stage started with and what it changed, of every module loaded."""
        from nbpipe.store.values import save_values

        found = []
        for name, module in self._loaded():
            now, artifact = _globals(module), None
            if name in self._before and self._before[name] != digest(now):
                artifact = save_values(self._store, {MODULE + name: now}, stage=self._stage)[MODULE + name]
            start = self._given[name].digest if name in self._given else ""
            after = artifact.digest if artifact else start
            made = self._made.get(name, {})
            found.append(AmbientState(name=MODULE + name, before=start, after=after, artifact=artifact, made=made))
        return tuple(found)

    def lost(self, outputs: Mapping[str, Any]) -> list[str]:
        """What code left in a local module that is not carried, and `outputs` that are one object with its globals."""
        found = []
        for name, module in self._loaded():
            before, now = self._others.get(name), _others(module)
            changed = sorted(key for key in now if before.get(key) != now[key]) if before is not None else []
            found += [
                f"{name}.{key} changed, and only plain data of local modules is carried: later stages see it as it was "
                "imported. Change it in a %%setup cell, or keep it in the notebook"
                for key in changed
            ]
            shared = {id(value): key for key, value in _globals(module).items() if not isinstance(value, _FIXED)}
            found += [
                f"'{output}' and {name}.{shared[id(value)]} are one object here, and two in later stages"
                for output, value in outputs.items()
                if id(value) in shared
            ]
        return found

    def sources(self) -> dict[str, tuple[str, str]]:
        """Module -> (path below the project, `source_digest`)."""
        paths = {name: Path(module.__file__) for name, module in self._loaded()}
        return {
            name: (str(path.relative_to(self._root)), source_digest(path.read_bytes())) for name, path in paths.items()
        }

    def _loaded(self) -> list[tuple[str, Any]]:
        root = str(self._root)
        found = []
        for name, module in list(sys.modules.items()):
            path = getattr(module, "__file__", None)
            if path and name != "__main__" and is_local(path, root):
                found.append((name, module))
        return found


def _globals(module: Any) -> dict[str, Any]:
    """Plain data that a module keeps at its top level."""
    return {name: value for name, value in vars(module).items() if not name.startswith("__") and _plain(value)}


def _others(module: Any) -> dict[str, Any]:
    """What stands for the rest of its globals: functions, classes and objects of its own."""
    public = {name: value for name, value in vars(module).items() if not name.startswith("__") and not _plain(value)}
    return {name: _mark(value, module) for name, value in public.items() if not isinstance(value, types.ModuleType)}


def _mark(value: Any, module: Any) -> Any:
    if isinstance(value, (types.FunctionType, type)):
        own = value.__module__ == module.__name__
        return id(value), _digest(state(value)) if own else "", behaviour(value) if own else {}
    container = isinstance(value, (list, tuple, dict, set, frozenset))
    if container or type(value).__module__ == module.__name__:
        return _digest(value)
    return id(value)


def _digest(value: Any) -> str:
    try:
        return digest(value)
    except Undigestable:
        return ""


def _plain(value: Any, depth: int = 0) -> bool:
    if value is None or isinstance(value, (bool, int, float, str, bytes, complex)):
        return True
    if type(value).__module__.split(".")[0] in {"numpy", "pandas"} and not isinstance(value, type):
        return hasattr(value, "shape")
    if depth < _DEEPEST and isinstance(value, (list, tuple, set, frozenset)):
        return all(_plain(item, depth + 1) for item in value)
    if depth < _DEEPEST and isinstance(value, dict):
        return all(_plain(key, depth + 1) and _plain(item, depth + 1) for key, item in value.items())
    return False
