"""The fork server: one process that has imported everything, and forks a runner for each job.

It listens on one socket, inherited from the orchestrator, one JSON object a line: `{"job": DIR, "env": {…}}` starts a job,
`{"started": DIR, "pid": N}` and `{"ended": DIR, "code": N}` come back. `{"ahead": N, "cwd": DIR}` has N runners with their
kernels wait in that folder (`nbpipe.job.spare`), for jobs that say `"cwd": DIR`. A job that says `"elsewhere": DIR` came
from another machine, and runs there. It is single-threaded and imports without using, so that fork is safe. When the
orchestrator is gone the socket ends: it then kills every job and ends too.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from nbpipe.job.folder import KERNEL_PID
from nbpipe.job.launch import die_with_parent
from nbpipe.job.readable import readable
from nbpipe.job.shelf import SHELF
from nbpipe.job.spare import Ahead, Spare, wait
from nbpipe.notebook.libraries import nbformat
from nbpipe.store import formats

# Not matplotlib: it settles its backend and hooks into IPython when it is imported, which must happen in the kernel.
_KERNEL = (
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    # What a shell imports when it is made.
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.logger",
    "IPython.core.magics.script",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
)
_PRELOADED = (
    "papermill",
    # Its lazy parts: bound by one library that uses them, they would look imported to nobody's import of another.
    *(
        f"numpy.{name}"
        for name in ("random", "fft", "linalg", "ma", "polynomial", "lib", "rec", "char", "strings", "ctypeslib")
    ),
    "nbformat",
    "jupyter_client.blocking.client",
    "ipykernel.datapub",
    "ipykernel.debugger",
    "sqlite3",
    "tornado.platform.asyncio",
    "nbpipe.job.kernel",
    "nbpipe.job.runner",
    "nbpipe.job.engine",
    "nbpipe.job.verdict",
    "nbpipe.job.elsewhere",
    # What a kernel and a runner of ours import on use.
    "nbpipe.dataflow.walker",
    "nbpipe.notebook.thresholds",
    "nbpipe.store.sharing",
    "nbpipe.tracking.spool",
    "nbpipe.store.local",
    "nbpipe.store.values",
    # What a command imports that only looks (`nbpipe.cli.answer`).
    "nbpipe.cli.answer",
    "nbpipe.cli.main",
    "nbpipe.cli.run",
    "nbpipe.cli.plan",
    "nbpipe.cli.progress",
    "nbpipe.cli.result",
    "nbpipe.cli.expected",
    "nbpipe.dataflow.graph",
    "nbpipe.plan.champion",
    "nbpipe.plan.explain",
    "nbpipe.plan.planner",
    "nbpipe.run.planning",
    "nbpipe.run.api",
    *(target.partition(":")[0] for target in formats.BUILTIN.values()),
)
#: A process and the code that it ends with; written at once, so whole.
_ENDED = struct.Struct("=ii")
#: A remark on how Python itself was built, which the debugger makes on standard error when it is imported.
_REMARK = "PYDEVD_DISABLE_FILE_VALIDATION"


class Server:
    """Forks runners and reports their ends. Must not start a thread, a ZeroMQ context or an event loop."""

    def __init__(self, channel: socket.socket, said: bytes = b"") -> None:
        self._channel = channel
        self._jobs: dict[int, str] = {}
        self._spares: list[Spare] = []
        #: Those that nobody waits for any more.
        self._ending: set[int] = set()
        #: How many are to wait, and where.
        self._wanted = (0, "")
        #: Of those that do not answer yet. More than there are processors would only hold each other up.
        self._starting: list[socket.socket] = []
        self._at_once = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1
        #: What jobs say when they have ended but for their process, which takes a while to go.
        self._over = os.pipe()
        os.set_blocking(self._over[0], False)
        #: What has been received and not yet taken in.
        self._partial = said

    def serve(self) -> None:
        """Until the orchestrator closes the socket."""
        read, write = os.pipe()
        os.set_blocking(read, False)
        os.set_blocking(write, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        self._take(b"", (read, write))
        while True:
            ready = readable([self._channel, read, self._over[0], *self._starting], 1.0)
            for answered in [one for one in self._starting if one.fileno() in ready]:
                self._starting.remove(answered)
                with contextlib.suppress(OSError):
                    # What is left unread when a socket is closed takes along what was written to it.
                    answered.recv(1)
                if not any(spare.channel is answered for spare in self._spares):
                    answered.close()
            if read in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(read, 4096)
            # What it has said counts before that it is gone: its number may be another's then.
            self._hear()
            self._reap()
            if self._channel.fileno() in ready:
                data = self._channel.recv(65536)
                if not data:
                    break
                self._take(data, (read, write))
            self._refill((read, write))
        self._kill_all()

    def _take(self, data: bytes, pipes: tuple[int, int]) -> None:
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            asked = json.loads(line)
            if "ahead" in asked:
                self._wanted = (asked["ahead"], asked["cwd"])
                self._refill(pipes)
            else:
                self._start(asked, pipes)

    def _start(self, asked: dict[str, Any], pipes: tuple[int, int]) -> None:
        for spare in [spare for spare in self._spares if spare.cwd == asked.get("cwd")]:
            self._spares.remove(spare)
            # Known to have it before it does: it may end at once.
            self._jobs[spare.pid] = asked["job"]
            given = spare.give(asked)
            if spare.channel not in self._starting:
                spare.channel.close()
            if given:
                self._tell({"started": asked["job"], "pid": spare.pid})
                return
            del self._jobs[spare.pid]
        pid = self._fork(partial(_run, asked, None), pipes)
        self._jobs[pid] = asked["job"]
        self._tell({"started": asked["job"], "pid": pid})

    def _refill(self, pipes: tuple[int, int]) -> None:
        number, cwd = self._wanted
        fit = [spare for spare in self._spares if spare.cwd == cwd][:number]
        for spare in [spare for spare in self._spares if spare not in fit]:
            self._drop(spare)
        while len(self._spares) < number and len(self._starting) < self._at_once:
            mine, theirs = socket.socketpair()
            pid = self._fork(partial(_wait, mine, theirs, cwd), pipes)
            theirs.close()
            self._spares.append(Spare(pid, cwd, mine))
            self._starting.append(mine)

    def _drop(self, spare: Spare) -> None:
        """It hears that, and ends."""
        self._spares.remove(spare)
        self._ending.add(spare.pid)
        if spare.channel in self._starting:
            self._starting.remove(spare.channel)
        spare.channel.close()

    def _fork(self, work: Callable[[int], int], pipes: tuple[int, int]) -> int:
        """A process in a session of its own that does this and ends with its result; `work` is told who the parent is."""
        parent = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        code = 4
        try:
            os.setsid()
            die_with_parent(signal.SIGTERM)
            if os.getppid() != parent:
                os._exit(code)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor in (*pipes, self._over[0]):
                os.close(descriptor)
            self._channel.close()
            for channel in [*self._starting, *(spare.channel for spare in self._spares)]:
                channel.close()
            code = work(parent)
            os.write(self._over[1], _ENDED.pack(os.getpid(), code))
        finally:
            os._exit(code)

    def _hear(self) -> None:
        said = b""
        with contextlib.suppress(BlockingIOError):
            said = os.read(self._over[0], _ENDED.size * 100)
        for pid, code in _ENDED.iter_unpack(said):
            job = self._jobs.pop(pid, None)
            if job is not None:
                self._ending.add(pid)
                kill_kernel(Path(job))
                self._tell({"ended": job, "code": code})

    def _reap(self) -> None:
        while self._jobs or self._spares or self._ending:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            for spare in [spare for spare in self._spares if spare.pid == pid]:
                self._drop(spare)
                # One that ends by itself is not replaced before somebody asks again: the next might end, too, and the next.
                self._wanted = (len(self._spares), spare.cwd)
            self._ending.discard(pid)
            job = self._jobs.pop(pid, None)
            if job is not None:
                kill_kernel(Path(job))
                self._tell({"ended": job, "code": os.waitstatus_to_exitcode(status)})

    def _tell(self, message: dict[str, object]) -> None:
        """The orchestrator, if it still listens: that it does not is noticed where it is listened to."""
        with contextlib.suppress(OSError):
            self._channel.sendall(json.dumps(message).encode() + b"\n")

    def _kill_all(self) -> None:
        for spare in list(self._spares):
            self._drop(spare)
        for number, patience in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0)):
            _signal(self._jobs, number)
            deadline = time.monotonic() + patience
            while (self._jobs or self._ending) and time.monotonic() < deadline:
                self._reap()
                time.sleep(0.02)
        # They end by themselves, and take their files away first.
        _signal(self._ending, signal.SIGKILL)


def _signal(groups: Iterable[int], number: int) -> None:
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)


def _wait(mine: socket.socket, theirs: socket.socket, cwd: str, parent: int) -> int:
    """Be a spare until there is a job for it, then run that."""
    mine.close()
    found = wait(theirs, cwd)
    return _run(*found, parent) if found is not None else 0


def _run(asked: dict[str, Any], ahead: Ahead | None, parent: int) -> int:
    """Run the job with its standard streams in its own folder."""
    from nbpipe.job.runner import run_job

    job = Path(asked["job"])
    os.environ.update(asked.get("env", {}))
    out = os.open(job / "runner.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.close(out)
    try:
        if "elsewhere" in asked:
            from nbpipe.job.elsewhere import run_elsewhere

            os.chdir(asked["elsewhere"])
            return run_elsewhere(job, parent)
        return run_job(job, parent=parent, fork=True, ahead=ahead)
    except BaseException:
        import traceback

        os.write(2, traceback.format_exc().encode())
        raise


def kill_kernel(job: Path) -> None:
    """Kill the process group of a kernel whose runner has ended: normally nothing is left of it."""
    try:
        pid = int((job / KERNEL_PID).read_text())
    except (FileNotFoundError, ValueError):
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    (job / KERNEL_PID).unlink(missing_ok=True)


def main() -> None:
    """Serve on the socket whose descriptor is the first argument; the others are modules to import ahead."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(channel.fileno(), False)  # noqa: FBT003 - its only form
    if preload(sys.argv[2:]):
        Server(channel).serve()


def preload(libraries: Sequence[str] = ()) -> bool:
    """Import what every job needs, so that this process can become one at once; false where it cannot be forked after it."""
    import gc
    import importlib

    # The first cell that is made has the schema of notebooks compiled, which takes as long as a kernel's start.
    nbformat().v4.new_code_cell()
    quiet = _REMARK not in os.environ
    if quiet:
        os.environ[_REMARK] = "1"
    SHELF.load(_KERNEL)
    for name in _PRELOADED:
        # A library too old or too new to have a module must not stop jobs: they import what they need.
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if quiet:
        del os.environ[_REMARK]
    formats.of_others()
    _leave_folder()
    safe = not libraries or SHELF.fill(libraries)
    gc.freeze()
    return safe


def _leave_folder() -> None:
    """`-m` put the folder that the orchestrator was started in on the path: its modules are not the notebook's."""
    if sys.path and sys.path[0] == str(Path.cwd()) and not getattr(sys.flags, "safe_path", False):
        del sys.path[0]


if __name__ == "__main__":
    main()
