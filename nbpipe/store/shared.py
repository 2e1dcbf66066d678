"""Objects that two machines pass each other through a place that both reach: a folder, or any fsspec URL.

They lie there as a store's own do, so that a project's store may be that place. Nothing there is believed: what is taken
is hashed again. `python -m nbpipe.store.shared PLACE HASH` says from another machine whether that works.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus, unquote

from nbpipe.errors import CorruptObject, NbpipeError, StoreError
from nbpipe.store.base import check_hash, hash_file
from nbpipe.store.local import LocalObjects, missing
from nbpipe.store.remote import filesystem, upload
from nbpipe.store.watched import Watch, for_each

_Found = TypeVar("_Found")
#: Bytes that go over the connection, which is there already: a store takes longer to answer.
LITTLE = 1 << 20
#: Objects on their way at a time; a large one travels in several parts of its own.
_AT_ONCE = 8
#: Seconds that the place has to say anything at all, and to say more once it has.
_PATIENCE, _ANSWER = 20.0, 60.0
#: Seconds without a byte moved after which a transfer is given up.
_SILENCE = 300.0
#: S3's own library would wait half an hour for a host that is silent.
_QUICK: dict[str, Any] = {"config_kwargs": {"connect_timeout": 10, "read_timeout": 60, "retries": {"max_attempts": 2}}}
_SECRET = ("KEY", "SECRET", "TOKEN", "PASSWORD", "CREDENTIAL", "CONNECTION_STRING", "SAS", "SIG")
_SHORTEST = 6
_FICLONE = 0x40049409


class SharedObjects:
    """The objects at `location`. Nothing is opened yet.

    Responsibilities: what `take` has put into a store is what its hash says; what `put` does not name was seen there
    whole. Must not decide what travels otherwise. Objects travel in parallel; safe to use from several threads.
    """

    def __init__(self, location: str) -> None:
        self.location = location.rstrip("/")
        self._remote = "://" in location and not location.startswith("file://")
        self._folder = LocalObjects(Path(location.removeprefix("file://")) / "objects")
        self._opened: tuple[Any, str] | None = None
        self._opening = threading.Lock()
        #: Whether a thread may still wait for it, for ever.
        self.hangs = False

    def holds(self, location: str) -> bool:
        """Whether the store at `location` is this place."""
        if self._remote or "://" in location:
            return self.location == location.rstrip("/")
        return os.path.realpath(self.location.removeprefix("file://")) == os.path.realpath(location)

    def reach(self) -> None:
        """Ask for something. Raises StoreError where the place does not answer within some seconds, or cannot be used."""
        self._sizes(["0" * 64], _PATIENCE)

    def sizes(self, names: Iterable[str]) -> dict[str, int]:
        """Bytes of those of these objects that are there. Raises StoreError where the place cannot be reached."""
        return self._sizes(names, _ANSWER)

    def _sizes(self, names: Iterable[str], patience: float) -> dict[str, int]:
        found, failed = self._each(names, lambda name, _: self._size(name), patience, "answer")
        for error in failed.values():
            if not isinstance(error, _Absent):
                raise error
        return found

    def put(self, objects: Mapping[str, Path]) -> dict[str, NbpipeError]:
        """Leave copies of these files there, in place of what there is; why some could not be.

        CorruptObject is of a file that does not match its hash: it was changed meanwhile.
        """
        return self._each(objects, lambda name, watch: self._put(name, objects[name], watch))[1]

    def take(self, names: Iterable[str], objects: LocalObjects) -> dict[str, NbpipeError]:
        """Have these in a store of this machine; why some could not be. CorruptObject is of one that is damaged there."""

        def take(name: str, watch: Watch) -> None:
            objects.take(name, lambda path: self._get(name, path, watch), watch.moved)

        return self._each(names, take)[1]

    def fetch(self, names: Iterable[str], into: Path) -> dict[str, NbpipeError]:
        """The same into a folder, each at `ab/abcd…`."""
        return self._each(names, lambda name, watch: self._fetch(name, into / name[:2] / name, watch))[1]

    def delete(self, digest: str) -> None:
        """Remove one; no error if there is none. Raises StoreError."""

        def remove(name: str, _: Watch) -> None:
            if not self._remote:
                self._folder.delete(name)
                return
            fs, path = self._at(name)
            if fs.isfile(path):
                fs.rm_file(path)

        for error in self._each([digest], remove, _ANSWER, "answer")[1].values():
            raise error

    # -- one object

    def _size(self, name: str) -> int:
        if not self._remote:
            # A folder that is not there is no shared folder: one made now would be nobody else's.
            Path(self.location.removeprefix("file://")).stat()
            return self._named(name, lambda: self._folder.whereabouts(name).stat().st_size)
        fs, path = self._at(name)
        fs.invalidate_cache()
        return self._named(name, lambda: int(fs.info(path)["size"]))

    def _put(self, name: str, source: Path, watch: Watch) -> None:
        if not self._remote:

            def bring(path: Path) -> None:
                with watch.growing(lambda: path.stat().st_size):
                    clone(source, path, name)

            self._folder.take(name, bring, watch.moved)
            return
        fs, path = self._at(name)
        upload(fs, source, path, watch)
        fs.invalidate_cache()
        if int(fs.info(path)["size"]) != source.stat().st_size or hash_file(source, watch.moved) != name:
            fs.rm_file(path)
            raise CorruptObject(f"object {name[:12]}… did not come whole to {self.location}", name=name)

    def _get(self, name: str, path: Path, watch: Watch) -> None:
        """The bytes, as they are there, at `path`."""
        with watch.growing(lambda: path.stat().st_size):
            if self._remote:
                fs, there = self._at(name)
                self._named(name, lambda: fs.get_file(there, str(path)))
            else:
                self._named(name, lambda: clone(self._folder.whereabouts(name), path, name))

    def _fetch(self, name: str, path: Path, watch: Watch) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._get(name, path, watch)
        if hash_file(path, watch.moved) != name:
            path.unlink()
            raise CorruptObject(f"object {name[:12]}… in {self.location} does not match its hash", name=name)

    def _named(self, name: str, action: Callable[[], _Found]) -> _Found:
        try:
            return action()
        except FileNotFoundError:
            raise _Absent(missing(name, self.location).message, name=name) from None
        except OSError as error:
            # Whoever keeps it would take this for an error of its own disk.
            raise self._unusable(error) from error

    def _at(self, name: str) -> tuple[Any, str]:
        with self._opening:
            if self._opened is None:
                options = _QUICK if self.location.startswith(("s3://", "s3a://")) else {}
                # What the environment says counts as it is now, not as it was for whoever asked first.
                self._opened = filesystem(self.location, skip_instance_cache=True, **options)
        fs, root = self._opened
        return fs, f"{root}/objects/{check_hash(name)[:2]}/{name}"

    # -- all of them

    def _each(
        self,
        names: Iterable[str],
        act: Callable[[str, Watch], _Found],
        silence: float = 0.0,
        what: str = "byte moved",
    ) -> tuple[dict[str, _Found], dict[str, NbpipeError]]:
        """What `act` gives for each name, and what went wrong. After one could not reach the place, the others do not try.

        A place that says nothing for `silence` seconds, by default those of a transfer, cannot be reached.
        """
        names = list(names)
        found: dict[str, _Found] = {}
        failed: dict[str, NbpipeError] = {}
        away: list[NbpipeError] = []

        def one(name: str, watch: Watch) -> None:
            if away:
                failed[name] = away[0]
                return
            try:
                found[name] = act(name, watch)
            except (CorruptObject, _Absent) as error:
                failed[name] = error
            except Exception as error:  # noqa: BLE001 - every protocol's library has errors of its own
                failed[name] = error if isinstance(error, _Unusable) else self._unusable(error)
                away.append(failed[name])

        silence = silence or _SILENCE
        try:
            for_each(names, one, at_once=_AT_ONCE, silence=silence)
        except TimeoutError:
            self.hangs = True
            # Whoever wakes up again writes into what nobody reads any more.
            found, failed = dict(found), dict(failed)
            silent = self._unusable(TimeoutError(f"no {what} within {silence:g} s"))
            failed |= {name: silent for name in names if name not in found and name not in failed}
        return found, failed

    def _unusable(self, error: Exception) -> _Unusable:
        said = error.message if isinstance(error, NbpipeError) else f"{type(error).__name__}: {error}"
        # A library may say what it was given to sign in with.
        for text in _secrets():
            said = said.replace(text, "…")
        said = " ".join(said.split())[:300]
        return _Unusable(f"the shared store {self.location} cannot be used: {said}", name=self.location)


def _secrets() -> list[str]:
    """What this process signs in with, and its parts, also as they stand in a URL; the longest first."""
    found = set()
    for name, text in os.environ.items():
        if any(mark in name.upper() for mark in _SECRET):
            found.add(text)
            parts = (part.partition("=") for part in re.split("[;&?]", text))
            found |= {value for key, _, value in parts if any(mark in key.upper() for mark in _SECRET)}
    as_written = (quote, unquote, quote_plus, lambda text: quote(text, safe=""))
    found |= {write(text) for text in found for write in as_written}
    return sorted((text for text in found if len(text) >= _SHORTEST), key=len, reverse=True)


class _Absent(StoreError):
    """An object that is not there, in a place that answers."""


class _Unusable(StoreError):
    """The place does not answer as it should."""


def clone(source: Path, target: Path, digest: str) -> None:
    """A copy of the file at `target`, in place of what is there, that shares its blocks where the disk can do that.

    Only an object's own file, which nobody writes to, is linked. Raises OSError.
    """
    with source.open("rb") as given:
        status = os.fstat(given.fileno())
        if _shares_blocks(given.fileno(), target):
            return
        ours = status.st_uid == os.geteuid() and not status.st_mode & 0o222
        if source.name == digest and ours:
            with contextlib.suppress(OSError):
                beside = target.with_name(f"{target.name}.link")
                os.link(source, beside)
                beside.replace(target)
                return
    shutil.copyfile(source, target)


def _shares_blocks(given: int, target: Path) -> bool:
    try:
        import fcntl

        with target.open("wb") as file:
            fcntl.ioctl(file.fileno(), _FICLONE, given)
    except (ImportError, OSError):
        return False
    return True


def check_from_here(location: str, digest: str) -> str:
    """Take an object that another machine has left there, and leave one in answer; its hash. Raises NbpipeError."""
    shared = SharedObjects(location)
    shared.reach()
    with tempfile.TemporaryDirectory(prefix="nbpipe-") as scratch:
        answer = Path(scratch, "answer")
        answer.write_bytes(b"answers " + digest.encode())
        failed = shared.fetch([digest], Path(scratch)) or shared.put({hash_file(answer): answer})
        for error in failed.values():
            raise error
        return hash_file(answer)


if __name__ == "__main__":
    try:
        sys.stdout.write(check_from_here(*sys.argv[1:3]) + "\n")
    except NbpipeError as wrong:
        sys.stderr.write(wrong.message + "\n")
        sys.exit(wrong.exit_code)
