"""The parts of a sweep that need no kernel: one machine for many runs, what a run logs, who may work on a sweep."""

from __future__ import annotations

import select
import socket
import threading
import time
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from nbpipe.errors import NbpipeError, StoreError, UsageError
from nbpipe.executors.base import Capacity, Hearing, JobState
from nbpipe.executors.faulty import FaultyExecutor, Scripted
from nbpipe.metrics import log_metric
from nbpipe.model import Event, Failure, JobSpec
from nbpipe.run.journal import JOURNAL
from nbpipe.run.project import Project
from nbpipe.run.state import RunState
from nbpipe.sweep.attempt import judged
from nbpipe.sweep.goals import read_bounds, read_goals
from nbpipe.sweep.ledger import open_ledger, read_study, studies
from nbpipe.sweep.limits import Limits
from nbpipe.sweep.shared import SharedExecutor
from nbpipe.sweep.study import Trial
from nbpipe.sweep.watch import Watch
from nbpipe.tracking.spool import stage_environment


def job(token: str, *, cpus: float | None = None) -> JobSpec:
    return JobSpec(run="r1", stage="one", token=token, cwd=".", project=".", store=".", cells=(), cpus=cpus)


def shared(polls: int, cpus: int) -> tuple[SharedExecutor, FaultyExecutor]:
    inner = FaultyExecutor({"one": [Scripted(polls=polls)]}, size=Capacity(cpus=cpus))
    return SharedExecutor(inner), inner


def test_jobs_of_all_runs_together_take_no_more_than_the_machine_has(tmp_path: Path) -> None:
    executor, inner = shared(polls=1, cpus=2)
    for token in "abc":
        executor.submit(tmp_path, job(token))
    assert [spec.token for spec in inner.submitted] == ["a", "b"]
    assert executor.poll("c") == JobState("running", begun=False), "its time has not begun"
    while executor.poll("a").state == "running":
        pass
    assert [spec.token for spec in inner.submitted] == ["a", "b", "c"]
    assert executor.poll("c").begun


def test_a_job_that_wants_much_is_not_overtaken(tmp_path: Path) -> None:
    executor, inner = shared(polls=3, cpus=4)
    for token, cpus in (("a", 2), ("all", 4), ("small", 1)):
        executor.submit(tmp_path, job(token, cpus=cpus))
    assert [spec.token for spec in inner.submitted] == ["a"]


def test_a_job_that_is_cancelled_while_it_waits_never_starts(tmp_path: Path) -> None:
    executor, inner = shared(polls=1, cpus=1)
    executor.submit(tmp_path, job("a"))
    executor.submit(tmp_path, job("b"))
    executor.cancel("b")
    assert executor.poll("b").state == "exited"
    while executor.poll("a").state == "running":
        pass
    executor.poll("b")
    assert [spec.token for spec in inner.submitted] == ["a"]


class Speaking(FaultyExecutor):
    """Jobs end when somebody says so, through a socket, as a fork server does; notes what is expected."""

    def __init__(self) -> None:
        super().__init__({"one": [Scripted(polls=1 << 30)]}, size=Capacity(cpus=8))
        self.says, self._hears = socket.socketpair()
        self.channels = [self._hears]
        self.over = ""
        self.kernels: list[tuple[int, str]] = []

    def expect(self, jobs: int, cwd: str) -> None:
        self.kernels.append((jobs, cwd))

    def wait(self, seconds: float) -> None:
        if select.select(self.channels, [], [], seconds)[0]:
            self.over += self._hears.recv(65536).decode()

    def poll(self, handle: str) -> JobState:
        self.wait(0)
        return JobState("exited", 0) if f"{handle} " in self.over else super().poll(handle)

    def close(self) -> None:
        self.says.close()
        self._hears.close()


