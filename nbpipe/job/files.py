"""Files that a stage reads and writes: an audit hook sees them, copies made at the first write undo them."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from glob import has_magic
from pathlib import Path
from typing import Any

import blake3

from nbpipe.job import late, questions
from nbpipe.job.askers import asks_entries, asks_for_itself, from_user, importing, lists_lines, may_clear, source_of
from nbpipe.job.came import Came, read_by
from nbpipe.job.checkpoints import Checkpoints
from nbpipe.job.counted import Counted
from nbpipe.job.folder import UNDO
from nbpipe.job.folders import Folders, ensures, placed
from nbpipe.job.holders import WHOSE
from nbpipe.job.readers import below
from nbpipe.job.scan import digest_listing, size_of
from nbpipe.job.sources import is_local
from nbpipe.model import FileState
from nbpipe.pipeline.contents import FOLDER, THERE, digest_file, digest_folder
from nbpipe.store.local import sync_folder

#: Python takes modules apart when it ends, and user code may still open a file then.
_ENDING = (AttributeError, NameError, ImportError)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class _Inside(threading.local):
    """Whether this thread is looking at a file by order of a hook: others go on to be watched."""

    busy = False


class Files:
    """Watches the files of one job from inside its kernel.

    Responsibilities: first reads with their digests, first writes with their pre-images, what native code wrote.
    Must not: fail or slow the user's code; a file that cannot be copied makes the result uncacheable instead.
    """

    def __init__(self, project: Path, job: Path) -> None:
        self._project = project.resolve()
        self._undo = job / UNDO
        self._undo.mkdir(exist_ok=True)
        self._watched = Counted(self._project, job)
        #: Modules that were imported: path of the source -> its digest then.
        self._sources: dict[str, str] = {}
        self._reads: dict[str, str] = {}
        self._writes: dict[str, bool] = {}
        self.folders = Folders(job)
        self._came = Came(self._project, job)
        #: Programs ran whose files no hook sees, or somebody wrote files unseen beside other stages.
        self.unseen = False
        #: Of files that it wrote unseen, nobody knows whether another stage did.
        self.crowded = False
        #: Folders that the stage removed with all that was in them, or would have.
        self._cleared: set[str] = set()
        self._inside = _Inside()
        #: One thread at a time notes a first write.
        self._writing = threading.RLock()
        os.register_at_fork(after_in_child=self._forked)
        self._began = 0
        self.on = False
        #: What was read and written is told; what is written from now on is late.
        self._over = False
        #: Paths that a stage above leaves open -> those of them that were read.
        self.late: dict[str, bool] = {}
        self.uncacheable: list[str] = []
        self.warnings: list[str] = []
        self.declared = False
        self.source = ""
        #: The text of its cells.
        self.cells: tuple[str, ...] = ()
        self._checkpoints: Checkpoints | None = None
        #: Nobody else runs the stage's cells: what changed unseen was changed by this process.
        self.alone = True
        #: Paths, as in `FileState`, that other ranks of the stage have written.
        self.theirs: frozenset[str] = frozenset()

    def except_checkpoints(self, place: str, checkpoints: Checkpoints) -> None:
        """What lies in this place is the stage's own business; what it reads besides counts for it."""
        self._checkpoints = checkpoints
        self._watched.outside += (os.path.realpath(place) + os.sep,)

    def except_objects(self, store: str) -> None:
        """What this process keeps in its store is written once the stage has ended, and is no file of it."""
        if "://" not in store.removeprefix("file://"):
            self._watched.outside += (os.path.realpath(f"{store.removeprefix('file://')}/objects") + os.sep,)

    def start(self) -> None:
        """Look at the project, then watch."""
        self._began = time.time_ns()
        self._came.start()
        sys.addaudithook(self._hook)
        questions.watch(self._asked, self._started)
        self.on = True

    def _asked(self, path: Any, frame: Any) -> None:
        if not self.on or self._inside.busy:
            return
        self._inside.busy = True
        try:
            self._ask(path, frame)
        except (OSError, ValueError, TypeError) as error:
            self._note(f"a file could not be watched: {error}")
        finally:
            self._inside.busy = False

    def _started(self, words: list[str]) -> None:
        if self.on and not self._inside.busy:
            self._process((words[0], words))

    def _ask(self, given: Any, frame: Any) -> None:
        if from_user(frame, str(self._project)) and not asks_for_itself(frame):
            path = self._watched(given)
            if path is not None and Path(path).is_dir():
                self._is_folder(path)
            elif path is not None:
                if may_clear(frame) and not os.path.lexists(path):
                    self._cleared.add(path)
                self.read(path)
                self._through_links(given, path)

    def _is_folder(self, path: str) -> None:
        """That it is a folder was the answer; that one above this project or this Python is there says nothing."""
        if not any(place.startswith(path + os.sep) for place in (*self._watched.outside, f"{self._project}{os.sep}")):
            self.folders.goes_by(path)
            self._reads.setdefault(path + FOLDER, digest_folder(Path(path)))

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if event not in _HANDLERS or not self.on or self._inside.busy:
            return
        self._inside.busy = True
        try:
            _HANDLERS[event](self, args)
        except (OSError, ValueError, TypeError, *_ENDING) as error:
            self._note(f"a file could not be watched: {error}")
        finally:
            self._inside.busy = False

    def _note(self, reason: str) -> None:
        if reason not in self.uncacheable:
            self.uncacheable.append(reason)

    def _open(self, args: tuple[Any, ...]) -> None:
        given = placed(args[0], questions.IN.folder)
        path = self._watched(source_of(given))
        if path is None:
            return
        if path.endswith(".py") and importing():
            self._sources.setdefault(path, digest_file(Path(path)))
            return
        mode, flags = args[1], args[2] if isinstance(args[2], int) else 0
        writing = any(letter in mode for letter in "wax+") if isinstance(mode, str) else bool(flags & _WRITING)
        replaces = "w" in mode if isinstance(mode, str) else bool(flags & os.O_TRUNC and not flags & os.O_EXCL)
        if not writing or not replaces:
            self.read(path)
            self._through_links(given, path)
        if writing:
            self.written(path)

    def read(self, path: str) -> None:
        """Note the first read, unless the stage wrote the file itself; a missing file is a fact too."""
        if self._over or path in self._reads or path in self._writes or Path(path).is_dir() or lists_lines(path):
            return
        if self._relative(path) in self.late:
            self.late[self._relative(path)] = True
        self._reads.setdefault(path, digest_file(Path(path)))
        if self._checkpoints is not None and self._checkpoints.read(self._relative(path), self._reads[path]):
            self._note(f"{self._relative(path)} is another file than the one that its checkpoints were made with")

    def asked(self, given: str, sure: bool) -> None:  # noqa: FBT001
        """A library is about to read a file, a folder or the files of a pattern where no hook sees it.

        Without `sure` it may be any text: then it counts only where there is such a file.
        """
        if not self.on or self._inside.busy or "://" in given:
            return
        self._inside.busy = True
        try:
            path = os.path.expanduser(given)  # noqa: PTH111 - a pattern is no path
            there = Path(path).exists()
            if there and not Path(path).is_dir():
                files, folders = [path], list[str]()
            elif there or has_magic(path):
                files, folders = below(path)
            else:
                files, folders = [path] if sure else [], []
            for file in files:
                watched = self._watched(file)
                if watched is not None:
                    self.read(watched)
                    self._through_links(file, watched)
            for folder in folders if files or sure else []:
                self._listed(folder)
        except (OSError, ValueError) as error:
            self._note(f"files could not be watched: {error}")
        finally:
            self._inside.busy = False

    def announced(self, given: str, sure: bool) -> None:  # noqa: FBT001
        """A library is about to write a file where no hook sees it. Without `sure` it may be any text: that is left."""
        if not self.on or self._inside.busy:
            return
        self._came.may = True
        if not sure or "://" in given:
            return
        self._inside.busy = True
        try:
            path = self._watched(os.path.expanduser(given))  # noqa: PTH111 - it may be any text
            if path is not None and not Path(path).is_dir() and Path(path).parent.is_dir():
                self.written(path)
        except (OSError, ValueError) as error:
            self._note(f"a file could not be watched: {error}")
        finally:
            self._inside.busy = False

    def written(self, path: str) -> None:
        """Before the first write: keep what is there, so that it can be put back."""
        if self._over:
            late.note(self._undo.parent, self._relative(path))
        with self._writing:
            self._first_write(path)

    def _forked(self) -> None:
        """Another thread may have held it."""
        self._writing = threading.RLock()

    def _first_write(self, path: str) -> None:
        if path in self._writes:
            return
        target = Path(path)
        if not self.folders.goes_by(str(target.parent)):
            self._reads.setdefault(str(target.parent) + FOLDER, "")
        existed = target.is_file()
        name = blake3.blake3(path.encode()).hexdigest()[:32]
        if existed:
            shutil.copy2(target, self._undo / name)
            sync_folder(self._undo / name)
        with (self._undo / "index.jsonl").open("a") as index:
            index.write(json.dumps({"path": path, "copy": name if existed else "", "at": time.time_ns()}) + "\n")
        if existed:
            # After a power cut half a copy must not take the place of the file.
            sync_folder(self._undo / "index.jsonl")
            sync_folder(self._undo)
        self._writes[path] = existed

    def _remove(self, args: tuple[Any, ...]) -> None:
        if (path := self._watched(placed(*args[:2]))) is not None:
            self.written(path)

    def _rename(self, args: tuple[Any, ...]) -> None:
        place = Path(os.fsdecode(placed(args[0], *args[2:3])))
        source, target = self._watched(place), self._watched(placed(args[1], *args[3:4]))
        if place.is_dir() and not place.is_symlink():
            self._rename_folder(str(place.resolve()), source, target)
            return
        self._changed(source)
        if target is not None:
            self.written(target)

    def _changed(self, path: str | None) -> None:
        """What was there counts, too."""
        if path is not None:
            self.read(path)
            self.written(path)

    def _rename_folder(self, given: str, source: str | None, target: str | None) -> None:
        paths = self.folders.moves(given, there=source is not None, target=target)
        if paths is None:
            self._note(f"the folder {Path(given).name} was renamed")
            self.unseen = True
        for path in paths or ():
            self._changed(path if source is not None else None)
            if target is not None:
                self.written(f"{target}{path.removeprefix(given)}")

    def _link(self, args: tuple[Any, ...]) -> None:
        self._changed(self._watched(placed(args[1], *args[2:3])))

    def _alter(self, args: tuple[Any, ...]) -> None:
        self._changed(self._watched(args[0]))

    def _database(self, args: tuple[Any, ...]) -> None:
        # SQLite itself writes files, those that are attached, too.
        self._came.may = True
        if isinstance(args[0], (str, bytes)) and os.fsdecode(args[0]) not in {":memory:", ""}:
            self._changed(self._watched(os.fspath(args[0])))

    def _list(self, args: tuple[Any, ...], frame: Any = None) -> None:
        """A listing is a read of the names: they are kept under the folder's path with a slash at the end."""
        frame = frame or sys._getframe(2)  # noqa: SLF001
        if not from_user(frame, str(self._project)):
            return
        given = args[0] if args[0] is not None else "."
        if isinstance(given, int):
            # By a descriptor; so does `shutil.rmtree`, which takes whatever there is.
            if frame.f_code.co_name.startswith("_rmtree"):
                return
            given = placed(".", given)
        self._listed(given)

    def _scan(self, args: tuple[Any, ...]) -> None:
        """The same; no event tells what is asked of the entries."""
        frame = sys._getframe(2)  # noqa: SLF001
        self._list(args, frame)
        given = "." if args[0] is None else args[0]
        if not isinstance(given, int) and asks_entries(frame, str(self._project), self.cells):
            for path in below(os.fsdecode(given), deep=False)[0]:
                if (watched := self._watched(path)) is not None:
                    self.read(watched)

    def _listed(self, given: Any) -> None:
        folder = os.path.realpath(os.fsdecode(given))
        inside = folder == str(self._project) or self._watched(folder) is not None
        if self._over or not inside or Path(folder).is_file() or folder + os.sep in self._reads:
            return
        self.folders.goes_by(folder)
        self._reads[folder + os.sep] = digest_listing(
            Path(folder), wrote=dict(self._writes), made=set(self.folders.made)
        )
        self._through_links(given, folder, os.sep)

    def _through_links(self, given: Any, path: str, end: str = "") -> None:
        """Where links lead to `path`, what they lead to is a fact, too: a link may be set to something else."""
        named = os.path.abspath(os.fsdecode(given))  # noqa: PTH100 - links are to stay
        if named != path and path + end in self._reads:
            self._reads.setdefault(named + end, self._reads[path + end])

    def _process(self, args: tuple[Any, ...]) -> None:
        self._came.may = True
        if not self.declared and from_user(sys._getframe(2), str(self._project)):  # noqa: SLF001
            words = args[1] if len(args) > 1 and args[1] else args[:1]
            command = words if isinstance(words, str) else " ".join(map(str, words))
            what = f"another program ({command[:80]})" if command else "another process"
            self._note(f"it starts {what} whose files cannot be seen")
            self.unseen = True

    def finish(self, store: Any) -> tuple[tuple[FileState, ...], tuple[FileState, ...]]:
        """Files read and files written; the bytes of the latter are in the store. What is written later is noted."""
        self.on = False
        for path in self._unreported():
            self._reads.setdefault(path, self._sources[path])
        for path in self._unseen() if self.alone else []:
            self._writes[path] = path in self._came.before
            if path in self._came.before:
                changed = f"{Path(path).name} was changed by native code or another program"
                self.warnings.append(f"{changed}: what it held before cannot be put back")
                if not self.declared:
                    self._note(changed)
            else:
                # It was not there when the stage began: what the stage read of it, it had written, if not another one.
                if not self._came.crowded:
                    self._reads.pop(path, None)
                with (self._undo / "index.jsonl").open("a") as index:
                    index.write(json.dumps({"path": path, "copy": "", "at": self._began, "seen": "scan"}) + "\n")
        for path in late.left_open(self._writes):
            late.note(self._undo.parent, self._relative(path))
        read = [
            FileState(path=self._relative(path), digest=digest, size=size_of(path))
            for path, digest in list(self._reads.items())
            if not (path.endswith(FOLDER) and self._says_nothing(path.removesuffix(FOLDER)))
        ]
        written = []
        for path, existed in list(self._writes.items()):
            target = Path(path)
            digest = digest_file(target)
            if digest:
                kept = store.objects.put_file(target)
                written.append(FileState(path=self._relative(path), digest=digest, size=size_of(path), object=kept))
            elif existed:
                written.append(FileState(path=self._relative(path), digest=""))
        self.on = self._over = True
        return tuple(sorted(read, key=lambda s: s.path)), tuple(sorted(written, key=lambda s: s.path))

    def _unreported(self) -> list[str]:
        """Sources that were imported and are not those of local modules, which are reported as such."""
        files = [getattr(module, "__file__", None) for module in list(sys.modules.values())] if self._sources else []
        told = {os.path.realpath(file) for file in files if file and is_local(file, str(self._project))}
        return sorted(self._sources.keys() - told - self._writes.keys())

    def looked_at(self) -> dict[str, str]:
        """Digests of what was read or asked for so far, by path as in `FileState`."""
        found = {path + FOLDER: THERE for path in self.found()}
        return found | {self._relative(path): digest for path, digest in list(self._reads.items())}

    def _says_nothing(self, folder: str) -> bool:
        """Whether it is listed too, or the stage makes it or writes into it: it is there whenever its files are."""
        return (
            folder + os.sep in self._reads
            or folder in self.folders.made
            or any(path.startswith(folder + os.sep) for path in self._writes)
        )

    def _make_folder(self, args: tuple[Any, ...]) -> None:
        if self._checkpoints is not None and not isinstance(args[0], int):
            self._checkpoints.made(os.fspath(args[0]), self.looked_at())
        path = self._watched(placed(args[0], *args[2:3]))
        if path is not None and not self._over:
            self.folders.makes(path, asks=not ensures(sys._getframe(2)))  # noqa: SLF001

    def _remove_folder(self, args: tuple[Any, ...]) -> None:
        path = self._watched(placed(*args[:2]))
        if path is not None and not self._over:
            self.folders.removes(path)

    def _enter(self, args: tuple[Any, ...]) -> None:
        if (path := self._watched(args[0])) is not None:
            self.folders.goes_by(path)

    def _clear(self, args: tuple[Any, ...]) -> None:
        path = self._watched(placed(args[0], args[1] if len(args) > 1 and args[1] is not None else -1))
        if path is not None and not self._over and from_user(sys._getframe(2), str(self._project)):  # noqa: SLF001
            self._cleared.add(path)

    def cleared(self) -> tuple[str, ...]:
        """Folders that the stage removed with all that was in them, or would have, as in `FileState`."""
        return tuple(sorted(map(self._relative, self._cleared)))

    def left(self) -> dict[str, bool]:
        """Folders of the project that the stage made or removed, as in `FileState`, and whether each is there in the end."""
        left = ((self._relative(path), there) for path, there in self.folders.left().items())
        return {path: there for path, there in left if not path.startswith(os.sep)}

    def found(self) -> tuple[str, ...]:
        """Folders that were there, and that the stage needed or was told of, as in `FileState`."""
        return tuple(sorted(map(self._relative, self.folders.found - {str(self._project)})))

    def _unseen(self) -> list[str]:
        """Files of the project that have changed although no hook saw it, without those that others wrote."""
        found = self._came.unclaimed(
            self._came.changed(
                lambda path: path == self.source or path in self._writes or self._relative(path) in self.theirs
            )
        )
        if found and not self._came.may_write(self.cells):
            for path in read_by(self._reads, found):
                self._note(f"{self._relative(path)} was changed by others while the stage ran, which had looked at it")
            return []
        if found and self._came.crowded and not self.declared:
            names = ", ".join(Path(path).name for path in found[:3])
            self._note(f"native code wrote {names} while other stages ran: {WHOSE}")
            self.crowded = True
        return found

    def _relative(self, path: str) -> str:
        root = str(self._project)
        if path.rstrip(os.sep) == root:
            return "./"
        return path[len(root) + 1 :] if path.startswith(root + os.sep) else path


