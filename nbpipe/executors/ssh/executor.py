"""Jobs on a machine that ssh reaches. Only ssh and rsync are used, so what `ssh HOST` can do, this can."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from nbpipe.errors import TargetError
from nbpipe.executors.base import Capacity, JobState
from nbpipe.executors.ssh.errand import Errand, Errands, gone
from nbpipe.executors.ssh.homecoming import SCRATCH, ours, take
from nbpipe.executors.ssh.link import Link, LinkDown
from nbpipe.executors.ssh.packages import Environment, packages_of
from nbpipe.executors.ssh.passing import Passing, tried
from nbpipe.executors.ssh.transfer import fetch_objects
from nbpipe.job.launch import HASH_SEED
from nbpipe.job.leftovers import remove_abandoned
from nbpipe.model import Artifact, JobSpec
from nbpipe.store import Store, open_store
from nbpipe.store.trust import Signer
from nbpipe.targets.settings import Target

#: Seconds that a target has to say what it has: on Kubernetes a pod has to come, for which a node may have to come.
_LOOKING = 600.0
#: Seconds that a host has to say whether it has room.
_ROOM = 10.0


class SshExecutor:
    """Runs each job on `target`, in a folder of its own there; a job outlives the connection and this process.

    `here` gives the digest of a path as it is on this machine. `unlike` says why results are never reused. A process that
    the next job can be forked from stays there for `keep_warm` seconds.
    """

    def __init__(self, target: Target, *, here: Callable[[str], str], unlike: str = "", keep_warm: float = 0.0) -> None:
        self.target = target
        self.unlike = unlike
        #: Bytes above which what jobs give stays there for now; None where all comes home.
        self.leave: int | None = None
        self._here = here
        self._link = Link(target, self._hear, keep_warm=keep_warm)
        self._errands: dict[str, Errand] = {}
        self._shared: dict[str, Errands] = {}
        self._facts: dict[str, Any] = {}
        self._environment: Environment | None = None

    @property
    def capacity(self) -> Capacity:
        """What can run at once, as configured or as found there. Raises TargetError if it cannot be reached."""
        target = self.target
        facts = self.facts()
        # A cluster's nodes together have more than any of them.
        slots = facts.get("slots") or {"cpus": facts["cpus"], "gpus": len(facts["devices"]), "memory": facts["memory"]}
        gpus = target.gpus if target.gpus is not None else float(slots["gpus"])
        return Capacity(cpus=target.cpus or slots["cpus"], gpus=gpus, memory=target.memory or slots.get("memory"))

    def facts(self, distributions: Sequence[str] = ()) -> dict[str, Any]:
        """What the machine is and has, versions of these distributions included. Raises TargetError."""
        if not self._facts or not set(distributions) <= set(self._facts["packages"]):
            try:
                self._link.connect()
                asked = sorted({"nbpipe", *distributions})
                given = {"gpus": self.target.gpus, "environment": self.target.env}
                found = self._link.call("facts", timeout=_LOOKING, distributions=asked, **given)
                self._facts = found
            except LinkDown as error:
                raise self._unreachable(error) from None
        return self._facts

    def refresh(self) -> None:
        """Find out anew what is there where packages may have changed since it was asked for. Raises TargetError.

        Pods are not looked into again: what they ran with stands in what they give.
        """
        if not self._facts:
            return
        try:
            self._link.connect()
            if self._link.call("stamp") in ("", self._facts["stamp"]):
                return
        except LinkDown as error:
            raise self._unreachable(error) from None
        # An agent has read the folders as it started, and a runner that waits may have imported what was there then.
        self._link.drop()
        self._facts = {}

    def round_trip(self) -> float:
        """Seconds that a question takes. Raises TargetError."""
        try:
            self._link.connect()
            took = []
            for _ in range(5):
                started = time.monotonic()
                self._link.call("ping")
                took.append(time.monotonic() - started)
        except LinkDown as error:
            raise self._unreachable(error) from None
        return min(took)

    def try_store(self) -> dict[str, str]:
        """What was seen of the shared store, by the machine's name; "" where only jobs can. Raises TargetError."""
        try:
            self._link.connect()
            return {self.target.place: tried(self._link)}
        except LinkDown as error:
            raise self._unreachable(error) from None

    def each(self, distributions: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
        """The facts, by the machine's name. Raises TargetError."""
        return {self.target.place: self.facts(distributions)}

    def room(self, token: str, checkpoints: str, *, gpus: float, mine: Sequence[str] = ()) -> dict[str, Any]:
        """`found`: an attempt that runs there; `checkpoints` of this name; GPUs that are `free` to one who asks for `gpus`; `cpus`.

        `begun`: those of the attempts `mine` that have GPUs there already.

        Raises TargetError.
        """
        try:
            self._link.connect()
            asked = {
                "token": token,
                "checkpoints": checkpoints,
                "devices": self.target.gpus,
                "gpus": gpus,
                "mine": mine,
            }
            found: dict[str, Any] = self._link.call("room", timeout=_ROOM, **asked)
        except LinkDown as error:
            raise self._unreachable(error) from None
        return {**found, "cpus": self.target.cpus or found["cpus"]}

    def build(self, distributions: Mapping[str, str]) -> None:
        """Begin to install these packages there, in an environment that jobs submitted from now on run in.

        It takes minutes the first time, and is looked up from then on; jobs wait for it once all they need is there.
        What failed before is tried again.
        Raises TargetError for what is known at once, such as that there is no uv.
        """
        packages = packages_of(distributions, self.target.store)
        known = self._environment
        if known is None or known.packages != packages or known.failure is not None:
            known = self._environment = Environment(self._link, packages)
        known.again()
        try:
            known.ask()
        except LinkDown as error:
            raise self._unreachable(error) from None

    @property
    def unfit(self) -> bool:
        """Whether the packages could not be installed there: jobs fail by that until `build` is asked for again."""
        return self._environment is not None and self._environment.failure is not None

    def unbuilt(self, handle: str) -> bool:
        """Whether the job ended without having begun, as the packages could not be installed."""
        errand = self._errands.get(handle)
        return errand is not None and errand.unbuilt and errand.state.state != "running"

    def release(self, job: str = "", host: str = "") -> list[str]:  # noqa: ARG002 - there is but one
        """End the kernel that this failed job left, or all that any has; which had. Raises TargetError."""
        try:
            self._link.connect()
            found: list[str] = self._link.call("release", job=job)
        except LinkDown as error:
            raise self._unreachable(error) from None
        return found

    def start(self) -> None:
        """Begin to import there, so that the first job starts at once. Raises TargetError."""
        if self._environment is not None and not self._environment.python:
            # Its first job asks, once it is built.
            return
        given = {**HASH_SEED, **self.target.env}
        try:
            self._link.connect()
            if self._environment is not None:
                self._environment.warm(given)
            else:
                self._link.call("warm", environment=given)
        except LinkDown as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: LinkDown) -> TargetError:
        host = self.target.host
        fix = f"Try it by hand: ssh {host}" if host else None
        return TargetError(f"{self.target.place} cannot be reached: {error}", name=self.target.name, fix=fix)

    def submit(self, job_dir: Path, spec: JobSpec) -> str:
        """Start the job, or attach to it if it runs there already; the same token gives the same handle."""
        if spec.token not in self._errands:
            errand = Errand(self._for(spec.store), job_dir.resolve(), spec, self._environment)
            self._errands[spec.token] = errand
            errand.start()
        return spec.token

    def _for(self, location: str) -> Errands:
        if location not in self._shared:
            # Values that a process was sending or fetching as it was killed may be large.
            remove_abandoned(SCRATCH)
            store = open_store(location)
            # The worker gets a key of its own: what it signs is believed of its stages only.
            key = worker_key(store, self.target.name, self.target.host)
            passing = Passing(self.target.store, store) if self.target.store else None
            self._shared[location] = Errands(self._link, store, key, self._here, passing=passing)
        # The packages are compared anew for each cell of a notebook: what is found holds for its own job only.
        return dataclasses.replace(self._shared[location], unlike=self.unlike, leave=self.leave)

    def holds(self, objects: Iterable[str]) -> bool:
        """Whether all these objects are there; they are kept from now on as if they were new. Raises TargetError."""
        try:
            self._link.connect()
            return not self._link.call("missing", objects=sorted(set(objects)))
        except LinkDown as error:
            raise self._unreachable(error) from None

    def bring(self, store: Store, artifacts: Mapping[str, Artifact], scratch: Path) -> dict[str, Artifact]:
        """Values that were left there, in `store` from now on. `scratch` is a folder for what is on its way.

        Raises TargetError, CorruptObject, SecurityError.
        """
        shared = self._for(store.location)
        for name, artifact in artifacts.items():
            if not self.holds(artifact.objects):
                raise gone(name, self.target.name)
        wanted = {digest for artifact in artifacts.values() for digest in artifact.objects}
        try:
            take(store, wanted, partial(fetch_objects, self._link), self.target.name, scratch)
        except LinkDown as error:
            raise self._unreachable(error) from None
        worker = Signer(shared.key.encode())
        return {name: ours(store, worker, artifact) for name, artifact in artifacts.items()}

    def stop_bringing(self) -> None:
        """End a `bring` that runs in another thread: it fails soon."""
        self._link.stop_transfers()

    def _hear(self, message: Mapping[str, Any]) -> None:
        # A job may be named by the token of an earlier attempt, whose kernel goes on: the latest hears of it.
        errand = next((one for one in reversed(self._errands.values()) if one.job == message.get("job")), None)
        if errand is not None:
            errand.hear(message)

    def poll(self, handle: str) -> JobState:
        """How it is, without waiting."""
        errand = self._errands.get(handle)
        return errand.state if errand is not None else JobState("lost")

    def cancel(self, handle: str, *, force: bool = False) -> None:
        """Stop it and all it started, there; `force` kills at once. A job that an earlier client started is killed."""
        errand = self._errands.get(handle)
        if errand is None:
            threading.Thread(target=self._stop_stray, args=(handle,), name="nbpipe-stray", daemon=True).start()
        elif errand.state.state == "running":
            errand.cancel(force=force)

    def _stop_stray(self, token: str) -> None:
        """As far as the machine can be reached: what is left ends by itself when nobody asks for it."""
        with contextlib.suppress(LinkDown, TargetError):
            self._link.connect()
            for job in self._link.call("find", token=token):
                self._link.call("cancel", job=job, force=True)
                self._link.call("drop", job=job)

    def close(self) -> None:
        """Stop everything that still runs and hang up."""
        running = [errand for errand in self._errands.values() if errand.state.state == "running"]
        for errand in running:
            errand.cancel(force=True)
        for errand in running:
            errand.join(3)
        self._link.close()


def worker_key(store: Store, target: str, host: str) -> str:
    """With what the worker on this host signs, for this store."""
    return store.signer.sign("worker", [target.encode(), host.encode()])
