"""nbpipe as a papermill engine: it owns the kernel and the loop over the cells."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nbpipe.errors import UsageError
from nbpipe.job.folder import KERNEL_PID
from nbpipe.job.kernel import effective
from nbpipe.job.launch import KernelProcess
from nbpipe.job.outputs import CellOutputs, Log
from nbpipe.job.ranks import Ranks
from nbpipe.job.redact import Redactor
from nbpipe.job.sockets import fit
from nbpipe.model import Code, JobSpec
from nbpipe.notebook.libraries import nbformat
from nbpipe.tracking import spool

#: Milliseconds after which a socket that is not there yet is looked for again.
_AGAIN = 2

End = Literal["rank", "orphaned", "finished", "error", "exited", "died", "timeout", "interrupted"]


def interruption(parent: int | None) -> End:
    """Somebody cancels the job, or `parent`, which started it, is gone: then it was lost, and nobody asked."""
    return "orphaned" if parent is not None and os.getppid() != parent else "interrupted"


class Interruption(Exception):
    """A signal asked the runner to stop."""


@dataclass
class Execution:
    """What happened while the cells ran. The engine fills it in; the verdict is made from it."""

    end: End = "died"
    cell: int | None = None
    error: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    #: The kernel had been told to run the user's first cell.
    user_code: bool = False
    executed: list[dict[str, Any]] = field(default_factory=list)
    kernel_seconds: float = 0.0


class Connection:
    """A kernel process and its sockets, over ipc where there is such a thing."""

    def __init__(self, process: KernelProcess, file: Path, scratch: Path) -> None:
        self.process = process
        self._file = file
        #: Its sockets', and nobody else's.
        self.folder = scratch
        self.client: Any = None
        #: Code to be run in front of the first hidden step.
        self.first = ""
        self._answers = self._asked = self._closed = False

    def open(self) -> None:
        """Connect, once; messages sent before the kernel listens wait in the sockets."""
        import zmq
        from jupyter_client.blocking.client import BlockingKernelClient

        if self.client is not None:
            return
        self.client = BlockingKernelClient()
        # The kernel makes its sockets meanwhile: looked for as rarely as by default, they would be found 0.1 s too late.
        self.client.context.setsockopt(zmq.RECONNECT_IVL, _AGAIN)
        self.client.load_connection_file(str(self._file))
        self.client.start_channels(  # noqa: S604 - the shell is a channel here
            shell=True, iopub=True, stdin=False, hb=False, control=True
        )

    def ask_to_end(self, *, at_rest: bool = False) -> None:
        """Ask the kernel to end, or kill it where it has nothing left to do; `close` waits for it."""
        if at_rest:
            self.process.signal_group(signal.SIGKILL)
        elif not (self._closed or self._asked) and self.process.poll() is None:
            self._asked = True
            self.client.shutdown()

    def close(self, *, patience: float) -> None:
        """Ask the kernel to end, kill its group, take its sockets away. Once: its number may be another's then."""
        if self._closed:
            return
        if self.client is not None and patience:
            self.ask_to_end()
        self._closed = True
        if self.client is not None:
            self.process.end(patience=patience)
            self.client.stop_channels()
            self.client.context.destroy(linger=0)
        else:
            self.process.end(patience=0)
        shutil.rmtree(self.folder, ignore_errors=True)

    def ready(self) -> bool:
        """Wait until the subscription to the kernel's outputs carries messages; a slow joiner would miss them.

        False if the kernel died, or does not answer.
        """
        deadline = time.monotonic() + 60
        request = "" if self._answers else self.client.kernel_info()
        seen_reply = seen_status = False
        while not self._answers and time.monotonic() < deadline:
            self.poll(0.05)
            while self.client.shell_channel.socket.poll(0):
                _, message = self.client.session.recv(self.client.shell_channel.socket, 0)
                seen_reply = seen_reply or message["parent_header"].get("msg_id") == request
            while self.client.iopub_channel.socket.poll(0):
                self.client.session.recv(self.client.iopub_channel.socket, 0)
                seen_status = True
            self._answers = seen_reply and seen_status
            if seen_reply and not seen_status:
                request, seen_reply = self.client.kernel_info(), False
            if not self._answers and self.process.poll() is not None:
                break
        return self._answers

    def poll(self, seconds: float) -> None:
        """Wait that long at most for the kernel to say something."""
        import zmq

        poller = zmq.Poller()
        for channel in (self.client.iopub_channel, self.client.shell_channel):
            poller.register(channel.socket, zmq.POLLIN)
        poller.poll(int(seconds * 1000))


