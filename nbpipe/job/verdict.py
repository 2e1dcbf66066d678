"""The verdict on a job: from what the engine saw, the kernel's sentinel and the stored objects; from nothing else."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.errors import EXIT_CODES, StoreError
from nbpipe.job.engine import Execution
from nbpipe.job.folder import FAILURE, read_sentinel, write_durably
from nbpipe.job.redact import Redactor
from nbpipe.model import Artifact, Failure, JobSpec, Outcome, Status

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_COUNT = re.compile(r"\bCell In\[(\d+)\]")
_EXIT = {
    "succeeded": "ok",
    "failed": "user",
    "rejected": "rejected",
    "timeout": "timeout",
    "lost": "lost",
    "cancelled": "interrupted",
}


def exit_code(outcome: Outcome) -> int:
    """What the process ends with."""
    if outcome.failure is not None and outcome.failure.code in {"store", "corrupt", "security"}:
        return EXIT_CODES["security" if outcome.failure.code == "security" else "store"]
    return EXIT_CODES[_EXIT[outcome.status]]


def judge(folder: Path, spec: JobSpec, execution: Execution, store: Any, redactor: Redactor) -> Outcome:
    """The outcome without its executed cells. Uncertain success is failure."""
    if execution.end == "finished":
        return _finished(folder, spec, store)
    status, failure = _failure(folder, spec, execution, redactor)
    return failed(spec, status, failure)


def failed(spec: JobSpec, status: Status, failure: Failure) -> Outcome:
    """An outcome that says only why."""
    return Outcome(stage=spec.stage, attempt=spec.attempt, token=spec.token, status=status, failure=failure)


def _finished(folder: Path, spec: JobSpec, store: Any) -> Outcome:
    outcome = read_sentinel(folder, spec.token)
    if outcome is None:
        said = "the kernel ended without saying that it had finished"
        return failed(spec, "lost", Failure(code="kernel-lost", message=said))
    missing = [name for name in spec.outputs if name not in outcome.outputs and name not in outcome.observed]
    if missing:
        said = f"the kernel finished but did not store {', '.join(missing)}"
        return failed(spec, "failed", Failure(code="store", message=said, name=missing[0]))
    try:
        for name in sorted(_objects(outcome)):
            store.objects.verify(name)
    except StoreError as error:
        return failed(spec, "failed", Failure(code=error.code, message=error.message, fix=error.fix or ""))
    return outcome


def redacted(failure: Failure, redactor: Redactor) -> Failure:
    """The failure without values of secrets."""
    clean = {name: redactor.text(getattr(failure, name)) for name in ("message", "traceback")}
    return msgspec.structs.replace(failure, **clean)


def _objects(outcome: Outcome) -> set[str]:
    artifacts: list[Artifact] = [*outcome.outputs.values(), *outcome.observed.values()]
    artifacts += [state.artifact for state in outcome.ambient if state.artifact is not None]
    files = {state.object for state in outcome.files_written if state.object}
    return files | {name for artifact in artifacts for name in artifact.objects}


def _failure(folder: Path, spec: JobSpec, execution: Execution, redactor: Redactor) -> tuple[Status, Failure]:
    cell = execution.cell
    if execution.end == "timeout":
        said = f"it ran longer than its timeout of {spec.timeout:g} s"
        return "timeout", Failure(code="timeout", message=said, cell=cell, fix="Give it more time with --timeout.")
    if execution.end == "interrupted":
        return "cancelled", Failure(code="interrupted", message="it was cancelled", cell=cell)
    if execution.end == "orphaned":
        said = "the process that had started the job ended, so the job was stopped"
        return "lost", Failure(code="kernel-lost", message=said, cell=cell, fix="Run it again.")
    if execution.end == "exited":
        said = "the cell ended the program: exit() or quit() stops a run before its stage is finished"
        return "failed", Failure(code="early-exit", message=said, cell=cell, fix="Remove the call.")
    if execution.end == "died":
        return _death(execution)
    return _error(folder, execution, redactor)


def _death(execution: Execution) -> tuple[Status, Failure]:
    code, cell = execution.exit_code, execution.cell
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        fix = "It may have run out of memory." if -code == signal.SIGKILL else ""
        said = f"the kernel was killed by {name}"
        return "lost", Failure(code="kernel-lost", message=said, cell=cell, fix=fix)
    if execution.user_code:
        said = f"the code ended its own process (exit code {code}) before the stage was finished"
        fix = "Remove the call of sys.exit, exit or os._exit."
        return "failed", Failure(code="early-exit", message=said, cell=cell, fix=fix)
    fix = "kernel.log in the job's folder has what it printed."
    return "lost", Failure(code="kernel-lost", message=f"the kernel did not start (exit code {code})", fix=fix)


def _error(folder: Path, execution: Execution, redactor: Redactor) -> tuple[Status, Failure]:
    error = execution.error
    text = "\n".join(error.get("traceback") or [])
    try:
        failure = msgspec.json.decode((folder / FAILURE).read_bytes(), type=Failure)
    except FileNotFoundError:
        said = f"{error.get('ename')}: {error.get('evalue')}"
        # The kernel could not even say why: with a full disk it cannot.
        full = _full(folder)
        failure = Failure(code="store" if full else "user-code", message=full or said, cell=execution.cell)
    theirs = failure.code in {"user-code", "rejected"}
    trace = redactor.text(failure.traceback or _in_notebook(_ANSI.sub("", text), execution)) if theirs else ""
    failure = msgspec.structs.replace(failure, message=redactor.text(failure.message), traceback=trace)
    return ("rejected" if failure.code == "rejected" else "failed"), failure


def _in_notebook(text: str, execution: Execution) -> str:
    """The traceback with cells as people count them: `Cell 7`, where IPython counts what this kernel has run."""
    numbers = {str(done["execution_count"]): done["cell"] for done in execution.executed}
    return _COUNT.sub(lambda found: f"Cell {numbers[found[1]]}" if found[1] in numbers else found[0], text)


def _full(folder: Path) -> str:
    """What prevents a file in the job's folder; empty if nothing does."""
    try:
        write_durably(folder / "room", bytes(4096))
        (folder / "room").unlink()
    except OSError as error:
        return f"the job's folder cannot be written: {error.strerror}"
    return ""
