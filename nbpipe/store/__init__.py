"""The store: objects by content, traces by key, hints by code.

`open_store(location)` is the way in; `Store` bundles what a location holds.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nbpipe.store.manifest import Hints, Lease, Leases, Traces

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbpipe.model import Artifact, Trace
    from nbpipe.store.base import Documents, ObjectStore
    from nbpipe.store.trust import Signer

__all__ = ["Lease", "Store", "open_store"]


@dataclass(frozen=True, slots=True)
class Store:
    """Everything at one location. `signer` holds the key that makes stored bytes trusted."""

    location: str
    objects: ObjectStore
    documents: Documents
    signer: Signer

    @property
    def traces(self) -> Traces:
        """Committed results by key."""
        return Traces(self.documents, self.objects, self.signer)

    @property
    def left(self) -> Traces:
        """Results by key of which a target has kept something for the notebook that ran them; no run reuses them."""
        return Traces(self.documents, self.objects, self.signer, "left")

    @property
    def hints(self) -> Hints:
        """What stages were seen to do, by code."""
        return Hints(self.documents, self.signer)

    @property
    def leases(self) -> Leases:
        """Who is computing which key."""
        return Leases(self.documents)

    def commit(self, trace: Trace) -> None:
        """Make a result durable: for runs, or for its notebook where a target has kept something. Raises StoreError."""
        given = {**trace.outcome.outputs, **trace.outcome.observed}.values()
        (self.left if any(artifact.on for artifact in given) else self.traces).commit(trace)

    def variable_digest(self, name: str, value: str | None) -> str:
        """Digest of an environment variable, "" for one not set. Keyed: a short value cannot be found by trying."""
        return "" if value is None else self.signer.sign("variable", [name.encode(), os.fsencode(value)])

    def save_values(self, values: Mapping[str, object], *, stage: str) -> dict[str, Artifact]:
        """See `nbpipe.store.values.save_values`."""
        from nbpipe.store.values import save_values

        return save_values(self, values, stage=stage)

    def load_values(self, artifacts: Mapping[str, Artifact], namespace: dict[str, object]) -> dict[str, object]:
        """See `nbpipe.store.values.load_values`."""
        from nbpipe.store.values import load_values

        return load_values(self, artifacts, namespace)


def open_store(location: str | Path) -> Store:
    """The store at a local folder or an fsspec URL (`s3://bucket/path`, `memory://name`); `memory:` is a private one.

    Nothing is written until something is put. Raises StoreError if the location cannot be understood, SecurityError if
    the key of this user is not safe.
    """
    from nbpipe.store.trust import default_signer

    text = str(location)
    if text == "memory:":
        from nbpipe.store.memory import MemoryDocuments, MemoryObjects

        return Store(text, MemoryObjects(), MemoryDocuments(), default_signer())
    if "://" in text and not text.startswith("file://"):
        from nbpipe.store.remote import RemoteDocuments, RemoteObjects, filesystem

        fs, root = filesystem(text)
        return Store(text, RemoteObjects(fs, f"{root}/objects"), RemoteDocuments(fs, root), default_signer())
    from nbpipe.store.local import LocalDocuments, LocalObjects

    folder = Path(text.removeprefix("file://")).absolute()
    return Store(str(folder), LocalObjects(folder / "objects"), LocalDocuments(folder), default_signer())
