"""A public fake: jobs that end as a script says, without running anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from nbpipe.executors.base import Capacity, JobState
from nbpipe.job.folder import VERDICT, write_durably
from nbpipe.model import JobSpec, Outcome


@dataclass(frozen=True)
class Scripted:
    """How one attempt goes: `polls` times running, then the verdict (if any) and the state."""

    outcome: Outcome | Callable[[JobSpec], Outcome] | None = None
    polls: int = 0
    state: JobState = field(default_factory=lambda: JobState("exited", 0))


@dataclass
class _Job:
    folder: Path
    spec: JobSpec
    script: Scripted
    left: int
    ended: JobState | None = None


@dataclass
class FaultyExecutor:
    """Plays a script: stage name -> its attempts in turn; the last one repeats. Stages without a script succeed.

    `submitted` holds every specification in the order of submission, `cancelled` every cancelled handle.
    """

    script: Mapping[str, Sequence[Scripted]] = field(default_factory=dict)
    size: Capacity = field(default_factory=lambda: Capacity(cpus=4))
    submitted: list[JobSpec] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    _jobs: dict[str, _Job] = field(default_factory=dict)

    @property
    def capacity(self) -> Capacity:
        """What can run at once."""
        return self.size

    def submit(self, job_dir: Path, spec: JobSpec) -> str:
        """Note the job; the same token gives the same handle."""
        if spec.token not in self._jobs:
            before = sum(1 for done in self.submitted if done.stage == spec.stage)
            attempts = self.script.get(spec.stage) or [Scripted(succeed)]
            script = attempts[min(before, len(attempts) - 1)]
            self.submitted.append(spec)
            self._jobs[spec.token] = _Job(job_dir, spec, script, script.polls)
        return spec.token

    def poll(self, handle: str) -> JobState:
        """Running for as long as the script says, then its end."""
        job = self._jobs.get(handle)
        if job is None:
            return JobState("lost")
        if job.ended is None:
            if job.left > 0:
                job.left -= 1
                return JobState("running")
            self._end(job)
        return job.ended or job.script.state

    def _end(self, job: _Job) -> None:
        outcome = job.script.outcome
        if callable(outcome):
            outcome = outcome(job.spec)
        if outcome is not None:
            job.folder.mkdir(parents=True, exist_ok=True)
            write_durably(job.folder / VERDICT, msgspec.json.encode(outcome))
        job.ended = job.script.state

    def cancel(self, handle: str, *, force: bool = False) -> None:
        """End it without a verdict."""
        job = self._jobs.get(handle)
        if job is not None and job.ended is None:
            self.cancelled.append(handle)
            job.ended = JobState("exited", -9 if force else 130)

    def close(self) -> None:
        """Cancel what still runs."""
        for handle in list(self._jobs):
            self.cancel(handle, force=True)


def succeed(spec: JobSpec) -> Outcome:
    """An outcome without any outputs."""
    return Outcome(stage=spec.stage, attempt=spec.attempt, token=spec.token, status="succeeded")
