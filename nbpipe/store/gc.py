"""Collect objects that nothing needs, safely beside writers: what was put or put again lately stays."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbpipe.errors import StoreError
from nbpipe.store.fsck import ABANDONED, temporaries
from nbpipe.store.manifest import objects_of
from nbpipe.store.remote import RemoteObjects

if TYPE_CHECKING:
    from collections.abc import Collection

    from nbpipe.store import Store

#: Seconds for which an object without a trace may belong to a run that has not committed yet.
GRACE = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Collected:
    """What was removed, or would be."""

    objects: int
    traces: int
    bytes: int
    kept: int


def gc(
    store: Store,
    *,
    keep: Collection[str] = (),
    older_than: float | None = None,
    grace: float = GRACE,
    dry_run: bool = False,
) -> Collected:
    """Remove objects that no trace needs and that were not put within `grace` seconds.

    `keep` holds hashes of objects, and ids of runs whose traces stay. With `older_than` (seconds), traces created
    before that go first, unless their run or one of their objects is kept, and with them what scheduled runs noted before
    that. Untrusted traces stay and protect nothing.
    """
    now = time.time()
    kept = set(keep)
    live = set(kept)
    old: list[str] = []
    for name, trace in (*store.traces.entries(), *store.left.entries()):
        needed = objects_of(trace.outcome)
        expired = older_than is not None and trace.created < now - older_than
        if expired and trace.run not in kept and not needed & kept:
            old.append(name)
        else:
            live |= needed
    if not dry_run:
        for name in (*old, *_scheduled(store, now, older_than)):
            store.documents.delete(name)
    removed = size = 0
    for digest in list(store.objects.list()):
        if digest in live:
            continue
        try:
            # Looked at as late as possible: a writer that stores the same bytes again makes it new.
            if now - store.objects.modified(digest) < grace:
                continue
            size += store.objects.size(digest)
        except StoreError:
            continue
        removed += 1
        if not dry_run:
            store.objects.delete(digest)
    if isinstance(store.objects, RemoteObjects):
        size += store.objects.sweep(now - max(grace, ABANDONED), dry_run=dry_run)
    for path in temporaries(store):
        if now - path.stat().st_mtime > max(grace, ABANDONED):
            size += path.stat().st_size
            if not dry_run:
                path.unlink(missing_ok=True)
    return Collected(objects=removed, traces=len(old), bytes=size, kept=len(live))


def _scheduled(store: Store, now: float, older_than: float | None) -> list[str]:
    """What the stages of scheduled runs told each other so long ago."""
    if older_than is None:
        return []
    names = store.documents.names("scheduled")
    return [name for name in names if (store.documents.modified(name) or now) < now - older_than]
