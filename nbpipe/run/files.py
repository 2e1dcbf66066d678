"""Files of the project during a run: what they were before it, what each stage left, what must be on disk now."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from pathlib import Path

from nbpipe.errors import StoreError
from nbpipe.job.folder import UNDO
from nbpipe.job.folders import changed_folders
from nbpipe.job.undo import undo
from nbpipe.model import FileState, Outcome
from nbpipe.pipeline.contents import BELOW, FOLDER, THERE, digest_file, files_below, listing_digest, names_without
from nbpipe.plan.resolve import Wanted
from nbpipe.plan.settled import differs
from nbpipe.run.beside import Lane
from nbpipe.run.faults import fault
from nbpipe.store import Store


class Disk:
    """The project's files as a run sees them.

    Responsibilities: remembers what a path held before the run first wrote it; puts stored contents in place.
    Must not: touch a path that no stage of the run wrote.
    """

    def __init__(self, digest: Callable[[str], str], project: Path, store: Store, *, lane: Lane | None = None) -> None:
        self._digest = digest
        self._project = project
        self._store = store
        #: Of a run that goes on beside others; else of one alone.
        self.lane = lane or Lane()
        #: Path -> digest before the run, and a file that holds those bytes; no file where there was none.
        self._original: dict[str, tuple[str, Path | None]] = {}
        #: Files that a stage changed without a copy having been taken: native code, other programs.
        self._altered: set[str] = set()
        #: Path -> digest that the first stage saw there which told: what such a file was before.
        self._noted: dict[str, str] = {}
        self._running: set[Path] = set()
        #: Folders of jobs whose work was undone: they may have written a file before others did.
        self._undone: set[Path] = set()

    def path(self, name: str) -> Path:
        """A recorded path on this machine."""
        return Path(name) if Path(name).is_absolute() else self._project / name

    # -- what a stage should see

    def before_run(self, path: str) -> str:
        """Digest of what a path held before any stage of this run wrote it; "" for nothing."""
        if path in self._original:
            return self._original[path][0]
        if self._running:
            written = self._in_flight().get(self._named(path))
            if written is not None:
                return written
        if path in self._altered and path in self._noted:
            return self._noted[path]
        return self._digest(path)

    def _named(self, path: str) -> str:
        """A recorded path, absolute; behind that of a folder what says that it is one."""
        return f"{self.path(path)}{FOLDER if path.endswith(FOLDER) else ''}"

    def as_of(self, target: Wanted) -> Callable[[str], str]:
        """Digests of paths as a stage that reads them first should see them: what stages above left, nothing else's."""

        def digest(path: str) -> str:
            if path.endswith(BELOW):
                return "\0".join(self._below(self.path(path.removesuffix(BELOW)), target))
            names = path.endswith("/") and not path.endswith(FOLDER)
            return self._listing(path, target) if names else self.before_run(path)

        return digest

    def _listing(self, path: str, target: Wanted) -> str:
        """A folder's names, without those that this run made, with those that stages above the reader made."""
        folder = self.path(path.rstrip("/") or ".")
        inside = {Path(entry): digest for entry, digest in self._inside(folder, target).items()}
        gone = {entry for entry, digest in inside.items() if not digest}
        names = names_without(_entries(folder), gone)
        names |= {entry.relative_to(folder).parts[0] for entry, digest in inside.items() if digest}
        return listing_digest(names) if names or self._there(path.rstrip("/") + FOLDER, target) else ""

    def _there(self, path: str, target: Wanted) -> bool:
        above = target.files.get(path)
        return bool(self.before_run(path) if above is None else above.digest)

    def _below(self, folder: Path, target: Wanted) -> set[str]:
        """The same of the files at any depth: their paths, relative to the folder."""
        found = self._inside(folder, target)
        inside = {os.path.relpath(name, folder): each for name, each in found.items() if not name.endswith(FOLDER)}
        return files_below(folder) - inside.keys() | {name for name, digest in inside.items() if digest}

    def _inside(self, folder: Path, target: Wanted) -> dict[str, str]:
        """What this run wrote below a folder: its digests before it, or as stages above the reader left it."""
        there = self._in_flight() if self._running else {}
        there |= {self._named(name): digest for name, (digest, _) in self._original.items()}
        there |= {self._named(name): state.digest for name, state in target.files.items()}
        return {name: digest for name, digest in there.items() if folder in Path(name).parents}

    def _in_flight(self) -> dict[str, str]:
        """What running jobs have written so far -> the digest of what was there before."""
        first: dict[str, tuple[int, Path | None]] = {}
        for folder in (*self._running, *self._undone):
            for path, (at, kept) in _copies(folder).items():
                if (path in first and at < first[path][0]) or (path not in first and folder in self._running):
                    first[path] = (at, kept)
        found = {path: digest_file(kept) if kept else "" for path, (_, kept) in first.items()}
        return {**found, **_folders(self._running)}

    def has_changed(self, path: str) -> bool:
        """Whether this run wrote there."""
        return path in self._original or path in self._altered

    def note(self, outcome: Outcome) -> None:
        """An outcome stands: what it read is what was there, should others change that unseen."""
        for state in outcome.files_read:
            self._noted.setdefault(state.path, state.digest)

    def unkept(self, outcome: Outcome) -> str | None:
        """A file that the stage has changed, and that cannot be put back."""
        return next((state.path for state in outcome.files_written if state.path in self._altered), None)

    def lacks(self, state: FileState) -> bool:
        """Whether the disk does not hold what a stage has left there."""
        return differs(state, self._digest)

    def files_of(self, job: Path) -> list[str]:
        """Paths, as in `FileState`, of the files that a job has written by now."""
        return [self._recorded(path) for path in _copies(job)]

    def written_in(self, job: Path) -> list[str]:
        """The same, and those of the folders that it has made or removed."""
        return [*self.files_of(job), *map(self._recorded, _folders([job]))]

    def _recorded(self, path: str) -> str:
        return path.removeprefix(f"{self._project}{os.sep}")

    # -- what jobs do

    def started(self, folder: Path) -> None:
        """A job runs in this folder: what it writes is not yet anybody's."""
        self._running.add(folder)
        self.lane.started(folder, written_by)

    def ended(self, folder: Path) -> None:
        """It has ended; `wrote` or an undo follows."""
        self._running.discard(folder)

    def mixed(self, outcome: Outcome, folder: Path) -> Path | None:
        """A file that an ended job used while another run wrote it.

        One that it only read counts where that is strict: what it saw of it is known, and compared with what it should see.
        """
        used = (*outcome.files_read, *outcome.files_written) if self.lane.strict else ()
        return self.lane.used(
            folder, [*map(Path, _copies(folder, seen=True)), *(self.path(state.path) for state in used)]
        )

    def over(self, folder: Path, outcome: Outcome | None = None) -> None:
        """What an ended job wrote was committed, or undone."""
        written = outcome.files_written if outcome is not None else ()
        self.lane.over(folder, [self.path(state.path) for state in written])

    def wrote(self, outcome: Outcome, folder: Path) -> None:
        """An attempt wrote files: remember what they were, from the copies it took."""
        copies = _copies(folder)
        # A stage that still runs may have written the file first: then this one found what that one had made of it.
        others = [_copies(other) for other in (self._running | self._undone) - {folder}]
        for state in outcome.files_written:
            path = str(self.path(state.path))
            # What comes from another machine is put in place later.
            if path not in copies and (folder / UNDO / "scan.json").exists():
                self._altered.add(state.path)
            if state.path not in self._original and path in copies:
                _, kept = min((each[path] for each in (copies, *others) if path in each), key=itemgetter(0))
                self._original[state.path] = (digest_file(kept) if kept else "", kept)
        before = _folders({folder, *self._running})
        for name in outcome.folders:
            path = name + FOLDER
            if path not in self._original and self._named(path) in before:
                self._original[path] = (before[self._named(path)], None)

    # -- what must be on disk

    def take_back(self, folder: Path) -> list[str]:
        """Undo what a job wrote whose outcome stood; what is to be said of that."""
        self.lane.wrote(map(Path, _copies(folder)))
        return undo(folder)

    def settle(self, folder: Path, stands: Mapping[str, FileState]) -> None:
        """After an undo of this job: what it wrote is as those whose outcomes stand left it, else as it was before the run.

        The copies of jobs that ran side by side hold each other's work.
        """
        self._undone.add(folder)
        for path in self.files_of(folder):
            if path in stands:
                self.restore([stands[path]])
            elif path in self._original:
                self.revert([FileState(path=path, digest="")])

    def restore(self, states: Iterable[FileState]) -> list[str]:
        """Make the disk hold these contents; warnings of files that held what no stage had written.

        Raises StoreError if an object is gone, OSError if it cannot be written.
        """
        told = []
        for state in sorted(states, key=_order, reverse=True):
            if not self.lacks(state):
                continue
            target, present = self.path(state.path), self._digest(state.path)
            if state.path.endswith(FOLDER):
                self._original.setdefault(state.path, (present, None))
                _put_folder(target, there=bool(state.digest))
                continue
            if state.path not in self._original:
                known = not present or self._store.objects.has(present)
                kept = self._store.objects.local_path(self._store.objects.put_file(target)) if present else None
                if not known:
                    told.append(
                        f"{state.path} held what no stage had written: what its stage wrote is in its place. "
                        f"What it held is in {kept}, until nbpipe gc"
                    )
                self._original[state.path] = (present, kept)
            fault("restore.before_file")
            self.lane.wrote([target])
            _put(target, self._store.objects.local_path(state.object) if state.digest else None)
            fault("restore.after_file")
        return told

    def revert(self, states: Iterable[FileState]) -> None:
        """Put back what these paths held before the run."""
        for state in sorted(states, key=_order, reverse=True):
            if state.path.endswith(FOLDER) and state.path in self._original:
                _put_folder(self.path(state.path), there=bool(self._original[state.path][0]))
            elif state.path in self._original:
                self.lane.wrote([self.path(state.path)])
                _put(self.path(state.path), self._original[state.path][1])


