"""Runs one job from beginning to end: job.json in, verdict.json out, whatever happens between."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from nbpipe.checkpoints import FOLDER as CHECKPOINTS
from nbpipe.credentials import DECLARED
from nbpipe.errors import EXIT_CODES, NbpipeError
from nbpipe.job import checkpoints, kept
from nbpipe.job import folder as files
from nbpipe.job.gauges import Gauges
from nbpipe.job.launch import start_kernel, usable
from nbpipe.job.libraries import too_late
from nbpipe.model import Failure, JobSpec, Outcome
from nbpipe.notebook.libraries import load_jsonschema, nbformat

if TYPE_CHECKING:
    from nbpipe.job.engine import Cells, Connection, Execution
    from nbpipe.job.launch import KernelProcess
    from nbpipe.job.outputs import Log
    from nbpipe.job.redact import Redactor
    from nbpipe.job.spare import Ahead

#: How cells end after which the kernel may end by itself.
_BY_ITSELF = {"finished", "error"}
#: Seconds that it has for that; True where the stage counts on it, for a file that is still open.
_PATIENCE = {False: 5.0, True: 30.0}


def run_job(folder: Path, *, parent: int | None = None, fork: bool = False, ahead: Ahead | None = None) -> int:
    """Run the job in `folder`; returns the exit code, after the verdict is durable.

    `parent` is a process that the job must not outlive; `fork` says that this process is the job's alone, `ahead` is a
    kernel that waits. A job that has a verdict for its token already is not run again. 6 without a verdict: there was no
    room for one.
    """
    try:
        return _end(folder.resolve(), parent, fork=fork, ahead=ahead)
    finally:
        if ahead is not None:
            ahead.connection.close(patience=0)


def _end(folder: Path, parent: int | None, *, fork: bool, ahead: Ahead | None) -> int:
    try:
        spec = files.read_spec(folder)
    except (OSError, msgspec.DecodeError) as error:
        os.write(2, f"{folder / files.SPEC} cannot be read: {error}\n".encode())
        return 2
    from nbpipe.job.verdict import exit_code, failed

    if files.withdrawn(folder):
        return 130
    done = files.read_verdict(folder, spec.token)
    if done is not None:
        return exit_code(done)
    try:
        outcome = _run(folder, spec, parent, fork=fork, ahead=ahead)
    except NbpipeError as error:
        outcome = failed(spec, "failed", Failure(code=error.code, message=error.message, fix=error.fix or ""))
    except OSError as error:
        outcome = failed(spec, "failed", Failure(code="store", message=f"the job's folder or store failed: {error}"))
    try:
        files.write_durably(folder / files.VERDICT, msgspec.json.encode(outcome))
    except OSError as error:
        with contextlib.suppress(OSError):  # its own log lies on the same disk
            os.write(2, f"the verdict cannot be written: {error}\n".encode())
        return EXIT_CODES["store"]
    if outcome.status == "succeeded" and spec.checkpoints:
        checkpoints.remove(spec.checkpoints)
    return exit_code(outcome)


def _run(folder: Path, spec: JobSpec, parent: int | None, *, fork: bool, ahead: Ahead | None) -> Outcome:
    from nbpipe.job import engine, late
    from nbpipe.job.leaks import scrub
    from nbpipe.job.outputs import Log
    from nbpipe.job.ranks import Ranks
    from nbpipe.job.redact import Redactor
    from nbpipe.job.verdict import failed, judge, redacted
    from nbpipe.store import open_store

    started = time.monotonic()
    asked, spec = spec.kernel, msgspec.structs.replace(spec, kernel=usable(spec.kernel))
    env = _environment(spec)
    redactor = Redactor.of(spec.secrets, {**os.environ, **env})
    connection = _kernel(folder, spec, env, ahead, fork=fork)
    log = Log(folder / files.LOG, redactor)
    # After the kernel: a process with threads cannot be forked.
    gauges = _gauges(folder, spec, {**os.environ, **env})
    ranks = Ranks(folder, spec, env) if spec.nproc else None
    cells = engine.Cells(connection, folder, spec, log, redactor, parent=parent, ranks=ranks)
    before = _listen()
    given: Outcome | None = None
    executed, at_rest = "", False
    try:
        connection.open()
        _papermill(spec, cells)
        while (given := _given(folder, spec, cells, (log, gauges), redactor, started)) is not None:
            order = _continued(folder, spec, cells, given, connection.process, {**os.environ, **env})
            if order is None:
                break
            given, spec, started = None, order, time.monotonic()
            log, gauges = Log(folder / files.LOG, redactor), _gauges(folder, spec, {**os.environ, **env})
            cells = cells.going_on(spec, log)
            _papermill(spec, cells)
        if given is None and cells.result.end in _BY_ITSELF:
            # What was run is stored while the kernel ends.
            at_rest = (folder / files.AT_REST).exists()
            connection.ask_to_end(at_rest=at_rest)
            executed = _executed(folder, spec, cells.result)
    except engine.Interruption:
        cells.result.end = engine.interruption(parent)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        by_itself = cells.result.end in _BY_ITSELF and not at_rest
        connection.close(patience=_PATIENCE[(folder / files.LATE).exists()] if by_itself else 0)
        gauges.close()
        if ranks is not None:
            why = ranks.failure()
            ranks.kill()
        log.close()
        scrubbed = scrub(folder, redactor) if given is None else ()
    if given is not None:
        return given
    store = open_store(spec.store)
    if ranks is not None and cells.result.end == "rank" and why is not None:
        outcome = failed(spec, "failed", redacted(why, redactor))
    else:
        outcome = judge(folder, spec, cells.result, store, redactor)
        code = connection.process.poll()
        outcome = late.settle(folder, spec, outcome, store, {**os.environ, **env}, code=code)
    executed = executed or _executed(folder, spec, cells.result)
    outcome = _whole(spec, cells.result, outcome, executed, started)
    told = tuple(f"the value of a secret was taken out of {name}" for name in scrubbed)
    if spec.kernel != asked:
        told += (f"kernel '{asked}' is not installed here: the stage ran on the Python that runs nbpipe",)
    return msgspec.structs.replace(outcome, warnings=(*outcome.warnings, *told))


def _environment(spec: JobSpec) -> dict[str, str]:
    """What the kernel's environment has besides this process's."""
    from nbpipe.job.ranks import environment

    env = {**spec.env, **spec.tracking, DECLARED: ",".join(spec.secrets)}
    if spec.checkpoints:
        env[CHECKPOINTS] = checkpoints.folder_of(spec.checkpoints)
    return env | environment(spec, {**os.environ, **env}) if spec.nproc else env


def _kernel(folder: Path, spec: JobSpec, env: dict[str, str], ahead: Ahead | None, *, fork: bool) -> Connection:
    """The kernel of the job: one that waits, else a new one."""
    from nbpipe.job import engine

    log = folder / "kernel.log"
    for left in (files.AT_REST, files.LATE):
        # Of a runner that was killed before it had a verdict.
        (folder / left).unlink(missing_ok=True)
    fork = fork and not too_late(spec, {*spec.env, *_set_above(spec)})
    if ahead is not None and not fork:
        ahead.connection.close(patience=0)
    connection = ahead.become(env, log) if ahead is not None and fork else None
    if connection is None:
        path, scratch = engine.connection_file()
        # Whoever has had a kernel has threads, and cannot be forked.
        forked = fork and ahead is None
        process = start_kernel(path, kernel=spec.kernel, cwd=Path(spec.cwd), env=env, log=log, fork=forked)
        connection = engine.Connection(process, path, scratch)
    engine.remember_kernel(folder, connection.process)
    return connection


def _set_above(spec: JobSpec) -> set[str]:
    """Environment variables that stages above have set or taken away."""
    from nbpipe.store import open_store
    from nbpipe.store.values import load_values

    artifact = spec.ambient.get("@environ")
    if artifact is None:
        return set()
    found = load_values(open_store(spec.store), {"@environ": artifact}, {})["@environ"]
    return {*found["set"], *found["unset"], *found.get("secrets", ())}


def _executed(folder: Path, spec: JobSpec, result: Execution) -> str:
    """Store the executed cells, which are written as a notebook, too; the name of the object."""
    from nbpipe.store import open_store

    found = open_store(spec.store).objects.put_bytes(json.dumps(result.executed, ensure_ascii=True).encode())
    _write_notebook(folder, spec, result.executed)
    return found


def _whole(spec: JobSpec, result: Execution, outcome: Outcome, executed: str, started: float) -> Outcome:
    """The outcome with its executed cells and with the time it took."""
    seconds = {**outcome.seconds, "kernel": result.kernel_seconds, "total": time.monotonic() - started}
    outcome = kept.continued(outcome, spec) if spec.continues else outcome
    return msgspec.structs.replace(outcome, executed=executed, seconds=seconds)


def _given(
    folder: Path,
    spec: JobSpec,
    cells: Cells,
    open_files: tuple[Log, Gauges],
    redactor: Redactor,
    started: float,
) -> Outcome | None:
    """The verdict of a failed attempt whose kernel is worth keeping, said before the kernel ends; else None."""
    from nbpipe.job.leaks import scrub
    from nbpipe.job.verdict import judge
    from nbpipe.store import open_store

    if not spec.keep_failed or cells.result.end != "error":
        return None
    store = open_store(spec.store)
    outcome = judge(folder, spec, cells.result, store, redactor)
    if not kept.worth_keeping(spec, cells.result, outcome):
        return None
    for opened in open_files:
        opened.close()
    scrub(folder, redactor)
    outcome = _whole(spec, cells.result, outcome, _executed(folder, spec, cells.result), started)
    files.write_durably(folder / files.VERDICT, msgspec.json.encode(outcome))
    return outcome


def _continued(
    folder: Path, spec: JobSpec, cells: Cells, given: Outcome, process: KernelProcess, environment: Mapping[str, str]
) -> JobSpec | None:
    """Wait with the kernel; the attempt that goes on in it, if one does. Being stopped meanwhile changes no verdict."""
    from nbpipe.job.engine import Interruption
    from nbpipe.job.verdict import exit_code
    from nbpipe.store import open_store

    number = kept.worth_keeping(spec, cells.result, given)
    # A scheduler may end its job earlier.
    until = min(time.time() + spec.keep_failed, float(os.environ.get("NBPIPE_ENDS") or "inf"))
    devices = os.environ.get("CUDA_VISIBLE_DEVICES", "") if spec.gpus else ""
    waiting = kept.Kept(
        token=spec.token,
        code=exit_code(given),
        cell=spec.cells[number].cell,
        index=number,
        until=until,
        memory=kept.resident(process.pid),
        gpus=tuple(filter(None, devices.split(","))),
        secrets=kept.mark(spec.secrets, environment, open_store(spec.store).signer),
    )
    try:
        return kept.wait(folder, waiting, spec, process)
    except (Interruption, OSError):
        return None


def _gauges(folder: Path, spec: JobSpec, env: Mapping[str, str]) -> Gauges:
    """Readings of the job's GPUs, in its MLflow run; none where it has no such run."""
    from nbpipe.tracking.spool import append

    visible = env.get("CUDA_VISIBLE_DEVICES") if spec.tracking else ""
    return Gauges(lambda values: append(folder, values), visible=visible)


