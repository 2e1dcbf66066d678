"""What a stage did beyond what the plan knew: inputs changed in place, state of definitions, ambient state, modules."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nbpipe.job import ambient as table
from nbpipe.job.definitions import Definitions, apply_state, behaviour, state, written_state
from nbpipe.job.leaks import by_reference
from nbpipe.job.seeds import Seeds
from nbpipe.job.sources import is_local
from nbpipe.model import AmbientState, Artifact, Failure, JobSpec
from nbpipe.pipeline.contents import source_digest

_DEFSTATE = "defstate"
_ABSENT = "absent"
_MODULE = "@module:"
_MOVED_BY_IMPORTS = ("@environ", "@sys.path", "@warnings", "@logging")


class Observer:
    """Compares the namespace and the process before and after a stage's cells."""

    def __init__(self, spec: JobSpec, store: Any, shell: Any, secrets: Mapping[str, str]) -> None:
        self._spec = spec
        self._secrets = secrets
        self._store = store
        self._names: dict[str, Any] = shell.user_ns
        self._hidden = shell.user_ns_hidden
        #: Definitions by name: the very object that was created, the digest of its state, its methods.
        self._created: dict[str, Any] = {}
        self._states: dict[str, str] = {}
        self._behaviours: dict[str, dict[str, int]] = {}
        self._digests: dict[str, str] = {}
        #: Local module -> digest of its globals when it was imported, or when the cells began.
        self._modules_before: dict[str, str] = {}
        #: Ambient state when this process began, and when the user's code began.
        self._first: dict[str, Any] = {}
        self._ambient: dict[str, Any] = {}
        self._waiting: dict[str, Artifact] = {}
        self._before_import: dict[str, Any] = {}
        self.warnings: list[str] = []

    def restore_ambient(self) -> None:
        """Give back what earlier stages left; state of what is not imported yet waits until it is."""
        self._first = {entry.name: entry.get() for entry in table.TABLE if entry.owner in sys.modules}
        for name, artifact in self._spec.ambient.items():
            self._waiting[name] = artifact
        for module in {_owner(name) for name in self._waiting} & set(sys.modules):
            self._restore(module)
        self._note_start()

    def loaded(self, module: str) -> None:
        """`module` has just been imported."""
        if module not in {entry.owner for entry in table.TABLE}:
            self._modules_before.setdefault(module, _digest(_globals(sys.modules[module])))
        for entry in table.TABLE:
            if entry.owner == module:
                self._first.setdefault(entry.name, entry.get())
        self._restore(module)
        self._note_start(module)

    def _restore(self, module: str) -> None:
        for name in [name for name in self._waiting if _owner(name) == module]:
            value = self._load(name, self._waiting.pop(name), {})
            if name.startswith(_MODULE):
                vars(sys.modules[module]).update(value)
                self._modules_before[module] = _digest(_globals(sys.modules[module]))
            else:
                table.BY_NAME[name].set(value)

    def _note_start(self, loaded: str = "") -> None:
        """Note the state of every library that is there; one that is half imported is noted when it is `loaded`."""
        for entry in table.TABLE:
            if entry.name in self._ambient or entry.owner not in sys.modules:
                continue
            if entry.owner == loaded or not _importing(entry.owner):
                self._ambient[entry.name] = entry.get()

    def around_import(self, done: bool) -> None:  # noqa: FBT001
        """What the import of a library changes (warning filters, loggers) is not the user's: it moves the start."""
        if not done:
            self._before_import = {name: table.BY_NAME[name].get() for name in _MOVED_BY_IMPORTS}
            return
        if "@warnings" in self._spec.ambient:
            table.keep_filters(self._before_import["@warnings"])
        for name, before in self._before_import.items():
            if self._ambient.get(name) == before:
                self._ambient[name] = table.BY_NAME[name].get()

    def load_inputs(self, definitions: Definitions) -> None:
        """Bind the inputs; one stored as absent stays unbound.

        A class may be made with a value, and a value may be of a class: whatever has all it needs goes first.
        """
        from nbpipe.store.values import load_values

        waiting = {n: a for n, a in self._spec.inputs.items() if a.format not in {_ABSENT, _DEFSTATE}}
        while waiting:
            pending = definitions.pending()
            held = {a.objects for a in waiting.values() if pending.intersection(a.needs)}
            ready = {n: a for n, a in waiting.items() if a.objects not in held} or waiting
            load_values(self._store, ready, self._names)
            waiting = {n: a for n, a in waiting.items() if n not in ready}
            definitions.run_ready()

    def apply_states(self) -> None:
        """Definitions get the state that earlier stages hung on them."""
        for name, artifact in self._spec.inputs.items():
            if artifact.format == _DEFSTATE and name in self._names:
                apply_state(self._names[name], self._load(name, artifact, self._names))
                self._states[name] = self._state_digest(name)

    def _load(self, name: str, artifact: Artifact, namespace: dict[str, Any]) -> Any:
        from nbpipe.store.values import load_values

        return load_values(self._store, {name: artifact}, namespace)[name]

    def _save(self, name: str, value: Any) -> Artifact:
        from nbpipe.store.values import save_values

        return save_values(self._store, {name: value}, stage=self._spec.stage)[name]

    def baseline(self, definitions: Iterable[str]) -> None:
        """Remember how definitions look; values know their digest from their artifact."""
        for name in definitions:
            if name in self._names and state(self._names[name]) is not None:
                self._created[name] = self._names[name]
                self._states[name] = self._state_digest(name)
                self._behaviours[name] = behaviour(self._names[name])
        for name, artifact in self._spec.inputs.items():
            if artifact.format not in {_ABSENT, _DEFSTATE}:
                # The digest of a group covers the sharing too: a member's own is taken here.
                self._digests[name] = _digest(self._names[name]) if artifact.group else artifact.digest

    def _state_digest(self, name: str) -> str:
        return _digest(state(self._names[name]))

    def values(self) -> tuple[dict[str, Artifact], dict[str, Artifact]]:
        """Outputs asked for, and inputs that changed although nobody asked. Raises `Unserializable`."""
        from nbpipe.store.values import absent, save_values

        wanted = list(self._spec.outputs)
        if self._spec.dynamic:
            wanted += [name for name in self._visible() if name not in wanted]
        changed = [name for name in self._changed_inputs() if name not in wanted]
        changed += [name for name in self._shared(wanted) if name not in changed]
        changed += [name for name in self._replaced_definitions() if name not in (*wanted, *changed)]
        every = [*wanted, *changed]
        values = {name: self._names[name] for name in every if name in self._names and not self._defined(name)}
        found = save_values(self._store, values, stage=self._spec.stage)
        found |= {name: absent() for name in every if name not in self._names}
        found |= {name: self._defstate(name) for name in every if self._defined(name)}
        observed = {name: found[name] for name in changed}
        observed |= {name: self._defstate(name) for name in self._changed_definitions() if name not in found}
        observed |= {name: self._defstate(name) for name in self._grown_definitions() if name not in found}
        return {name: found[name] for name in wanted}, observed

    def _defined(self, name: str) -> bool:
        """Whether the name is still bound to the definition that was created for it."""
        return name in self._created and self._names.get(name) is self._created[name]

    def _defstate(self, name: str) -> Artifact:
        from nbpipe.store.values import save_state

        return save_state(self._store, name, state(self._names[name]) or {}, stage=self._spec.stage)

    def _changed_inputs(self) -> list[str]:
        changed = []
        for name, artifact in self._spec.inputs.items():
            bound = name in self._names
            if artifact.format == _DEFSTATE or (artifact.format == _ABSENT and not bound):
                continue
            if (
                not bound
                or artifact.format == _ABSENT
                or (not self._defined(name) and _digest(self._names[name]) != self._digests.get(name))
            ):
                changed.append(name)
        return changed

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

        inputs = {name for name in self._spec.inputs if name in self._names and name not in outputs}
        inputs = {name for name in inputs if not self._defined(name)}
        pool = {
            name: self._names[name] for name in (*outputs, *inputs) if name in self._names and not self._defined(name)
        }
        if not inputs or len(pool) == len(inputs):
            return []
        together = [group for group in groups(pool) if any(member in outputs for member in group)]
        return sorted(name for group in together for name in group if name in inputs)

    def _changed_definitions(self) -> list[str]:
        found = []
        for name in [name for name in self._created if self._defined(name)]:
            if behaviour(self._names[name]) != self._behaviours[name]:
                self.warnings.append(f"methods of '{name}' were replaced: later stages see it as it is written")
            if self._state_digest(name) != self._states[name]:
                found.append(name)
        return found

    def _replaced_definitions(self) -> list[str]:
        """Definitions from above that stand for something else now, although no statement of the stage says so."""
        gone = [name for name, value in self._created.items() if self._names.get(name) is not value]
        if not gone:
            return []
        from nbpipe.dataflow.transform import statements
        from nbpipe.dataflow.walker import effects

        said = set[str]().union(*(effects(statements(code)).written for code in self._spec.cells))
        return [name for name in gone if name not in said]

    def _grown_definitions(self) -> list[str]:
        """Functions and classes of the stage's own cells that are no longer what their source gives."""
        from nbpipe.dataflow.transform import plain_tree

        found = []
        trees = [plain_tree(code.body) for code in self._spec.cells]
        nodes = [node for tree in trees if tree is not None for node in tree.body]
        for node in nodes:
            name = getattr(node, "name", "")
            value = self._names.get(name)
            written = written_state(node)
            if not name or written is None or name in self._created or getattr(value, "__module__", "") != "__main__":
                continue
            now = state(value)
            if now is not None and not hasattr(value, "__members__") and _digest(now) != _digest(written):
                found.append(name)
        return list(dict.fromkeys(found))

    def ambient(self, seeds: Seeds) -> tuple[AmbientState, ...]:
        """State of everything that is loaded: what the stage started with, and what it changed.

        State that is not listed belongs to a library that was never imported: the stage did not depend on it.
        """
        found = []
        for entry in table.TABLE:
            if entry.owner not in sys.modules:
                continue
            now = entry.get()
            if entry.random and not seeds.matters(entry.name):
                if seeds.read(entry.name, now):
                    # Unseeded draws are not carried, but who drew must see a seed that turns up above.
                    found.append(AmbientState(name=entry.name))
                continue
            before = self._ambient.get(entry.name, now)
            started = seeds.start.get(entry.name, before) if entry.random else before
            changed = now != started or (entry.random and entry.name in seeds.seeded)
            artifact = self._save(entry.name, self._packed(entry, now)) if changed else None
            start = self._spec.ambient[entry.name].digest if entry.name in self._spec.ambient else ""
            found.append(
                AmbientState(
                    name=entry.name,
                    before=start,
                    after=artifact.digest if artifact else start,
                    read=seeds.read(entry.name, now) if entry.random else True,
                    artifact=artifact,
                )
            )
        return (*found, *self._changed_modules())

    def _packed(self, entry: table.Ambient, now: Any) -> Any:
        packed = entry.pack(self._first[entry.name], now)
        return by_reference(packed, self._secrets) if entry.name == "@environ" else packed

    def _changed_modules(self) -> list[AmbientState]:
        found = []
        for name, module in self._local_modules().items():
            before = self._modules_before.get(name)
            now = _globals(module)
            changed = before is not None and before != _digest(now)
            artifact = self._save(_MODULE + name, now) if changed else None
            start = given.digest if (given := self._spec.ambient.get(_MODULE + name)) else ""
            found.append(
                AmbientState(
                    name=_MODULE + name,
                    before=start,
                    after=artifact.digest if artifact else start,
                    artifact=artifact,
                )
            )
        return found

    def _local_modules(self) -> dict[str, Any]:
        root = str(Path(self._spec.project).resolve())
        found = {}
        for name, module in list(sys.modules.items()):
            path = getattr(module, "__file__", None)
            if path and name != "__main__" and is_local(path, root):
                found[name] = module
        return found

    def modules(self) -> dict[str, tuple[str, str]]:
        """Local modules loaded: name -> (path, `source_digest`)."""
        root = Path(self._spec.project).resolve()
        return {
            name: (
                str(Path(module.__file__).relative_to(root)),
                source_digest(Path(module.__file__).read_bytes()),
            )
            for name, module in self._local_modules().items()
        }

    def metrics(self) -> dict[str, float]:
        """Values of the metrics asked for; the last element of a sequence. A missing or infinite one is a warning."""
        found = {}
        for name in self._spec.metrics:
            try:
                value = _number(self._names[name])
            except (KeyError, TypeError, ValueError, IndexError):
                self.warnings.append(f"metric '{name}' is not a number at the end of the stage")
                continue
            if math.isfinite(value):
                found[name] = value
            else:
                self.warnings.append(f"metric '{name}' is {value} at the end of the stage: left out")
        return found

    def rejected(self, metrics: dict[str, float]) -> Failure | None:
        """The first threshold that does not hold, with the values that it compares."""
        from nbpipe.notebook.thresholds import holds, threshold_names

        for text in self._spec.thresholds:
            own, champion = threshold_names(text)
            if champion and not self._spec.champion:
                self.warnings.append(f"there is no champion yet, so '{text}' was not compared")
                continue
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


def _importing(module: str) -> bool:
    """Its import has begun and not ended."""
    return bool(getattr(sys.modules[module].__spec__, "_initializing", False))


def _owner(name: str) -> str:
    """Module that must be there before the state `name` can be restored."""
    return name.removeprefix(_MODULE) if name.startswith(_MODULE) else table.BY_NAME[name].owner


def _digest(value: Any) -> str:
    """The store's digest of a value; "" when it has none (it then counts as changed, and storing it says why)."""
    from nbpipe.store.digest import Undigestable, digest

    try:
        return digest(value)
    except Undigestable:
        return ""


def _number(value: Any) -> float:
    if isinstance(value, (list, tuple)) or (getattr(value, "ndim", None) or 0) > 0:
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
