"""A store in a local folder: temp file → write → fsync → rename → fsync folder."""

from __future__ import annotations

import os
import secrets
import time
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, BinaryIO, cast

from nbpipe.errors import CorruptObject, StoreError
from nbpipe.store.base import CHUNK, LATELY, HashingFile, check_hash, hash_file, read_small, write_error
from nbpipe.store.faults import fault
from nbpipe.store.stamps import Stamps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TEMPORARY = ".tmp-"


class LocalObjects:
    """Objects in `root/ab/abcd…`, written once, never changed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stamps = Stamps(root)

    def put_bytes(self, data: bytes) -> str:
        """Store `data`; return its hash."""
        return self.put_stream(lambda file: cast("None", file.write(data)))[0]

    def put_file(self, path: str | Path) -> str:
        """Store a copy of the file; return its hash."""

        def copy(file: BinaryIO) -> None:
            with Path(path).open("rb") as source:
                import shutil

                shutil.copyfileobj(source, file, CHUNK)

        return self.put_stream(copy)[0]

    def put_stream(self, write: Callable[[BinaryIO], None]) -> tuple[str, int]:
        """Call `write` with a file to fill; return hash and size. Nothing remains if it raises."""
        with temporary(self._root) as (file, path):
            hashing = HashingFile(file)
            write(cast("BinaryIO", hashing))
            digest = hashing.hexdigest()
            flush(file)
            target = self._path(digest)
            settle(path, target)
        self._stamps.record(digest, target)
        return digest, hashing.size

    def take(self, digest: str, bring: Callable[[Path], object], moved: Callable[[int], None] | None = None) -> None:
        """Keep the file that `bring` leaves at the path it is given, which is there and empty; `moved` hears of its parts.

        Raises CorruptObject, and keeps nothing, if it is not what the hash says.
        """
        target = self._path(digest)
        with temporary(self._root) as (_, path):
            bring(path)
            if (hash_file(path, moved) if path.stat().st_size else hash_file_empty()) != digest:
                raise self._corrupt(digest)
            sync_folder(path)
            settle(path, target)
        self._stamps.record(digest, target)

    def whereabouts(self, digest: str) -> Path:
        """Where its file lies, or would; nothing is looked at."""
        return self._path(digest)

    def get_bytes(self, digest: str) -> bytes:
        """The bytes, verified."""
        return self.local_path(digest).read_bytes()

    def open(self, digest: str) -> BinaryIO:
        """A file open for reading, verified."""
        return self.local_path(digest).open("rb")

    def local_path(self, digest: str) -> Path:
        """The object's own file, verified. It must not be written."""
        path = self._path(digest)
        if not self._stamps.holds(digest, path):
            self.verify(digest)
        return path

    def check(self, digest: str) -> None:
        """Verify it, unless that was done."""
        self.local_path(digest)

    def has(self, digest: str) -> bool:
        """Whether there is a file."""
        return self._path(digest).is_file()

    def keep(self, digest: str, size: int | None = None) -> bool:
        """Have it count as put now; False where it has to be put."""
        path = self._path(digest)
        try:
            status = path.stat()
            if not S_ISREG(status.st_mode) or (size is not None and status.st_size != size):
                return False
            if time.time() - status.st_mtime > LATELY:
                verified = self._stamps.holds(digest, path)
                os.utime(path)
                if verified:
                    self._stamps.record(digest, path)
        except OSError:
            # It may be another user's.
            return False
        return True

    def size(self, digest: str) -> int:
        """Bytes of the file."""
        return self._stat(digest).st_size

    def modified(self, digest: str) -> float:
        """When it was last put."""
        return self._stat(digest).st_mtime

    def verify(self, digest: str) -> None:
        """Hash the file again, whatever the stamps say."""
        path = self._path(digest)
        try:
            before = path.stat()
            actual = hash_file(path) if before.st_size else hash_file_empty()
        except OSError as error:
            raise missing(digest, self._root) from error
        if actual != digest:
            raise self._corrupt(digest)
        self._stamps.record(digest, path, before)

    def delete(self, digest: str) -> None:
        """Remove the file."""
        try:
            self._path(digest).unlink(missing_ok=True)
        except OSError as error:
            raise write_error(str(self._root), error) from error

    def list(self) -> Iterator[str]:
        """Every hash there is a file for."""
        for folder in sorted(self._root.glob("[0-9a-f][0-9a-f]")):
            for path in sorted(folder.iterdir()):
                if len(path.name) == 64 and not path.name.startswith("."):  # noqa: PLR2004
                    yield path.name

    def temporaries(self) -> Iterator[Path]:
        """Files that a writer has not finished, or left behind."""
        yield from self._root.glob(f"**/{TEMPORARY}*")

    def quarantine(self, digest: str) -> None:
        """Move the object to `quarantine/` beside the folder of objects."""
        target = self._root.parent / "quarantine" / digest
        target.parent.mkdir(parents=True, exist_ok=True)
        self._path(digest).replace(target)

    def _corrupt(self, digest: str) -> CorruptObject:
        return CorruptObject(
            f"object {digest[:12]}… in {self._root} does not match its hash",
            name=digest,
            fix="Run `nbpipe fsck --repair`; what needs it is computed again.",
        )

    def _path(self, digest: str) -> Path:
        check_hash(digest)
        # Made in one step: a plan asks for the paths of thousands.
        return Path(f"{self._root}/{digest[:2]}/{digest}")

    def _stat(self, digest: str) -> os.stat_result:
        try:
            return self._path(digest).stat()
        except OSError as error:
            raise missing(digest, self._root) from error


