"""A stage goes on in a kept kernel only where all up to the failed cell is the same; anything else is named."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jobs import Bench
from rig import Rig

from nbpipe.errors import TargetError
from nbpipe.executors.base import JobState
from nbpipe.executors.faulty import FaultyExecutor, Scripted
from nbpipe.executors.fleet import Fleet
from nbpipe.job.folder import KEPT, write_durably
from nbpipe.job.kept import Kept, mark
from nbpipe.model import Artifact, JobSpec
from nbpipe.plan.resolve import Wanted
from nbpipe.run import kept
from nbpipe.run.attempt import WANTED, Place
from nbpipe.run.files import Disk
from nbpipe.run.inflight import InFlight
from nbpipe.run.journal import Journal
from nbpipe.store.trust import Signer
from nbpipe.targets.settings import Target

_TARGET = Target(name="gpu", kind="ssh", host="gpu01", keep_failed=60.0)
_PARTS = {
    "code:1": "a",
    "code:2": "b",
    "~code:2": "cell 2",
    "param:lr": "0.1",
    "dist:numpy": "2",
    "option:metrics": "[]",
}
_LOOKED = {"data.csv": "d1", "/etc/hosts": "h1"}


class Case:
    """A stage of two cells that failed in its second, and what it is now."""

    def __init__(self, root: Path) -> None:
        self.bench = Bench(root)
        folder, self.spec = self.bench.write("x = 1", "1 / 0", params={"lr": 0.1}, env={"A": "1"})
        self.left = kept.Left(pipeline="n", stage="train", target="gpu", folder=str(folder))
        write_durably(folder / WANTED, msgspec.json.encode({"key": "k", "parts": _PARTS}))
        self.note()

    def note(self, **fields: Any) -> None:
        given = {"token": self.spec.token, "code": 1, "cell": 2, "index": 1, "until": time.time() + 60, "job": "t-0"}
        note = Kept(**{**given, "target": _TARGET.fingerprint, "looked": _LOOKED, **fields})
        write_durably(Path(self.left.folder) / KEPT, msgspec.json.encode(note))

    def differs(self, spec: JobSpec | None = None, *, target: Target = _TARGET, data: str = "d1", **parts: str) -> str:
        named = {label.replace("_", ":"): text for label, text in parts.items()}
        now = Wanted(stage="train", key="k2", parts={**_PARTS, **named})
        digests = {"data.csv": data, "/etc/hosts": "of here"}
        return kept.differs(self.left, spec or self.spec, now, target, digests.__getitem__)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_the_failed_cell_and_those_below_it_may_be_others(case: Case) -> None:
    assert case.differs() == ""
    mended = case.bench.spec(
        "x = 1", "y = 2", "z = 3", params={"lr": 0.1}, env={"A": "1"}, outputs=("y",), metrics=("z",)
    )
    assert case.differs(mended, code_2="c", code_3="d", option_metrics='["z"]') == ""


def test_anything_else_is_named(case: Case) -> None:
    assert case.differs(code_1="other") == "code:1 is not what it was"
    assert case.differs(param_lr="0.2") == "param:lr is not what it was"
    assert case.differs(dist_numpy="3") == "dist:numpy is not what it was"
    assert case.differs(module_helper="new") == "module:helper is not what it was"
    assert case.differs(data="d2") == "data.csv is not what it was"
    assert "settings" in case.differs(target=msgspec.structs.replace(_TARGET, env={"A": "2"}))
    assert case.differs(msgspec.structs.replace(case.spec, env={})) == "env is not what it was"
    assert "gone" in case.differs(msgspec.structs.replace(case.spec, cells=case.spec.cells[:1]))
    moved = tuple(msgspec.structs.replace(code, cell=code.cell + 1) for code in case.spec.cells)
    assert "moved" in case.differs(msgspec.structs.replace(case.spec, cells=moved))
    state = {"@random": Artifact(digest="r", format="json", type="x", objects=())}
    assert "state" in case.differs(msgspec.structs.replace(case.spec, ambient=state))
    case.note(until=time.time() - 1)
    assert "no longer" in case.differs()


def test_a_kernel_has_the_secrets_that_it_was_started_with(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    signer, other = Signer(b"key of a worker"), Signer(b"another key")
    given = {"ONE": "value-1", "TWO": "value-2"}
    spec = msgspec.structs.replace(case.spec, secrets=("ONE", "TWO"))
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    case.note(secrets=mark(given, given, signer))
    found = case.left.kept
    assert found is not None
    assert "value" not in found.secrets
    assert kept.other_secrets(found, spec, signer) == ""
    assert "secret" in kept.other_secrets(found, spec, other)
    monkeypatch.setenv("ONE", "value-2")
    monkeypatch.setenv("TWO", "value-1")
    assert "secret" in kept.other_secrets(found, spec, signer)
    monkeypatch.delenv("ONE")
    assert "secret" in kept.other_secrets(found, spec, signer)
    assert kept.other_secrets(Kept(token=case.spec.token, code=1, cell=2, index=1, until=0.0), case.spec, signer) == ""


def test_of_a_stage_and_target_the_latest_counts_until_it_is_forgotten(case: Case) -> None:
    project = case.bench.project
    assert not kept.any_left(project)
    assert kept.remember(project, case.left) is None
    assert kept.recall(project, "n", "train", "gpu") == case.left
    assert kept.recall(project, "n", "other", "gpu") is None
    assert kept.recall(project, "n", "train", "other") is None
    case.note(job="t-1")
    found = kept.recall(project, "n", "train", "gpu")
    assert found is not None
    assert found.job == "t-1"
    (Path(case.left.folder) / KEPT).unlink()
    assert kept.recall(project, "n", "train", "gpu") is None
    kept.forget(project, case.left)
    kept.forget(project, case.left)
    assert not kept.any_left(project)


def test_only_what_was_named_as_ended_is_forgotten(case: Case) -> None:
    project = case.bench.project
    kept.remember(project, case.left)
    kept.forget_all(project, "gpu", ["another-0"])
    assert kept.recall(project, "n", "train", "gpu") == case.left
    kept.forget_all(project, "gpu", ["t-0"])
    assert not kept.any_left(project)


def test_a_kernel_that_another_takes_the_place_of_is_named_and_only_ones_own_is_forgotten(case: Case) -> None:
    project = case.bench.project
    later = Case(project).left
    kept.remember(project, case.left)
    assert kept.remember(project, case.left) is None
    Case(project).note(job="t-1")
    assert kept.remember(project, later) == case.left
    kept.forget(project, case.left)
    assert kept.recall(project, "n", "train", "gpu") == later


def test_of_several_who_would_go_on_or_end_it_one_can(case: Case) -> None:
    project = case.bench.project
    kept.remember(project, case.left)
    took: list[str] = []

    def take(key: str) -> None:
        start.wait()
        took.extend([key] if kept.change(project, case.left, key) else [])

    keys = [f"k{number}" for number in range(8)]
    start = threading.Barrier(len(keys))
    threads = [threading.Thread(target=take, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = kept.recall(project, "n", "train", "gpu")
    assert found is not None
    assert took == [found.going]
    kept.forget_all(project, "gpu", ["t-0"])
    assert kept.recall(project, "n", "train", "gpu") == found


class Keeping(FaultyExecutor):
    """Jobs that fail and leave a kernel; `released` are those that were ended."""

    target = _TARGET

    def __init__(self) -> None:
        super().__init__({"train": [Scripted(state=JobState("exited", 1))]})
        self.released: list[str] = []
        self.away = False

    def release(self, job: str = "", host: str = "") -> list[str]:
        if self.away:
            raise TargetError(f"{host} cannot be reached", name="gpu")
        self.released.append(job)
        return [job]


class Trials:
    """Runs beside each other of one stage, with other parameters each."""

    def __init__(self, root: Path) -> None:
        self.rig = Rig(root, ("%%stage train --on gpu\nx = 1",))
        self.there = Keeping()
        self.pipeline = self.rig.pipeline()

    def started(self, run: str) -> InFlight:
        folder = self.rig.project.runs / run
        folder.mkdir(parents=True)
        place = Place(run=run, folder=folder, project=self.rig.root, cwd=self.rig.root, store=self.rig.store)
        disk = Disk(lambda _: "", self.rig.root, self.rig.store)
        given: Any = {"jobs": None, "attempts": {}, "expected": {}, "clock": time.monotonic}
        flight = InFlight(self.pipeline, place, Fleet({"gpu": self.there}), Journal(folder), disk, **given)
        key = (run * 64)[:64]
        wanted = Wanted(stage="train", key=key, parts={})
        lease = self.rig.store.leases.claim(key)
        flight.launch(self.pipeline.stages[0], wanted, lease=lease, reasons=(), champion={}, early=set())
        return flight

    def fails(self, flight: InFlight) -> None:
        """Its job ends, and leaves a kernel."""
        (attempt,) = flight.running.values()
        given: Any = {"token": attempt.spec.token, "code": 1, "cell": 2, "index": 1, "until": time.time() + 60}
        write_durably(attempt.folder / KEPT, msgspec.json.encode(Kept(job=attempt.folder.parts[-3], host="h", **given)))
        list(flight.ended())
        assert attempt.lease is not None
        attempt.lease.release()

    def noted(self) -> kept.Left:
        found = kept.recall(self.rig.root, self.pipeline.name, "train", "gpu")
        assert found is not None
        return found


def test_of_kernels_that_are_left_beside_each_other_all_but_the_last_are_ended(tmp_path: Path) -> None:
    trials = Trials(tmp_path)
    one, two, three = (trials.started(name) for name in ("a1", "b2", "c3"))
    trials.fails(one)
    assert trials.there.released == []
    trials.fails(two)
    assert trials.there.released == ["a1"]
    assert trials.noted().job == "b2"
    lease = trials.rig.store.leases.claim("e" * 64)
    assert lease is not None
    kept.change(trials.rig.root, trials.noted(), "e" * 64)
    trials.fails(three)
    assert trials.there.released == ["a1"]
    lease.release()


def test_a_kernel_that_could_not_be_ended_is_known_of_until_it_is(tmp_path: Path) -> None:
    trials = Trials(tmp_path)
    trials.fails(trials.started("a1"))
    trials.there.away = True
    two = trials.started("b2")
    assert (trials.noted().job, trials.noted().going) == ("a1", "")
    trials.there.away = False
    trials.fails(two)
    assert trials.there.released == ["a1"]
    trials.started("c3")
    assert trials.there.released == ["a1", "b2"]
    assert not kept.any_left(trials.rig.root)
