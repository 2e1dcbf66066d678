"""Files of the project during a run: what they were before it, what each stage left, what must be on disk now."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from nbpipe.job.folder import UNDO
from nbpipe.model import FileState, Outcome
from nbpipe.pipeline.contents import digest_file, listing_digest
from nbpipe.plan.resolve import Wanted
from nbpipe.run.faults import fault
from nbpipe.store import Store


class Disk:
    """The project's files as a run sees them.

    Responsibilities: remembers what a path held before the run first wrote it; puts stored contents in place.
    Must not: touch a path that no stage of the run wrote.
    """

    def __init__(self, digest: Callable[[str], str], project: Path, store: Store) -> None:
        self._digest = digest
        self._project = project
        self._store = store
        self._original: dict[str, str] = {}

    def before_run(self, path: str) -> str:
        """Digest of what a path held before any stage of this run wrote it; "" for nothing."""
        known = self._original.get(path)
        return known if known is not None else self._digest(path)

    def as_of(self, target: Wanted) -> Callable[[str], str]:
        """Digests of paths as a stage that reads them first should see them: what stages above left, nothing else's."""

        def digest(path: str) -> str:
            return self._listing(path, target) if path.endswith("/") else self.before_run(path)

        return digest

    def _listing(self, path: str, target: Wanted) -> str:
        """A folder's names, without those that this run made, with those that stages above the reader made."""
        folder = self.path(path.rstrip("/") or ".")
        mine = {self.path(name): digest for name, digest in self._original.items()}
        above = {self.path(name): state.digest for name, state in target.files.items()}
        gone = {entry for entry, digest in mine.items() if not digest} | {
            entry for entry, digest in above.items() if not digest
        }
        kept = {entry for entry, digest in mine.items() if digest} | {
            entry for entry, digest in above.items() if digest
        }
        names = {entry.name for entry in _entries(folder)} - {e.name for e in gone if e.parent == folder}
        for entry in kept - {e for e, digest in above.items() if not digest}:
            if entry.is_relative_to(folder) and entry != folder:
                names.add(entry.relative_to(folder).parts[0])
        return listing_digest(names) if folder.is_dir() else ""

    def wrote(self, outcome: Outcome, folder: Path) -> None:
        """An attempt wrote files: remember what they were, from the copies it took."""
        copies = _copies(folder)
        for state in outcome.files_written:
            if state.path in self._original:
                continue
            copy = copies.get(str(self.path(state.path)))
            if copy is not None:
                self._original[state.path] = digest_file(folder / UNDO / copy) if copy else ""

    def path(self, name: str) -> Path:
        """A recorded path on this machine."""
        return Path(name) if Path(name).is_absolute() else self._project / name

    def restore(self, states: Iterable[FileState]) -> None:
        """Make the disk hold these contents. Raises StoreError if an object is gone, OSError if it cannot be written."""
        for state in states:
            present = self._digest(state.path)
            if present == state.digest:
                continue
            self._original.setdefault(state.path, present)
            target = self.path(state.path)
            fault("restore.before_file")
            if not state.digest:
                target.unlink(missing_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            scratch = target.with_name(f".{target.name}.restoring")
            shutil.copyfile(self._store.objects.local_path(state.object), scratch)
            scratch.replace(target)
            fault("restore.after_file")


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _copies(folder: Path) -> dict[str, str]:
    """Path -> name of the copy that was taken before the first write; "" if there was no file."""
    index = folder / UNDO / "index.jsonl"
    if not index.exists():
        return {}
    entries = [json.loads(line) for line in index.read_text().splitlines()]
    return {entry["path"]: entry["copy"] or "" for entry in entries}
