"""The values of one kernel that stayed on targets: bound, brought when they are used, all that share memory at once."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from nbpipe.errors import StoreError
from nbpipe.history.difference.sizes import size_text
from nbpipe.live.elsewhere.remote import RemoteValue
from nbpipe.live.elsewhere.stream import say
from nbpipe.live.elsewhere.used import reached
from nbpipe.run.fleets import targets_of
from nbpipe.run.project import Project
from nbpipe.store import open_store
from nbpipe.targets.settings import target_named

if TYPE_CHECKING:
    import ast
    from collections.abc import Collection, Iterable, Mapping

    from nbpipe.executors.ssh.executor import SshExecutor
    from nbpipe.live.elsewhere.places import Places
    from nbpipe.model import Artifact, Outcome, Trace
    from nbpipe.store import Store

#: Seconds between two looks at how much has come, and after which that is shown.
_LOOK, _QUIET = 0.1, 1.0
#: Seconds that a transfer which was stopped has to end.
_FAREWELL = 5.0


class Handles:
    """Binds handles in `names`, and puts values in their places.

    Responsibilities: a value comes whole and verified or its handle stays; values that share memory come together. Must
    not decide which are used.
    """

    def __init__(self, names: dict[str, Any], places: Places) -> None:
        self._names = names
        self._places = places

    def bind(self, project: Project, trace: Trace, left: Mapping[str, Artifact]) -> Handles:
        """Let these names stand for values that stayed where the cell ran."""
        for name, artifact in left.items():
            needs = {need: self._names[need] for need in artifact.needs if need in self._names}
            self._names[name] = RemoteValue(
                name, artifact, key=trace.key, root=str(project.root), needs=needs, bring=self._one
            )
        return self

    def load_used(self, tree: ast.Module, also: Collection[str] = ()) -> bool:
        """Bring what this code may use, and what the names `also` stand for; whether there was anything. Raises as `load`."""
        handles = held(self._names)
        if not handles:
            return False
        used = reached(tree, self._names, handles) | (handles.keys() & set(also))
        self.load(handles[name] for name in used)
        return bool(used)

    def _one(self, handle: RemoteValue) -> Any:
        return self.load([handle])[handle]

    def load(self, handles: Iterable[RemoteValue]) -> dict[RemoteValue, Any]:
        """Bring the values, and those that share memory with them, and bind them wherever their handles are bound.

        Raises NbpipeError or KeyboardInterrupt: what has not come by then keeps its handle.
        """
        found: dict[RemoteValue, Any] = {}
        for handle in handles:
            if handle not in found:
                found |= self._together(handle)
        return found

    def _together(self, first: RemoteValue) -> dict[RemoteValue, Any]:
        own = _family(first)
        mates = {one.remote.name: one.remote for one in (*held(self._names).values(), first) if _family(one) == own}
        project = Project(Path(own[0]))
        store = open_store(project.store)
        target = target_named(targets_of(project), first.remote.target)
        executor = self._places.store_of(project, store, target)
        artifacts = {name: one.artifact for name, one in mates.items()}
        home = _brought(executor, store, project, artifacts)
        values = self._loaded(store, home, {need: one for mate in mates.values() for need, one in mate.needs.items()})
        bound = {
            name: one for name, one in held(self._names).items() if _family(one) == own and one.remote.name in values
        }
        given = {one: values[one.remote.name] for one in (*bound.values(), first)}
        # At once: Ctrl-C between two of them would part what shares memory.
        self._names.update({name: given[one] for name, one in bound.items()})
        with contextlib.suppress(StoreError):
            _complete(store, own[1], artifacts, home)
        return given

    def _loaded(self, store: Store, home: Mapping[str, Artifact], needs: Mapping[str, Any]) -> dict[str, Any]:
        """The values, made with the definitions of their own time: the names may stand for others by now."""
        from nbpipe.store.values import load_values

        absent = object()
        before = {name: self._names.get(name, absent) for name in {*home, *needs}}
        try:
            self._names.update(needs)
            return load_values(store, home, self._names)
        finally:
            self._names.update({name: value for name, value in before.items() if value is not absent})
            for name, value in before.items():
                if value is absent:
                    self._names.pop(name, None)


def held(names: Mapping[str, Any]) -> dict[str, RemoteValue]:
    """Names that are bound to handles."""
    return {name: value for name, value in list(names.items()) if type(value) is RemoteValue}


def lying(names: Mapping[str, Any], wanted: Iterable[str], on: str) -> dict[str, Artifact]:
    """Artifacts of those of the wanted names whose values lie on target `on`, as a job there would load them.

    Those that lie elsewhere, or that were made with definitions which are others now, are brought: NbpipeError.
    """
    found = {}
    for name in wanted:
        handle = names[name]
        if type(handle) is not RemoteValue:
            continue
        same = all(names.get(need) is value for need, value in handle.remote.needs.items())
        if handle.remote.target == on and handle.remote.name == name and same:
            found[name] = handle.remote.artifact
        else:
            handle.load()
    return found


def _family(handle: RemoteValue) -> tuple[str, str, tuple[str, ...], str]:
    """What those handles have in common whose values lie in one object; of a value stored alone it is its own."""
    known = handle.remote
    own = "" if known.artifact.group else known.name
    return known.root, known.key, known.artifact.objects, own


def _brought(
    executor: SshExecutor, store: Store, project: Project, artifacts: Mapping[str, Artifact]
) -> dict[str, Artifact]:
    """The artifacts in the project's store. Waits where Ctrl-C is heard, and says how far it is."""
    shown = ", ".join(f"'{name}'" for name in artifacts)
    # A group is stored as one.
    size = max(artifact.size for artifact in artifacts.values())
    found: dict[str, Artifact] = {}
    failed: list[BaseException] = []

    def work() -> None:
        try:
            found.update(executor.bring(store, artifacts, Path(scratch)))
        except BaseException as error:  # noqa: BLE001 - raised where the cell waits
            failed.append(error)

    project.state.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=project.state, ignore_cleanup_errors=True) as scratch:
        started = time.monotonic()
        thread = threading.Thread(target=work, name="nbpipe-bring", daemon=True)
        thread.start()
        meter = _Meter(f"{shown} loads from {executor.target.name}", size)
        try:
            while thread.is_alive():
                thread.join(_LOOK)
                if time.monotonic() - started > _QUIET:
                    meter.show(Path(scratch))
        except KeyboardInterrupt:
            until = time.monotonic() + _FAREWELL
            while thread.is_alive() and time.monotonic() < until:
                # Again and again: it may be about to begin another transfer.
                executor.stop_bringing()
                thread.join(_LOOK)
            meter.end("stopped")
            raise
    if failed:
        meter.end("failed")
        raise failed[0]
    meter.end("")
    say(f"{shown} loaded from {executor.target.name}: {size_text(size)} in {time.monotonic() - started:.1f} s")
    return found


