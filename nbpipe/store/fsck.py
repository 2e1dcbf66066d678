"""Check a whole store: hash every object again, read every trace, find what writers left behind."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nbpipe.errors import CorruptObject
from nbpipe.store.manifest import objects_of

if TYPE_CHECKING:
    from pathlib import Path

    from nbpipe.store import Store

#: A temporary file younger than this may belong to a writer at work.
ABANDONED = 3600.0


@dataclass(slots=True)
class Report:
    """What is wrong with a store. `repaired` says what was done about it."""

    objects: int = 0
    traces: int = 0
    corrupt: list[str] = field(default_factory=list)
    #: Object -> stages whose traces need it and cannot have it.
    missing: dict[str, list[str]] = field(default_factory=dict)
    untrusted: list[str] = field(default_factory=list)
    abandoned: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Nothing is wrong."""
        return not (self.corrupt or self.missing or self.untrusted or self.abandoned)


def fsck(store: Store, *, repair: bool = False) -> Report:
    """Check everything; with `repair`, move corrupt objects to `quarantine/` and remove abandoned files.

    Stamps are not believed. Traces whose objects are gone stay, as misses.
    """
    report = Report()
    sound: set[str] = set()
    for digest in list(store.objects.list()):
        report.objects += 1
        try:
            store.objects.verify(digest)
            sound.add(digest)
        except CorruptObject:
            report.corrupt.append(digest)
    for trace in (*store.traces.all(report.untrusted), *store.left.all(report.untrusted)):
        report.traces += 1
        for digest in sorted(objects_of(trace.outcome) - sound):
            report.missing.setdefault(digest, []).append(trace.stage)
    for path in temporaries(store):
        if time.time() - path.stat().st_mtime > ABANDONED:
            report.abandoned.append(str(path))
            if repair:
                path.unlink(missing_ok=True)
                report.repaired.append(f"removed {path.name}")
    if repair:
        for digest in report.corrupt:
            _quarantine(store, digest)
            report.repaired.append(f"quarantined {digest}")
    return report


def temporaries(store: Store) -> list[Path]:
    """Unfinished files of a local store, of objects and of documents."""
    from nbpipe.store.local import LocalDocuments, LocalObjects

    found: set[Path] = set()
    if isinstance(store.objects, LocalObjects):
        found.update(store.objects.temporaries())
    if isinstance(store.documents, LocalDocuments):
        found.update(store.documents.temporaries())
    return sorted(found)


def _quarantine(store: Store, digest: str) -> None:
    """Out of the way but not lost: somebody may want to see what happened to it."""
    from nbpipe.store.local import LocalObjects

    if isinstance(store.objects, LocalObjects):
        store.objects.quarantine(digest)
    else:
        store.objects.delete(digest)
