"""The loop of a sweep: ask for a point, run it, tell what came of it; several at once, until there is enough."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import msgspec

from nbpipe.errors import UsageError
from nbpipe.run.api import Prepared
from nbpipe.run.beside import FOLDER, Lane
from nbpipe.sweep.attempt import Attempt, settled
from nbpipe.sweep.ledger import Ledger
from nbpipe.sweep.limits import Limits
from nbpipe.sweep.meaning import is_unchanged, writers
from nbpipe.sweep.searcher import Searcher
from nbpipe.sweep.shared import SharedExecutor
from nbpipe.sweep.study import Study, Trial
from nbpipe.tracking import outbox

#: Seconds between two looks for a signal while nothing ends.
_PAUSE = 0.2
#: Seconds after which MLflow hears of the trials that have ended.
_FLUSH = 60.0
#: Times that a trial is begun because other runs wrote files meanwhile.
_OFTEN = 4

#: Hears of each trial that begins or ends.
Listener = Callable[[Trial], None]


class Drive:
    """Drives one sweep to its end, or to where it is stopped.

    Responsibilities: every trial that was asked for gets an end on record, or is begun again when the sweep is taken up.
    Must not know how a run is made, nor what makes a point good.
    """

    def __init__(
        self,
        prepared: Prepared,
        study: Study,
        ledger: Ledger,
        executor: SharedExecutor,
        limits: Limits,
        *,
        on: str | None = None,
        listener: Listener = lambda _: None,
    ) -> None:
        self._prepared = prepared
        self._study = study
        self._spec = study.spec
        self._ledger = ledger
        self._executor = executor
        self._limits = limits
        self._on = on
        self._listener = listener
        self._trials = {trial.number: trial for trial in study.trials}
        self._searcher = Searcher(self._spec, [trial for trial in study.trials if trial.is_over])
        self._flying: dict[Future[Attempt], Attempt] = {}
        self._ended = 0
        self._exit_code = 0
        self._edited = False
        #: Trials were in each other's way: from then on each runs alone.
        self._alone = False
        #: Trial -> how often it was begun again for that.
        self._again: dict[int, int] = {}
        self._flushed = time.monotonic()
        #: "": go on; "ask": stop what runs, in good order; "kill": kill it.
        self.stopping = ""
        #: Why the sweep was stopped before its time; "" where it was not, or a person did it.
        self.stopped_for = ""
        #: Stages that write files: their trials run one after the other.
        self.writers: tuple[str, ...] = ()

    def run(self) -> int:
        """Run to the end; the exit code of the failure that stopped it, or 0."""
        self._limits.begin()
        try:
            with ThreadPoolExecutor(self._limits.parallel, thread_name_prefix="trial") as pool:
                self._loop(pool)
        finally:
            if self._edited:
                self._withdraw()
        return self._exit_code

    def _loop(self, pool: ThreadPoolExecutor) -> None:
        try:
            while True:
                self._begin_more(pool)
                if not self._flying:
                    return
                done, _ = wait(self._flying, timeout=_PAUSE, return_when=FIRST_COMPLETED)
                for future in done:
                    self._end(self._flying.pop(future), future)
        except BaseException:
            # The pool waits for the trials that run.
            self.stopping = self.stopping or "ask"
            raise

    @property
    def left(self) -> bool:
        """Whether a trial was begun that has no end, or there is room for another one."""
        return any(not trial.is_over for trial in self._trials.values()) or self._limits.allows(self._new())

    # -- beginning

    def _begin_more(self, pool: ThreadPoolExecutor) -> None:
        while not self.stopping and len(self._flying) < self._room():
            trial = self._next()
            if trial is None:
                return
            self._executor.to_come = max(min(self._limits.trials - trial.number, self._limits.parallel), 0)
            attempt = Attempt(
                self._prepared,
                self._spec,
                trial,
                study=self._ledger.name,
                executor=self._executor,
                on=self._on,
                weak=self._searcher.weak_at,
                stopping=lambda: self.stopping,
                began=self._began,
                lane=Lane(self._prepared.project.state / FOLDER, strict=self._room() > 1),
            )
            self._flying[pool.submit(self._run, attempt)] = attempt

    def _run(self, attempt: Attempt) -> Attempt:
        try:
            return attempt.run()
        finally:
            self._executor.ended()

    def _room(self) -> int:
        """How many trials may run now. The first runs alone: it computes what all share, and shows who writes files."""
        if self._limits.parallel == 1 or not self._ended or self._alone:
            return 1
        self.writers = writers(self._prepared, self._spec)
        return 1 if self.writers else self._limits.parallel

    def _next(self) -> Trial | None:
        """A trial that was begun and has no end, else a new one; None where there are enough."""
        flying = {attempt.trial.number for attempt in self._flying.values()}
        for number, trial in sorted(self._trials.items()):
            if trial.is_over or number in flying:
                continue
            self._searcher.ask(number, trial.params)
            found = settled(self._prepared.project.runs, trial, self._spec)
            if found is None:
                return trial
            self._record(found)
        number = self._new()
        if not self._limits.allows(number):
            return None
        params = self._searcher.ask(number)
        self._ledger.append("trial-asked", number=number, params=params)
        self._trials[number] = Trial(number=number, params=params)
        return self._trials[number]

    def _new(self) -> int:
        return max(self._trials, default=0) + 1

    def _began(self, number: int, run: str) -> None:
        """From the trial's own thread."""
        self._ledger.append("trial-started", number=number, run=run)
        self._trials[number] = msgspec.structs.replace(self._trials[number], status="running", run=run)
        self._listener(self._trials[number])

    # -- ending

    def _end(self, attempt: Attempt, future: Future[Attempt]) -> None:
        future.result()
        if attempt.edited or not is_unchanged(self._prepared, self._spec):
            self._edited = True
            raise UsageError(
                "a local module was edited while the sweep ran: its trials would be of two pipelines",
                name=self._ledger.name,
                fix="Undo the edit and take the sweep up again, or begin a new one.",
            )
        self._ended += 1
        trial = attempt.trial
        if not trial.is_over:
            self._alone = self._alone or attempt.disturbed
            times = self._again[trial.number] = self._again.get(trial.number, 0) + attempt.disturbed
            if self.stopping or times < _OFTEN:
                if attempt.disturbed:
                    self._forget(trial)
                return
            trial = msgspec.structs.replace(trial, status="failed", reason="other runs wrote files while it ran")
        self._record(trial)
        if trial.status == "failed" and (attempt.fatal or self._limits.fail_fast) and not self.stopping:
            self.stopping, self._exit_code = "ask", attempt.exit_code
            self.stopped_for = trial.reason
        if time.monotonic() - self._flushed > _FLUSH:
            self._flushed = time.monotonic()
            outbox.flush(self._prepared.project.root)

    def _withdraw(self) -> None:
        """What has ended since the edit may be of the other pipeline: it is begun again when the sweep is taken up."""
        for trial in [each for each in self._trials.values() if not each.is_over]:
            self._forget(trial)

    def _forget(self, trial: Trial) -> None:
        """How its run ended is not how it would have ended: it is begun again, as if it had not been begun."""
        self._ledger.append("trial-asked", number=trial.number, params=trial.params)
        self._trials[trial.number] = Trial(number=trial.number, params=trial.params)

    def _record(self, trial: Trial) -> None:
        self._trials[trial.number] = trial
        fields = msgspec.to_builtins(trial)
        told = {name: fields[name] for name in fields if name != "params"}
        told["steps"] = {str(step): value for step, value in trial.steps.items()}
        self._ledger.append("trial-ended", **told)
        self._searcher.tell(trial)
        self._listener(trial)
