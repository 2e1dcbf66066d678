"""What runs inside the kernel around the user's cells: `begin`, `prepare`, `finish`, `explain`, and `resume` after a failure.

The engine calls these as hidden, silent steps. Nothing of it is visible in the user's namespace.
"""

from __future__ import annotations

import os
import re
import resource
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.credentials import values_of
from nbpipe.errors import NbpipeError
from nbpipe.job import ranks
from nbpipe.job.ambient import NOISE, OWNERS, TABLE
from nbpipe.job.checkpoints import Checkpoints
from nbpipe.job.definitions import Definitions
from nbpipe.job.files import Files
from nbpipe.job.folder import AT_REST, FAILURE, LOOKED, SENTINEL, UNSEEN, read_spec, write_whole
from nbpipe.job.imports import Heard, ImportWatch
from nbpipe.job.installed import Installed
from nbpipe.job.late import Rest, refuse
from nbpipe.job.launch import HASH_SEED
from nbpipe.job.leaks import Leaks
from nbpipe.job.measured import Measured
from nbpipe.job.observe import Observer
from nbpipe.job.readers import NATIVE, watch
from nbpipe.job.redact import Redactor
from nbpipe.job.scripts import watch_scripts
from nbpipe.job.seeds import Seeds
from nbpipe.job.shelf import SHELF
from nbpipe.job.sources import is_local
from nbpipe.job.surroundings import Surroundings
from nbpipe.job.unseen import Unseen, look_ahead
from nbpipe.job.variables import Variables
from nbpipe.model import Failure, JobSpec, Outcome
from nbpipe.plan.facts import Outside
from nbpipe.store.base import write_error

_SESSIONS: dict[str, Session] = {}