class LocalDocuments:
    """Documents as files below `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, name: str) -> bytes | None:
        """The bytes, or None."""
        try:
            return read_small(self._place(name))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreError(f"{self._path(name)} cannot be read: {error}", name=name) from error

    def write(self, name: str, data: bytes) -> None:
        """Replace it, atomically and durably."""
        target = self._path(name)
        with temporary(target.parent) as (file, path):
            file.write(data)
            flush(file)
            settle(path, target)

    def create(self, name: str, data: bytes, *, durably: bool = True) -> bool:
        """Write it only if there is none."""
        target = self._path(name)
        with temporary(target.parent) as (file, path):
            file.write(data)
            if durably:
                flush(file)
            # On a network's disk others see what it holds once it is closed.
            file.close()
            try:
                os.link(path, target)
            except FileExistsError:
                return False
            finally:
                path.unlink()
            if durably:
                sync_folder(target.parent)
        return True

    def delete(self, name: str) -> None:
        """Remove it."""
        try:
            self._path(name).unlink(missing_ok=True)
        except OSError as error:
            raise write_error(str(self._root), error) from error

    def names(self, folder: str) -> list[str]:
        """Full names of all documents below `folder`, sorted."""
        root = self._place(folder)
        found = []
        todo = [(root, folder)]
        while todo:
            place, name = todo.pop()
            try:
                entries = os.scandir(place)
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                continue
            with entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        todo.append((entry.path, f"{name}/{entry.name}"))
                    elif entry.is_file() and not entry.name.startswith(TEMPORARY):
                        found.append(f"{name}/{entry.name}")
        return sorted(found)

    def temporaries(self) -> Iterator[Path]:
        """Files that a writer has not finished, or left behind, beside the folder of objects."""
        for folder in ("traces", "observed", "leases"):
            yield from self._root.glob(f"{folder}/**/{TEMPORARY}*")

    def modified(self, name: str) -> float | None:
        """When it was last written."""
        try:
            return self._path(name).stat().st_mtime
        except OSError:
            return None

    def _path(self, name: str) -> Path:
        return Path(self._place(name))

    def _place(self, name: str) -> str:
        if name.startswith("/") or ".." in name.split("/") or "\0" in name:
            raise StoreError(f"{name!r} is not the name of a document", name=name)
        return f"{self._root}/{name}"


@contextmanager
def temporary(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """An open file in `folder` that is removed if the block raises; the block renames it away."""
    path = folder / f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("xb", buffering=0) as file:
            fault("store.opened")
            yield cast("BinaryIO", _Whole(file)), path
    except OSError as error:
        raise write_error(str(folder), error) from error
    finally:
        path.unlink(missing_ok=True)


class _Whole:
    """An unbuffered file whose `write` writes everything: a raw write may stop short when the disk fills."""

    def __init__(self, file: object) -> None:
        self._file = cast("BinaryIO", file)

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data).cast("B") if not isinstance(data, bytes) else memoryview(data)
        done = 0
        while done < len(view):
            done += self._file.write(view[done:])
        return done

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def fileno(self) -> int:
        return self._file.fileno()

    @property
    def closed(self) -> bool:
        return self._file.closed


def flush(file: BinaryIO) -> None:
    """Force what was written to the disk."""
    file.flush()
    fault("store.written")
    os.fsync(file.fileno())
    fault("store.synced")


def settle(path: Path, target: Path) -> None:
    """Rename `path` to `target`, durably."""
    if not target.parent.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        sync_folder(target.parent.parent)
    path.chmod(0o444)
    path.replace(target)
    fault("store.renamed")
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Force the folder's entries, or a file's bytes, to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def missing(digest: str, where: object) -> StoreError:
    """The error for an object that is not there."""
    return StoreError(f"object {digest[:12]}… is not in {where}", name=digest)


def hash_file_empty() -> str:
    """Hash of no bytes: an empty file cannot be mapped."""
    from nbpipe.store.base import hash_bytes

    return hash_bytes(b"")
