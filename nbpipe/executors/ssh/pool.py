"""Several machines that ssh reaches, as one target: each job runs on one of them, where there is room."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from nbpipe.errors import TargetError
from nbpipe.executors.base import Capacity, JobState
from nbpipe.executors.ssh.executor import SshExecutor
from nbpipe.executors.ssh.logs import CopiedLog
from nbpipe.job.folder import LOG, VERDICT
from nbpipe.model import JobSpec
from nbpipe.targets.settings import Target

Found = TypeVar("Found")

#: Seconds for which a host that did not answer is not asked again whether it has room.
_AWAY = 60.0


@dataclass(frozen=True, slots=True)
class _Placed:
    """A job, its folder here, and the host that has it."""

    on: SshExecutor
    folder: Path
    spec: JobSpec

    @property
    def cpus(self) -> float:
        """What it has or will have of its host."""
        return self.spec.cpus or 1.0

    @property
    def gpus(self) -> float:
        """The same of its GPUs."""
        return self.spec.gpus or 0.0


class PoolExecutor:
    """Gives each job to a host of `target`: to the one that has it already, or its checkpoints, else to the one with most room.

    Responsibilities: a GPU goes to one job, whoever started it and from wherever; the hosts' own locks say which are
    free. A host that does not answer gets no jobs, nor one that cannot install the packages, and one whose packages were
    not compared with those of here gets none later. Must not look into a job.
    """

    def __init__(self, target: Target, *, here: Callable[[str], str], keep_warm: float = 0.0) -> None:
        self.target = target
        self._hosts = [SshExecutor(member, here=here, keep_warm=keep_warm) for member in target.members]
        self._placed: dict[str, _Placed] = {}
        self._cancelled: set[str] = set()
        #: Host -> until when it is not asked, as it did not answer.
        self._away: dict[SshExecutor, float] = {}

    @property
    def unlike(self) -> str:
        """Why results are never reused; empty where they are."""
        return self._hosts[0].unlike

    @unlike.setter
    def unlike(self, why: str) -> None:
        for host in self._hosts:
            host.unlike = why

    @property
    def capacity(self) -> Capacity:
        """What the hosts that answer have together. Raises TargetError if none does."""
        given = list(self._answers(lambda host: host.capacity).values())
        memory = [one.memory for one in given]
        return Capacity(
            cpus=sum(one.cpus for one in given),
            gpus=sum(one.gpus for one in given),
            memory=sum(size for size in memory if size is not None) if None not in memory else None,
        )

    def each(self, distributions: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
        """Host -> what it is and has, of those that answer: only they get jobs. Raises TargetError if none does."""
        found = self._answers(lambda host: host.facts(distributions))
        self._keep(found)
        return {host.target.host: facts for host, facts in found.items()}

    def try_store(self) -> dict[str, str]:
        """What was seen of the shared store, by host. Raises TargetError for the first that cannot use it."""
        return {place: said for host in self._hosts for place, said in host.try_store().items()}

    def round_trip(self) -> float:
        """Seconds that a question takes at most. Raises TargetError if none answers."""
        return max(self._answers(SshExecutor.round_trip).values())

    def _keep(self, hosts: Iterable[SshExecutor]) -> None:
        kept = list(hosts)
        for host in set(self._hosts) - set(kept):
            host.close()
        self._hosts = kept

    def build(self, distributions: Mapping[str, str]) -> None:
        """Begin to install these packages on every host; one that cannot gets no jobs. Raises TargetError if none can."""
        self._keep(self._answers(lambda host: host.build(distributions)))

    def refresh(self) -> None:
        """Find out anew what each host has where packages may have changed. Raises TargetError if none answers."""
        self._answers(SshExecutor.refresh)

    def release(self, job: str = "", host: str = "") -> list[str]:
        """End the kernel that this failed job left, on this host if that is known, or all that any has; which had.

        Raises TargetError where a host that may have one did not answer.
        """
        hosts = [one for one in self._hosts if one.target.host == host] if host else self._hosts
        if not hosts:
            raise TargetError(f"{host} does not answer, or is not of the target", name=self.target.name)
        found: list[str] = []
        errors: list[TargetError] = []
        for answer in self._asked(lambda one: one.release(job), hosts).values():
            if isinstance(answer, TargetError):
                errors.append(answer)
            else:
                found += answer
        if errors and not (job and found):
            raise errors[0]
        return found

    def start(self) -> None:
        """Begin to import on every host. Raises TargetError if none answers."""
        self._answers(SshExecutor.start)

    def _answers(
        self, ask: Callable[[SshExecutor], Found], hosts: Sequence[SshExecutor] | None = None
    ) -> dict[SshExecutor, Found]:
        """What each host says, asked at once; the error of the first where none says anything."""
        said = self._asked(ask, self._hosts if hosts is None else hosts)
        found = {host: answer for host, answer in said.items() if not isinstance(answer, TargetError)}
        for answer in said.values():
            if isinstance(answer, TargetError) and not found:
                raise answer
        return found

    def _asked(
        self, ask: Callable[[SshExecutor], Found], hosts: Sequence[SshExecutor]
    ) -> dict[SshExecutor, Found | TargetError]:
        """What each host says, asked at once, or why it says nothing."""

        def one(host: SshExecutor) -> Found | TargetError:
            try:
                return ask(host)
            except TargetError as error:
                return error

        with ThreadPoolExecutor(max(len(hosts), 1)) as asking:
            return dict(zip(hosts, asking.map(one, hosts), strict=True))

    def submit(self, job_dir: Path, spec: JobSpec) -> str:
        """Start the job on a host, or attach to it where it runs already; the same token gives the same handle."""
        if spec.token not in self._placed:
            self._place(job_dir, spec)
        return spec.token

    def _place(self, job_dir: Path, spec: JobSpec) -> None:
        host = self._choose(spec)
        self._placed[spec.token] = _Placed(host, job_dir, spec)
        CopiedLog(job_dir / LOG).note(f"{self.target.name}: on {host.target.host}")
        host.submit(job_dir, spec)

    def _choose(self, spec: JobSpec) -> SshExecutor:
        rooms = self._rooms(spec)
        if not rooms:
            # None answers now: whichever it is given to waits for it as long as the target's patience says.
            return self._fit()[0]
        # What has begun holds its devices: they are not free there.
        promised = {
            host: [job for job in self._of(host) if not host.poll(job).begun and job not in room["begun"]]
            for host, room in rooms.items()
        }

        def merit(host: SshExecutor) -> tuple[bool, bool, bool, float, float]:
            room = rooms[host]
            gpus = room["free"] - sum(self._placed[job].gpus for job in promised[host])
            cpus = room["cpus"] - sum(self._placed[job].cpus for job in self._of(host))
            fits = gpus >= (spec.gpus or 0.0)
            return bool(room["found"]), bool(room["checkpoints"]), fits, gpus if spec.gpus else 0.0, cpus

        # The first of equals, so that what fits on one host leaves others whole.
        return max(rooms, key=merit)

    def _rooms(self, spec: JobSpec) -> dict[SshExecutor, dict[str, Any]]:
        """What the hosts that answer have left; one that does not is not waited for again at once."""
        now = time.monotonic()
        asked = [host for host in self._fit() if self._away.get(host, now) <= now]
        checkpoints = Path(spec.checkpoints).name if spec.checkpoints else ""
        try:
            token = spec.continues.rpartition("-")[0] or spec.token
            found = self._answers(
                lambda host: host.room(token, checkpoints, gpus=spec.gpus or 0.0, mine=self._of(host)), asked
            )
        except TargetError:
            found = {}
        self._away |= {host: now + _AWAY for host in asked if host not in found}
        return found

    def _fit(self) -> list[SshExecutor]:
        """Hosts that have the packages, or may still get them; all where none does, so that a job says why."""
        return [host for host in self._hosts if not host.unfit] or self._hosts

    def _of(self, host: SshExecutor) -> list[str]:
        """Jobs of this run that the host has and that have not ended."""
        mine = [token for token, placed in self._placed.items() if placed.on is host]
        return [token for token in mine if host.poll(token).state == "running"]

    def poll(self, handle: str) -> JobState:
        """How it is. A job that its host could not install packages for is given to another one."""
        placed = self._placed.get(handle)
        if placed is None:
            return JobState("lost")
        again = placed.on.unfit and placed.on.unbuilt(handle) and handle not in self._cancelled
        if again and not all(host.unfit for host in self._hosts):
            (placed.folder / VERDICT).unlink(missing_ok=True)
            self._place(placed.folder, placed.spec)
        return self._placed[handle].on.poll(handle)

    def cancel(self, handle: str, *, force: bool = False) -> None:
        """Stop it and all it started; one that an earlier client started is looked for on every host, and killed."""
        placed = self._placed.get(handle)
        self._cancelled.add(handle)
        for host in [placed.on] if placed is not None else self._hosts:
            host.cancel(handle, force=force)

    def close(self) -> None:
        """Stop everything that still runs, everywhere, and hang up."""
        with contextlib.ExitStack() as closing:
            for host in self._hosts:
                closing.callback(host.close)
