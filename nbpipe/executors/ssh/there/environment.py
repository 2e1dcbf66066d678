"""The packages of a run, installed on the other machine with uv: once per set of them, kept for the next run."""

from __future__ import annotations

import base64
import fcntl
import io
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from typing import Any

_LAST_LINES = 6
#: Seconds that a question waits for its answer, and the agent with it: one that is built already is found at once.
_MOMENT = 0.05


class Builds:
    """Environments that are built while the agent answers other questions."""

    def __init__(self) -> None:
        #: Name -> the thread that builds it; the interpreter or what went wrong is left in `_ended`.
        self._threads: dict[str, threading.Thread] = {}
        self._ended: dict[str, Any] = {}

    def build(self, root: str, name: str, minor: str, requirements: list[str], package: str) -> str:
        """The interpreter of the environment `name`, "" while it is built: ask again. Raises RuntimeError with uv's words."""
        if name not in self._threads:
            _uv()

            def work() -> None:
                try:
                    self._ended[name] = build(root, name, minor, requirements, package)
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
        return str(found)


def build(root: str, name: str, minor: str, requirements: list[str], package: str) -> str:
    """The interpreter of the environment `name`, built where it is not there yet. Raises RuntimeError with uv's words.

    `minor` is Python's version, such as `3.11`; `package` is nbpipe itself, a zip in base64.
    """
    place = f"{root}/environments/{name}"
    python = place + "/bin/python"
    os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
    with open(place + ".lock", "w") as lock:
        # Two runs that want the same one do not build it twice.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isfile(place + "/nbpipe.whole"):
            shutil.rmtree(place, ignore_errors=True)
            _install(place, minor, requirements, package, lock.fileno())
        os.utime(place + "/nbpipe.whole")
    return python


def _install(place: str, minor: str, requirements: list[str], package: str, lock: int) -> None:
    uv = _uv()
    own = ".".join(map(str, sys.version_info[:2])) == minor
    try:
        # uv takes the interpreter at hand, else looks for another, and fetches one where it may.
        _call([uv, "venv", "--quiet", "--python", sys.executable if own else minor, place], lock)
        listed = place + "/requirements.txt"
        with open(listed, "w") as file:
            file.write("".join(f"{line}\n" for line in requirements))
        python = place + "/bin/python"
        words = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, "--requirements", listed]
        _call(words, lock)
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(package))) as archive:
            archive.extractall(f"{place}/lib/python{minor}/site-packages")
        with open(place + "/nbpipe.whole", "w"):
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


def _call(words: list[str], lock: int) -> None:
    # uv outlives an agent whose connection breaks; the lock is held for as long as it works in the folder.
    done = subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        pass_fds=[lock],
    )
    if done.returncode:
        said = done.stdout.decode("utf-8", "replace").strip().splitlines()[-_LAST_LINES:]
        raise RuntimeError(f"uv cannot build the environment: {' '.join(' '.join(said).split())[:600]}")