def test_every_run_that_waits_hears_of_the_end_of_its_jobs_whoever_took_the_message(tmp_path: Path) -> None:
    inner = Speaking()
    executor = SharedExecutor(inner)
    assert isinstance(executor, Hearing)

    def run(name: str) -> None:
        for number in range(50):
            handle = executor.submit(tmp_path, job(f"{name}{number}"))
            inner.says.sendall(f"{handle} ".encode())
            while executor.poll(handle).state == "running":
                executor.wait(60)

    threads = [threading.Thread(target=run, args=(name,), daemon=True) for name in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [thread.is_alive() for thread in threads] == [False] * 6, "who was not told would wait for a minute"
    executor.close()


def test_a_wait_in_which_nothing_ends_is_no_longer_than_asked_for(tmp_path: Path) -> None:
    executor, _ = shared(polls=1 << 30, cpus=1)
    executor.submit(tmp_path, job("a"))
    executor.wait(0.01)
    assert executor.poll("a").state == "running"


def test_kernels_wait_for_the_jobs_of_all_runs_and_of_those_to_come() -> None:
    inner = Speaking()
    executor = SharedExecutor(inner, jobs=4)
    executor.to_come = 1
    executor.expect(1, "/n")
    ends = threading.Event()

    def run() -> None:
        executor.expect(1, "/n")
        ends.wait(60)
        executor.ended()

    other = threading.Thread(target=run)
    other.start()
    while len(inner.kernels) < 2:
        time.sleep(0.001)
    executor.expect(7, "/n")
    executor.to_come = 0
    executor.expect(0, "/n")
    ends.set()
    other.join()
    executor.expect(1, "/n")
    assert inner.kernels == [(2, "/n"), (3, "/n"), (4, "/n"), (1, "/n"), (1, "/n")]
    executor.close()


def test_runs_share_the_executor_of_another_machine_and_end_their_own_jobs_only(tmp_path: Path) -> None:
    class Compared(FaultyExecutor):
        unlike = ""

        def submit(self, job_dir: Path, spec: JobSpec) -> str:
            reasons.append(self.unlike)
            return super().submit(job_dir, spec)

    executor, _ = shared(polls=1, cpus=1)
    other, reasons = Compared({"one": [Scripted(polls=99)]}), list[str]()
    first = cast("Any", executor.lend("gpu", lambda: other))
    second = cast("Any", executor.lend("gpu", FaultyExecutor))
    first.unlike, second.unlike = "not compared", ""
    first.submit(tmp_path, job("a"))
    second.submit(tmp_path, job("b"))
    assert (reasons, [spec.token for spec in other.submitted]) == (["not compared", ""], ["a", "b"])
    first.close()
    assert other.cancelled == ["a"]
    assert second.poll("b").state == "running"


def logged(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Watch:
    """A run's folder with one stage that logs into the spool of its job, and who watches it."""
    for name, value in stage_environment(folder / "jobs" / "train.1").items():
        monkeypatch.setenv(name, value)
    watch = Watch("acc", clock=iter(range(100)).__next__)
    watch.folder = folder
    watch.hear(Event(seq=1, time=0.0, kind="stage-started", stage="train", attempt=1))
    return watch


def test_what_a_stage_logs_is_seen_while_it_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    watch = logged(monkeypatch, tmp_path)
    assert watch.news() == {}
    log_metric("acc", 0.25, step=3)
    log_metric("acc", float("nan"), step=4)
    log_metric("val/loss", 9.0)
    assert watch.news() == {3: 0.25}
    log_metric("acc", 0.5, step=5)
    assert watch.news() == {5: 0.5}
    assert watch.steps == {3: 0.25, 5: 0.5}


def test_what_came_with_the_end_of_a_stage_is_news_as_well(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    watch = logged(monkeypatch, tmp_path)
    log_metric("acc", 0.25, step=3)
    watch.hear(Event(seq=2, time=0.0, kind="stage-succeeded", stage="train", attempt=1))
    assert watch.news() == {3: 0.25}
    assert watch.news() == {}


def test_a_metric_without_steps_is_counted_as_it_comes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    watch = logged(monkeypatch, tmp_path)
    for value in (0.1, 0.2, 0.3):
        log_metric("acc", value)
    assert watch.news() == {0: 0.1, 1: 0.2, 2: 0.3}


@pytest.mark.parametrize("name", ["../up", "/etc/x", "a//b", "a/../b", "", "x" * 300, "a\nb"])
def test_the_name_of_a_metric_is_never_a_way_out_of_its_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    logged(monkeypatch, tmp_path)
    with pytest.raises(ValueError, match="name of a metric"):
        log_metric(name, 1.0)


def test_outside_a_stage_a_metric_goes_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://example.org")
    log_metric("acc", 1.0)


def test_two_processes_never_work_on_one_sweep_and_names_are_given_once(tmp_path: Path) -> None:
    project = Project(tmp_path)
    held = open_ledger(project, None)
    assert held.name == "s1"
    with pytest.raises(UsageError, match="another process works on the sweep 's1'"):
        open_ledger(project, "s1")
    held.close()
    open_ledger(project, "s1").close()
    other = open_ledger(project, None)
    other.close()
    assert other.name == "s2"


_BEGUN = b'{"seq":1,"time":1.0,"kind":"sweep-started","data":{"trials":2,"spec":{"notebook":"n.ipynb","goals":[]}}}\n'
_ASKED = b'{"seq":2,"time":1.0,"kind":"trial-asked","data":{"number":1,"params":{"lr":1.0}}}\n'


@pytest.mark.parametrize(
    ("journal", "said"),
    [
        (_BEGUN + b"no event\n" + _ASKED, "cannot be read from line 2 of 3"),
        (_ASKED + _BEGUN, "cannot be read from line 1 of 2"),
        (_BEGUN.replace(b"goals", b"aims"), "says what no sweep does"),
        (_BEGUN + _ASKED.replace(b"number", b"no"), "says what no sweep does"),
    ],
)
def test_a_damaged_journal_is_said_and_left_as_it_is_and_other_sweeps_are_none_the_worse(
    tmp_path: Path, journal: bytes, said: str
) -> None:
    project = Project(tmp_path)
    for name, text in (("good", _BEGUN + _ASKED), ("bad", journal)):
        open_ledger(project, name).close()
        (project.state / f"sweeps/{name}/{JOURNAL}").write_bytes(text)
    with pytest.raises(StoreError, match=said):
        open_ledger(project, "bad").study()
    assert (project.state / "sweeps/bad" / JOURNAL).read_bytes() == journal
    assert "good" in [study.name for study in studies(project)]
    assert len(read_study(project, "good").trials) == 1


@pytest.mark.parametrize("name", ["../x", "-rf", "", "S1", "a" * 64])
def test_a_hostile_name_is_no_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="name of a sweep"):
        open_ledger(Project(tmp_path), name)
    with pytest.raises(NbpipeError):
        read_study(Project(tmp_path), name)


def test_no_trial_begins_when_the_time_is_over() -> None:
    now = [0.0]
    limits = Limits(trials=3, timeout=10.0, clock=lambda: now[0])
    limits.begin()
    assert limits.allows(3)
    assert not limits.allows(4)
    now[0] = 10.0
    assert not limits.allows(3)


def run_state(status: str, **metrics: float) -> RunState:
    from nbpipe.run.state import StageState

    failure = Failure(code="rejected", message="acc is too low") if status != "succeeded" else None
    return RunState(status=status, stages=(StageState(name="train", metrics=metrics),), failure=failure)  # type: ignore[arg-type]


def test_how_a_run_ended_decides_how_its_trial_did() -> None:
    goals, bounds = read_goals(["acc:max"]), read_bounds(["size < 10"])

    def end(status: str, **metrics: float) -> Trial:
        return judged(Trial(number=1), run_state(status, **metrics), goals, bounds)

    good = end("succeeded", acc=0.9, size=5.0)
    assert (good.status, good.values, good.is_feasible) == ("complete", (0.9,), True)
    large = end("succeeded", acc=0.9, size=12.0)
    assert (large.status, large.violations, large.is_feasible) == ("complete", (2.0,), False)
    assert end("succeeded", acc=0.9).reason == "it gave no metric 'size'"
    nan = end("succeeded", acc=float("nan"), size=1.0)
    assert (nan.status, nan.reason) == ("failed", "its metric 'acc' is nan")
    said = ("metric 'size' of another kind", "stage 'train': metric 'acc' is inf at the end of the stage: left out")
    told = judged(
        Trial(number=1), msgspec.structs.replace(run_state("succeeded", size=1.0), warnings=said), goals, bounds
    )
    assert told.reason == said[1]
    rejected = end("rejected", acc=0.9, size=5.0)
    assert (rejected.status, rejected.reason, rejected.is_feasible) == ("rejected", "acc is too low", False)
    assert rejected.violations == (-5.0, 1.0), "the sampler learns that a check said no"
    assert end("rejected").values == ()
    assert end("failed", acc=0.9, size=5.0).values == (), "no result of a failed run counts"
