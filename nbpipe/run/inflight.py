"""The jobs that run now: started, watched, stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import TYPE_CHECKING, cast

import msgspec

from nbpipe.errors import TargetError
from nbpipe.executors.base import Expecting, Hearing, JobState
from nbpipe.executors.fleet import Fleet
from nbpipe.job.folder import write_spec
from nbpipe.job.holders import uncrowded
from nbpipe.job.libraries import PYTHONS
from nbpipe.job.undo import undo
from nbpipe.model import JobSpec, Outcome, Pipeline, Stage
from nbpipe.pipeline.contents import FOLDER
from nbpipe.pipeline.index import index_of
from nbpipe.plan.facts import Outside
from nbpipe.plan.resolve import Wanted
from nbpipe.run import afield, kept
from nbpipe.run.attempt import Attempt, Place, job_folder, prepare, result
from nbpipe.run.faults import fault
from nbpipe.run.files import Disk
from nbpipe.run.journal import Journal
from nbpipe.run.resources import Slots
from nbpipe.run.ships import known_reads
from nbpipe.store import Lease
from nbpipe.store.trust import Signer
from nbpipe.targets.settings import LOCAL

if TYPE_CHECKING:
    from nbpipe.executors.ssh.executor import SshExecutor
    from nbpipe.executors.ssh.pool import PoolExecutor

#: Seconds after a stage's timeout at which the engine stops waiting for the job to notice by itself.
_HARD_STOP = 20.0
_HEARTBEAT = 5.0


class InFlight:
    """Attempts that were submitted and have not ended.

    Responsibilities: numbers attempts, keeps their leases alive, stops those that do not stop by themselves.
    Must not judge an outcome.
    """

    def __init__(  # noqa: PLR0913 - what it works with
        self,
        pipeline: Pipeline,
        place: Place,
        fleet: Fleet,
        journal: Journal,
        disk: Disk,
        *,
        jobs: int | None,
        attempts: Mapping[str, int],
        expected: Mapping[str, float],
        clock: Callable[[], float],
    ) -> None:
        self._pipeline = pipeline
        self._place = place
        self._fleet = fleet
        self._journal = journal
        self._disk = disk
        self._jobs = jobs
        self._slots: dict[str, Slots] = {}
        self._numbers = dict(attempts)
        self._expected = dict(expected)
        self._clock = clock
        self.running: dict[str, Attempt] = {}
        #: Stages that a job was started for in this run.
        self.launched: set[str] = set()

    def fits(self, stage: Stage) -> bool:
        """Whether there is room for its job now, where it runs."""
        if self._jobs is not None and len(self.running) >= self._jobs:
            return False
        return self._room(self._fleet.target(stage.options)).fits(stage.options)

    def room_for(self, stage: Stage) -> Hashable:
        """What it takes of which machine: stages with the same fit, or do not fit, together."""
        options = stage.options
        return self._fleet.target(options), options.cpus, options.gpus, options.memory

    def _room(self, target: str) -> Slots:
        if target not in self._slots:
            self._slots[target] = Slots(self._fleet.of(target).capacity, self._jobs)
        return self._slots[target]

    def expect(self, stage: Stage, jobs: int) -> None:
        """Have kernels get ready where this stage runs, for that many more jobs at most."""
        executor = self._fleet.of(self._fleet.target(stage.options))
        if isinstance(executor, Expecting) and self._pipeline.kernel in PYTHONS:
            executor.expect(min(jobs, self._jobs or jobs), str(self._place.cwd))

    def launch(
        self,
        stage: Stage,
        target: Wanted,
        *,
        lease: Lease | None,
        reasons: tuple[str, ...],
        champion: Mapping[str, float],
        early: set[str],
    ) -> None:
        """Start a job; `early` are stages above that have not finished."""
        number = self._numbers[stage.name] = self._numbers.get(stage.name, 0) + 1
        on = self._fleet.target(stage.options)
        spec, more = self._prepare(stage, number, target, champion, on, attachable=lease is not None)
        folder = job_folder(self._place, stage.name, number)
        now = self._clock()
        deadline = now + spec.timeout + _HARD_STOP if spec.timeout else None
        attempt = Attempt(
            stage, number, folder, spec, target, lease, now, deadline=deadline, renewed=now, early=early, on=on
        )
        # Before the event: whoever settles this run, should it die, finds there who was beside it.
        self._disk.started(folder)
        self._journal.append(
            "stage-started",
            stage=stage.name,
            attempt=number,
            reasons=[*reasons, *more],
            token=spec.token,
            expected=self._expected.get(stage.name),
            **({"on": on} if on != LOCAL else {}),
        )
        self._room(on).take(stage.name, stage.options)
        self.launched.add(stage.name)
        self.running[stage.name] = attempt
        attempt.handle = self._fleet.of(on).submit(folder, spec)
        fault("attempt.after_submit")

    def _prepare(
        self, stage: Stage, number: int, target: Wanted, champion: Mapping[str, float], on: str, *, attachable: bool
    ) -> tuple[JobSpec, tuple[str, ...]]:
        """The specification, and what is to be said of it; elsewhere, of the job that an earlier run of this key left there."""
        if on == LOCAL:
            return prepare(self._place, self._pipeline, stage, number, target, champion), ()
        project = self._place.project
        token = afield.recall(project, target.key, on) if attachable else None
        folders = (path for path, state in target.files.items() if path.endswith(FOLDER) and state.digest)
        ships = tuple(dict.fromkeys((*known_reads(self._place, self._pipeline, stage), *folders)))
        spec = prepare(self._place, self._pipeline, stage, number, target, champion, token=token, ships=ships)
        if attachable:
            job = afield.Afield(target=on, token=spec.token, pipeline=self._pipeline.name, stage=stage.name)
            afield.remember(project, target.key, job)
            self._stop_outdated(target.key, job)
        return self._going_on(stage, spec, target, on, since_before=token is not None)

    def _going_on(
        self, stage: Stage, spec: JobSpec, target: Wanted, on: str, *, since_before: bool
    ) -> tuple[JobSpec, tuple[str, ...]]:
        """The specification for the kernel that a failed attempt left there, where that is asked for and may be; and why.

        Else such a kernel ends, unless another run goes on in it now: the new job needs what it holds. `since_before`: a
        run that died has started this job.
        """
        place, name = self._place, self._pipeline.name
        left = kept.recall(place.project, name, stage.name, on)
        waiting = left.kept if left is not None else None
        if left is None or waiting is None:
            return spec, ()
        own = left.going == target.key
        if not own and self._goes_on(left):
            return spec, ()
        executor = cast("SshExecutor | PoolExecutor", self._fleet.of(on))
        # What nobody leases cannot be gone on in by one alone.
        asked = place.resume and stage.options.cache != "never" and stage.name not in self.launched
        why = ""
        if asked and not (since_before and own):
            outside = Outside(place.project, place.store.variable_digest)
            why = kept.differs(left, spec, target, executor.target, outside.digest)
            why = why or kept.other_secrets(waiting, spec, self._worker(on, waiting.host))
            why = "another run has gone on in its kernel, or somebody ends it" if left.going else why
        if asked and not why:
            if not kept.change(place.project, left, target.key):
                return spec, ("begins at its first cell: another run goes on in its kernel",)
            spec = msgspec.structs.replace(spec, continues=waiting.job, first=waiting.index)
            write_spec(job_folder(place, stage.name, spec.attempt), spec)
            return spec, (f"continued at cell {spec.cells[spec.first].cell}",)
        if kept.change(place.project, left, kept.ENDING):
            self._release(msgspec.structs.replace(left, going=kept.ENDING))
        return spec, (f"begins at its first cell: {why}",) if why else ()

    def _worker(self, on: str, host: str) -> Signer:
        """What the worker there signs with."""
        from nbpipe.executors.ssh.executor import worker_key

        return Signer(worker_key(self._place.store, on, host).encode())

    def _goes_on(self, left: kept.Left) -> bool:
        """Whether a run that lives goes on in this kernel."""
        return left.going not in ("", kept.ENDING) and self._place.store.leases.holder(left.going) is not None

    def _release(self, left: kept.Left) -> None:
        """Nobody goes on in this kernel."""
        found = left.kept
        if found is None:
            return
        try:
            cast("SshExecutor | PoolExecutor", self._fleet.of(left.target)).release(found.job, found.host)
        except TargetError:
            # Where it cannot be told, its time ends; until then it can be told later.
            kept.change(self._place.project, left, "")
        else:
            kept.forget(self._place.project, left)

    def _stop_outdated(self, key: str, job: afield.Afield) -> None:
        """Jobs that a dead run left there for what has been edited since would hold a GPU for nobody."""
        for other, left in afield.outdated(self._place.project, key, job).items():
            if self._place.store.leases.holder(other) is None:
                self._fleet.of(job.target).cancel(left.token, force=True)
                afield.forget(self._place.project, other)

    def changed_below(self, stage: Stage) -> dict[str, list[str]]:
        """Stages below this one whose jobs run -> paths that they have written by now."""
        position = index_of(self._pipeline).position
        below = [each for name, each in self.running.items() if position[name] > position[stage.name]]
        return {each.stage.name: self._disk.written_in(each.folder) for each in below}

    def wait(self, seconds: float) -> None:
        """Until a job may have ended, but no longer than that."""
        for on in {attempt.on for attempt in self.running.values()}:
            executor = self._fleet.of(on)
            if isinstance(executor, Hearing):
                executor.wait(seconds)
                return
        time.sleep(seconds)

    def ended(self) -> Iterator[tuple[Attempt, Outcome]]:
        """Attempts that have ended, with what came of them; the others are watched. The caller gives the lease back."""
        for name, attempt in list(self.running.items()):
            if attempt.told is None:
                state = self._fleet.of(attempt.on).poll(attempt.handle)
                if state.state == "running":
                    self._watch(attempt, state)
                    continue
                attempt.told = result(attempt, self._place.store, returncode=state.returncode)
                attempt.beside = self._untold(attempt.on)
                self._room(attempt.on).give_back(name)
            if self._waits_for_others(attempt, attempt.told):
                self._renew(attempt)
                continue
            outcome = uncrowded(attempt.told, attempt.folder, here=attempt.on == LOCAL)
            del self.running[name]
            self._collected(attempt)
            left = kept.Left(
                pipeline=self._pipeline.name,
                stage=name,
                target=attempt.on,
                folder=str(attempt.folder.resolve()),
                on="" if attempt.stage.options.on is not None else attempt.on,
            )
            self._left(attempt, left)
            self._disk.ended(attempt.folder)
            yield attempt, outcome

    def _untold(self, on: str) -> list[Attempt]:
        return [each for each in self.running.values() if each.told is None and each.on == on]

    def _waits_for_others(self, attempt: Attempt, outcome: Outcome) -> bool:
        """Whether the result counts if none of those that ran beside it wrote its files, and one has not told yet."""
        if attempt.cancelled or attempt.on != LOCAL or not outcome.crowded or len(outcome.uncacheable) > 1:
            return False
        untold = self._untold(attempt.on)
        return any(each in untold for each in attempt.beside)

    def _left(self, attempt: Attempt, left: kept.Left) -> None:
        """Note the kernel that an ended attempt has left, and no longer the one that it went on in."""
        project = self._place.project
        noted = kept.recall(project, left.pipeline, left.stage, left.target)
        mine = noted is not None and (noted.going, noted.job) == (attempt.wanted.key, attempt.spec.continues)
        if noted is not None and mine:
            kept.forget(project, noted)
        if attempt.lease is None:
            self._release(left)
            return
        before = kept.remember(project, left)
        if before is not None and not self._goes_on(before):
            # Only one is known of: the other would hold its GPUs for nobody.
            self._release(before)

    def _collected(self, attempt: Attempt) -> None:
        if attempt.on != LOCAL and attempt.lease is not None:
            afield.forget(self._place.project, attempt.wanted.key)

    def _watch(self, attempt: Attempt, state: JobState) -> None:
        now = self._clock()
        if attempt.spec.timeout and not state.begun:
            attempt.deadline = now + attempt.spec.timeout + _HARD_STOP
        self._renew(attempt)
        if attempt.deadline is not None and now > attempt.deadline:
            attempt.overdue = True
            self._fleet.of(attempt.on).cancel(attempt.handle, force=True)

    def _renew(self, attempt: Attempt) -> None:
        now = self._clock()
        if attempt.lease is not None and now - attempt.renewed > _HEARTBEAT:
            attempt.renewed = now
            self._place.store.leases.renew(attempt.lease)

    def cancel(self, *, force: bool) -> None:
        """Ask every job to stop, once; or kill it."""
        for attempt in self.running.values():
            if not attempt.cancelled or force:
                attempt.cancelled = True
                self._fleet.of(attempt.on).cancel(attempt.handle, force=force)

    def abandon(self) -> None:
        """Kill what runs, undo its writes, give its leases back. For a run that cannot go on."""
        for attempt in self.running.values():
            self._fleet.of(attempt.on).cancel(attempt.handle, force=True)
            self._collected(attempt)
        for attempt in reversed(self.running.values()):
            self._disk.ended(attempt.folder)
            undo(attempt.folder)
            self._disk.over(attempt.folder)
            if attempt.lease is not None:
                attempt.lease.release()
        self.running.clear()