def _papermill(spec: JobSpec, cells: Any) -> None:
    """Hand the stage notebook to papermill. What it says of success is not listened to: the engine knows more."""
    load_jsonschema()
    import papermill
    from papermill.engines import papermill_engines
    from papermill.exceptions import PapermillExecutionError

    from nbpipe.job.engine import NbpipeEngine

    papermill_engines.register("nbpipe", NbpipeEngine)
    try:
        papermill.execute_notebook(
            _notebook(spec), None, engine_name="nbpipe", kernel_name=spec.kernel, progress_bar=False, nbpipe_cells=cells
        )
    except PapermillExecutionError:
        return


def _notebook(spec: JobSpec) -> Any:
    v4 = nbformat().v4
    cells = [
        v4.new_code_cell(code.body, id=f"cell-{index}", metadata={"nbpipe": {"cell": code.cell}})
        for index, code in enumerate((*spec.setup, *spec.cells))
    ]
    kernelspec = {"name": spec.kernel, "display_name": spec.kernel, "language": "python"}
    return v4.new_notebook(cells=cells, metadata={"kernelspec": kernelspec})


def _write_notebook(folder: Path, spec: JobSpec, executed: list[dict[str, Any]]) -> None:
    """The stage notebook with its outputs, written once."""
    from nbpipe.job.engine import fill

    notebook = _notebook(spec)
    fill(notebook, executed)
    # What it shows is durable in the store already.
    files.write_whole(
        folder / files.NOTEBOOK, json.dumps(notebook, ensure_ascii=False, indent=1).encode("utf-8", "replace")
    )


def _listen() -> dict[int, Any]:
    """Turn SIGINT and SIGTERM into `Interruption`; returns the handlers there were."""
    from nbpipe.job.engine import Interruption

    def stop(number: int, _frame: Any) -> None:
        raise Interruption(signal.Signals(number).name)

    return {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
