"""Objects that a target takes from, and leaves in, a store that it shares with this machine: they go over no connection.

It is a shortcut only. Whatever it lacks, has damaged or does not answer travels over the connection, and the log says so.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbpipe.errors import CorruptObject, NbpipeError, StoreError, TargetError
from nbpipe.executors.ssh.cargo import Cargo
from nbpipe.executors.ssh.homecoming import SCRATCH
from nbpipe.executors.ssh.link import Link
from nbpipe.job.leftovers import held_folder
from nbpipe.job.shared import Given
from nbpipe.store import Store
from nbpipe.store.local import LocalObjects
from nbpipe.store.shared import LITTLE, SharedObjects

#: Seconds for which a shared store that could not be used is not tried again.
_AWAY = 300.0
#: Seconds that a target has to try it: its Python has to start, and a library for the URL.
_TRYING = 60.0


class Passing:
    """The shared store of one target, as its jobs use it. Safe to use from several threads.

    Responsibilities: what `send` does not name is there whole; what `bring_home` does not name is in the store here. Must
    not fail a job: only the connection can.
    """

    def __init__(self, location: str, store: Store) -> None:
        self.location = location
        self._store = store
        self._shared = SharedObjects(location)
        #: Whether it is the project's own store.
        self._own = self._shared.holds(store.location)
        #: Whether that lies elsewhere: its objects are brought here only where something here reads them.
        self._lazy = self._own and not isinstance(store.objects, LocalObjects)
        self._lock = threading.Lock()
        self._away = 0.0

    @property
    def used(self) -> bool:
        """Whether jobs that start now may count on it."""
        return not self._is_away()

    def _is_away(self) -> bool:
        return time.monotonic() < self._away

    def send(self, cargo: Cargo, names: Sequence[str], note: Callable[[str], None]) -> list[str]:
        """Leave there what the worker lacks; names of what has to travel otherwise."""
        if not self.used or (not self._lazy and cargo.is_little(names, LITTLE)):
            return list(names)
        started = time.monotonic()
        if self._lock.locked():
            note(f"waits for another job that leaves inputs in {self.location}")
        with self._lock:  # two jobs with the same inputs put them there once
            if self._is_away():
                note(f"{self.location} could not be used; objects go over the connection for now")
                return list(names)
            try:
                self._shared.reach()
                there = self._shared.sizes(names)
            except StoreError as error:
                self._give_up(error.message, note)
                return list(names)
            put = {name: cargo.path(name) for name in names if there.get(name) != cargo.size(name, there)}
            failed = self._shared.put(put)
            self._judge(failed, note)
        size = sum(path.stat().st_size for name, path in put.items() if name not in failed)
        took, had = time.monotonic() - started, len(names) - len(put)
        count = len(put) - len(failed)
        note(f"put {count} objects, {size:,} bytes, into {self.location}, which had {had} more, in {took:.2f} s")
        return list(failed)

    def refused(self, cargo: Cargo, given: Given, note: Callable[[str], None]) -> None:
        """What the worker could not take from there: damaged objects are put there again."""
        if given.why:
            self._give_up(f"{given.why} (on the target)", note)
        self.mend({name: cargo.path(name) for name in given.damaged if name in cargo.objects}, note)

    def mend(self, objects: Mapping[str, Path], note: Callable[[str], None]) -> None:
        """Replace damaged objects there, that nobody else finds them so."""
        if objects:
            with self._lock:
                if not self.used:
                    return
                failed = self._shared.put(objects)
                self._judge(failed, note)
            note(
                f"{len(objects) - len(failed)} of {len(objects)} objects that were damaged in {self.location} are replaced"
            )

    def bring_home(self, names: Iterable[str], given: Given, note: Callable[[str], None]) -> list[str]:
        """Have these in the store here, as far as the worker has left them there; the others travel otherwise.

        Returns those that are damaged there.
        """
        usable = self.used
        if given.why:
            self._give_up(f"{given.why} (on the target)", note)
        objects, offered = self._store.objects, sorted(set(names) & set(given.objects))
        if self._own:
            self._look_at(offered, given)
            return []
        wanted = [name for name in offered if not objects.keep(name, given.objects[name])] if usable else []
        if isinstance(objects, LocalObjects):
            failed = self._shared.take(wanted, objects)
        else:
            with held_folder(f"{SCRATCH}store-") as scratch:
                failed = self._shared.fetch(wanted, scratch)
                for name in set(wanted) - set(failed):
                    objects.put_file(scratch / name[:2] / name)
        self._judge(failed, note)
        return [name for name, error in failed.items() if isinstance(error, CorruptObject)]

    def _look_at(self, names: Sequence[str], given: Given) -> None:
        """What lies in the project's own store is hashed; a large one elsewhere when something here first reads it."""
        objects = self._store.objects
        for name in names:
            try:
                if objects.size(name) == given.objects[name]:
                    objects.check(name)
                else:
                    objects.delete(name)
            except CorruptObject:
                # What is not there is fetched from the worker, which has it.
                objects.delete(name)
            except StoreError:
                continue

    def _judge(self, failed: dict[str, NbpipeError], note: Callable[[str], None]) -> None:
        for error in failed.values():
            if not isinstance(error, CorruptObject):
                self._give_up(error.message, note)
                return
        if failed:
            note(f"{len(failed)} objects are damaged in {self.location}; they go over the connection")

    def _give_up(self, why: str, note: Callable[[str], None]) -> None:
        self._away = time.monotonic() + _AWAY
        note(f"{why}; objects go over the connection for now")


def tried(link: Link) -> str:
    """Have a small object go there and another one come back; "" where a target cannot be asked. Raises TargetError."""
    target = link.target
    shared = SharedObjects(target.store)
    left = []
    try:
        with tempfile.TemporaryDirectory(prefix="nbpipe-try-") as scratch:
            asked = Path(scratch, "asked")
            asked.write_bytes(f"asks {target.name} {time.time_ns()}".encode())
            digest = _hashed(asked)
            started = time.monotonic()
            try:
                shared.reach()
                _whole(shared.put({digest: asked}))
                left.append(digest)
            except NbpipeError as error:
                raise TargetError(f"from here: {error.message}", name=target.name) from None
            built = target.environment == "build"
            asking: dict[str, Any] = {"store": target.store, "digest": digest, "environment": target.env}
            said = link.call("share", timeout=_TRYING + 15, built=built, seconds=_TRYING, **asking)
            if said is None:
                return ""
            if said["code"]:
                raise TargetError(f"from there: {said['said']}", name=target.name)
            answer = said["said"]
            try:
                _whole(shared.fetch([answer], Path(scratch)))
            except NbpipeError:
                raise TargetError(
                    "what was put there from there is not to be seen from here", name=target.name
                ) from None
            left.append(answer)
            return f"an object went there and another came back in {time.monotonic() - started:.1f} s"
    finally:
        with contextlib.suppress(StoreError):
            for name in left:
                shared.delete(name)


def _hashed(path: Path) -> str:
    from nbpipe.store.base import hash_file

    return hash_file(path)


def _whole(failed: dict[str, NbpipeError]) -> None:
    for error in failed.values():
        raise error
