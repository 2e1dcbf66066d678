"""What a place must be able to do to hold a store: objects by content, and small documents by name."""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING, BinaryIO, Protocol

from blake3 import blake3

from nbpipe.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Buffer, Callable, Iterator  # type: ignore[attr-defined]
    from pathlib import Path

#: Bytes hashed and written at a time: small enough for the cache, large enough for two hashing threads.
CHUNK = 4 << 20
#: Bytes hashed at a time by all cores.
_PART = 16 << 20
_HASH = re.compile(r"[0-9a-f]{64}")
#: Bytes of a document that are read at a time: nearly all are smaller.
_SMALL = 1 << 16
#: Seconds for which what was put counts as put now: few of those after which it may be collected.
LATELY = 3600.0
#: Bytes from which on an object that lies elsewhere is not brought here only to be looked at.
LARGE = 16 << 20


class ObjectStore(Protocol):
    """Immutable bytes under their blake3 hash (64 hex digits).

    What `put_*` returned is durable. What `get_bytes`, `open` and `local_path` give has been compared with its hash
    (or, for a local file, with a stamp of the file that was). It never interprets what it holds.
    """

    def put_bytes(self, data: bytes) -> str:
        """Store `data`; return its hash."""

    def put_stream(self, write: Callable[[BinaryIO], None]) -> tuple[str, int]:
        """Call `write` with a file to fill; return hash and size. Nothing remains if it raises."""

    def put_file(self, path: str | Path) -> str:
        """Store a copy of the file; return its hash."""

    def get_bytes(self, digest: str) -> bytes:
        """The bytes; raises CorruptObject, or StoreError if there are none."""

    def open(self, digest: str) -> BinaryIO:
        """A file open for reading; raises as `get_bytes` does."""

    def local_path(self, digest: str) -> Path:
        """A local file with the bytes, fit for memory-mapping; raises as `get_bytes` does."""

    def check(self, digest: str) -> None:
        """Raise as `get_bytes` does; a large object that lies elsewhere need only be there: it is hashed when it is read."""

    def has(self, digest: str) -> bool:
        """Whether something is stored under the hash. Says nothing of its soundness."""

    def keep(self, digest: str, size: int | None = None) -> bool:
        """Have it count as put now; False where it has to be put: it is not there, or not whole as far as that can be told.

        `size` is what it has if it is whole, where that is known.
        """

    def size(self, digest: str) -> int:
        """Bytes stored under the hash; raises StoreError if there are none."""

    def modified(self, digest: str) -> float:
        """When it was last put, in seconds since the epoch."""

    def verify(self, digest: str) -> None:
        """Hash the bytes again; raises CorruptObject."""

    def delete(self, digest: str) -> None:
        """Remove it; no error if there is none."""

    def list(self) -> Iterator[str]:
        """Every hash that something is stored under."""


class Documents(Protocol):
    """Small named files that change as a whole. Names are relative paths of plain words."""

    def read(self, name: str) -> bytes | None:
        """The bytes, or None."""

    def write(self, name: str, data: bytes) -> None:
        """Replace it, atomically and durably."""

    def create(self, name: str, data: bytes, *, durably: bool = True) -> bool:
        """Write it only if there is none; False if there is one. At most one of many callers gets True.

        Not `durably`: a power cut may leave it empty, or none.
        """

    def delete(self, name: str) -> None:
        """Remove it; no error if there is none."""

    def names(self, folder: str) -> list[str]:
        """Full names of all documents below `folder`, sorted."""

    def modified(self, name: str) -> float | None:
        """When it was last written, in seconds since the epoch, by the clock of the store; None if there is none."""


class HashingFile:
    """A binary file that hashes and counts what is written through it. Not seekable."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = blake3(max_threads=blake3.AUTO)
        self.size = 0

    def write(self, data: Buffer) -> int:
        """Write all of `data`."""
        view = memoryview(data).cast("B") if not isinstance(data, bytes) else memoryview(data)
        for start in range(0, len(view), CHUNK):
            part = view[start : start + CHUNK]
            self._hash.update(part)
            self._file.write(part)
        self.size += len(view)
        return len(view)

    def flush(self) -> None:
        """Hand what is buffered to the system."""
        self._file.flush()

    def writable(self) -> bool:
        """It is."""
        return True

    def readable(self) -> bool:
        """It is not."""
        return False

    def seekable(self) -> bool:
        """It is not."""
        return False

    @property
    def closed(self) -> bool:
        """Whether the file below is closed."""
        return self._file.closed

    def hexdigest(self) -> str:
        """Hash of all that was written."""
        return self._hash.hexdigest()


class HashingSink:
    """A file that only hashes what is written to it."""

    closed = False

    def __init__(self) -> None:
        self._hash = blake3(max_threads=blake3.AUTO)

    def write(self, data: Buffer) -> int:
        """Hash all of `data`."""
        self._hash.update(data)
        return memoryview(data).nbytes

    def flush(self) -> None:
        """Nothing waits."""

    def writable(self) -> bool:
        """It is."""
        return True

    def readable(self) -> bool:
        """It is not."""
        return False

    def seekable(self) -> bool:
        """It is not."""
        return False

    def hexdigest(self) -> str:
        """Hash of all that was written."""
        return self._hash.hexdigest()


def hash_bytes(data: Buffer) -> str:
    """Blake3 of `data`, hex."""
    return blake3(data, max_threads=blake3.AUTO).hexdigest()


def hash_file(path: str | Path, moved: Callable[[int], None] | None = None) -> str:
    """Blake3 of the file's bytes, hex; `moved` is told the size of each part that was read."""
    hasher = blake3(max_threads=blake3.AUTO)
    if moved is None:
        hasher.update_mmap(path)
        return hasher.hexdigest()
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a text will do
        while part := file.read(_PART):
            hasher.update(part)
            moved(len(part))
    return hasher.hexdigest()


def check_hash(digest: str) -> str:
    """Return `digest` if it is a hash and so can be part of a path; raises StoreError."""
    if not _HASH.fullmatch(digest):
        raise StoreError(f"{digest[:80]!r} is not the hash of an object", name=digest[:80])
    return digest


def read_small(path: str) -> bytes:
    """The bytes of a small file, with as few calls as can be: a plan reads thousands. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        parts = [os.read(handle, _SMALL)]
        while parts[-1]:
            parts.append(os.read(handle, _SMALL))
    finally:
        os.close(handle)
    return b"".join(parts) if len(parts) > 2 else parts[0]  # noqa: PLR2004 - what was read, and the end


def write_error(where: str, cause: OSError) -> StoreError:
    """A StoreError that says in plain words why `where` cannot be written."""
    if cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(f"the store at {where} is full", name=where, fix="Free space there, or run `nbpipe gc`.")
    if cause.errno == errno.EFBIG:
        return StoreError(
            f"a file for the store at {where} is larger than this user may write",
            name=where,
            fix="Raise the limit: ulimit -f.",
        )
    if cause.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return StoreError(f"the store at {where} cannot be written", name=where, fix="Check its permissions.")
    return StoreError(f"the store at {where} cannot be written: {cause}", name=where)
