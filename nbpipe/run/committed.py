"""What stands so far: the committed outcomes of a run, whether they still hold, and how one is taken back."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from nbpipe.errors import PipelineError
from nbpipe.model import FileState, Pipeline, Stage, Trace
from nbpipe.pipeline.contents import listing_digest
from nbpipe.pipeline.index import index_of
from nbpipe.plan.constraints import holds
from nbpipe.plan.resolve import Wanted
from nbpipe.plan.settled import Settled, left
from nbpipe.run.agenda import Agenda
from nbpipe.run.ahead import Saw, astray, needed
from nbpipe.run.files import Disk
from nbpipe.run.journal import Journal

#: A stage is not run more often than this because others changed what it saw: then the notebook does not settle.
_MOST_ROUNDS = 8


class Committed:
    """The outcomes that count by now.

    Responsibilities: says whether an outcome is still what its stage should have given; takes one back with its files.
    Must not decide what runs next, nor start anything.
    """

    def __init__(self, pipeline: Pipeline, disk: Disk, journal: Journal, agenda: Agenda) -> None:
        self._pipeline = pipeline
        self._disk = disk
        self._journal = journal
        self._agenda = agenda
        self.outcomes = Settled(index_of(pipeline))
        self.traces: dict[str, Trace] = {}
        #: Stage -> stages above that it waits for, whatever the graph says.
        self.waits: dict[str, set[str]] = {}
        #: Stage -> why it has to be looked at again.
        self.why: dict[str, tuple[str, ...]] = {}
        #: Folders of the jobs of this run whose outcome stands, in the order of their commits.
        self._ran: dict[str, Path] = {}
        self._rounds: dict[str, int] = {}
        #: Stages that may have seen more than is known -> those above that had not ended when they began.
        self._doubtful: dict[str, set[str]] = {}
        self.position = {stage.name: n for n, stage in enumerate(pipeline.stages)}
        #: Outcomes of stages above this position were looked at since anything changed that they go by.
        self._looked_at = 0
        #: Those whose stages have read files, in notebook order.
        self._reading: list[int] = []

    def add(self, trace: Trace, folder: Path | None = None) -> None:
        """From now on this outcome stands; `folder` is that of its job, where this run ran it."""
        self.outcomes.add(trace.stage, trace.outcome)
        self.traces[trace.stage] = trace
        self._disk.note(trace.outcome)
        self._changed(trace.stage)
        if trace.outcome.files_read:
            insort(self._reading, self.position[trace.stage])
        self._agenda.stand(trace.stage)
        if folder is not None:
            self._ran[trace.stage] = folder
        for below in [name for name, early in self._doubtful.items() if trace.stage in early]:
            if below in self.outcomes and self.has_written(trace.stage):
                self.waits.setdefault(below, set()).add(trace.stage)
                self.take_back(below, f"ran before {trace.stage} had finished")

    def doubt(self, stage: Stage, early: set[str]) -> None:
        """Nobody knows what this outcome goes by: it stands as long as these stages above it, when they end, wrote nothing."""
        if early := {name for name in early if name not in self.outcomes}:
            self._doubtful[stage.name] = early

    def has_written(self, name: str) -> bool:
        """Whether a stage has an outcome, and what it left is not what the files were before."""
        outcome = self.outcomes.get(name)
        return outcome is not None and any(
            self._disk.has_changed(state.path) or self._disk.lacks(state) for state in left([outcome]).values()
        )

    def _changed(self, name: str) -> None:
        self._looked_at = min(self._looked_at, self.position[name])

    def settled(self, name: str, *, busy: bool) -> bool:
        """Whether an outcome was looked at since anything changed above it; what it read must not be looked at again, either.

        `busy`: jobs are running, and files on disk do not count.
        """
        if name not in self.outcomes or self.position[name] >= self._looked_at:
            return False
        return busy or not self.traces[name].outcome.files_read

    def due(self, *, busy: bool) -> tuple[int, Sequence[int]]:
        """Where outcomes are not settled: from a place on, and at places above it."""
        return self._looked_at, () if busy else self._reading

    def all_looked_at(self) -> None:
        """Every outcome holds as things are now."""
        self._looked_at = len(self._pipeline.stages)

    def unsettled(self, stage: Stage, target: Wanted, *, busy: bool) -> str | None:
        """Why an outcome is not what the stage should have given by now; None if it is, or cannot be told yet.

        `busy`: jobs are running.
        """
        trace = self.traces[stage.name]
        if trace.key != target.key:
            return "what it read has changed"
        if stage.name in self._ran:
            trace = _of_this_run(trace)
        reason = holds(trace, target, self._as_found(trace, target)) or self._strayed(trace, target)
        if reason is not None and busy:
            # Native code writes where nobody sees it until its stage ends: files on disk speak only when all is quiet.
            seen = {state.path: state.digest for state in trace.outcome.files_read}
            if holds(trace, target, lambda path: seen.get(path, "")) is None:
                return None
        return reason

    def _as_found(self, trace: Trace, target: Wanted) -> Callable[[str], str]:
        """Digests of what a stage should have found; a folder that it makes sure of was empty to it if it was not there."""
        digest, own = self._disk.as_of(target), {f"{path}/" for path in trace.outcome.folders}
        return lambda path: digest(path) or (listing_digest(set()) if path in own else "")

    def _strayed(self, trace: Trace, target: Wanted) -> str | None:
        """Why what an outcome of this run needed should not have been there."""
        if trace.stage not in self._ran:
            return None
        path = min(astray(trace.outcome, target, self._disk.as_of(target)), default=None)
        return f"{path.removesuffix('./')} was not yet there" if path is not None else None

    def supersede(self, stage: Stage, reason: str) -> None:
        """Take an outcome back: undo its writes, and those of later stages that wrote what it went by."""
        outcome = self.outcomes[stage.name]
        paths = {
            *(state.path for state in outcome.files_read),
            *needed(outcome),
            *(f"{path}/" for path in outcome.cleared),
        }
        self.make_way(stage, Saw(frozenset(paths)))
        self.take_back(stage.name, reason)
        if self.rounds(stage) > _MOST_ROUNDS:
            raise PipelineError(
                f"does not settle: {reason}",
                stage=stage.name,
                fix="Declare the order with --after, or the files with --reads and --writes.",
            )

    def rounds(self, stage: Stage) -> int:
        """How often it was taken back by now, this time counted."""
        self._rounds[stage.name] = self._rounds.get(stage.name, 0) + 1
        return self._rounds[stage.name]

    def changed_below(self, stage: Stage) -> dict[str, list[str]]:
        """Stages below that have an outcome, the last one first -> paths that this run has changed, of those it left."""
        return {
            name: [path for path in left([self.outcomes[name]]) if self._disk.has_changed(path)]
            for name in self.outcomes.wrote_below(self.position[stage.name])
        }

    def make_way(self, stage: Stage, saw: Saw) -> None:
        """Take back the stages below that have changed what this one saw: they run once it has ended."""
        for later, paths in self.changed_below(stage).items():
            lost = self._disk.unkept(self.outcomes[later]) if saw.of(paths) else None
            if lost is not None:
                raise PipelineError(
                    f"a program or native code changed {lost} while '{stage.name}' above it ran: it cannot be put back",
                    stage=later,
                    name=lost,
                    fix=f"Put {lost} right, then run again: nbpipe knows the order now. --after {stage.name} says it beforehand.",
                )
            if saw.of(paths):
                self.waits.setdefault(later, set()).add(stage.name)
                self.take_back(later, "a stage above it uses what it writes")

    def take_back(self, name: str, reason: str) -> None:
        """An outcome stands no longer: what it wrote is undone."""
        outcome = self.outcomes.remove(name)
        self._doubtful.pop(name, None)
        self._changed(name)
        if outcome.files_read:
            self._reading.remove(self.position[name])
        self._agenda.back(name)
        del self.traces[name]
        folder = self._ran.pop(name, None)
        if folder is not None:
            self._undo(folder)
            self.settle(folder)
        else:
            self._disk.revert(outcome.files_written)
        self.again(name, reason)

    def again(self, name: str, reason: str) -> None:
        """Note that a stage has to be looked at again."""
        self.why[name] = (reason,)
        self._journal.append("stage-superseded", stage=name, reasons=[reason])

    def undo_all(self) -> None:
        """Leave the files as if nothing had run: what is committed is found again in the store."""
        for folder in reversed(self._ran.values()):
            self._undo(folder)
            self._disk.settle(folder, {})
        self._ran.clear()

    def _undo(self, folder: Path) -> None:
        for text in self._disk.take_back(folder):
            self._journal.append("warning", text=text)

    def settle(self, folder: Path) -> None:
        """After an undo of this job, let its files be as those whose outcomes stand have left them."""
        self._disk.settle(folder, left(self.outcomes.writing(len(self._pipeline.stages))))

    def last_written(self, below: int) -> Iterable[FileState]:
        """The latest state of every file that stages above position `below` wrote."""
        return left(self.outcomes.writing(below)).values()


def _of_this_run(trace: Trace) -> Trace:
    """The trace without what cannot change within its own run: a result that others may not use stands here."""
    outcome = trace.outcome
    if outcome.uncacheable:
        outcome = msgspec.structs.replace(outcome, uncacheable=(), modules={})
    if outcome.variables:
        outcome = msgspec.structs.replace(outcome, variables={})
    return trace if outcome is trace.outcome else msgspec.structs.replace(trace, outcome=outcome)
