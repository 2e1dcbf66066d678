"""Starts the kernel of a job: forked from this process where its libraries are loaded, else as a new process."""

from __future__ import annotations

import atexit
import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path

from nbpipe.job.holders import has_children
from nbpipe.job.libraries import PYTHONS
from nbpipe.job.shelf import SHELF

_PR_SET_PDEATHSIG = 1
#: No file of history, as when papermill starts a kernel: the user's own is not for jobs.
_OPTIONS = ("--HistoryManager.hist_file=:memory:",)
#: Seconds.
_LAST_FLUSH = 2.0


#: One seed for the hashes of texts, in every kernel of every run: a set of texts is in the same order in all stages.
HASH_SEED = {"PYTHONHASHSEED": "0"}


def can_fork() -> bool:
    """Fork is used on Linux, unless `NBPIPE_FORK=0`, never once threads run here nor where every process hashes anew."""
    import threading

    if os.environ.get("PYTHONHASHSEED", "random") == "random":
        return False
    return sys.platform == "linux" and os.environ.get("NBPIPE_FORK") != "0" and threading.active_count() == 1


def die_with_parent(number: int, parent: int | None = None) -> None:
    """Ask Linux to send this process a signal when its parent dies; elsewhere the pipes do it.

    Where that `parent` has died before, nobody would send it: this process ends.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number)
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def with_this(number: int) -> Callable[[], None] | None:
    """What a child has to call, before it is another program, to end with this process."""
    return partial(die_with_parent, number, os.getpid()) if sys.platform == "linux" else None


class KernelProcess:
    """One kernel in a process group of its own. `poll` gives its exit code, negative for a signal."""

    def __init__(self, pid: int, child: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self._child = child
        self._code: int | None = None

    def poll(self) -> int | None:
        """Exit code, or None while it lives."""
        if self._code is None:
            if self._child is not None:
                self._code = self._child.poll()
            else:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def signal_group(self, number: int) -> None:
        """Signal the kernel and everything it started."""
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return

    def end(self, *, patience: float) -> None:
        """Wait `patience` seconds for it to end by itself, then kill its whole group."""
        deadline = time.monotonic() + patience
        while self.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        self.signal_group(signal.SIGKILL)
        while self.poll() is None:
            time.sleep(0.001)


def usable(kernel: str) -> str:
    """The kernel, or "python3" where no kernel of that name is installed: names of environments are one machine's own."""
    if kernel in PYTHONS:
        return kernel
    from jupyter_client.kernelspec import KernelSpecManager

    return kernel if kernel in KernelSpecManager().find_kernel_specs() else "python3"


def start_kernel(
    connection_file: Path, *, kernel: str, cwd: Path, env: dict[str, str], log: Path, fork: bool
) -> KernelProcess:
    """Start the kernel `kernel` on the sockets that `connection_file` names.

    `fork` says that this process does nothing but run a job, so that a fork of it has a plain interpreter's state.
    Raises `jupyter_client.kernelspec.NoSuchKernel`.
    """
    if kernel in PYTHONS:
        if fork and can_fork() and SHELF.fits(str(cwd), env):
            return KernelProcess(_fork(connection_file, cwd, env, log))
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", str(connection_file), *_OPTIONS]
    else:
        from jupyter_client.kernelspec import KernelSpecManager

        spec = KernelSpecManager().get_kernel_spec(kernel)
        command = [part.format(connection_file=connection_file) for part in spec.argv]
        env = {**env, **spec.env}
    with log.open("ab") as out:
        child = subprocess.Popen(
            command,
            cwd=cwd,
            env={**HASH_SEED, **os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            preexec_fn=with_this(signal.SIGKILL),  # noqa: PLW1509
        )
    return KernelProcess(child.pid, child)


def _fork(connection_file: Path, cwd: Path, env: dict[str, str], log: Path) -> int:
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        die_with_parent(signal.SIGKILL, parent)
        _become_kernel(connection_file, cwd, env, log)
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    finally:
        os._exit(code)


def _become_kernel(connection_file: Path, cwd: Path, env: dict[str, str], log: Path) -> None:
    """Turn this forked process into what `python -m ipykernel_launcher` is."""
    atexit._clear()  # noqa: SLF001 - handlers of the parent are for the parent
    for end in (logging.shutdown, weakref.finalize._exitfunc):  # type: ignore[attr-defined]  # noqa: SLF001
        atexit.register(end)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    null = os.open(os.devnull, os.O_RDONLY)
    out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(null, 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.closerange(3, 64)
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv = ["ipykernel_launcher", "-f", str(connection_file), *_OPTIONS]
    import site

    sys.path[:] = [part for part in sys.path if part not in {"", str(Path.cwd())} or part in site.getsitepackages()]
    SHELF.hide()
    from ipykernel.kernelapp import IPKernelApp

    from nbpipe.job.late import Rest, end

    Rest.forked = True

    app = IPKernelApp.instance()
    app.initialize(sys.argv[1:])
    looked = getattr(app.kernel, "_process_children", None)
    if looked is not None:
        # It reads about every process of the machine, and nearly always there is no child.
        app.kernel._process_children = lambda: looked() if has_children() else []  # noqa: SLF001
    app.start()
    # The thread that heard of the end still flushes; stopped after the thread that it flushes to, it would wait for ten seconds.
    control = getattr(app, "control_thread", None)
    if control is not None and control.is_alive():
        control.stop()
        control.join(_LAST_FLUSH)
    end(app.shell.user_ns)
