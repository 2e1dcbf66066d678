"""Bytes to and from another machine: little over the agent's own line, which is there already, the rest with rsync."""

from __future__ import annotations

import base64
import contextlib
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from nbpipe.errors import SecurityError, TargetError
from nbpipe.executors.ssh.link import Link, LinkDown

#: Bytes that go over the agent's line: about as long as rsync takes to start.
LITTLE = 1 << 20


def send_objects(link: Link, objects: Mapping[str, Path]) -> int:
    """Put files into the store there, by their hashes, whole or not at all; how many bytes. Raises LinkDown, TargetError."""
    size = sum(path.stat().st_size for path in objects.values())
    if size <= LITTLE:
        link.call("put", objects={name: base64.b64encode(path.read_bytes()).decode() for name, path in objects.items()})
        return size
    with tempfile.TemporaryDirectory(prefix="nbpipe-send-") as scratch:
        for name, path in objects.items():
            entry = Path(scratch) / object_path(name)
            entry.parent.mkdir(exist_ok=True)
            entry.symlink_to(path.absolute())
        words = ["--copy-links", "--ignore-existing", "--whole-file", "--chmod=D700,F444"]
        try:
            link.rsync([*words, f"{scratch}/", link.path(f"{link.root}/store/objects/")])
        except TargetError:
            # A part is worth to be kept where a connection broke; on a full disk it is in the way of every job.
            with contextlib.suppress(LinkDown, TargetError):
                link.call("spoilt", objects=list(objects), parts=True)
            raise
    return size


def fetch_objects(link: Link, names: Iterable[str], into: Path) -> None:
    """Bring objects from the store there into a folder, each at its `object_path`; they are not looked at."""
    names = list(names)
    given = link.call("get", objects=names, limit=LITTLE)
    if given is None:
        text = "".join(f"{object_path(name)}\n" for name in names)
        link.rsync(["--files-from=-", link.path(f"{link.root}/store/objects/"), f"{into}/"], text)
        return
    for name in names:
        if name in given:
            path = into / object_path(name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(base64.b64decode(given[name]))


def fetch_job(link: Link, job: str, into: Path, *, without: Sequence[str]) -> None:
    """Bring the regular files of a job's folder but those named. Raises SecurityError for a name that leads elsewhere."""
    given = link.call("gather", job=job, without=list(without), limit=LITTLE)
    if isinstance(given, str):
        _fetch_files(link, given, into, without)
        return
    for name, data in given.items():
        if Path(name).is_absolute() or ".." in Path(name).parts or Path(name).parts[0] in without:
            raise SecurityError(f"{link.target.name} wants to write {name!a}")
        path = into / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(data))


def _fetch_files(link: Link, folder: str, into: Path, without: Sequence[str]) -> None:
    """The same with rsync, beside the folder first: what was left out there is for the other side to say."""
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=into) as scratch:
        words = [f"--exclude=/{name}" for name in without]
        link.rsync([*words, link.path(f"{folder}/"), f"{scratch}/"])
        for found in sorted(Path(scratch).rglob("*")):
            name = found.relative_to(scratch)
            if found.is_symlink() or not found.is_file() or name.parts[0] in without:
                continue
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            found.replace(into / name)


def object_path(digest: str) -> str:
    """Where an object lies below the folder of objects."""
    return f"{digest[:2]}/{digest}"
