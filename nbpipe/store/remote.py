"""A store at any fsspec URL. Objects are copied once into a local cache, where they are verified and mapped.

Object storage has no rename and no fsync: an upload that has returned is durable and whole, or it is not there. Where
files are written piece by piece, an upload gets its name once it is whole.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import secrets
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from nbpipe.errors import CorruptObject, NbpipeError, StoreError
from nbpipe.store.base import LARGE, LATELY, check_hash, hash_bytes, hash_file
from nbpipe.store.local import LocalObjects, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbpipe.store.watched import Watch

#: Protocols of object storage: what they show of an upload is whole.
_ATOMIC = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory"})
#: What the name of an upload goes on with while it is not whole.
_UNFINISHED = ".part-"
#: Bytes of a part of a large upload, and parts at a time: even on a slow line one of them ends now and then.
_PART, _AT_ONCE = 8 << 20, 4
#: Parts that an upload may have; S3 takes 10,000.
_MOST_PARTS = 9000


def filesystem(url: str, **options: Any) -> tuple[Any, str]:
    """The fsspec filesystem and the path in it; StoreError if the protocol is unknown or its library is missing."""
    import fsspec

    try:
        fs, root = fsspec.core.url_to_fs(url, **options)
    except (ValueError, ImportError) as error:
        fix = "Name a folder, or a URL that fsspec knows here, such as s3://BUCKET/PATH with s3fs installed."
        raise StoreError(f"{url} is not a place for a store: {error}", name=url, fix=fix) from error
    return fs, str(root).rstrip("/")


class RemoteObjects:
    """Objects in `root/ab/abcd…` of an fsspec filesystem."""

    def __init__(self, fs: Any, root: str) -> None:
        self._fs = fs
        self._root = root
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nbpipe" / "objects"
        self._cache = LocalObjects(base / hash_bytes(f"{fs.protocol} {root}".encode())[:16])

    def put_bytes(self, data: bytes) -> str:
        """Store `data`; return its hash."""
        return self._upload(self._cache.put_bytes(data))

    def put_file(self, path: str | Path) -> str:
        """Store a copy of the file; return its hash."""
        return self._upload(self._cache.put_file(path))

    def put_stream(self, write: Callable[[BinaryIO], None]) -> tuple[str, int]:
        """Call `write` with a file to fill; return hash and size."""
        digest, size = self._cache.put_stream(write)
        return self._upload(digest), size

    def get_bytes(self, digest: str) -> bytes:
        """The bytes, verified."""
        return self.local_path(digest).read_bytes()

    def open(self, digest: str) -> BinaryIO:
        """A file open for reading, verified."""
        return self.local_path(digest).open("rb")

    def local_path(self, digest: str) -> Path:
        """The cached copy, downloaded if there is none or if it does not match its hash."""
        if self._cache.has(digest):
            try:
                return self._cache.local_path(digest)
            except CorruptObject:
                self._cache.delete(digest)
        with tempfile.TemporaryDirectory(prefix="nbpipe-") as folder:
            path = self._download(digest, Path(folder) / digest)
            if self._cache.put_file(path) != digest:
                raise self._corrupt(digest)
        return self._cache.local_path(digest)

    def check(self, digest: str) -> None:
        """Verify it, unless that was done, or it would take long: a large one is hashed when something here reads it."""
        if self._cache.has(digest) or self.size(digest) < LARGE:
            self.local_path(digest)

    def has(self, digest: str) -> bool:
        """Whether something is stored there."""
        found = self._look(digest)
        return found is not None and found["type"] == "file"

    def keep(self, digest: str, size: int | None = None) -> bool:
        """Have it count as put now; False where it has to be put: half of it may lie where files are written piece by piece.

        A large one whose size nobody knows is not brought here to be told.
        """
        found = self._look(digest)
        if found is None or found["type"] != "file" or (size is not None and int(found["size"]) != size):
            return False
        try:
            if not _ATOMIC & _protocols(self._fs):
                if size is None and int(found["size"]) >= LARGE and not self._cache.has(digest):
                    return False
                self.check(digest)
            if time.time() - self.modified(digest) > LATELY:
                self._call(lambda: self._renew(digest))
        except StoreError:
            return False
        return True

    def _renew(self, digest: str) -> None:
        """Give it the time of now. Where that is not to be had, it is copied there, and comes from here as the last resort."""
        path = self._path(digest)
        if {"file", "local"} & _protocols(self._fs):
            self._fs.touch(path, truncate=False)
            return
        copy = f"{path}{_UNFINISHED}{secrets.token_hex(8)}"
        try:
            self._fs.cp_file(path, copy)
            if _moves(self._fs):
                move(self._fs, copy, path)
            else:
                self._fs.cp_file(copy, path)
        except NotImplementedError:
            upload(self._fs, self.local_path(digest), path)
        finally:
            with contextlib.suppress(Exception):
                self._fs.rm_file(copy)

    def size(self, digest: str) -> int:
        """Bytes stored."""
        return int(self._info(digest)["size"])

    def modified(self, digest: str) -> float:
        """When it was last put; 0 where the filesystem does not say."""
        self._info(digest)
        return modified(self._fs, self._path(digest)) or 0.0

    def verify(self, digest: str) -> None:
        """Download it and hash it, whatever the cache holds."""
        with tempfile.TemporaryDirectory(prefix="nbpipe-") as folder:
            path = self._download(digest, Path(folder) / digest)
            actual = hash_file(path) if path.stat().st_size else hash_bytes(b"")
        if actual != digest:
            raise self._corrupt(digest)

    def delete(self, digest: str) -> None:
        """Remove it there and here."""
        self._cache.delete(digest)
        if self.has(digest):
            self._call(lambda: self._fs.rm_file(self._path(digest)))

    def list(self) -> Iterator[str]:
        """Every hash something is stored under."""
        self._fs.invalidate_cache()
        for path in sorted(self._call(lambda: self._fs.find(self._root))):
            name = path.rsplit("/", 1)[-1]
            if len(name) == 64:  # noqa: PLR2004 - hex digits of a hash
                yield name

    def sweep(self, before: float, *, dry_run: bool) -> int:
        """Remove what was left unfinished and not written to since `before`, seconds since the epoch; its bytes."""
        size = 0
        for path, entry in self._call(lambda: self._fs.find(self._root, detail=True)).items():
            written = modified(self._fs, path) if _UNFINISHED in path.rsplit("/", 1)[-1] else None
            if written is not None and written < before:
                size += int(entry["size"])
                if not dry_run:
                    self._call(partial(self._fs.rm_file, path))
        return size

    def _path(self, digest: str) -> str:
        return f"{self._root}/{check_hash(digest)[:2]}/{digest}"

    def _upload(self, digest: str) -> str:
        self._call(lambda: upload(self._fs, self._cache.local_path(digest), self._path(digest)))
        return digest

    def _download(self, digest: str, path: Path) -> Path:
        self._info(digest)
        self._call(lambda: self._fs.get_file(self._path(digest), str(path)))
        return path

    def _info(self, digest: str) -> dict[str, Any]:
        found = self._look(digest)
        if found is None:
            raise missing(digest, self._root)
        return found

    def _look(self, digest: str) -> dict[str, Any] | None:
        """What is known of it; None if there is none. A place that cannot be asked is an error: it may have it."""
        path = self._path(digest)
        try:
            # Another machine may have put it since the folder was listed.
            self._fs.invalidate_cache()
            return cast("dict[str, Any]", self._fs.info(path))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise unreachable(self._root, error) from error

    def _call(self, action: Callable[[], Any]) -> Any:
        return call(self._root, action)

    def _corrupt(self, digest: str) -> CorruptObject:
        return CorruptObject(
            f"object {digest[:12]}… in {self._root} does not match its hash",
            name=digest,
            fix="Run `nbpipe fsck --repair`; what needs it is computed again.",
        )


def _protocols(fs: Any) -> set[str]:
    return {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)


def _moves(fs: Any) -> bool:
    """Whether it can give a file another name; for others that is a copy."""
    from fsspec import AbstractFileSystem

    return type(fs).mv is not AbstractFileSystem.mv


def upload(fs: Any, source: Path, target: str, watch: Watch | None = None) -> None:
    """Put a file at `target`, where nobody sees the half of it. Raises what the library raises."""
    fs.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
    if _ATOMIC & _protocols(fs) or not _moves(fs):
        _put(fs, source, target, watch)
        return
    part = f"{target}{_UNFINISHED}{secrets.token_hex(8)}"
    try:
        _put(fs, source, part, watch)
        move(fs, part, target)
    except BaseException:
        with contextlib.suppress(Exception):
            fs.rm_file(part)
        raise


def _put(fs: Any, source: Path, target: str, watch: Watch | None) -> None:
    options: dict[str, Any] = {}
    size = source.stat().st_size
    if "chunksize" in inspect.signature(getattr(fs, "_put_file", fs.put_file)).parameters:
        options["chunksize"] = max(_PART, size // _MOST_PARTS + 1)
    if {"s3", "s3a"} & _protocols(fs):
        options["max_concurrency"] = _AT_ONCE
    if watch is None:
        fs.put_file(str(source), target, **options)
        return
    from fsspec.callbacks import Callback

    # Those that tell nothing of it write where one can look.
    with watch.growing(lambda: _size(fs, target)):
        fs.put_file(str(source), target, callback=Callback(hooks={"moved": watch.moved}), **options)


def _size(fs: Any, path: str) -> int:
    fs.invalidate_cache()
    return int(fs.info(path)["size"])


def move(fs: Any, part: str, target: str) -> None:
    """Give a file another name, in place of what has it."""
    try:
        fs.mv(part, target)
        fs.invalidate_cache()
        if not fs.exists(part):
            return
    except Exception:
        if not fs.exists(target):
            raise
    # Some give no name that is taken. What had it is sound, maybe: it goes once the other is there.
    old = f"{target}{_UNFINISHED}{secrets.token_hex(8)}"
    fs.mv(target, old)
    try:
        fs.mv(part, target)
    except BaseException:
        fs.mv(old, target)
        raise
    fs.rm_file(old)


class RemoteDocuments:
    """Documents below `root`."""

    def __init__(self, fs: Any, root: str) -> None:
        self._fs = fs
        self._root = root

    def read(self, name: str) -> bytes | None:
        """The bytes, or None."""
        try:
            return cast("bytes", self._fs.cat_file(self._path(name)))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Exception as error:
            raise unreachable(self._root, error) from error

    def write(self, name: str, data: bytes) -> None:
        """Replace it."""
        self._put(name, data)

    def create(self, name: str, data: bytes, *, durably: bool = True) -> bool:  # noqa: ARG002 - what it has put is durable
        """Write it only if there is none: by the backend's put-if-absent, or by looking first where it has none."""
        self._fs.invalidate_cache()
        try:
            self._put(name, data, mode="create")
        except FileExistsError:
            return False
        except (NotImplementedError, TypeError, ValueError):
            if self.read(name) is not None:
                return False
            self._put(name, data)
        return True

    def delete(self, name: str) -> None:
        """Remove it."""
        if self.read(name) is not None:
            call(self._root, lambda: self._fs.rm_file(self._path(name)))

    def names(self, folder: str) -> list[str]:
        """Full names of all documents below `folder`, sorted."""
        self._fs.invalidate_cache()
        found = call(self._root, lambda: self._fs.find(f"{self._root}/{folder}"))
        return sorted(path[len(self._root) :].lstrip("/") for path in map(str, found))

    def modified(self, name: str) -> float | None:
        """When it was last written."""
        return modified(self._fs, self._path(name))

    def _put(self, name: str, data: bytes, **options: Any) -> None:
        path = self._path(name)

        def put() -> None:
            self._fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            self._fs.pipe_file(path, data, **options)

        try:
            put()
        except (FileExistsError, NotImplementedError, TypeError, ValueError):
            raise
        except Exception as error:
            raise unreachable(self._root, error) from error

    def _path(self, name: str) -> str:
        if name.startswith("/") or ".." in name.split("/") or "\0" in name:
            raise StoreError(f"{name!r} is not the name of a document", name=name)
        return f"{self._root}/{name}"


def modified(fs: Any, path: str) -> float | None:
    """When the file was last written; None where there is none or the filesystem does not say."""
    try:
        fs.invalidate_cache()
        return float(fs.modified(path).timestamp())
    except (FileNotFoundError, NotImplementedError):
        return None


def call(root: str, action: Callable[[], Any]) -> Any:
    """`action()`, its errors as StoreError: every protocol's library has some of its own."""
    try:
        return action()
    except NbpipeError:
        raise
    except Exception as error:
        raise unreachable(root, error) from error


def unreachable(root: str, error: Exception) -> StoreError:
    """The error for a place that does not answer as it should."""
    return StoreError(
        f"the store at {root} cannot be reached: {error}", name=root, fix="Check address and credentials."
    )
