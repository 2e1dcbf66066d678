"""The connection to another machine: one ssh process, with our agent at its far end, made again when it breaks."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.errors import TargetError
from nbpipe.job.sockets import fit
from nbpipe.targets.settings import Target

#: Our modules for the far end: their names there and here.
_PARTS = {name: name for name in ("keeper", "facts", "objects", "environment", "kept", "spare", "agent")}
#: Reads the agent's modules from its input, one line of JSON, and becomes the agent. No text of anybody's is in it.
_BOOT = (
    "import sys\n"
    "sys.path[:]=[p for p in sys.path if p]\n"  # a json.py in the home is not Python's own
    "import json,types\n"
    "m={}\n"
    "for n,s in json.loads(sys.stdin.buffer.readline()):\n"
    " m[n]=types.ModuleType(n)\n"
    " m[n].source=s\n"
    " exec(compile(s,n,'exec'),m[n].__dict__)\n"
    "m.pop('agent').Agent(**m).serve()"
)
_GREETING = 30.0
_ANSWER = 60.0
#: Seconds of silence after which the agent is asked whether it is there, and that it has for its answer.
_QUIET = 12.0
#: Seconds without a word from here after which the agent takes us for gone, and between two words that say we are not.
_GONE, _BEAT = 600.0, 60.0
#: Seconds without a byte after which a transfer is given up.
_SILENCE = 60
#: Lines of a talkative login that may come before the agent's first.
_CHATTER = 200


class LinkDown(Exception):
    """The connection broke, or never was; the message is ssh's own last word."""


