"""Traces (committed results by key), hints (what code was seen to do) and leases (one writer per key).

A trace is a document `traces/KEY/ID.json`: one line with its signature, then the JSON of `model.Trace`. The signature
binds it to the key in its path, so one that was edited, made by others or moved elsewhere is a miss.
"""

from __future__ import annotations

import os
import re
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec

from nbpipe.errors import StoreError
from nbpipe.model import Artifact, Outcome, Trace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbpipe.store.base import Documents, ObjectStore
    from nbpipe.store.trust import Signer

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
#: A lease whose holder cannot be asked (another machine) is broken after this many seconds without a heartbeat.
HEARTBEAT_LIMIT = 60.0


class Traces:
    """Committed results. What it gives is signed by our key and its objects are there, as `ObjectStore.check` says.

    Objects that a target has kept are not asked for; such results lie in a `folder` of their own.
    """

    def __init__(self, documents: Documents, objects: ObjectStore, signer: Signer, folder: str = "traces") -> None:
        self._documents = documents
        self._objects = objects
        self._signer = signer
        self._folder = folder

    def commit(self, trace: Trace) -> None:
        """Make `trace` durable. Its objects must be in the store: raises StoreError otherwise, and writes nothing."""
        for digest in sorted(objects_of(trace.outcome)):
            if not self._objects.has(digest):
                raise StoreError(f"object {digest[:12]}… of the result is not in the store", stage=trace.stage)
        body = msgspec.json.encode(trace)
        name = f"{self._folder}/{_plain(trace.key)}/{time.time_ns():020d}-{uuid4().hex[:8]}.json"
        self._documents.write(name, self._signature(name, body) + b"\n" + body)

    def lookup(self, key: str, problems: list[str] | None = None) -> list[Trace]:
        """Traces under `key`, newest first. Those that cannot be trusted are left out and named in `problems`."""
        found = self._read(f"{self._folder}/{_plain(key)}", problems)
        return [trace for _, trace in found if trace.key == key and self._sound(trace, problems)]

    def latest(self, stage: str, problems: list[str] | None = None) -> Trace | None:
        """The newest trace of a stage, whatever its key; its objects are not looked at."""
        return next((trace for trace in self.all(problems) if trace.stage == stage), None)

    def all(self, problems: list[str] | None = None) -> Iterator[Trace]:
        """Every trace, newest first; objects are not looked at."""
        return (trace for _, trace in self.entries(problems))

    def entries(self, problems: list[str] | None = None) -> Iterator[tuple[str, Trace]]:
        """Every trace with the name of its document, newest first; objects are not looked at."""
        return self._read(self._folder, problems)

    def forget(self, key: str) -> None:
        """Remove what lies under a key."""
        for name in self._documents.names(f"{self._folder}/{_plain(key)}"):
            self._documents.delete(name)

    def _read(self, folder: str, problems: list[str] | None) -> Iterator[tuple[str, Trace]]:
        names = self._documents.names(folder)
        for name in sorted(names, key=lambda name: name.rsplit("/", 1)[-1], reverse=True):
            trace = self._decode(name, problems)
            if trace is not None:
                yield name, trace

    def _decode(self, name: str, problems: list[str] | None) -> Trace | None:
        data = self._documents.read(name) or b""
        signature, _, body = data.partition(b"\n")
        if not self._signer.check("trace", [name.encode(), body], signature.decode("ascii", "replace")):
            _note(problems, f"{name}: not signed with this key, or changed since")
            return None
        try:
            trace = msgspec.json.decode(body, type=Trace)
        except msgspec.MsgspecError as error:
            _note(problems, f"{name}: {error}")
            return None
        return trace

    def _sound(self, trace: Trace, problems: list[str] | None) -> bool:
        for digest in sorted(objects_of(trace.outcome)):
            try:
                self._objects.check(digest)
            except StoreError as error:
                _note(problems, f"stage '{trace.stage}': {error.message}")
                return False
        return True

    def _signature(self, name: str, body: bytes) -> bytes:
        return self._signer.sign("trace", [name.encode(), body]).encode()


class Hints:
    """Facts that make the next plan better. Losing them is harmless; forged ones are ignored."""

    def __init__(self, documents: Documents, signer: Signer) -> None:
        self._documents = documents
        self._signer = signer

    def remember(self, code: str, facts: dict[str, Any]) -> None:
        """Replace what is known of the code with hash `code`. `facts` is JSON."""
        name = f"observed/{_plain(code)}.json"
        body = msgspec.json.encode(facts)
        self._documents.write(name, self._signer.sign("hint", [name.encode(), body]).encode() + b"\n" + body)

    def observed(self, code: str) -> dict[str, Any]:
        """What was remembered; empty if nothing was, or if it is not ours."""
        name = f"observed/{_plain(code)}.json"
        signature, _, body = (self._documents.read(name) or b"").partition(b"\n")
        if not self._signer.check("hint", [name.encode(), body], signature.decode("ascii", "replace")):
            return {}
        return msgspec.json.decode(body, type=dict[str, Any])