def connection_file() -> tuple[Path, Path]:
    """A connection file and the private folder that holds it and its sockets (paths short enough for them)."""
    from jupyter_client.connect import write_connection_file

    scratch = Path(tempfile.mkdtemp(prefix="nbpipe-", dir=fit(tempfile.gettempdir())))
    path = scratch / "kernel.json"
    kind = "ipc" if os.name == "posix" else "tcp"
    where = str(scratch / "s") if kind == "ipc" else "127.0.0.1"
    write_connection_file(str(path), transport=kind, ip=where)
    return path, scratch


class Cells:
    """The loop over the cells of one job.

    Responsibilities: send, collect outputs, see the kernel die, keep the deadline. Must not: decide the verdict.
    """

    def __init__(
        self,
        connection: Connection,
        folder: Path,
        spec: JobSpec,
        log: Log,
        redactor: Redactor,
        *,
        parent: int | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self._ranks = ranks
        self._kernel = connection
        self._folder = folder
        self._spec = spec
        self._log = log
        self._redactor = redactor
        self._parent = parent
        self._deadline = time.monotonic() + spec.timeout if spec.timeout else None
        self._displays: dict[str, list[dict[str, Any]]] = {}
        #: What a cell makes of displays that another stage has shown: the last word on each.
        self._elsewhere: dict[str, dict[str, Any]] = {}
        self.result = Execution()
        #: How many cells of the stage stand already.
        self._first: int | None = None
        #: What was in the spool of MLflow as the latest cell began.
        self._logged: dict[str, int] = {}

    def going_on(self, spec: JobSpec, log: Log) -> Cells:
        """The loop over the rest, in the same kernel: what stands is kept, the cell that failed runs again.

        What that one has logged with MLflow is taken out: it is logged again.
        """
        if spec.tracking:
            spool.cut_back(self._folder, self._logged)
        found = Cells(self._kernel, self._folder, spec, log, self._redactor, parent=self._parent)
        found.result.executed = self.result.executed[:-1]
        found.result.kernel_seconds = self.result.kernel_seconds
        found.result.user_code = True
        found._displays, found._first = self._displays, spec.first
        return found

    def run(self) -> None:
        """Everything from the first hidden step to the last."""
        try:
            self._run()
        except Interruption:
            self.result.end = interruption(self._parent)
        if self.result.end == "error":
            with contextlib.suppress(Interruption):
                self._hidden("explain")

    def _run(self) -> None:
        started = time.monotonic()
        if self._first is None:
            if not self._kernel.ready():
                self._died()
                return
            self.result.kernel_seconds = time.monotonic() - started
            if not self._step("begin"):
                return
            if not all(self._cell(code) for code in self._spec.setup):
                return
        if not self._step("prepare" if self._first is None else "resume"):
            return
        if not all(self._cell(code) for code in self._spec.cells[self._first or 0 :]):
            return
        self.result.cell = None
        if self._others_ended() and self._step("finish"):
            self.result.end = "finished"

    def _others_ended(self) -> bool:
        """Wait for the other ranks: the stage has ended when all have. Whether all ended well (else said in `result`)."""
        while self._ranks is not None and not self._ranks.ended():
            time.sleep(0.02)
            if self._ranks.failed() is None and not self._in_time():
                return False
            if self._ranks.overdue():
                break
        if self._ranks is not None and self._ranks.failed() is not None:
            self.result.end = "rank"
            return False
        return True

    def _in_time(self) -> bool:
        if interruption(self._parent) == "orphaned":
            raise Interruption("who started this job is gone")
        if self._deadline and time.monotonic() > self._deadline:
            self.result.end = "timeout"
            return False
        return True

    def _step(self, name: str) -> bool:
        reply = self._hidden(name)
        if reply is None:
            return False
        if reply.get("status") != "ok":
            self._failed(reply)
            return False
        return True

    def _hidden(self, name: str) -> dict[str, Any] | None:
        arguments = f"{str(self._folder)!r}, {name!r}, {self.result.cell!r}"
        code = f"{self._kernel.first}__import__('nbpipe.job.kernel', fromlist=['step']).step({arguments})"
        self._kernel.first = ""
        request = self._kernel.client.execute(code, silent=True, store_history=False, allow_stdin=False)
        return self._wait(request, CellOutputs(self._spec.output_limit, self._redactor), None)

    def _cell(self, code: Code) -> bool:
        self.result.cell, self.result.user_code = code.cell, True
        outputs = CellOutputs(self._spec.output_limit, self._redactor)
        self._log.write("cell-start", code.cell)
        if self._spec.keep_failed and self._spec.tracking:
            self._logged = spool.logged(self._folder)
        request = self._kernel.client.execute(effective(code.body, code.line), allow_stdin=False, stop_on_error=False)
        try:
            reply = self._wait(request, outputs, code.cell)
        finally:
            kept = outputs.done()
            count = len(self.result.executed) + 1
            entry = {"cell": code.cell, "outputs": kept, "execution_count": count, **self._about_displays(kept)}
            self.result.executed.append(entry)
            self._log.write("cell-end", code.cell)
        if reply is None:
            return False
        self.result.executed[-1]["execution_count"] = reply.get("execution_count")
        if any(payload.get("source") == "ask_exit" for payload in reply.get("payload") or []):
            # `exit()` in a kernel only asks the client to end it, and the cell goes on: nothing may follow here.
            self.result.end = "exited"
            return False
        if reply.get("status") != "ok" and not code.may_raise:
            self._failed(reply)
            return False
        return True

    def _about_displays(self, kept: list[dict[str, Any]]) -> dict[str, Any]:
        """Where named displays stand among a cell's outputs, and what it makes of those of other stages."""
        at = {id(output): number for number, output in enumerate(kept)}
        shown = {name: [at[id(o)] for o in outputs if id(o) in at] for name, outputs in self._displays.items()}
        shown = {name: places for name, places in shown.items() if places}
        updates, self._elsewhere = self._elsewhere, {}
        return ({"displays": shown} if shown else {}) | ({"updates": updates} if updates else {})

    def _failed(self, reply: dict[str, Any]) -> None:
        self.result.end = "error"
        if self._ranks is not None and self._ranks.failed() is not None:
            # Its peers mostly only see that it is gone: what it says itself is the cause.
            self.result.end = "rank"
        self.result.error = {key: reply.get(key, "") for key in ("ename", "evalue", "traceback")}

    def _died(self) -> None:
        self.result.end = "died"
        self.result.exit_code = self._kernel.process.poll()

    def _wait(self, request: str, outputs: CellOutputs, cell: int | None) -> dict[str, Any] | None:
        """The reply once the kernel is idle again; None when it died or the time is over (said in `result`)."""
        client = self._kernel.client
        reply: dict[str, Any] | None = None
        idle = False
        answered = 0.0
        while not (reply and idle):
            self._kernel.poll(0.1)
            self._log.tick()
            if interruption(self._parent) == "orphaned":
                raise Interruption("who started this job is gone")
            busy = False
            for _ in range(2000):
                if not client.iopub_channel.socket.poll(0):
                    break
                busy = True
                _, message = client.session.recv(client.iopub_channel.socket, 0)
                if message["parent_header"].get("msg_id") == request:
                    kind, content = message["header"]["msg_type"], message["content"]
                    if kind == "status":
                        idle = idle or content["execution_state"] == "idle"
                    elif cell is not None:
                        self._output(kind, content, outputs, cell)
            while client.shell_channel.socket.poll(0):
                _, message = client.session.recv(client.shell_channel.socket, 0)
                if message["parent_header"].get("msg_id") == request:
                    reply, answered = message["content"], time.monotonic()
            if self._deadline and time.monotonic() > self._deadline:
                self.result.end = "timeout"
                return None
            if self._ranks is not None and self._ranks.overdue():
                self.result.end = "rank"
                return None
            if not busy and not (reply and idle):
                if self._kernel.process.poll() is not None:
                    self._died()
                    return None
                # A flood can make the socket drop messages, the "idle" among them.
                if reply and time.monotonic() - answered > 2:  # noqa: PLR2004
                    break
        return reply

    def _output(self, kind: str, content: dict[str, Any], outputs: CellOutputs, cell: int) -> None:
        if kind != "stream":
            # A stream comes in pieces, and is looked at when it is whole.
            content = self._redactor.data(content)
        if kind == "stream":
            self._log.stream(cell, content["name"], content["text"])
            outputs.stream(content["name"], content["text"])
        elif kind in {"display_data", "execute_result"}:
            output = {"output_type": kind, "data": content["data"], "metadata": content["metadata"]}
            if kind == "execute_result":
                output["execution_count"] = content["execution_count"]
            name = content.get("transient", {}).get("display_id")
            self._log.write(kind, cell, data=content["data"], metadata=content["metadata"], **_named(name))
            kept = outputs.add(output)
            if name and kept is not None:
                self._displays.setdefault(name, []).append(kept)
        elif kind == "update_display_data":
            name, new = content.get("transient", {}).get("display_id"), {k: content[k] for k in ("data", "metadata")}
            self._log.write("update", cell, **new, **_named(name))
            if name and name not in self._displays:
                self._elsewhere[name] = new
            for shown in self._displays.get(name, []):
                shown.update(new)
        elif kind == "clear_output":
            self._log.write("clear", cell, wait=content["wait"])
            outputs.clear(wait=content["wait"])
        elif kind == "error":
            self._log.write("error", cell, **{key: content[key] for key in ("ename", "evalue", "traceback")})
            outputs.add({"output_type": "error", **{key: content[key] for key in ("ename", "evalue", "traceback")}})


def _named(display: Any) -> dict[str, Any]:
    """The display that an output made, or an update is of, for the log."""
    return {"display": display} if isinstance(display, str) else {}


class NbpipeEngine:
    """`papermill.execute_notebook(..., engine_name="nbpipe", nbpipe_cells=Cells(...))`.

    It has what papermill asks of an engine, and does not derive from its base class: that one saves the whole notebook
    around every cell, and importing it here would be circular, as papermill loads its engines when it is imported.
    """

    @classmethod
    def execute_notebook(cls, nb: Any, _kernel_name: str = "", *, nbpipe_cells: Cells | None = None, **_: Any) -> Any:
        """Run the job's cells; the notebook comes back with their outputs."""
        if nbpipe_cells is None:
            raise UsageError("the nbpipe engine runs jobs: use `python -m nbpipe.job JOB_DIR`, or another engine")
        nbpipe_cells.run()
        fill(nb, nbpipe_cells.result.executed)
        return nb

    @classmethod
    def nb_kernel_name(cls, nb: Any, name: str | None = None) -> str:
        """Name of the kernel."""
        return str(name or nb.metadata.kernelspec.name)

    @classmethod
    def nb_language(cls, nb: Any, language: str | None = None) -> str:
        """Language of the kernel."""
        return str(language or nb.metadata.kernelspec.get("language", "python"))


def fill(notebook: Any, executed: list[dict[str, Any]]) -> None:
    """Put outputs and execution counts into the cells that were run."""
    for cell, done in zip(notebook.cells, executed, strict=False):
        cell.execution_count = done["execution_count"]
        cell.outputs = [nbformat().from_dict(output) for output in done["outputs"]]


def remember_kernel(folder: Path, process: KernelProcess) -> None:
    """Who to kill, should the runner be killed."""
    (folder / KERNEL_PID).write_text(str(process.pid))
