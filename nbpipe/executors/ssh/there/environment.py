"""The packages of a run, installed on the other machine with uv: once per set of them, kept for the next run.

Those that nobody has used for long are removed: see `sweep`.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import io
import os
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LAST_LINES = 6
#: Seconds that a question waits for its answer, and the agent with it: one that is built already is found at once.
_MOMENT = 0.05
#: How many are kept; more, if they were used within so many seconds; none that was not used for so many.
_KEPT, _RECENTLY, _FORGOTTEN = 5, 86400.0, 30 * 86400.0
#: In an environment that is complete; its time is that of the last use, and who has it open with a lock uses it.
_WHOLE = "nbpipe.whole"


class Builds:
    """Environments that are built while the agent answers other questions."""

    def __init__(self) -> None:
        #: Name -> the thread that builds it; the interpreter or what went wrong is left in `_ended`.
        self._threads: dict[str, threading.Thread] = {}
        self._ended: dict[str, Any] = {}
        #: Name -> the last line that uv has printed.
        self.said: dict[str, str] = {}
        #: Name -> an open file: as long as this agent lives, what it has named is not removed.
        self._held: dict[str, int] = {}

    def build(self, root: str, name: str, minor: str, requirements: list[str], package: str) -> str:
        """The interpreter of the environment `name`, "" while it is built: ask again. Raises RuntimeError with uv's words."""
        if name not in self._threads:
            _uv()
            self.said.pop(name, None)

            def say(line: str) -> None:
                self.said[name] = line

            def work() -> None:
                try:
                    self._ended[name] = build(root, name, minor, requirements, package, say)
                except Exception as error:  # noqa: BLE001 - the one who asks next hears of it
                    self._ended[name] = error

            # It ends with the agent: the next one begins anew.
            self._threads[name] = threading.Thread(target=work, daemon=True)
            self._threads[name].start()
        self._threads[name].join(_MOMENT)
        if name not in self._ended:
            return ""
        # A failure is said once; who asks again tries again.
        del self._threads[name]
        found = self._ended.pop(name)
        if isinstance(found, Exception):
            raise found
        self._hold(f"{root}/environments/{name}", name)
        return str(found)

    def _hold(self, place: str, name: str) -> None:
        old = self._held.pop(name, None)
        if old is not None:
            os.close(old)
        # Where there are no locks, the time of its use still counts.
        with contextlib.suppress(OSError):
            self._held[name] = os.open(f"{place}/{_WHOLE}", os.O_RDWR | os.O_CLOEXEC)
            fcntl.flock(self._held[name], fcntl.LOCK_SH | fcntl.LOCK_NB)

    def sweep(self, root: str, used: set[str]) -> None:
        """Remove what nobody needs, beside all else: it takes seconds where large packages are. `used` are those of jobs."""
        self.sweeping = threading.Thread(target=sweep, args=(root, used), daemon=True)
        self.sweeping.start()