_HANDLERS = {
    "open": Files._open,  # noqa: SLF001
    "os.remove": Files._remove,  # noqa: SLF001
    "os.rename": Files._rename,  # noqa: SLF001
    "os.truncate": Files._alter,  # noqa: SLF001
    "os.chmod": Files._alter,  # noqa: SLF001
    "os.utime": Files._alter,  # noqa: SLF001
    "os.symlink": Files._link,  # noqa: SLF001
    "os.link": Files._link,  # noqa: SLF001
    "ctypes.dlopen": lambda files, _: files._came.loads(),  # noqa: SLF001
    "sqlite3.connect": Files._database,  # noqa: SLF001
    "os.mkdir": Files._make_folder,  # noqa: SLF001
    "os.rmdir": Files._remove_folder,  # noqa: SLF001
    "os.chdir": Files._enter,  # noqa: SLF001
    "os.listdir": Files._list,  # noqa: SLF001
    "os.scandir": Files._scan,  # noqa: SLF001
    "shutil.rmtree": Files._clear,  # noqa: SLF001
    "subprocess.Popen": Files._process,  # noqa: SLF001
    "os.system": Files._process,  # noqa: SLF001
    "os.posix_spawn": Files._process,  # noqa: SLF001
    "os.fork": Files._process,  # noqa: SLF001
    "os.forkpty": Files._process,  # noqa: SLF001
}
