"""What the stages of one run have given so far, where their processes, here or on other machines, can see it.

The documents are signed, as the results of a store are: what somebody else put there is not taken for a result.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec
from blake3 import blake3

from nbpipe.errors import PipelineError, UsageError
from nbpipe.model import Failure, Trace
from nbpipe.stage.curves import Curves
from nbpipe.store import Store
from nbpipe.store.base import Documents


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """What all stages of a run have to agree on."""

    version: str
    params: dict[str, Any] = {}
    seed: int = 0


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The end of a stage: its result, or why it has none."""

    stage: str
    trace: Trace | None = None
    status: str = "succeeded"
    failure: Failure | None = None
    exit_code: int = 0
    #: What its cells logged step by step; not part of the result.
    curves: Curves = {}


class Book(Protocol):
    """The ends of stages, the latest of each."""

    def begin(self, begun: Begun) -> None:
        """Note what the run is of. Raises PipelineError where a stage of it began with something else."""

    def read(self, stage: str) -> Entry | None:
        """How a stage ended; None if it has not."""

    def write(self, entry: Entry) -> Entry:
        """Note the end of a stage; what stands now, which may be the equal result of another attempt.

        Raises PipelineError where another attempt has ended meanwhile with another result.
        """


class StoreBook:
    """The book of a run in the store, under the id that the scheduler gave the run.

    An attempt that ends late, after another one of the same stage, does not count.
    """

    def __init__(self, store: Store, pipeline: str, run: str) -> None:
        name = blake3(msgspec.json.encode([pipeline, run])).hexdigest()
        self._root = f"scheduled/{name}"
        self._pages = _Pages(store.documents, store)
        #: Stage -> number of its entry when this process looked first.
        self._seen: dict[str, int] = {}

    def begin(self, begun: Begun) -> None:
        """Note what the run is of. Raises PipelineError where a stage of it began with something else."""
        name = f"{self._root}/begun.json"
        body = msgspec.json.encode(begun, order="sorted")
        if self._pages.create(name, body):
            return
        there = self._pages.read(name)
        if there is None:
            raise PipelineError(
                "the run's stages do not share a key", fix="Set NBPIPE_STORE_KEY to the same key on all workers."
            )
        if there != body:
            other = msgspec.json.decode(there, type=Begun)
            what = "another version of the pipeline" if other.version != begun.version else "other parameters"
            raise PipelineError(f"an earlier stage of this run had {what}", fix="Trigger a new run.")

    def read(self, stage: str) -> Entry | None:
        """How a stage ended; None if it has not."""
        number = self._latest(stage)
        self._seen.setdefault(stage, number)
        data = self._pages.read(self._name(stage, number)) if number else None
        return msgspec.json.decode(data, type=Entry) if data is not None else None

    def write(self, entry: Entry) -> Entry:
        """Note the end of a stage; what stands now, which may be the equal result of another attempt."""
        number = self._seen.setdefault(entry.stage, self._latest(entry.stage)) + 1
        if self._pages.create(self._name(entry.stage, number), msgspec.json.encode(entry)):
            self._seen[entry.stage] = number
            return entry
        self._seen[entry.stage] = self._latest(entry.stage)
        other = self.read(entry.stage)
        if other is None or not _same(other, entry):
            raise PipelineError(
                "another attempt of the stage has ended meanwhile, and this one came late", stage=entry.stage
            )
        return other

    def ends(self, entries: Mapping[str, Entry]) -> str:
        """A name for the run with these ends of its stages, and for no other.

        A run that goes on after a failure ends again; a stage that is run again and gives the same is no news.
        """
        ends = {
            stage: self._latest(stage) if entry.trace is None else [entry.trace.key, _given(entry.trace)]
            for stage, entry in entries.items()
        }
        return blake3(msgspec.json.encode([self._root, ends], order="sorted")).hexdigest()

    def is_recorded(self, ends: str) -> bool:
        """Whether the run is in the history with these ends."""
        return self._pages.read(f"{self._root}/recorded/{ends}.json") is not None

    def note_recorded(self, ends: str) -> None:
        """Note that it is."""
        self._pages.write(f"{self._root}/recorded/{ends}.json", b"{}")

    def _latest(self, stage: str) -> int:
        names = self._pages.names(f"{self._root}/stages/{stage}")
        return max((int(Path(name).stem) for name in names if Path(name).stem.isdecimal()), default=0)

    def _name(self, stage: str, number: int) -> str:
        return f"{self._root}/stages/{stage}/{number:06d}.json"