def names(root: str) -> list[str]:
    """Those that are there, the last used first."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(root + "/environments"):
            place = f"{root}/environments/{name}"
            with contextlib.suppress(OSError):
                if os.path.isdir(place):
                    whole = f"{place}/{_WHOLE}"
                    found.append((os.stat(whole if os.path.exists(whole) else place).st_mtime, name))
    return [name for _, name in sorted(found, reverse=True)]


def sweep(root: str, used: set[str]) -> list[str]:
    """Remove environments that were not used for a month, and all but the last few that were not used for a day.

    None that is in `used`, that an agent has named to its client, or that is being built. Returns their names.
    """
    gone = []
    for number, name in enumerate(names(root)):
        place = f"{root}/environments/{name}"
        longest = _RECENTLY if number >= _KEPT else _FORGOTTEN
        with contextlib.suppress(OSError), _locked(place, wait=False) as locked:
            if locked and name not in used and _idle(place, longest):
                # In this order: what is half gone is not taken for whole.
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{place}/{_WHOLE}")
                shutil.rmtree(place, ignore_errors=True)
                os.unlink(place + ".lock")
                gone.append(name)
    return gone


def _idle(place: str, seconds: float) -> bool:
    """Whether nobody has it, nor has used it for so long."""
    whole = f"{place}/{_WHOLE}"
    if not os.path.exists(whole):
        return time.time() - os.stat(place).st_mtime > seconds
    with open(whole, "r+") as file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        return time.time() - os.fstat(file.fileno()).st_mtime > seconds


@contextlib.contextmanager
def _locked(place: str, *, wait: bool = True) -> Iterator[int]:
    """Nobody else builds or removes it meanwhile: the lock's descriptor, 0 where somebody does and it is not to `wait`."""
    while True:
        with open(place + ".lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield 0
                return
            if _same(place + ".lock", lock.fileno()):
                yield lock.fileno()
                return


def _same(path: str, descriptor: int) -> bool:
    """Whether it is that file: who removed an environment has removed the lock that others waited for."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def build(
    root: str,
    name: str,
    minor: str,
    requirements: list[str],
    package: str,
    say: Callable[[str], None] = lambda _: None,
) -> str:
    """The interpreter of the environment `name`, built where it is not there yet. Raises RuntimeError with uv's words.

    `minor` is Python's version, such as `3.11`; `package` is nbpipe itself, a zip in base64. `say` hears what uv prints.
    """
    place = f"{root}/environments/{name}"
    python = place + "/bin/python"
    os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
    # Two runs that want the same one do not build it twice.
    with _locked(place) as lock:
        if not os.path.isfile(f"{place}/{_WHOLE}"):
            shutil.rmtree(place, ignore_errors=True)
            _install(place, minor, requirements, package, lock, say)
        os.utime(f"{place}/{_WHOLE}")
    return python


def _install(
    place: str, minor: str, requirements: list[str], package: str, lock: int, say: Callable[[str], None]
) -> None:
    uv = _uv()
    own = ".".join(map(str, sys.version_info[:2])) == minor
    try:
        # uv takes the interpreter at hand, else looks for another, and fetches one where it may.
        _call([uv, "venv", "--quiet", "--python", sys.executable if own else minor, place], lock, say)
        listed = place + "/requirements.txt"
        with open(listed, "w") as file:
            file.write("".join(f"{line}\n" for line in requirements))
        python = place + "/bin/python"
        words = [uv, "pip", "install", "--compile-bytecode", "--python", python, "--requirements", listed]
        _call(words, lock, say)
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(package))) as archive:
            archive.extractall(f"{place}/lib/python{minor}/site-packages")
        with open(f"{place}/{_WHOLE}", "w"):
            pass
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def _uv() -> str:
    places = [os.path.dirname(sys.executable), os.path.expanduser("~/.local/bin"), os.path.expanduser("~/.cargo/bin")]
    found = shutil.which("uv") or shutil.which("uv", path=os.pathsep.join(places))
    if found is None:
        raise RuntimeError(
            "there is no `uv`, which builds the environment; install it there: python3 -m pip install uv"
        )
    return found


def _call(words: list[str], lock: int, say: Callable[[str], None]) -> None:
    # uv outlives an agent whose connection breaks; the lock is held for as long as it works in the folder.
    null, pipe = subprocess.DEVNULL, subprocess.PIPE
    with subprocess.Popen(words, stdin=null, stdout=pipe, stderr=subprocess.STDOUT, pass_fds=[lock]) as child:
        assert child.stdout is not None  # noqa: S101 - asked for above
        said: list[str] = []
        for line in child.stdout:
            text = " ".join(line.decode("utf-8", "replace").split())
            if text and not text.startswith("Using Python"):
                said = [*said, text][-_LAST_LINES:]
                say(text)
    if child.returncode:
        raise RuntimeError(f"uv cannot build the environment: {' '.join(said)[:600]}")