class Session:
    """One job inside its kernel, from the first hidden step to the sentinel."""

    def __init__(self, folder: Path, shell: Any) -> None:
        from nbpipe.store import open_store

        self.folder = folder
        self.shell = shell
        self.spec: JobSpec = read_spec(folder)
        self.store = open_store(self.spec.store)
        secrets = values_of(self.spec.secrets, os.environ)
        self.redactor = Redactor(secrets.values())
        self.leaks = Leaks(secrets, self.store)
        self.observer = Observer(self.spec, self.store, shell)
        self.surroundings = Surroundings(self.spec, self.store, secrets)
        self.definitions = Definitions(shell, self.spec.snippets, self.spec.params)
        self.files = Files(Path(self.spec.project), folder)
        self.files.except_objects(self.spec.store)
        self.files.declared = self.spec.declared
        self.files.source = self.spec.source
        self.files.cells = tuple(code.body for code in (*self.spec.setup, *self.spec.cells))
        self.files.late = dict.fromkeys(self.spec.late, False)
        self.checkpoints = Checkpoints(self.spec.checkpoints) if self.spec.checkpoints else None
        if self.checkpoints is not None:
            self.files.except_checkpoints(self.spec.checkpoints, self.checkpoints)
        own = {
            *(ranks.NAMES if self.spec.nproc else ()),
            *NOISE,
            *HASH_SEED,
            *self.spec.env,
            *self.spec.tracking,
            *self.spec.secrets,
        }
        self.variables = Variables(Path(self.spec.project), known=own)
        self.seeds = Seeds(self.spec.seed, [name for name in self.spec.ambient if name.endswith("random")])
        project = str(Path(self.spec.project).resolve())
        self.unseen = Unseen(shell, lambda file: is_local(file, project))
        self.installed = Installed(self.spec.distributions)
        self.seconds: dict[str, float] = {}
        self.heard = Heard()
        self._rest = Rest(shell.user_ns)
        self._explained = False

    def begin(self) -> None:
        """Restore ambient state, make the parameters and what setup needs, and start to watch."""
        started = time.monotonic()
        self._name_cells()
        self.surroundings.restore()
        self.seeds.settle()
        project = str(Path(self.spec.project).resolve())
        watched = {*OWNERS, *NATIVE}
        ImportWatch(watched, project, self._loaded, self._around_import, self.heard.importing).install()
        if self.checkpoints is not None:
            self.checkpoints.begin(Outside(Path(self.spec.project).resolve(), self.store.variable_digest).digest)
        self.files.start()
        watch_scripts(self.shell, self._script)
        for module in NATIVE & sys.modules.keys():
            watch(module, self.files.asked, self.files.announced)
        self.variables.start()
        setup = min((code.cell for code in self.spec.setup), default=None)
        self.definitions.run_ready(before_cell=setup if setup is not None else 0)
        self.seeds.settle()
        self.seconds["load"] = time.monotonic() - started

    def _script(self, name: str) -> None:
        reason = f"it starts another program ({name}) whose files cannot be seen"
        if not self.spec.declared and reason not in self.files.uncacheable:
            self.files.uncacheable.append(reason)

    def _around_import(self, done: bool) -> None:  # noqa: FBT001
        self.surroundings.around_import(done)
        self.unseen.around_import(done)

    def _loaded(self, name: str) -> None:
        """A library or a local module has just been imported: seed it, and give it the state that it had above."""
        if name in NATIVE:
            watch(name, self.files.asked, self.files.announced)
            if name not in OWNERS:
                return
        # Restored first: giving a library its state back must not look like the user seeding it.
        self.surroundings.loaded(name)
        self.seeds.settle(name)

    def prepare(self) -> None:
        """Make the definitions, load the inputs and take their digests."""
        started = time.monotonic()
        self.definitions.skip(frozenset(code.cell for code in self.spec.setup))
        self.definitions.run_ready()
        # What is opened and listed to load inputs is no deed of the stage.
        self.files.on = False
        self.observer.load_inputs(self.definitions)
        self.files.on = True
        self.definitions.run_rest()
        self.observer.baseline(self.definitions.names())
        self.observer.apply_states()
        self.seeds.settle()
        self.unseen.start()
        for path in self.spec.reads:
            self.files.asked(path, True)  # noqa: FBT003 - as readers call it
        self.seconds["load"] += time.monotonic() - started
        self.heard.on = True
        self.seconds["started"] = time.monotonic()

    def resume(self) -> None:
        """Go on with other cells where the last one failed: what was watched so far stays watched."""
        self.spec = self.observer.spec = read_spec(self.folder)
        self._explained = False
        self._name_cells()
        self.seconds["started"] = time.monotonic()

    def _name_cells(self) -> None:
        """Line numbers of each cell as it will be sent; `explain` finds the cell by this name."""
        for code in (*self.spec.setup, *self.spec.cells):
            self.shell.compile.cache(effective(code.body, code.line), -1, raw_code=effective(code.body, code.line))

    def finish(self) -> None:
        """Observe, store, and write the sentinel. Thresholds that do not hold are a failure of status rejected."""
        if SHELF.refused is not None:
            raise SHELF.refused
        ended = time.monotonic()
        self.seconds["cells"] = ended - self.seconds.pop("started")
        self.variables.stop()
        # The others have ended by now, and in this one's own copy of the story there are none.
        others = ranks.told(self.folder, self.spec)
        self.files.theirs = frozenset(state.path for other in others for state in other.files_written)
        files_read, files_written = self.files.finish(self.store)
        for path, was_read in self.files.late.items():
            if was_read:
                raise refuse(path, self.spec.stage)
        uncacheable = (*self.files.uncacheable, *self.installed.differing())
        if self.variables.read_all and not self.spec.declared:
            uncacheable += ("it reads all environment variables",)
        measured = Measured(self.spec, self.shell.user_ns)
        metrics = measured.metrics()
        rejected = measured.rejected(metrics)
        outputs, observed = self.observer.values()
        names = self.shell.user_ns
        lost = self.surroundings.lost({name: names[name] for name in outputs if name in names})
        lost += self.unseen.warnings(code.body for code in self.spec.cells)
        lost += [*self.observer.identities(), *self.seeds.warnings()]
        ambient = self.surroundings.observed(self.seeds)
        self.leaks.check({**outputs, **observed}, self.spec.stage)
        self.leaks.check({state.name: state.artifact for state in ambient if state.artifact}, self.spec.stage)
        self.leaks.check_files(files_written, self.spec.stage)
        self.seconds["store"] = time.monotonic() - ended
        outcome = Outcome(
            stage=self.spec.stage,
            attempt=self.spec.attempt,
            token=self.spec.token,
            status="rejected" if rejected else "succeeded",
            failure=rejected,
            outputs=outputs,
            observed=observed,
            unstored=self.observer.unstored,
            ambient=ambient,
            files_read=files_read,
            files_written=files_written,
            cleared=self.files.cleared(),
            folders=self.files.left(),
            found=self.files.found(),
            unseen=self.files.unseen,
            crowded=self.files.crowded,
            variables={name: self.store.variable_digest(name, value) for name, value in self.variables.read.items()},
            metrics=metrics,
            modules=self.surroundings.modules(),
            imported=tuple(self.heard.pieces),
            uncacheable=uncacheable,
            warnings=(*self.files.warnings, *measured.warnings, *self.observer.warnings, *lost),
            seconds=self.seconds,
            peak_memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        )
        outcome = ranks.merged(outcome, others) if others else outcome
        told = self.redactor.data(msgspec.to_builtins(outcome)) if self.redactor.active else outcome
        try:
            write_whole(self.folder / SENTINEL, msgspec.json.encode(told))
        except OSError as error:
            raise write_error(str(self.folder), error) from error
        if not self.spec.nproc and self._rest.comes(self.shell.user_ns):
            (self.folder / AT_REST).touch()

    def explain(self, cell: int | None, error: BaseException | None) -> None:
        """Write the place and the cause of an error for the runner; without one, of the last that user code raised."""
        if error is None and self._explained:
            return
        self._explained = True
        error = error or getattr(sys, "last_value", None)
        if error is None:
            return
        own = error if isinstance(error, NbpipeError) else None
        names = {
            self.shell.compile.get_code_name(text, text, 0): (code, shift)
            for code in (*self.spec.setup, *self.spec.cells)
            for text, shift in [(effective(code.body, code.line), code.line - 1 if code.body.startswith("%%") else 0)]
        }
        line = None
        if isinstance(error, SyntaxError) and error.lineno and error.filename in names:
            line = error.lineno + names[error.filename][1]
        trace = error.__traceback__
        while trace is not None:
            found = names.get(trace.tb_frame.f_code.co_filename)
            timed = trace.tb_frame.f_code.co_filename.startswith("<timed")
            if timed and cell is not None and line is not None:
                # `%%time` compiles what stands below it under a name of its own.
                line += trace.tb_lineno
            if found is not None and (cell is None or found[0].cell == cell):
                cell, line = found[0].cell, trace.tb_lineno + found[1]
            trace = trace.tb_next
        defined = self.definitions.place(error) if line is None and own is None else None
        if defined is not None:
            cell, line = defined[0].cell, defined[1]
        check = self.spec.kind == "check" and isinstance(error, AssertionError)
        failure = Failure(
            code="rejected" if check else own.code if own is not None else "user-code",
            message=self.redactor.text(own.message if own is not None else _said(error)),
            cell=cell if own is None or line is not None else None,
            line=line,
            name=own.name if own is not None else None,
            fix=(own.fix or "") if own is not None else _way_out(error),
            traceback=defined[2] if defined is not None else "",
        )
        write_whole(self.folder / FAILURE, msgspec.json.encode(failure))
        # On another machine a file that was not sent is the likeliest cause; here, what a stage below has written too early.
        write_whole(self.folder / LOOKED, msgspec.json.encode(self.files.looked_at()))
        if self.files.unseen:
            (self.folder / UNSEEN).touch()