def written_by(folder: Path) -> list[Path]:
    """Files that a job was seen to write, by now."""
    return list(map(Path, _copies(folder, seen=True)))


def _order(state: FileState) -> tuple[bool, str]:
    """From the last to the first: files, then folders, the innermost first."""
    return not state.path.endswith(FOLDER), state.path


def _put_folder(target: Path, *, there: bool) -> None:
    if there:
        target.mkdir(parents=True, exist_ok=True)
        return
    with contextlib.suppress(OSError):
        target.rmdir()


def _put(target: Path, source: Path | None) -> None:
    """Make `target` a copy of `source`, whole or not at all; without a source there is no file."""
    if source is None:
        target.unlink(missing_ok=True)
        return
    if target.is_dir() and not target.is_symlink():
        raise StoreError(
            f"{target} is a folder now, and a stage left a file there",
            name=str(target),
            fix="Move the folder, or give it another name, then run again.",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.name}.{os.getpid()}.restoring")
    try:
        shutil.copyfile(source, scratch)
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _folders(jobs: Iterable[Path]) -> dict[str, str]:
    """Folders that jobs made or removed, with `FOLDER` -> what stands for what was there before."""
    first: dict[str, tuple[int, bool]] = {}
    for job in jobs:
        for path, there, at in changed_folders(job):
            if path not in first or at < first[path][0]:
                first[path] = (at, there)
    return {path + FOLDER: THERE if there else "" for path, (_, there) in first.items()}


def _copies(folder: Path, *, seen: bool = False) -> dict[str, tuple[int, Path | None]]:
    """Path -> when the job first wrote it, in ns, and the copy that was taken before; None if there was no file.

    `seen`: only of files that it was seen to write.
    """
    try:
        lines = (folder / UNDO / "index.jsonl").read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return {}
    entries = [json.loads(line) for line in lines if line.endswith("\n")]
    entries = [entry for entry in entries if not (seen and "seen" in entry)]
    kept = {entry["path"]: folder / UNDO / entry["copy"] if entry["copy"] else None for entry in entries}
    return {entry["path"]: (entry.get("at", 0), kept[entry["path"]]) for entry in entries}
