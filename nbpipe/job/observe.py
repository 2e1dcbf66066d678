"""What a stage did beyond what the plan knew: inputs changed in place, state of definitions, ambient state, modules."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import blake3
import msgspec

from nbpipe.job import ambient as table
from nbpipe.job.definitions import apply_state, behaviour, state
from nbpipe.job.seeds import Seeds
from nbpipe.model import AmbientState, Artifact, Failure, JobSpec

_DEFSTATE = "defstate"
_MODULE = "@module:"


class Observer:
    """Compares the namespace and the process before and after a stage's cells."""

    def __init__(self, spec: JobSpec, store: Any, shell: Any) -> None:
        self._spec = spec
        self._store = store
        self._names: dict[str, Any] = shell.user_ns
        self._hidden = shell.user_ns_hidden
        self._states: dict[str, str] = {}
        self._behaviours: dict[str, dict[str, int]] = {}
        self._ambient: dict[str, Any] = {}
        self.warnings: list[str] = []

    def restore_ambient(self) -> None:
        """Give back what earlier stages left; state of a library imports that library."""
        import importlib

        for name, artifact in self._spec.ambient.items():
            value = self._load(name, artifact)
            if name.startswith(_MODULE):
                module = importlib.import_module(name.removeprefix(_MODULE))
                vars(module).update(value)
            elif name in table.BY_NAME:
                importlib.import_module(table.BY_NAME[name].owner)
                table.BY_NAME[name].set(value)
        self._note_ambient()

    def _note_ambient(self) -> None:
        for entry in table.TABLE:
            if entry.name not in self._ambient and entry.owner in sys.modules:
                self._ambient[entry.name] = entry.get()

    def load_inputs(self) -> None:
        """Bind the inputs; one stored as absent stays unbound."""
        from nbpipe.store.values import load_values

        wanted = {n: a for n, a in self._spec.inputs.items() if a.format not in {"absent", _DEFSTATE}}
        load_values(self._store, wanted, self._names)

    def apply_states(self) -> None:
        """Definitions get the state that earlier stages hung on them."""
        for name, artifact in self._spec.inputs.items():
            if artifact.format == _DEFSTATE and name in self._names:
                apply_state(self._names[name], self._load(name, artifact))
                self._states[name] = self._state_digest(name)

    def _load(self, name: str, artifact: Artifact) -> Any:
        from nbpipe.store.values import load_values

        inner = artifact.summary.get("inner")
        if inner is not None:
            artifact = msgspec.structs.replace(artifact, format=inner)
        return load_values(self._store, {name: artifact}, dict(self._names))[name]

    def _save(self, name: str, value: Any, *, label: str) -> Artifact:
        from nbpipe.store.values import save_values

        kept = save_values(self._store, {name: value}, stage=self._spec.stage)[name]
        return msgspec.structs.replace(kept, format=label, summary={**kept.summary, "inner": kept.format})

    def baseline(self, definitions: Iterable[str]) -> None:
        """Remember how definitions look; values know their digest from their artifact."""
        for name in definitions:
            if name in self._names and state(self._names[name]) is not None:
                self._states[name] = self._state_digest(name)
                self._behaviours[name] = behaviour(self._names[name])
        self._modules_before = {name: _globals(module) for name, module in self._local_modules().items()}

    def _state_digest(self, name: str) -> str:
        from nbpipe.store.digest import digest

        return str(digest(state(self._names[name])))

    def values(self) -> tuple[dict[str, Artifact], dict[str, Artifact]]:
        """Outputs asked for, and inputs that changed although nobody asked. Raises `Unserializable`."""
        from nbpipe.store.digest import digest
        from nbpipe.store.values import save_values

        wanted = [name for name in self._spec.outputs]
        if self._spec.dynamic:
            wanted += [name for name in self._visible() if name not in wanted]
        changed = []
        for name, artifact in self._spec.inputs.items():
            if name in wanted or artifact.format == _DEFSTATE:
                continue
            if name not in self._names:
                if artifact.format != "absent":
                    changed.append(name)
            elif digest(self._names[name]) != artifact.digest:
                changed.append(name)
        changed += [name for name in self._shared(wanted) if name not in changed]
        every = [*wanted, *changed]
        bound = {name: self._names[name] for name in every if name in self._names and name not in self._states}
        stored = save_values(self._store, bound, stage=self._spec.stage)
        gone = {name: Artifact(digest="absent", format="absent") for name in every if name not in self._names}
        found = {**stored, **gone}
        observed = {name: found[name] for name in changed}
        observed |= self._changed_definitions()
        return {name: found[name] for name in wanted if name in found}, observed

    def _visible(self) -> list[str]:
        import types

        kinds = (types.ModuleType, types.FunctionType, type)
        return [
            name
            for name, value in self._names.items()
            if not name.startswith("_") and name not in self._hidden and not isinstance(value, kinds)
        ]

    def _shared(self, outputs: list[str]) -> list[str]:
        """Inputs that share memory with an output and are not outputs themselves."""
        from nbpipe.store.sharing import groups

        inputs = [n for n in self._spec.inputs if n in self._names and n not in outputs and n not in self._states]
        pool = {name: self._names[name] for name in (*outputs, *inputs) if name in self._names and name not in self._states}
        if not inputs or len(pool) == len(inputs):
            return []
        alone = {name for group in groups({n: pool[n] for n in inputs}) for name in group if len(group) > 1}
        return sorted(
            name
            for group in groups(pool)
            if any(member in outputs for member in group)
            for name in group
            if name in inputs and (name not in alone or len(group) > 1)
        )

    def _changed_definitions(self) -> dict[str, Artifact]:
        found = {}
        for name, before in self._states.items():
            if name not in self._names:
                continue
            value = self._names[name]
            if behaviour(value) != self._behaviours.get(name, behaviour(value)):
                self.warnings.append(f"methods of '{name}' were replaced: later stages see the class as it is written")
            if state(value) is not None and self._state_digest(name) != before:
                found[name] = self._save(name, state(value), label=_DEFSTATE)
        return found

    def ambient(self, seeds: Seeds) -> tuple[AmbientState, ...]:
        """Ambient state that the stage started with or changed."""
        from nbpipe.store.digest import digest

        found = []
        for entry in table.TABLE:
            if entry.owner not in sys.modules or (entry.random and not seeds.matters(entry.name)):
                continue
            now = entry.get()
            given = entry.name in self._spec.ambient
            before = self._ambient.get(entry.name, now)
            started = seeds.start.get(entry.name, before) if entry.random else before
            changed = now != started or (entry.random and entry.name in seeds.seeded)
            if not changed and not given:
                continue
            artifact = self._save(entry.name, now, label=_label(now)) if changed else None
            found.append(
                AmbientState(
                    name=entry.name,
                    before=self._spec.ambient[entry.name].digest if given else "",
                    after=artifact.digest if artifact else str(digest(now)),
                    read=seeds.read(entry.name, now) if entry.random else True,
                    artifact=artifact,
                )
            )
        return (*found, *self._changed_modules())

    def _changed_modules(self) -> list[AmbientState]:
        from nbpipe.store.digest import digest

        found = []
        for name, module in self._local_modules().items():
            before = self._modules_before.get(name)
            now = _globals(module)
            given = self._spec.ambient.get(_MODULE + name)
            changed = before is not None and digest(before) != digest(now)
            if not changed and given is None:
                continue
            artifact = self._save(_MODULE + name, now, label=_label(now)) if changed else None
            found.append(
                AmbientState(
                    name=_MODULE + name,
                    before=given.digest if given else "",
                    after=artifact.digest if artifact else str(digest(now)),
                    artifact=artifact,
                )
            )
        return found

    def _local_modules(self) -> dict[str, Any]:
        root = str(Path(self._spec.project).resolve())
        found = {}
        for name, module in list(sys.modules.items()):
            path = getattr(module, "__file__", None)
            if path and name != "__main__" and path.startswith(root + "/") and "site-packages" not in path:
                found[name] = module
        return {name: module for name, module in found.items() if name.partition(".")[0] != "nbpipe"}

    def modules(self) -> dict[str, tuple[str, str]]:
        """Local modules loaded: name -> (path, blake3 of the source)."""
        root = Path(self._spec.project).resolve()
        return {
            name: (str(Path(module.__file__).relative_to(root)), blake3.blake3(Path(module.__file__).read_bytes()).hexdigest())
            for name, module in self._local_modules().items()
        }

    def metrics(self) -> dict[str, float]:
        """Values of the metrics asked for; the last element of a sequence. A missing one is a warning."""
        found = {}
        for name in self._spec.metrics:
            try:
                found[name] = _number(self._names[name])
            except (KeyError, TypeError, ValueError, IndexError):
                self.warnings.append(f"metric '{name}' is not a number at the end of the stage")
        return found

    def rejected(self, metrics: dict[str, float]) -> Failure | None:
        """The first threshold that does not hold, with the values that it compares."""
        from nbpipe.notebook.thresholds import holds, threshold_names

        for text in self._spec.thresholds:
            own, champion = threshold_names(text)
            values: dict[str, Any] = {**self._spec.known_metrics, **metrics}
            for name in own:
                if name in self._names:
                    values[name] = _number(self._names[name])
            shown = [f"{name} = {values[name]:.6g}" for name in own if name in values]
            shown += [f"champion.{n} = {self._spec.champion[n]:.6g}" for n in champion if n in self._spec.champion]
            try:
                ok = holds(text, values, self._spec.champion)
                said = f"{text} does not hold: {', '.join(shown)}"
            except KeyError as missing:
                ok, said = False, f"{text} cannot be computed: there is no {missing.args[0]}"
            if not ok:
                return Failure(code="rejected", message=said, cell=self._spec.cells[0].cell, line=1)
        return None


def _label(value: Any) -> str:
    return "ambient" if value is not None else "ambient"


def _number(value: Any) -> float:
    if isinstance(value, (list, tuple)) or getattr(value, "ndim", 0):
        value = value[-1]
    return float(value)


def _globals(module: Any) -> dict[str, Any]:
    """Plain data that a module keeps at its top level."""
    return {name: value for name, value in vars(module).items() if not name.startswith("__") and _plain(value)}


def _plain(value: Any, depth: int = 0) -> bool:
    if value is None or isinstance(value, (bool, int, float, str, bytes, complex)):
        return True
    if type(value).__module__.split(".")[0] in {"numpy", "pandas"} and not isinstance(value, type):
        return hasattr(value, "shape")
    if depth < 6 and isinstance(value, (list, tuple, set, frozenset)):  # noqa: PLR2004
        return all(_plain(item, depth + 1) for item in value)
    if depth < 6 and isinstance(value, dict):  # noqa: PLR2004
        return all(_plain(key, depth + 1) and _plain(item, depth + 1) for key, item in value.items())
    return False