class Link:
    """Asks the agent, hears what it says by itself, runs rsync over the same connection.

    Responsibilities: who asks gets the answer or `LinkDown`; a broken connection is made again by `connect`. Must not
    know what a job is. Safe to use from several threads.
    """

    def __init__(self, target: Target, hear: Callable[[Mapping[str, Any]], None], *, keep_warm: float = 0.0) -> None:
        self.target = target
        self._keep_warm = keep_warm
        #: Where everything lies there; known once connected.
        self.root = ""
        self._hear = hear
        self._folder = Path(tempfile.mkdtemp(prefix="nbpipe-ssh-", dir=fit(tempfile.gettempdir())))
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._waiting: dict[int, queue.SimpleQueue[Any]] = {}
        self._transfers: set[subprocess.Popen[str]] = set()
        self._making = threading.Lock()
        self._writing = threading.Lock()
        #: Counts connections: what was started on one has to be told to the next.
        self.generation = 0
        self.closed = False
        self._hung_up = threading.Event()
        self._heard = 0.0

    @property
    def up(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._process is not None

    def connect(self) -> None:
        """Be connected. Raises LinkDown where the host does not answer, TargetError for what trying again cannot help."""
        with self._making:
            if self.closed:
                raise LinkDown("it was closed")
            if self._process is not None:
                return
            process, stderr = self._start()
            greeted: queue.SimpleQueue[str] = queue.SimpleQueue()
            threading.Thread(target=self._read, args=(process, greeted, stderr), daemon=True).start()
            said = f"no answer within {_GREETING:g} s"
            with contextlib.suppress(queue.Empty):
                said = greeted.get(timeout=_GREETING)
            if said:
                process.kill()
                process.wait()
                raise self._refusal(said)
            self._process = process
            self.generation += 1
            # Before anybody else takes this for a connection: what they ask needs it.
            settings = msgspec.to_builtins(self.target)
            given = {"settings": settings, "silence": _GONE, "keep_warm": self._keep_warm}
            try:
                self.root = self.call("root", folder=self.target.folder, **given)
            except BaseException:
                # It would be taken for a connection by whoever asks next.
                self.drop()
                raise
            threading.Thread(target=self._beat, args=(process,), daemon=True).start()

    def _start(self) -> tuple[subprocess.Popen[bytes], Path]:
        stderr = self._folder / "stderr"
        command = self._command()
        with stderr.open("wb") as errors:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    # Ctrl-C in the terminal is for us to hear, not for ssh.
                    start_new_session=True,
                )
            except FileNotFoundError:
                fix = "Install OpenSSH's client." if self.target.host else "Set `python` of the target."
                said = f"there is no `{command[0]}` on this machine"
                raise TargetError(said, name=self.target.name, fix=fix) from None
        assert process.stdin is not None  # noqa: S101 - asked for above
        parts = {**_PARTS, "batch": "batch", "scheduler": self.target.kind} if self.target.kind != "ssh" else _PARTS
        with contextlib.suppress(OSError):
            process.stdin.write(json.dumps([(name, _source(file)) for name, file in parts.items()]).encode() + b"\n")
            process.stdin.flush()
        return process, stderr

    def _command(self) -> list[str]:
        """What starts the agent: over ssh, or here where the target names no host."""
        target, python = self.target, self.target.python
        if target.kind == "kubernetes":
            # That one is of the pods.
            python = "python3" if target.host else sys.executable
        if not target.host:
            return [_file(python), "-c", _BOOT]
        # A quoted ~ is no home.
        word = f'"$HOME"/{shlex.quote(python[2:])}' if python.startswith("~/") else shlex.quote(python)
        return ["ssh", "-T", *self._options(master=True), "--", target.host, f"{word} -c {shlex.quote(_BOOT)}"]

    def _beat(self, process: subprocess.Popen[bytes]) -> None:
        """Say that we are there, as long as this is the connection: a network that went away closes nothing over there."""
        while not self._hung_up.wait(_BEAT) and self._process is process:
            with contextlib.suppress(OSError, ValueError), self._writing:
                assert process.stdin is not None  # noqa: S101 - asked for as it was started
                process.stdin.write(b'{"id": 0, "do": "ping"}\n')  # nobody waits for the answer
                process.stdin.flush()

    def _options(self, *, master: bool) -> list[str]:
        target = self.target
        given = {
            "BatchMode": "yes",
            "ConnectTimeout": "15",
            "ServerAliveInterval": "5",
            "ServerAliveCountMax": "3",
            "ControlMaster": "yes" if master else "no",
            "ControlPath": str(self._folder / "c"),
            "ControlPersist": "no",
        }
        words = [word for name, value in given.items() for word in ("-o", f"{name}={value}")]
        words += ["-F", _file(target.config)] if target.config else []
        words += ["-i", _file(target.identity)] if target.identity else []
        words += ["-p", str(target.port)] if target.port else []
        return words

    def _read(self, process: subprocess.Popen[bytes], greeted: queue.SimpleQueue[str], stderr: Path) -> None:
        """All that comes from there, in a thread of its own, until it ends."""
        assert process.stdout is not None  # noqa: S101 - asked for above
        met = False
        for number, line in enumerate(process.stdout):
            if not met:
                met = line.startswith(b'{"nbpipe": 1')
                if met:
                    greeted.put("")
                elif number > _CHATTER:
                    break
                continue
            if not self._take(line):
                break
        process.kill()
        process.wait()
        process.stdout.close()
        words: list[str] = []
        with contextlib.suppress(FileNotFoundError):  # where we hung up ourselves, nobody asks why
            words = stderr.read_text(errors="replace").strip().splitlines()
        last = next((line for line in reversed(words) if line.strip()), "the connection was closed")
        if not met:
            greeted.put(last)
        if self._process is process:
            self._process = None
        with contextlib.suppress(OSError), self._writing:
            if process.stdin is not None:
                process.stdin.close()
        for number in list(self._waiting):
            waiting = self._waiting.pop(number, None)
            if waiting is not None:
                waiting.put(last)

    def _take(self, line: bytes) -> bool:
        """Pass on what the agent said; False for what it would never say: such a connection is of no use any more."""
        try:
            message = json.loads(line)
            self._heard = time.monotonic()
            waiting = self._waiting.pop(message["id"], None) if "id" in message else None
            if waiting is not None:
                waiting.put(message)
            elif "id" not in message:
                self._hear(message)
        except (ValueError, TypeError, LookupError, AttributeError):
            return False
        return True

    def _refusal(self, said: str) -> Exception:
        """What trying again cannot help is an error; the rest is a broken connection."""
        name, host = self.target.name, self.target.place
        for mark, fix in (
            ("Permission denied", f"Set up a key: `ssh {host}` has to work without a password."),
            ("Host key verification failed", f"Connect once by hand, and check its key: ssh {host}"),
            ("REMOTE HOST IDENTIFICATION HAS CHANGED", f"Check why its key changed: ssh {host}"),
            ("Could not resolve hostname", "Check `host` of the target, and ~/.ssh/config."),
            ("not found", f"Set `python` of the target; there is no {self.target.python} on {host}."),
            ("No such file", f"Set `python` of the target; there is no {self.target.python} on {host}."),
            ("SyntaxError", f"Set `python` of the target to a Python of today; {self.target.python} is too old."),
        ):
            if mark in said:
                return TargetError(f"{host} cannot be used: {said[:300]}", name=name, fix=fix)
        return LinkDown(said[:300])

    # -- asking

    def call(self, do: str, *, timeout: float = _ANSWER, **asked: Any) -> Any:
        """What the agent answers. Raises LinkDown, or TargetError for what it could not do."""
        answer: queue.SimpleQueue[Any] = queue.SimpleQueue()
        number = next(self._numbers)
        process = self._process
        if process is None or process.stdin is None:
            raise LinkDown("there is no connection")
        self._waiting[number] = answer
        try:
            with self._writing:
                process.stdin.write(json.dumps({"id": number, "do": do, **asked}).encode() + b"\n")
                process.stdin.flush()
        except (OSError, ValueError):
            self._waiting.pop(number, None)
            raise LinkDown("the connection was closed") from None
        if self._process is not process and self._waiting.pop(number, None) is not None:
            raise LinkDown("the connection was closed")
        try:
            message = answer.get(timeout=timeout)
        except queue.Empty:
            self._waiting.pop(number, None)
            self.drop()
            raise LinkDown(f"no answer within {timeout:g} s") from None
        if isinstance(message, str):
            raise LinkDown(message)
        if "error" in message:
            fix = f"Free space there: {self.root}" if _full(message["error"]) else None
            raise TargetError(f"{self.target.name} says: {message['error']}", name=self.target.name, fix=fix)
        return message["ok"]

    def check(self) -> None:
        """Ask whether the agent is there, where nothing was heard of it for long: ssh alone answers for a frozen one.

        Raises LinkDown where it is not.
        """
        if time.monotonic() - self._heard > _QUIET:
            self.call("ping", timeout=_QUIET)

    def drop(self) -> None:
        """Break the connection; the next `connect` makes another."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()

    def close(self) -> None:
        """Hang up for good. Jobs go on. Safe to repeat."""
        self.closed = True
        self._hung_up.set()
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError), self._writing:
                process.stdin.close()
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    # -- files

    def path(self, there: str) -> str:
        """A path there as rsync writes it."""
        host = self.target.host
        name = f"[{host}]" if host.count(":") > 1 and "[" not in host else host
        return f"{name}:{there}" if host else there

    def rsync(self, words: list[str], text: str = "") -> None:
        """Run rsync over this connection. Raises LinkDown where the connection broke, TargetError for anything else."""
        shell = shlex.join(["ssh", *self._options(master=False)])
        given = ["--recursive", "--protect-args", "--partial-dir=.part", f"--timeout={_SILENCE}"]
        command = ["rsync", *given, *(["--rsh", shell] if self.target.host else []), *words]
        try:
            with subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
            ) as process:
                self._transfers.add(process)
                try:
                    stderr = process.communicate(text)[1]
                finally:
                    self._transfers.discard(process)
        except FileNotFoundError:
            said = "there is no `rsync` on this machine"
            raise TargetError(said, name=self.target.name, fix="Install rsync here and there.") from None
        code = process.returncode
        if code == 0:
            return
        said = (stderr.strip().splitlines() or ["no reason given"])[0][:300]
        if "not found" in stderr and "rsync" in stderr:
            raise TargetError(
                f"there is no `rsync` on {self.target.place}", name=self.target.name, fix="Install it there."
            )
        if code in (10, 12, 30, 255) and not _full(stderr):
            self.drop()
            raise LinkDown(said)
        fix = None
        if _full(stderr):
            # The last word is where to.
            there = words[-1].startswith(self.path(self.root))
            fix = f"Free space there: {self.root}" if there else f"Free space here: {words[-1]}"
        raise TargetError(f"files could not be sent or brought: {said}", name=self.target.name, fix=fix)

    def stop_transfers(self) -> None:
        """End what rsync does now: whoever waits for it gets an error."""
        for process in list(self._transfers):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)


def _full(said: str) -> bool:
    return "No space left" in said or "quota exceeded" in said.lower()


def _source(name: str) -> str:
    return (Path(__file__).parent / "there" / f"{name}.py").read_text()


def _file(path: str) -> str:
    return str(Path(path).expanduser())
