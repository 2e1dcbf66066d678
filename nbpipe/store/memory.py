"""A store in memory, for tests and for looking at what other code stores."""

from __future__ import annotations

import io
import shutil
import tempfile
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from nbpipe.errors import CorruptObject
from nbpipe.store.base import HashingFile, check_hash, hash_bytes
from nbpipe.store.local import missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class MemoryObjects:
    """Objects in a dict; `local_path` writes them to a temporary folder that goes with the store."""

    def __init__(self) -> None:
        self._objects: dict[str, tuple[bytes, float]] = {}
        self._folder: Path | None = None

    def put_bytes(self, data: bytes) -> str:
        """Store `data`; return its hash."""
        digest = hash_bytes(data)
        self._objects[digest] = bytes(data), time.time()
        return digest

    def put_stream(self, write: Callable[[BinaryIO], None]) -> tuple[str, int]:
        """Call `write` with a file to fill; return hash and size."""
        buffer = io.BytesIO()
        hashing = HashingFile(buffer)
        write(cast("BinaryIO", hashing))
        return self.put_bytes(buffer.getvalue()), hashing.size

    def put_file(self, path: str | Path) -> str:
        """Store a copy of the file; return its hash."""
        return self.put_bytes(Path(path).read_bytes())

    def get_bytes(self, digest: str) -> bytes:
        """The bytes, verified."""
        self.verify(digest)
        return self._objects[digest][0]

    def open(self, digest: str) -> BinaryIO:
        """A file open for reading, verified."""
        return io.BytesIO(self.get_bytes(digest))

    def local_path(self, digest: str) -> Path:
        """A temporary file with the bytes."""
        data = self.get_bytes(digest)
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="nbpipe-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        path = self._folder / digest
        if not path.exists():
            path.write_bytes(data)
        return path

    def check(self, digest: str) -> None:
        """Hash it."""
        self.verify(digest)

    def has(self, digest: str) -> bool:
        """Whether it was put."""
        return digest in self._objects

    def keep(self, digest: str, size: int | None = None) -> bool:
        """Have it count as put now; False where it has to be put."""
        data = self._objects.get(digest, (None, 0.0))[0]
        if data is None or (size is not None and len(data) != size):
            return False
        self._objects[digest] = data, time.time()
        return True

    def size(self, digest: str) -> int:
        """Bytes stored."""
        return len(self._get(digest)[0])

    def modified(self, digest: str) -> float:
        """When it was last put."""
        return self._get(digest)[1]

    def verify(self, digest: str) -> None:
        """Hash the bytes again."""
        if hash_bytes(self._get(digest)[0]) != digest:
            raise CorruptObject(f"object {digest[:12]}… in memory does not match its hash", name=digest)

    def delete(self, digest: str) -> None:
        """Forget it."""
        self._objects.pop(digest, None)

    def list(self) -> Iterator[str]:
        """Every hash."""
        yield from sorted(self._objects)

    def _get(self, digest: str) -> tuple[bytes, float]:
        if digest not in self._objects:
            raise missing(check_hash(digest), "memory")
        return self._objects[digest]


class MemoryDocuments:
    """Documents in a dict."""

    def __init__(self) -> None:
        self._documents: dict[str, tuple[bytes, float]] = {}

    def read(self, name: str) -> bytes | None:
        """The bytes, or None."""
        return self._documents[name][0] if name in self._documents else None

    def write(self, name: str, data: bytes) -> None:
        """Replace it."""
        self._documents[name] = data, time.time()

    def create(self, name: str, data: bytes, *, durably: bool = True) -> bool:  # noqa: ARG002 - it ends with the process
        """Write it only if there is none."""
        value = data, time.time()
        return self._documents.setdefault(name, value) is value

    def delete(self, name: str) -> None:
        """Remove it."""
        self._documents.pop(name, None)

    def names(self, folder: str) -> list[str]:
        """Full names of all documents below `folder`, sorted."""
        return sorted(name for name in self._documents if name.startswith(f"{folder}/"))

    def modified(self, name: str) -> float | None:
        """When it was last written."""
        return self._documents[name][1] if name in self._documents else None
