"""`%nbpipe VERB ...`: the command line, in a process of its own, on the notebook at hand, its output streamed here."""

from __future__ import annotations

import os
import queue
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbpipe.errors import NbpipeError, UsageError
from nbpipe.notebook.reader import TEXT_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: Verbs whose first argument is a notebook.
NOTEBOOK_VERBS = ("run", "plan", "check", "graph", "suggest", "export", "sweep")
#: Seconds between two beats.
_BEAT = 0.2


def split_line(line: str) -> list[str]:
    """The words of the line as a shell would have them, without any expansion. Raises `UsageError`."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise UsageError(f"%nbpipe {line}: {error}") from None


def notebook_path(names: Mapping[str, Any]) -> str | None:
    """The path of the notebook that this kernel serves, where the front-end tells it."""
    path = os.environ.get("JPY_SESSION_NAME") or names.get("__vsc_ipynb_file__")
    return path if isinstance(path, str) and Path(path).is_file() else None


def with_notebook(words: list[str], notebook: str | None) -> list[str]:
    """The words, with the notebook put in where the verb wants one and none is given."""
    if not words or words[0] not in NOTEBOOK_VERBS or notebook is None or "--help" in words:
        return words
    if any(is_notebook(word) for word in words[1:]):
        return words
    return [words[0], notebook, *words[1:]]


def is_notebook(word: str) -> bool:
    """Whether a word of the command line names a notebook."""
    return not word.startswith("-") and Path(word).suffix in (".ipynb", *TEXT_SUFFIXES)


def run_command(
    words: list[str], *, module: str = "nbpipe.cli.main", beat: Callable[[int], None] | None = None
) -> None:
    """Run the command line and print its output as it comes. Raises `NbpipeError` where it fails; Ctrl-C stops it.

    `beat` is called with the id of the process several times a second, and once after its end.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", module, *(words or ["--help"])],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    with process:
        try:
            for line in _lines(process, beat):
                print(line, end="")  # noqa: T201 - this is the cell's output
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGINT)
            process.wait()
            raise
    if process.returncode:
        error = NbpipeError(f"nbpipe {' '.join(words)} ended with exit code {process.returncode}")
        error.exit_code = process.returncode
        raise error


def _lines(process: subprocess.Popen[str], beat: Callable[[int], None] | None) -> Iterator[str]:
    """What the process prints, as it comes; between the lines, `beat`."""
    if beat is None:
        yield from process.stdout or ()
        return
    printed: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in process.stdout or ():
            printed.put(line)
        printed.put(None)

    threading.Thread(target=read, name="nbpipe-output", daemon=True).start()
    while True:
        try:
            line = printed.get(timeout=_BEAT)
        except queue.Empty:
            beat(process.pid)
            continue
        if line is None:
            process.wait()
            beat(process.pid)
            return
        yield line