def _way_out(error: BaseException) -> str:
    """What to do about an error that comes of the stage's kernel having less than the notebook's; else ""."""
    text = str(error.args[0]) if error.args else ""
    pickled = re.match(r"Can't get attribute '(\w+)' on <module '__main__'", text)
    if pickled and isinstance(error, AttributeError):
        name = pickled[1]
        return f"What is unpickled needs '{name}': write the name '{name}' in this stage, and its definition is made here, too."
    if type(error).__name__ == "UsageError" and "magic function" in text and "not found" in text:
        return "If a cell above registers the magic, make it a %%setup cell."
    return ""


def _said(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return (
            f"the cell ended the program: sys.exit({error.code!r}) or exit() stops a run before its stage is finished"
        )
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {text}"


def effective(body: str, line: int) -> str:
    """The text that is sent to the kernel: comments in place of the magic lines, so that line numbers are the cell's.

    A cell magic must stand first; such a body is sent as it is.
    """
    return body if body.startswith("%%") else "#\n" * (line - 1) + body


def touch(project: str) -> None:
    """Look at all that a job's steps look at, for nothing.

    A forked process gets its own copy of a page of memory when it first counts a reference there: for a thousand modules
    that takes longer than the rest of what a stage does before its first cell. A kernel that waits does it while it waits.
    """
    from IPython import get_ipython

    look_ahead(get_ipython(), lambda file: is_local(file, project))
    for entry in TABLE:
        if entry.owner in sys.modules:
            entry.get()


def step(folder: str, name: str, cell: int | None = None) -> None:
    """Run the hidden step `name` of the job in `folder`; an error is explained on disk, then raised."""
    from IPython import get_ipython

    if name == "begin":
        _SESSIONS[folder] = Session(Path(folder), get_ipython())
    session = _SESSIONS[folder]
    if name == "explain":
        session.explain(cell, None)
        return
    try:
        getattr(session, name)()
    except BaseException as error:
        session.explain(cell, error)
        raise
