"""What was found out about code, kept between processes: in the user's own cache, under a digest of all it depends on.

Never trusted over content: a file that is damaged, that somebody else could have written, or that is of another version
of nbpipe, Python or IPython is as good as none. Losing it costs time only.
"""

from __future__ import annotations

import functools
import os
import platform
import stat
import threading
import time
from importlib.util import find_spec
from pathlib import Path

from blake3 import blake3

_DIGEST = 32
#: Files that are kept, and their bytes; of more those go that were not used for longest.
_MOST, _ROOM = 200, 256 << 20
_FORBIDDEN = stat.S_IWGRP | stat.S_IWOTH
_PACKAGE = Path(__file__).parents[1]
#: When this process imported it: sources that were put there since are not those that answer.
_BEGUN = time.time()


def look_up(kind: str, question: bytes) -> bytes | None:
    """The answer to this very question; None where there is none that can be trusted."""
    try:
        path = _path(kind, question)
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if not (_is_ours(path.parent.stat()) and _is_ours(found)):
                return None
            data = file.read()
            os.utime(file.fileno())
    except (OSError, RuntimeError):
        return None
    digest, answer = data[:_DIGEST], data[_DIGEST:]
    return answer if digest == _seal(path.name, answer) else None


def keep(kind: str, question: bytes, answer: bytes) -> None:
    """Remember an answer. A disk that refuses is no error."""
    if len(answer) > _ROOM // 8:
        return
    try:
        path = _path(kind, question)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (OSError, RuntimeError):
        return
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(_seal(path.name, answer) + answer)
        scratch.replace(path)
        _tidy(path.parent)
    except OSError:
        scratch.unlink(missing_ok=True)


def _is_ours(found: os.stat_result) -> bool:
    """Nobody else can write it."""
    return found.st_uid == os.getuid() and not found.st_mode & _FORBIDDEN if hasattr(os, "getuid") else True


def _seal(name: str, answer: bytes) -> bytes:
    """Bound to the question: one answer put in another's place is found out."""
    return blake3(name.encode() + b"\n" + answer).digest()


def _path(kind: str, question: bytes) -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "nbpipe" / "analysis" / f"{kind}-{blake3(_made_by() + question).hexdigest()}"


@functools.lru_cache(maxsize=1)
def _made_by() -> bytes:
    """Digest of what answers: nbpipe's own code that analyses, Python, and the part of IPython that translates."""
    hasher = blake3(f"{platform.python_implementation()} {platform.python_version()}\n".encode())
    sources = _sources()
    for path in sources:
        hasher.update(blake3(path.read_bytes()).digest())
    if any(path.stat().st_ctime >= _BEGUN for path in sources):
        raise RuntimeError("nbpipe was replaced while this process runs, which goes on with what it had imported")
    return hasher.digest()


def _sources() -> list[Path]:
    found = [*sorted((_PACKAGE / "dataflow").glob("*.py")), *sorted((_PACKAGE / "notebook").glob("*.py"))]
    found += [_PACKAGE / "__init__.py", _PACKAGE / "model.py", *sorted((_PACKAGE / "pipeline").glob("*.py"))]
    spec = find_spec("IPython")
    if spec is not None and spec.origin is not None:
        found.append(Path(spec.origin).parent / "core" / "release.py")
    return found


def _tidy(folder: Path) -> None:
    with os.scandir(folder) as entries:
        stats = [(entry.stat(), entry.path) for entry in entries]
    room = _ROOM
    for number, (found, path) in enumerate(sorted(stats, key=lambda each: each[0].st_mtime, reverse=True)):
        room -= found.st_size
        if number >= _MOST or room < 0:
            Path(path).unlink(missing_ok=True)
