"""Every cell of one kernel noted, every execution of a stage cell recorded as a trial. Nothing here may reach the user's cell."""

from __future__ import annotations

import atexit
import os
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbpipe.credentials import DECLARED
from nbpipe.errors import NbpipeError, UsageError
from nbpipe.live.compose import Left, trial_of
from nbpipe.live.ended import error_of, status_of
from nbpipe.live.executions import Execution, Executions
from nbpipe.live.facts import is_same
from nbpipe.live.loaded import Loaded
from nbpipe.live.names import facts_for, words
from nbpipe.live.numbers import number
from nbpipe.live.recorder import Recorder
from nbpipe.live.transform import read_cell
from nbpipe.live.trial_files import KEPT, TrialFiles
from nbpipe.run.configured import configured
from nbpipe.run.project import find_project, relative
from nbpipe.tracking import outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Seconds that the end of the kernel waits for what is not written yet.
_LAST = 1.0
_SWITCH = "NBPIPE_TRIALS"
_KEPT = "NBPIPE_TRIALS_KEPT"
_OFF = ("0", "off", "false", "no")
#: Seconds between two deliveries to MLflow that one kernel starts.
_DELIVERIES = 60.0


class Recording:
    """Notes what runs in one kernel.

    Responsibilities: `begin` and `end` around each cell, in a few hundredths of a millisecond; the rest is done by the
    recorder's thread. Must not: run code of the user's, raise, or wait.
    """

    def __init__(self, shell: Any, notebook: Callable[[], str | None]) -> None:
        self.shell = shell
        self.kernel = uuid.uuid4().hex
        self.executions = Executions()
        self.recorder: Recorder[Left] = Recorder(self._write)
        self.loaded = Loaded()
        self.warned = False
        self._notebook = notebook
        self._folder = Path.cwd()
        self._files: TrialFiles | None = None
        self._files_of = ""
        self._params: list[str] = []
        self._open: list[tuple[Any, Execution]] = []
        self._delivered = time.monotonic()
        self.on = self._is_on()
        atexit.register(self._last_words)

    def _is_on(self) -> bool:
        """As the environment says, else the project; never in a job of a run."""
        if DECLARED in os.environ:
            return False
        if said := os.environ.get(_SWITCH, ""):
            return said.lower() not in _OFF
        try:
            return configured(find_project(Path(self._notebook() or self._folder)), "trials") is not False
        except UsageError as error:
            self.recorder.fail(error)
            return True

    def begin(self, info: Any) -> None:
        """A cell starts; `info` is IPython's."""
        self.recorder.busy = True
        source = info.raw_cell
        role, name, body = "", "", source
        metrics: tuple[str, ...] = ()
        if "%%" in source:
            try:
                found = read_cell(source)
            except NbpipeError:
                found = None
            if found is not None:
                role, name, body = found[0].role, found[0].name, found[2]
                metrics = found[0].options.metrics
        cell = self.executions.add(role, name, body, source)
        cell.metrics = metrics
        self._open.append((info, cell))
        try:
            if role in ("stage", "check"):
                cell.facts = facts_for(body, self.shell.user_ns)
                count, outputs = self.shell.execution_count, self._outputs()
                cell.kept = {n: len(outputs[n]) for n in (count - 1, count) if n in outputs}
            cell.cell = info.cell_id if type(info.cell_id) is str else ""
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in recording, the cell runs; it is counted and told
            self.recorder.fail(error)
        cell.started = time.time()
        cell.seconds = -time.perf_counter()

    def running(self) -> Execution | None:
        """The cell that runs now; the innermost, where one runs another."""
        return self._open[-1][1] if self._open else None

    def look_again(self) -> None:
        """Names stand for other values than when the cell began, and it has not run yet."""
        cell = self.running()
        if cell is not None and cell.facts:
            cell.facts = facts_for(cell.body, self.shell.user_ns)

    def end(self, result: Any) -> None:
        """A cell has ended; `result` is IPython's."""
        ended = time.perf_counter()
        cell = self._close(result.info)
        self.recorder.busy = bool(self._open)
        if cell is None:
            return
        cell.seconds += ended
        cell.ok = result.success
        cell.count = result.execution_count or 0
        if cell.role == "params" and cell.ok:
            self._params.append(cell.body)
        if cell.role not in ("stage", "check"):
            return
        try:
            self.recorder.put(self._left(cell, result))
        except Exception as error:  # noqa: BLE001 - as above
            self.recorder.fail(error)
        if not self.warned and (self.recorder.failed or self.recorder.dropped):
            self.warned = True
            self._warn()

    def _close(self, info: Any) -> Execution | None:
        """The execution that began with `info`; cells may be nested, and run side by side in subshells."""
        for index in range(len(self._open) - 1, -1, -1):
            known, cell = self._open[index]
            if known is info or (info is not None and known.raw_cell is info.raw_cell):
                del self._open[index]
                return cell
        # What began and never ended was ended by force.
        self._open.clear()
        return None

    def _left(self, cell: Execution, result: Any) -> Left:
        metrics = {}
        for name in cell.metrics:
            left = self.shell.user_ns.get(name)
            # What an earlier cell left is no metric of one that failed before it came that far.
            if cell.ok or (name in words(cell.body) and not is_same(left, cell.facts.get(name))):
                value = number(left)
                if value is not None:
                    metrics[name] = value
        failed = not cell.ok
        exceptions = getattr(self.shell.history_manager, "exceptions", {}) if failed else {}
        return Left(
            execution=cell,
            status=status_of(result),
            error=error_of(result, self.shell.user_ns, exceptions.get(cell.count)) if failed else None,
            metrics=metrics,
            kept=tuple(self._outputs().get(cell.count, ())[cell.kept.get(cell.count, 0) :]),
            params=tuple(self._params),
            wanted=self.on,
        )

    def _outputs(self) -> Mapping[int, Any]:
        """What IPython keeps of the outputs of all cells, by number; versions before 9 keep none."""
        found: Mapping[int, Any] = getattr(self.shell.history_manager, "outputs", {})
        return found

    def _write(self, left: Left) -> None:
        """In the recorder's thread: make the trial and write it."""
        files = self._files
        left.notebook = self._notebook() or ""
        if files is None or self._files_of != left.notebook:
            project = find_project(Path(left.notebook) if left.notebook else self._folder)
            kept = os.environ.get(_KEPT, "")
            files = TrialFiles(project, int(kept) if kept.isdecimal() else KEPT)
            self._files, self._files_of = files, left.notebook
        root = files.project.root
        left.execution.modules = self.loaded.digests(root)
        if not left.wanted:
            return
        left.before = self.executions.before(left.execution.order, limit=100)
        if left.notebook:
            left.notebook = relative(Path(left.notebook), root)
        name = files.write(trial_of(left, self.kernel, root))
        if not outbox.is_off():
            outbox.enqueue_trial(files.project.state, name)
            if time.monotonic() - self._delivered > _DELIVERIES:
                self._delivered = time.monotonic()
                outbox.flush(root)

    def _warn(self) -> None:
        import sys

        try:
            print("nbpipe: a trial could not be recorded; %nbpipe status says why", file=sys.stderr)  # noqa: T201 - shown in the cell
        except Exception as error:  # noqa: BLE001 - the user's own stderr may be anything
            self.recorder.fail(error)

    def _last_words(self) -> None:
        self.recorder.drain(_LAST)

    def close(self) -> None:
        """Write what is left; the kernel goes on without it."""
        self.recorder.drain(_LAST)
        atexit.unregister(self._last_words)
