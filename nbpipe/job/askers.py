"""Who asks for a file: what libraries and Python itself look at for their own ends is none of the stage's reads."""

from __future__ import annotations

import linecache
import os
import sys
import threading
from collections.abc import Iterable
from importlib.util import source_from_cache as cache_to_source
from typing import Any

from nbpipe.job.sources import NBPIPE, is_local

#: Frames between the import system's and the one that looks.
_NEAR = 3

#: Their threads do nothing for the user.
_KERNELS = tuple(f"{os.sep}{name}{os.sep}" for name in ("ipykernel", "IPython", "zmq", "debugpy"))

#: Functions that ask only to do, or to say better, what the call they are part of does: by the end of the file's path.
_ASK_FOR_THEMSELVES = {
    # Whether the target is a folder or the source itself. What they copy, they open.
    f"{os.sep}shutil.py": {
        "copy",
        "copy2",
        "copyfile",
        "copymode",
        "copystat",
        "move",
        "_samefile",
        "copytree",
        "_copytree",
    },
    # Whether the folder that they were to make is there.
    f"{os.sep}os.py": {"makedirs"},
    "<frozen os>": {"makedirs"},
    f"{os.sep}pathlib.py": {"mkdir"},
    # What to remove if it cannot write: every `savefig` asks this.
    f"{os.sep}PIL{os.sep}Image.py": {"save"},
    # Where the shell of `!command` lies, if no variable says it: the command is what the stage depends on.
    f"{os.sep}pexpect{os.sep}utils.py": {"is_executable_file"},
}


def from_user(frame: Any, project: str) -> bool:
    """Whether a cell or a local module asked for it, directly or through a library, rather than an import.

    A thread may have been given the very function that asks, and nothing of the user's: `pool.map(os.path.exists, names)`.
    """
    own, outermost = frame is not None and frame.f_code.co_filename.startswith(NBPIPE), ""
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith("<frozen importlib") or f"importlib{os.sep}metadata" in name:
            return False
        if "ipykernel_" in name and name.endswith(".py") and f"{os.sep}ipykernel_" in name:
            return True
        if is_local(name, project):
            return True
        outermost = outermost if name.endswith(f"{os.sep}threading.py") else name
        frame = frame.f_back
    if threading.current_thread() is threading.main_thread() or own or outermost.startswith(NBPIPE):
        return False
    return not any(part in outermost for part in _KERNELS)


#: They ask because their caller does.
_IN_BETWEEN = (
    *(f"{os.sep}{name}.py" for name in ("genericpath", "posixpath", "pathlib", "shutil", "os")),
    *("<frozen genericpath>", "<frozen posixpath>", "<frozen os>"),
)


def asks_for_itself(frame: Any) -> bool:
    """Whether a library asks on its own behalf, and no result of the stage depends on the answer."""
    while frame is not None and frame.f_code.co_filename.endswith(_IN_BETWEEN):
        if frame.f_code.co_name in _named(frame):
            return True
        frame = frame.f_back
    return frame is not None and frame.f_code.co_name in _named(frame)


def asks_entries(frame: Any, project: str, cells: Iterable[str]) -> bool:
    """Whether what goes through a folder is the user's own code, and may ask how large or old each entry is."""
    file = frame.f_code.co_filename
    if f"{os.sep}ipykernel_" in file:
        return any(".stat(" in text for text in cells)
    return is_local(file, project) and ".stat(" in "".join(linecache.getlines(file))


def may_clear(frame: Any) -> bool:
    """Whether what asks for a path is about to remove it, if it is a folder: `if os.path.exists(path): shutil.rmtree(path)`."""
    while frame is not None and frame.f_code.co_filename.endswith(_IN_BETWEEN):
        frame = frame.f_back
    return frame is not None and "rmtree" in frame.f_code.co_names


def _named(frame: Any) -> set[str]:
    file = frame.f_code.co_filename
    return next((names for end, names in _ASK_FOR_THEMSELVES.items() if file.endswith(end)), set())


def source_of(path: Any) -> Any:
    """The source of what was compiled; any other path as it is."""
    if not isinstance(path, str) or not path.endswith(".pyc"):
        return path
    try:
        return cache_to_source(path)
    except (ValueError, NotImplementedError):
        return path


def importing() -> bool:
    """Whether Python itself reads the file that is being opened, to import it."""
    frame: Any = sys._getframe(1)  # noqa: SLF001
    for _ in range(_NEAR):
        if frame is None or frame.f_code.co_filename.startswith("<frozen importlib"):
            return frame is not None
        frame = frame.f_back
    return False


def lists_lines(path: str) -> bool:
    """Whether the lines of a source are read only to show them, as tracebacks do."""
    frame: Any = sys._getframe(1)  # noqa: SLF001
    while frame and path.endswith(".py"):
        if frame.f_code.co_name == "updatecache":
            return True
        frame = frame.f_back
    return False
