"""Ambient state around a stage's cells: given back as earlier stages left it, observed when the cells are done."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from nbpipe.job import ambient as table
from nbpipe.job.leaks import by_reference
from nbpipe.job.modules import MODULE, LocalModules
from nbpipe.job.seeds import Seeds
from nbpipe.model import AmbientState, Artifact, JobSpec

_MOVED_BY_IMPORTS = ("@environ", "@sys.path", "@warnings", "@logging")


class Surroundings:
    """The process around the cells, by the names of `nbpipe.job.ambient`, and the local modules that it has loaded.

    Responsibilities: state of what is not imported yet waits until it is; what an import changes is not the user's.
    Must not: look at a library that nobody imported.
    """

    def __init__(self, spec: JobSpec, store: Any, secrets: Mapping[str, str]) -> None:
        self._given = spec.ambient
        self._store = store
        self._stage = spec.stage
        self._secrets = secrets
        self._modules = LocalModules(spec, store)
        #: State when this process began, and when the user's code began.
        self._first: dict[str, Any] = {}
        self._start: dict[str, Any] = {}
        self._waiting: dict[str, Artifact] = {}
        self._before_import: dict[str, Any] = {}

    def restore(self) -> None:
        """Give back what earlier stages left; state of what is not imported yet waits until it is."""
        self._first = {entry.name: entry.get() for entry in table.TABLE if entry.owner in sys.modules}
        self._waiting = {name: given for name, given in self._given.items() if not name.startswith(MODULE)}
        # Giving one back may import what another belongs to: a filter of warnings names a library's own.
        while due := {table.BY_NAME[name].owner for name in self._waiting} & set(sys.modules):
            for module in due:
                self._note_first(module)
                self._restore(module)
        self._modules.restore()
        self._note_start()

    def loaded(self, module: str) -> None:
        """`module` has just been imported."""
        owned = [entry for entry in table.TABLE if entry.owner == module]
        if not owned:
            self._modules.loaded(module)
        self._note_first(module)
        self._restore(module)
        self._note_start(module)

    def _note_first(self, owner: str) -> None:
        for entry in table.TABLE:
            if entry.owner == owner and entry.name not in self._first:
                self._first[entry.name] = entry.get()

    def _restore(self, owner: str) -> None:
        from nbpipe.store.values import load_values

        for name in [name for name in self._waiting if table.BY_NAME[name].owner == owner]:
            artifact = self._waiting.pop(name)
            table.BY_NAME[name].set(load_values(self._store, {name: artifact}, {})[name])

    def _note_start(self, loaded: str = "") -> None:
        """Note the state of every library that is there; one that is half imported is noted when it is `loaded`."""
        for entry in table.TABLE:
            if entry.name in self._start or entry.owner not in sys.modules:
                continue
            if entry.owner == loaded or not _importing(entry.owner):
                self._start[entry.name] = entry.get()

    def around_import(self, done: bool) -> None:  # noqa: FBT001
        """What the import of a library changes (warning filters, loggers) is not the user's: it moves the start."""
        if not done:
            self._before_import = {name: table.BY_NAME[name].get() for name in _MOVED_BY_IMPORTS}
            return
        if "@warnings" in self._given:
            table.keep_filters(self._before_import["@warnings"])
        for name, before in self._before_import.items():
            if self._start.get(name) == before:
                self._start[name] = table.BY_NAME[name].get()

    def observed(self, seeds: Seeds) -> tuple[AmbientState, ...]:
        """State of everything that is loaded: what the stage started with, and what it changed.

        State that is not listed belongs to a library that was never imported: the stage did not depend on it.
        """
        from nbpipe.store.values import save_values

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
            before = self._start.get(entry.name, now)
            started = seeds.start.get(entry.name, before) if entry.random else before
            changed = now != started or (entry.random and entry.name in seeds.seeded)
            artifact = None
            if changed:
                packed = self._packed(entry, now)
                artifact = save_values(self._store, {entry.name: packed}, stage=self._stage)[entry.name]
            start = self._given[entry.name].digest if entry.name in self._given else ""
            found.append(
                AmbientState(
                    name=entry.name,
                    before=start,
                    after=artifact.digest if artifact else start,
                    read=seeds.read(entry.name, now) if entry.random else True,
                    artifact=artifact,
                )
            )
        return (*found, *self._modules.observed())

    def _packed(self, entry: table.Ambient, now: Any) -> Any:
        packed = entry.pack(self._first[entry.name], now)
        return by_reference(packed, self._secrets) if entry.name == "@environ" else packed

    def lost(self, outputs: Mapping[str, Any]) -> list[str]:
        """What the cells left in local modules that later stages do not get."""
        return self._modules.lost(outputs)

    def modules(self) -> dict[str, tuple[str, str]]:
        """Local modules loaded: name -> (path, `source_digest`)."""
        return self._modules.sources()


def _importing(module: str) -> bool:
    """Its import has begun and not ended."""
    return bool(getattr(sys.modules[module].__spec__, "_initializing", False))
