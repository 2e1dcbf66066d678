"""Values around a stage's cells: inputs bound before, outputs stored after, and what else has changed in the namespace."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Iterable, Mapping
from typing import Any

from nbpipe.errors import Unserializable
from nbpipe.job.definitions import Definitions, apply_state, behaviour, state, written_state
from nbpipe.job.identities import identity_warnings
from nbpipe.model import Artifact, JobSpec
from nbpipe.store.identity import found_by_name

_DEFSTATE = "defstate"
_ABSENT = "absent"
_CACHE = type(functools.lru_cache(len))


class Observer:
    """Compares the namespace before and after a stage's cells."""

    def __init__(self, spec: JobSpec, store: Any, shell: Any) -> None:
        self.spec = spec
        self._store = store
        self._names: dict[str, Any] = shell.user_ns
        self._hidden = shell.user_ns_hidden
        #: Definitions by name: the very object that was created, the digest of its state, its methods.
        self._created: dict[str, Any] = {}
        self._states: dict[str, str] = {}
        self._behaviours: dict[str, dict[str, int]] = {}
        self._digests: dict[str, str] = {}
        #: What was bound when the cells began.
        self._before: dict[str, Any] = {}
        self.warnings: list[str] = []
        #: Spare names that could not be stored -> why.
        self.unstored: dict[str, str] = {}
        self._spare = set(spec.spare)

    def load_inputs(self, definitions: Definitions) -> None:
        """Bind the inputs; one stored as absent stays unbound.

        A class may be made with a value, and a value may be of a class: whatever has all it needs goes first.
        """
        from nbpipe.store.values import load_values

        waiting = {n: a for n, a in self.spec.inputs.items() if a.format not in {_ABSENT, _DEFSTATE}}
        while waiting:
            pending = definitions.pending()
            held = {a.objects for a in waiting.values() if pending.intersection(a.needs)}
            ready = {n: a for n, a in waiting.items() if a.objects not in held} or waiting
            load_values(self._store, ready, self._names)
            waiting = {n: a for n, a in waiting.items() if n not in ready}
            definitions.run_ready()

    def apply_states(self) -> None:
        """Definitions get the state that earlier stages hung on them."""
        for name, artifact in self.spec.inputs.items():
            if artifact.format == _DEFSTATE and name in self._names:
                apply_state(self._names[name], self._load(name, artifact, self._names))
                self._states[name] = self._state_digest(name)

    def _load(self, name: str, artifact: Artifact, namespace: dict[str, Any]) -> Any:
        from nbpipe.store.values import load_values

        return load_values(self._store, {name: artifact}, namespace)[name]

    def baseline(self, definitions: Iterable[str]) -> None:
        """Remember how definitions look; values know their digest from their artifact."""
        self._before = dict(self._names)
        for name in definitions:
            if name in self._names and state(self._names[name]) is not None:
                self._created[name] = self._names[name]
                self._states[name] = self._state_digest(name)
                self._behaviours[name] = behaviour(self._names[name])
        for name, artifact in self.spec.inputs.items():
            if artifact.format not in {_ABSENT, _DEFSTATE}:
                # The digest of a group covers the sharing too: a member's own is taken here.
                self._digests[name] = _digest(self._names[name]) if artifact.group else artifact.digest

    def _state_digest(self, name: str) -> str:
        return _digest(state(self._names[name]))

    def identities(self) -> list[str]:
        """Warnings about comparisons that only one process could answer."""
        sources = [code.body for code in self.spec.cells] + [snippet.source for snippet in self.spec.snippets]
        return identity_warnings(sources, self._before)

    def values(self) -> tuple[dict[str, Artifact], dict[str, Artifact]]:
        """Outputs asked for, and inputs that changed although nobody asked. Raises `Unserializable`."""
        from nbpipe.store.values import absent

        wanted = list(self.spec.outputs)
        if self.spec.dynamic:
            # Nobody asks for these by name: one that cannot be stored is missing where it is read after all.
            more = [name for name in self._visible() if name not in wanted]
            self._spare |= {*more}
            wanted += more
        changed = [name for name in self._changed_inputs() if name not in wanted]
        changed += [name for name in self._shared(wanted) if name not in changed]
        changed += [name for name in self._replaced_definitions() if name not in (*wanted, *changed)]
        spare = [name for name in self.spec.spare if name not in (*wanted, *changed)]
        every = [*wanted, *changed, *spare]
        self.warnings += self._apart(every)
        values = {name: self._names[name] for name in every if name in self._names and not self._defined(name)}
        found = self._saved(values)
        wanted = [name for name in (*wanted, *spare) if name not in self.unstored]
        changed = [name for name in changed if name not in self.unstored]
        every = [name for name in every if name not in self.unstored]
        held = self._held(found)
        found |= held
        found |= {name: absent() for name in every if name not in self._names}
        found |= {name: self._defstate(name) for name in every if self._defined(name)}
        observed = {name: found[name] for name in (*changed, *held)}
        observed |= {name: self._defstate(name) for name in self._changed_definitions() if name not in found}
        observed |= {name: self._defstate(name) for name in self._grown_definitions() if name not in found}
        self.warnings += self._also_in(
            {name for name, each in (found | observed).items() if each.format == _DEFSTATE}, values
        )
        return {name: found[name] for name in wanted}, observed

    def _also_in(self, definitions: Iterable[str], values: Mapping[str, Any]) -> list[str]:
        """Values that lie in what hangs on a class or function as well: stored apart, they are two in later stages."""
        from nbpipe.store.sharing import groups

        found = []
        for name in sorted(definitions):
            others = {each: value for each, value in values.items() if each != name}
            for group in groups({**others, name: state(self._names[name])}):
                shared = ", ".join(f"'{each}'" for each in group if each != name)
                if name in group:
                    found.append(
                        f"{shared} is also in what hangs on '{name}': one object here, and two in later stages"
                    )
        return found

    def _saved(self, values: dict[str, Any]) -> dict[str, Artifact]:
        """The values, stored. A spare one that cannot be is left out. Raises `Unserializable` for any other."""
        from nbpipe.store.values import save_values

        while True:
            try:
                return save_values(self._store, values, stage=self.spec.stage, lost=self.warnings)
            except Unserializable as error:
                if error.name not in self._spare or error.name not in values:
                    raise
                self.unstored[error.name] = f"{error.type_name}: {error.reason}"
                values = {name: value for name, value in values.items() if name != error.name}

    def _held(self, found: Mapping[str, Artifact]) -> dict[str, Artifact]:
        """Values of this stage that functions in stored values read by name: `for j in …: hooks.append(lambda: j)`."""
        from nbpipe.store.values import save_values

        held: dict[str, Artifact] = {}
        waiting = {need for artifact in found.values() for need in artifact.needs}
        while waiting := {name for name in waiting if name not in found and name not in held and self._is_new(name)}:
            values = {name: self._names[name] for name in sorted(waiting)}
            saved = save_values(self._store, values, stage=self.spec.stage, lost=self.warnings)
            held |= saved
            waiting = {need for artifact in saved.values() for need in artifact.needs}
        return held

    def _is_new(self, name: str) -> bool:
        """Whether the stage's own cells bound the name, and to a value: definitions are created again."""
        value = self._names.get(name, sys)
        return name not in self._before and not isinstance(value, (types.ModuleType, type)) and not found_by_name(value)

    def _defined(self, name: str) -> bool:
        """Whether the name is still bound to the definition that was created for it."""
        return name in self._created and self._names.get(name) is self._created[name]

    def _defstate(self, name: str) -> Artifact:
        from nbpipe.store.values import save_state

        return save_state(self._store, name, state(self._names[name]) or {}, stage=self.spec.stage)

    def _changed_inputs(self) -> list[str]:
        changed = []
        for name, artifact in self.spec.inputs.items():
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
        kinds = (types.ModuleType, types.FunctionType, type)
        return [
            name
            for name, value in self._names.items()
            if not name.startswith("_") and name not in self._hidden and not isinstance(value, kinds)
        ]

    def _shared(self, outputs: list[str]) -> list[str]:
        """Inputs that share memory with an output and are not outputs themselves."""
        from nbpipe.store.sharing import groups

        inputs = {name for name in self.spec.inputs if name in self._names and name not in outputs}
        inputs = {name for name in inputs if not self._defined(name)}
        pool = {
            name: self._names[name] for name in (*outputs, *inputs) if name in self._names and not self._defined(name)
        }
        if not inputs or len(pool) == len(inputs):
            return []
        together = [group for group in groups(pool) if any(member in outputs for member in group)]
        return sorted(name for group in together for name in group if name in inputs)

    def _apart(self, stored: list[str]) -> list[str]:
        """Inputs that were changed in place while others, stored apart, lay in the same memory in one kernel."""
        found = []
        for name in stored:
            artifact = self.spec.inputs.get(name)
            value = self._names.get(name)
            if artifact is None or not artifact.beside or value is not self._before.get(name):
                continue
            if _digest(value) != self._digests.get(name):
                others = ", ".join(artifact.beside)
                found.append(
                    f"'{name}' is changed in place, and {others} lies in the same memory: that changes too in one kernel, "
                    "but not here. Take a .copy() where they are made."
                )
        return found

    def _changed_definitions(self) -> list[str]:
        found = []
        for name in [name for name in self._created if self._defined(name)]:
            if behaviour(self._names[name]) != self._behaviours[name]:
                self.warnings.append(
                    f"methods of '{name}' were replaced, or others registered with it: later stages see it as it is written"
                )
            if self._state_digest(name) != self._states[name]:
                found.append(name)
        self.warnings += [*self._caches(), *self._registered()]
        return found

    def _registered(self) -> list[str]:
        """Definitions of the stage's own cells with which others were registered: made again, they know nothing of them."""
        kinds = (types.FunctionType, type)
        new = {
            name: value
            for name, value in self._names.items()
            if isinstance(value, kinds) and value.__module__ == "__main__" and self._before.get(name) is not value
        }
        found = {name: {key for key in behaviour(value) if key.startswith("register(")} for name, value in new.items()}
        # What a `singledispatch` calls for all else is its own.
        return [
            f"others are registered with '{name}': later stages see it without. Define and register them in a %%setup cell"
            for name, keys in found.items()
            if keys - {f"register({object!r})"}
        ]

    def _caches(self) -> list[str]:
        """What `functools.lru_cache` has kept cannot be looked at, and so not be stored."""
        caches = {name: value for name, value in self._names.items() if isinstance(value, _CACHE)}
        return [
            f"the cache of '{name}' is not kept: later stages call it anew"
            for name, value in caches.items()
            if value.__module__ == "__main__" and value.cache_info().currsize
        ]

    def _replaced_definitions(self) -> list[str]:
        """Definitions from above that stand for something else now, although no statement of the stage says so."""
        gone = [name for name, value in self._created.items() if self._names.get(name) is not value]
        if not gone:
            return []
        from nbpipe.dataflow.transform import statements
        from nbpipe.dataflow.walker import effects

        said = set[str]().union(*(effects(statements(code)).written for code in self.spec.cells))
        return [name for name in gone if name not in said]

    def _grown_definitions(self) -> list[str]:
        """Functions and classes of the stage's own cells that are no longer what their source gives."""
        from nbpipe.dataflow.transform import plain_tree

        found = []
        trees = [plain_tree(code.body) for code in self.spec.cells]
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


def _digest(value: Any) -> str:
    """The store's digest of a value; "" when it has none (it then counts as changed, and storing it says why)."""
    from nbpipe.store.digest import Undigestable, digest

    try:
        return digest(value)
    except Undigestable:
        return ""