class FolderBook:
    """A file per stage in a folder, for schedulers that decide by files what is up to date.

    The file has the same bytes as long as the stage gives the same result.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        from nbpipe.store.local import LocalDocuments

        folder.mkdir(parents=True, exist_ok=True)
        self._pages = _Pages(LocalDocuments(folder), store)

    def begin(self, begun: Begun) -> None:
        """Each stage is told of the parameters, and what does not fit them is found to be out of date."""

    def read(self, stage: str) -> Entry | None:
        """How a stage ended; None if it has not."""
        data = self._pages.read(f"{stage}.json")
        return msgspec.json.decode(data, type=Entry) if data is not None else None

    def write(self, entry: Entry) -> Entry:
        """Note the end of a stage; an equal result stays as it is noted."""
        there = self.read(entry.stage)
        if there is not None and _same(there, entry):
            entry = there
        self._pages.write(f"{entry.stage}.json", msgspec.json.encode(entry))
        return entry


class Amended:
    """A book with one more entry, which is not noted: a folder of receipts holds results only."""

    def __init__(self, book: Book, entry: Entry) -> None:
        self._book = book
        self._entry = entry

    def begin(self, begun: Begun) -> None:
        """As the book."""
        self._book.begin(begun)

    def read(self, stage: str) -> Entry | None:
        """How a stage ended; None if it has not."""
        return self._entry if stage == self._entry.stage else self._book.read(stage)

    def write(self, entry: Entry) -> Entry:
        """As the book."""
        return self._book.write(entry)


class _Pages:
    """Signed documents: a line with the signature, then the body."""

    def __init__(self, documents: Documents, store: Store) -> None:
        self._documents = documents
        self._signer = store.signer

    def create(self, name: str, body: bytes) -> bool:
        return self._documents.create(name, self._signed(name, body))

    def write(self, name: str, body: bytes) -> None:
        self._documents.write(name, self._signed(name, body))

    def read(self, name: str) -> bytes | None:
        """The body; None where there is none, or none of ours."""
        signature, _, body = (self._documents.read(name) or b"").partition(b"\n")
        good = self._signer.check("scheduled", [name.encode(), body], signature.decode("ascii", "replace"))
        return body if good else None

    def names(self, folder: str) -> list[str]:
        return self._documents.names(folder)

    def _signed(self, name: str, body: bytes) -> bytes:
        return self._signer.sign("scheduled", [name.encode(), body]).encode() + b"\n" + body


def _same(one: Entry, other: Entry) -> bool:
    """Two attempts gave the same values and files."""
    if one.trace is None or other.trace is None or one.trace.key != other.trace.key:
        return False
    return _given(one.trace) == _given(other.trace)


def _given(trace: Trace) -> Mapping[str, object]:
    outcome = trace.outcome
    return {
        "values": {name: item.digest for name, item in {**outcome.outputs, **outcome.observed}.items()},
        "files": {state.path: state.digest for state in outcome.files_written},
        "ambient": {state.name: state.artifact.digest for state in outcome.ambient if state.artifact is not None},
        "metrics": outcome.metrics,
    }


def book_of(store: Store, pipeline: str, *, run: str | None, receipts: Path | None) -> StoreBook | FolderBook:
    """The book of a run by its id, or in a folder. Raises UsageError for neither or both."""
    if (run is None) == (receipts is None):
        raise UsageError("a stage is told either its run or a folder for receipts", fix="Give --run or --receipts.")
    return StoreBook(store, pipeline, run) if run is not None else FolderBook(receipts or Path(), store)