@dataclass(slots=True)
class Lease:
    """The right to compute one key. `holds()` before committing: a lease that was broken is lost for good."""

    key: str
    name: str
    token: str
    documents: Documents = field(repr=False)

    def holds(self) -> bool:
        """Whether it is still ours."""
        found = _holder(self.documents.read(self.name))
        return found is not None and found.get("token") == self.token

    def release(self) -> None:
        """Give it back; no error if it was broken meanwhile."""
        if self.holds():
            self.documents.delete(self.name)


class Leases:
    """At most one live holder per key, among processes and machines that see the same store."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def claim(self, key: str, owner: str = "") -> Lease | None:
        """The lease, or None while somebody alive holds it. A dead holder's lease is broken first."""
        name = f"leases/{_plain(key)}.json"
        lease = Lease(key, name, uuid4().hex, self._documents)
        body = msgspec.json.encode({"token": lease.token, "owner": owner, **_identity()})
        # Nobody who holds it lives on after a power cut.
        if not self._documents.create(name, body, durably=False):
            if self._alive(name):
                return None
            if not self._break(name, body):
                return None
        return lease if lease.holds() else None

    def _break(self, name: str, body: bytes) -> bool:
        """Take over a dead holder's lease. Of many who try, one goes first; its turn ends by itself if it dies."""
        turn = f"{name}.turn"
        if not self._documents.create(turn, body, durably=False):
            if not self._alive(turn):
                self._documents.delete(turn)
            return False
        try:
            if self._alive(name):
                return False
            self._documents.write(name, body)
            return True
        finally:
            self._documents.delete(turn)

    def renew(self, lease: Lease) -> bool:
        """Heartbeat: call every few seconds while computing; False once the lease is lost."""
        if not lease.holds():
            return False
        body = self._documents.read(lease.name)
        if body is None:
            return False
        self._documents.write(lease.name, body)
        return True

    def release(self, lease: Lease) -> None:
        """Give it back."""
        lease.release()

    def holder(self, key: str) -> str | None:
        """Owner of the live lease on `key`, or None."""
        name = f"leases/{_plain(key)}.json"
        found = _holder(self._documents.read(name))
        return str(found.get("owner", "")) if found is not None and self._alive(name) else None

    def sweep(self) -> None:
        """Take away the leases of holders that died: nobody may ever ask for their keys again."""
        for name in self._documents.names("leases"):
            key = name.rsplit("/", 1)[-1].removesuffix(".json")
            if name.endswith(".json") and not self._alive(name):
                lease = self.claim(key)
                if lease is not None:
                    lease.release()

    def _alive(self, name: str) -> bool:
        found = _holder(self._documents.read(name))
        if found is None:
            return False
        if found.get("boot") == _boot():
            return _start_time(int(found.get("pid", 0))) == found.get("started") != 0
        modified = self._documents.modified(name)
        return modified is not None and time.time() - modified < HEARTBEAT_LIMIT


def objects_of(outcome: Outcome) -> set[str]:
    """Hashes of every object that the outcome speaks of and that lies in the project's store."""
    artifacts: list[Artifact] = [*outcome.outputs.values(), *outcome.observed.values()]
    artifacts += [state.artifact for state in outcome.ambient if state.artifact is not None]
    found = {digest for artifact in artifacts if not artifact.on for digest in artifact.objects}
    found |= {file.object for file in outcome.files_written}
    found |= {outcome.executed, *outcome.logged.values()}
    return found - {""}


def _plain(key: str) -> str:
    if not _NAME.fullmatch(key) or key.startswith("."):
        raise StoreError(f"{key[:80]!r} cannot name a document", name=key[:80])
    return key


def _note(problems: list[str] | None, text: str) -> None:
    if problems is not None:
        problems.append(text)


def _holder(data: bytes | None) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(data, type=dict[str, Any]) if data else None
    except msgspec.MsgspecError:
        return None


def _identity() -> dict[str, Any]:
    return {"pid": os.getpid(), "started": _start_time(os.getpid()), "boot": _boot(), "host": socket.gethostname()}


def _boot() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # Containers on one machine share the boot id but not their processes.
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _start_time(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
    except (OSError, IndexError, ValueError):
        pass
    try:
        os.kill(pid, 0)
    except (OSError, OverflowError):
        return 0
    return 1