class _Meter:
    """One line that says how much has come; none where it takes no time."""

    def __init__(self, text: str, size: int) -> None:
        self._text = text
        self._size = size
        self._come = 0
        self._last = ""

    def show(self, folder: Path) -> None:
        """Say what of it lies below `folder`, if that is news."""
        come = 0
        for path in folder.rglob("*"):
            with contextlib.suppress(OSError):
                come += path.stat().st_size if path.is_file() else 0
        # What has come is taken into the store, and away from the folder.
        self._come = max(self._come, min(come, self._size))
        text = f"nbpipe: {self._text}: {100 * self._come // max(self._size, 1)} % of {size_text(self._size)}"
        if text != self._last:
            self._last = text
            sys.stderr.write(f"\r{text}")
            sys.stderr.flush()

    def end(self, text: str) -> None:
        """Close the line, where there is one."""
        if self._last:
            sys.stderr.write(f"  {text}\n" if text else "\n")
            self._last = ""


def _complete(store: Store, key: str, left: Mapping[str, Artifact], home: Mapping[str, Artifact]) -> None:
    """The result is one that runs may reuse, once nothing of it is elsewhere any more."""
    found = next(iter(store.left.lookup(key)), None)
    if found is None or not any(_swapped(found.outcome, left, home)):
        return
    outputs, observed = _swapped(found.outcome, left, home)
    outcome = msgspec.structs.replace(
        found.outcome, outputs={**found.outcome.outputs, **outputs}, observed={**found.outcome.observed, **observed}
    )
    store.commit(msgspec.structs.replace(found, outcome=outcome))
    if not any(one.on for one in (*outcome.outputs.values(), *outcome.observed.values())):
        store.left.forget(key)


def _swapped(
    outcome: Outcome, left: Mapping[str, Artifact], home: Mapping[str, Artifact]
) -> tuple[dict[str, Artifact], dict[str, Artifact]]:
    """Of outputs and of what was observed: the artifacts that have come home."""
    outputs, observed = (
        {name: home[name] for name, one in part.items() if name in home and one == left[name]}
        for part in (outcome.outputs, outcome.observed)
    )
    return outputs, observed
