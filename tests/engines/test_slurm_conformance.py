"""The slurm target does what every executor does, and what only a scheduler with nodes that get lost can ask of it."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conformance import *  # noqa: F403 - the suite
from engines import written
from executing import WITH_CHILD, Ground, Job, gone, left_by, pids
from places import *  # noqa: F403 - its fixtures
from places import Place, place_with
from runs import Site
from slurmd import Slurm, install, running_slurm
from sshd import install as install_sshd
from sshd import running_sshd
from through import *  # noqa: F403 - what a shared store is tried with
from through import Through, through_folder

from nbpipe.errors import TargetError
from nbpipe.executors.base import JobState
from nbpipe.executors.ssh.executor import SshExecutor
from nbpipe.executors.ssh.there import slurm as there
from nbpipe.store import open_store

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    install()
    with running_slurm(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture(scope="module")
def place(slurm: Slurm) -> Iterator[Place]:
    given = {name: slurm.environment[name] for name in ("SLURM_CONF", "PATH")}
    with place_with(slurm.target(sys.executable), given) as made:
        yield made


@pytest.fixture
def through(tmp_path: Path, slurm: Slurm, place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Through]:
    del place  # its commands are found by its environment
    with through_folder(tmp_path, partial(slurm.target, sys.executable), monkeypatch) as made:
        yield made


def test_a_job_whose_node_is_lost_starts_again_on_another_and_what_the_lost_one_gives_does_not_count(
    ground: Ground, slurm: Slurm
) -> None:
    go = ground.bench.root
    job = ground.submit(
        "import os, time\nnode = os.environ['SLURMD_NODENAME']\nprint('begins on', node, flush=True)\n"
        f"while not os.path.exists('{go}/' + node):\n    time.sleep(0.05)\n"
        "open('model.txt', 'w').write(node)\nprint('done', node)",
        outputs=("node",),
    )
    # Slurm's own word, that it starts there, comes earlier.
    job.await_log("begins on n1")
    late = next((slurm.root / "shared" / "work").glob(f"{job.spec.token}-0/0"))
    slurm.lose("n1")
    try:
        job.await_log("begins on n2")
        (go / "n1").touch()
        until = time.monotonic() + 30
        while not (late / "rc.json").exists():
            assert time.monotonic() < until, "the process of the lost node did not go on"
            time.sleep(0.05)
        assert job.executor.poll(job.handle) == JobState("running")
        (go / "n2").touch()
        assert job.wait() == JobState("exited", 0)
    finally:
        slurm.find("n1")
    assert ground.bench.load(job.outcome.outputs) == {"node": "n2"}
    written = open_store(job.spec.store).objects.get_bytes(job.outcome.files_written[0].object)
    assert written == b"n2"
    assert "started the job again" in job.log
    assert "done n1" not in job.log


def test_a_job_waits_for_a_gpu_says_so_and_leaves_the_queue_when_it_is_cancelled(ground: Ground, slurm: Slurm) -> None:
    hold = [ground.submit("import time\nprint('up', flush=True)\ntime.sleep(60)", gpus=2.0) for _ in range(2)]
    for job in hold:
        job.await_log("up")
    waits = ground.submit("print('ran')", gpus=1.0, timeout=1.0)
    waits.await_log("in Slurm's queue")
    assert waits.executor.poll(waits.handle) == JobState("running", begun=False)
    waits.executor.cancel(waits.handle)
    assert waits.wait(10).returncode == 130
    assert waits.spec.token not in slurm.call("squeue", "--noheader", "--format=%j")
    for job in hold:
        job.executor.cancel(job.handle, force=True)
        job.wait(10)
    slurm.await_text("CANCELLED", lambda: slurm.call("sacct", "-n", "-P", "-X", "--format=State,JobName"))


def test_a_job_that_slurm_ends_is_lost_and_the_reason_is_slurms(ground: Ground, slurm: Slurm) -> None:
    job = ground.submit(WITH_CHILD)
    found = pids(job)
    number = slurm.call("squeue", "--noheader", "--format=%A", f"--name=nbpipe-{job.spec.token}-0").strip()
    slurm.call("scancel", "--signal=KILL", "--full", number)
    slurm.call("scancel", number)
    assert job.wait(40).returncode == 4
    assert job.outcome.status == "lost"
    assert job.outcome.failure is not None
    assert "Slurm says" in job.outcome.failure.message
    assert [pid for pid in found if not gone(pid)] == []


def test_a_job_that_slurm_has_forgotten_is_lost_though_no_accounting_says_how_it_ended(
    ground: Ground, slurm: Slurm, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = SshExecutor(slurm.target(sys.executable), here=place.digest)
    job = ground.submit_to(first, WITH_CHILD)
    found = pids(job)
    (number,) = _numbers(slurm, [job])
    first._link.close()
    slurm.call("scancel", "--signal=KILL", "--full", number)
    slurm.call("scancel", number)
    assert [pid for pid in found if not gone(pid)] == []
    config = slurm.root / "slurm.conf"
    kept = config.read_text()
    (slurm.root / "none.conf").write_text(kept.replace("accounting_storage/slurmdbd", "accounting_storage/none"))
    config.write_text(kept.replace("MinJobAge=300", "MinJobAge=2"))
    try:
        slurm.call("scontrol", "reconfigure")
        # It looks what it may forget once a minute.
        slurm.await_text("Invalid job id", lambda: slurm.call("squeue", "--states=all", f"--jobs={number}"), 150)
    finally:
        config.write_text(kept)
        slurm.call("scontrol", "reconfigure")
    monkeypatch.setenv("SLURM_CONF", str(slurm.root / "none.conf"))
    second = SshExecutor(slurm.target(sys.executable), here=place.digest)
    again = Job(second, job.folder, job.spec, second.submit(job.folder, job.spec))
    assert again.wait(60).returncode == 4
    assert again.outcome.status == "lost"
    assert again.outcome.failure is not None
    assert f"Slurm does not know job {number} any more, and sacct says" in again.outcome.failure.message
    second.close()


def _numbers(slurm: Slurm, jobs: list[Job]) -> list[str]:
    """What Slurm calls these jobs: `123`, or `123_4` of an array."""
    works = [slurm.root / "shared" / "work" / f"{job.spec.token}-0" / "batch.json" for job in jobs]
    until = time.monotonic() + 60
    while not all(work.exists() for work in works):
        assert time.monotonic() < until, [job.log for job in jobs]
        time.sleep(0.05)
    return [json.loads(work.read_text())["id"] for work in works]


@pytest.fixture
def slow(slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`sbatch` takes as long as on a busy cluster; each call is a line of this file."""
    real, calls = shutil.which("sbatch"), tmp_path / "calls"
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "sbatch"
    script.write_text(f'#!/bin/sh\necho "$*" >> {calls}\nsleep 2\nexec {real} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    return calls


def test_jobs_that_are_alike_and_ready_at_once_are_an_array_and_each_ends_for_itself(
    ground: Ground, slurm: Slurm, place: Place, slow: Path
) -> None:
    executor = SshExecutor(slurm.target(sys.executable), here=place.digest)
    go = ground.bench.root / "go"
    code = (
        "import os, time\nprint('begins', flush=True)\n"
        f"while not os.path.exists('{go}'):\n    time.sleep(0.05)\n"
        "assert NUMBER != 3, 'the third'\n"
        "x, array = NUMBER * NUMBER, [name for name in os.environ if name.startswith('SLURM_ARRAY')]"
    )
    executor.facts()  # asks `sbatch` whether it would take a job
    slow.unlink()
    outputs = ("x", "array")
    jobs = [
        ground.submit_to(executor, code.replace("NUMBER", str(n)), outputs=outputs, timeout=120.0) for n in range(8)
    ]
    numbers = _numbers(slurm, jobs)
    calls = slow.read_text().splitlines()
    assert 1 <= len(calls) <= 3, calls
    assert sum("--array=" in call for call in calls) == len(
        {number.partition("_")[0] for number in numbers if "_" in number}
    )
    assert sum("_" in number for number in numbers) >= 6
    cancelled = next(
        job for job, number in zip(jobs[4:], numbers[4:], strict=True) if number.endswith("_2") or "_" in number
    )
    cancelled.await_log("begins")
    executor.cancel(cancelled.handle)
    assert cancelled.wait(30).returncode not in (0, 1)
    go.touch()
    for n, job in enumerate(jobs):
        if job is cancelled:
            continue
        assert job.wait(60) == JobState("exited", 1 if n == 3 else 0), job.log
        if n != 3:
            # Whether it was one of an array changes nothing that its code sees.
            assert ground.bench.load(job.outcome.outputs) == {"x": n * n, "array": []}
    assert jobs[3].outcome.failure is not None
    assert "the third" in jobs[3].outcome.failure.message
    accounted = slurm.call(
        "sacct", "-n", "-P", "-X", "--format=JobID,State", "--jobs=" + ",".join(numbers)
    ).splitlines()
    assert {line.partition("|")[0] for line in accounted} == set(numbers)
    executor.close()
    assert not list((slurm.root / "shared" / "arrays").iterdir())


def test_an_array_whose_acknowledgement_is_lost_is_not_handed_in_again(
    ground: Ground, slurm: Slurm, place: Place, slow: Path
) -> None:
    script = slow.parent / "bin" / "sbatch"
    # As where the answer of an overloaded controller comes too late.
    lost = 'case "$*" in *--array=*) REAL > /dev/null; echo "sbatch: error: timed out" >&2; exit 1;; esac\nexec REAL\n'
    body, _, real = script.read_text().partition("exec ")
    script.write_text(body + lost.replace("REAL", real.strip()))
    executor = SshExecutor(slurm.target(sys.executable), here=place.digest)
    executor.facts()
    code = "open(r'ROOT/ran-NUMBER', 'a').write('x')\nimport time\ntime.sleep(3)\nx = NUMBER".replace(
        "ROOT", str(ground.bench.root)
    )
    jobs = [ground.submit_to(executor, code.replace("NUMBER", str(n)), outputs=("x",)) for n in range(5)]
    numbers = _numbers(slurm, jobs)
    element = next(index for index, number in enumerate(numbers) if "_" in number)
    # The client dies, and its agent before it has noted one of the numbers.
    executor._link.close()
    (slurm.root / "shared" / "work" / f"{jobs[element].spec.token}-0" / "batch.json").unlink()
    second = SshExecutor(slurm.target(sys.executable), here=place.digest)
    for n, job in enumerate(jobs):
        taken = Job(second, job.folder, job.spec, second.submit(job.folder, job.spec))
        assert taken.wait(60) == JobState("exited", 0), taken.log
        assert ground.bench.load(taken.outcome.outputs) == {"x": n}
        assert (ground.bench.root / f"ran-{n}").read_text() == "x"
    named = {number.partition("_")[0] for number in numbers}
    asked = slurm.call("squeue", "-h", "--states=all", "--format=%F %j").splitlines()
    assert {line.split()[0] for line in asked if any(job.spec.token in line for job in jobs)} <= named
    second.close()


def test_slurm_is_asked_for_all_jobs_at_once_and_its_accounting_for_those_that_it_forgot(
    slurm: Slurm, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, ask, forgets = [], there._call, False

    def counted(words: list[str], environment: Any = None) -> str:
        calls.append(words[0])
        if words[0] == "squeue" and forgets:
            raise RuntimeError("squeue says: Invalid job id specified")
        return ask(words, environment)

    monkeypatch.setattr(there, "_call", counted)
    scheduler = there.Scheduler({})
    works = [f"{slurm.root}/shared/none-{number}" for number in range(3)]
    shared = slurm.root / "shared" / "of-three"
    shared.mkdir()
    array = scheduler.submit_array("nbpipe-three", str(shared), works, {"cpus": 3.0}, set())
    numbers = [f"{array}_{index}" for index in range(3)]
    assert {scheduler.state(number)[0] for number in numbers} <= {"waiting", "running", "ended"}
    assert calls == ["sbatch", "squeue"]
    monkeypatch.setattr(there, "_PAUSE", 0.0)
    until = time.monotonic() + 60
    while {scheduler.state(number)[0] for number in numbers} != {"ended"}:
        assert time.monotonic() < until
        time.sleep(0.1)
    # Their folders are not there, each for itself.
    assert all(f"FAILED of job {number} on n" in scheduler.state(number)[1] for number in numbers)
    assert scheduler.find("nbpipe-three") == array
    forgets = True
    slurm.await_text(f"{numbers[2]}|FAILED", lambda: slurm.call("sacct", "-n", "-P", "-X", "--format=JobID,State"))
    assert all(f"FAILED of job {number} on n" in scheduler.state(number)[1] for number in numbers)


def test_the_trials_of_a_sweep_are_an_array(slurm: Slurm, place: Place, slow: Path, tmp_path: Path) -> None:
    site = written(tmp_path / "site", "%%params\nlr = 1", "%%stage train --metrics acc\nacc = lr * 2.0")
    target = f'kind = "slurm"\npython = "{sys.executable}"\nfolder = "{slurm.root}/shared"\n'
    (site.project / "nbpipe.toml").write_text("[targets.cluster]\n" + target)
    values = ",".join(map(str, range(1, 8)))
    words = ("sweep", "n.ipynb", "-p", f"lr={values}", "--metric", "acc:max", "--parallel", "6", "--on", "cluster")
    found = json.loads(site.nbpipe(*words, "--json").splitlines()[-1])
    assert sorted(trial["metrics"]["acc"] for trial in found["trials"]) == [2.0 * n for n in range(1, 8)]
    # Before each run Slurm is asked whether it would take a job; the first trial runs alone.
    calls = [call for call in slow.read_text().splitlines() if "--test-only" not in call]
    assert len(calls) <= 4, calls
    assert any("--array=" in call for call in calls)


def test_an_element_of_an_array_is_taken_up_by_another_client_and_requeued_alone(
    ground: Ground, slurm: Slurm, place: Place, slow: Path
) -> None:
    first = SshExecutor(slurm.target(sys.executable), here=place.digest)
    code = "import time\nprint('begins', flush=True)\ntime.sleep(4)\nx = 1"
    jobs = [ground.submit_to(first, code, outputs=("x",)) for _ in range(4)]
    numbers = _numbers(slurm, jobs)
    element = next(index for index, number in enumerate(numbers) if "_" in number)
    job, number = jobs[element], numbers[element]
    job.await_log("begins")
    first._link.close()
    second = SshExecutor(slurm.target(sys.executable), here=place.digest)
    again = Job(second, job.folder, job.spec, second.submit(job.folder, job.spec))
    again.await_log("attached")
    # Only this element starts again, under its own number.
    node = slurm.call("squeue", "--array", "-h", "-o", "%N", "--jobs=" + number).strip()
    slurm.call("scontrol", "requeue", number)
    slurm.await_text("PENDING", lambda: slurm.call("squeue", "--array", "-h", "-o", "%T", "--jobs=" + number))
    # It would wait for two minutes, within which the same node takes no job of this number.
    slurm.call("scontrol", "update", f"JobId={number}", "ExcNodeList=" + node, "StartTime=now")
    assert again.wait(120) == JobState("exited", 0), again.log
    assert "started the job again" in again.log
    assert ground.bench.load(again.outcome.outputs) == {"x": 1}
    others = [
        Job(second, job.folder, job.spec, second.submit(job.folder, job.spec)) for job in jobs if job is not again
    ]
    for other in others:
        assert other.wait(60) == JobState("exited", 0), other.log
    second.close()


def test_what_is_asked_for_is_asked_of_slurm(ground: Ground, slurm: Slurm, place: Place) -> None:
    target = slurm.target(sys.executable, constraint="n2", time=120.0, gpu_type="fake", env={"GREETING": "a 'b'"})
    executor = SshExecutor(target, here=lambda _: "")
    said = "import os\nprint(os.environ['SLURMD_NODENAME'], os.environ['SLURM_CPUS_ON_NODE'], os.environ['GREETING'])"
    job = ground.submit_to(executor, said, cpus=2.0, gpus=1.0)
    job.wait()
    assert ground.bench.printed() == "n2 2 a 'b'\n"
    name = f"--name=nbpipe-{job.spec.token}-0"
    assert slurm.call("squeue", "--noheader", "--states=all", "--format=%l|%b", name).strip() == "2:00|gres:gpu:fake:1"
    executor.close()


@pytest.mark.parametrize(("wrong", "said"), [("partition", "no partition 'nowhere'"), ("constraint", "sbatch says")])
def test_what_slurm_would_refuse_is_said_before_a_run(slurm: Slurm, place: Place, wrong: str, said: str) -> None:
    executor = SshExecutor(slurm.target(sys.executable, **{wrong: "nowhere"}), here=lambda _: "")
    with pytest.raises(TargetError, match=said):
        executor.facts()
    executor.close()


def test_a_cluster_is_reached_over_ssh_and_another_client_takes_a_job_up(
    ground: Ground, slurm: Slurm, place: Place, tmp_path: Path
) -> None:
    install_sshd()
    with running_sshd(
        tmp_path / "sshd", f"SLURM_CONF={os.environ['SLURM_CONF']}", f"PATH={os.environ['PATH']}"
    ) as sshd:
        fields = {"host": "127.0.0.1", "port": sshd.port, "config": f"{sshd.root}/client", "patience": 20.0}
        target = slurm.target(sys.executable, **fields)
        first = SshExecutor(target, here=place.digest)
        assert first.facts()["nodes"] == 2
        code = "import time\nfor n in range(40):\n    print('step', n, flush=True)\n    time.sleep(0.1)\nx = b'y' * 2_000_000"
        job = ground.submit_to(first, code, outputs=("x",))
        job.await_log("step 2")
        first._link.close()
        second = SshExecutor(target, here=place.digest)
        again = Job(second, job.folder, job.spec, second.submit(job.folder, job.spec))
        assert again.wait() == JobState("exited", 0)
        assert len(ground.bench.load(again.outcome.outputs)["x"]) == 2_000_000
        assert "attached" in again.log
        second.close()


@pytest.fixture
def keeps(slurm: Slurm, place: Place) -> Iterator[SshExecutor]:
    """A target that keeps the kernels of failed stages."""
    made = SshExecutor(slurm.target(sys.executable, keep_failed=600.0), here=place.digest)
    yield made
    made.release()
    made.close()


def _accounted(slurm: Slurm, number: str) -> str:
    """The state that the accounting ends with. It hears of an end a while later, and maybe of the start after that."""
    name, state = "", ""
    until = time.monotonic() + 30
    while not name.startswith("nbpipe-") or state.startswith(("PENDING", "RUNNING", "COMPLETING")):
        assert time.monotonic() < until, (name, state)
        said = slurm.call("sacct", "-n", "-P", "-X", "--format=JobName,State", f"--jobs={number}").strip()
        name, _, state = said.partition("|")
    return state


def test_a_kernel_is_kept_in_its_allocation_and_goes_on_in_it(ground: Ground, slurm: Slurm, keeps: SshExecutor) -> None:
    left = left_by(ground, keeps, gpus=1.0)
    assert left.kept.gpus == ("0",)
    assert left.kept.memory > 10 << 20
    # The verdict is home, and the allocation is still held.
    assert slurm.call("squeue", "--noheader", "--format=%T %b", f"--jobs={left.number}").strip() == "RUNNING gres:gpu:1"
    assert keeps.facts()["kept"] == 1
    second = SshExecutor(keeps.target, here=lambda _: "")
    again, done = left.goes_on_twice(ground, second, gpus=1.0)
    assert _accounted(slurm, left.number) == "COMPLETED"
    asked = slurm.call("sacct", "-n", "-P", "-X", "-S", "now-1hours", "-E", "now+1hours", "--format=JobName")
    assert asked.count(left.job.spec.token) == 1
    assert again.spec.token not in asked
    assert done.spec.token not in asked
    assert not (slurm.root / "shared" / "work" / left.kept.job).exists()
    second.close()


def test_a_run_goes_on_in_its_allocation_where_it_is_asked_to(site: Site, slurm: Slurm, place: Place) -> None:
    (site.folder / "nbpipe.toml").write_text(
        f'[targets.cluster]\nkind = "slurm"\npython = "{sys.executable}"\nfolder = "{slurm.root}/shared"\nkeep_failed = "10m"\n'
    )
    cells = ("%%stage train --on cluster\nimport os\na = [1]", "%%stage train --metrics n\na.append(2)\nn = len(a) / ")
    site.write(cells[0], cells[1] + "0")
    failed = site.run()
    assert failed.code == 1, failed.err
    assert "cluster keeps the kernel (until " in failed.err
    assert "1 kernel of a failed stage is kept" in site.command("target", "doctor", "cluster").out
    numbers = slurm.call("squeue", "--noheader", "--states=RUNNING", "--format=%A").split()
    site.write(cells[0], cells[1] + "int(os.environ['SLURM_JOB_ID'])")
    done = site.run("--continue")
    assert done.code == 0, done.err
    assert done.json["metrics"] == {"n": 3 / int(numbers[0])}
    assert [stage["continued"] for stage in done.json["stages"]] == [["train"]]
    site.write(cells[0], cells[1] + "0")
    assert site.run().code == 1
    assert "cluster: ended 1 kernel" in site.command("target", "release", "cluster").out
    assert "cluster: no kernel is kept" in site.command("target", "release", "cluster").out


@pytest.mark.parametrize("ends", ["release", "scancel"])
def test_a_kept_kernel_ends_and_the_stage_begins_anew_and_says_why(
    ground: Ground, slurm: Slurm, place: Place, keeps: SshExecutor, ends: str
) -> None:
    left = left_by(ground, keeps)
    if ends == "release":
        assert keeps.release(left.kept.job) == [left.kept.job]
        assert keeps.release() == []
    else:
        slurm.call("scancel", left.number)
    why = "Slurm says CANCELLED" if ends == "scancel" else "the kernel was not kept so long"
    assert gone(left.pid, 20)
    assert _accounted(slurm, left.number).startswith("CANCELLED")
    other = SshExecutor(keeps.target, here=place.digest)
    assert other.facts()["kept"] == 0
    left.begins_anew(ground, other, f"begins at its first cell: {why}")
    other.close()


@pytest.mark.parametrize(("own", "limit"), [(0.0, "16:00"), (60.0, "1:00")])
def test_a_kernel_is_kept_no_longer_than_its_allocation_lasts(
    ground: Ground, slurm: Slurm, place: Place, own: float, limit: str
) -> None:
    executor = SshExecutor(slurm.target(sys.executable, keep_failed=600.0, time=own), here=place.digest)
    left = left_by(ground, executor, timeout=30.0)
    assert slurm.call("squeue", "--noheader", "--format=%l", f"--jobs={left.number}").strip() == limit
    # Twice the stage's own time, five minutes of ours, and those of the kernel.
    assert 0 < left.kept.until - time.time() < (own or 600)
    assert executor.release() == [left.kept.job]
    assert gone(left.pid, 20)
    executor.close()


def test_a_job_that_is_requeued_while_its_stage_goes_on_begins_anew_as_it_was_mended(
    ground: Ground, slurm: Slurm, keeps: SshExecutor
) -> None:
    left = left_by(ground, keeps)
    go = ground.bench.root / "go"
    wait = (
        "import time\nprint('restart', os.environ.get('SLURM_RESTART_COUNT', 0), flush=True)\n"
        f"while not os.path.exists({str(go)!r}):\n    time.sleep(0.05)\nb = [*a, 3]"
    )
    goes = left.go_on(ground, keeps, wait, outputs=("b",))
    goes.await_log("restart 0")
    slurm.call("scontrol", "requeue", left.number)
    assert gone(left.pid, 20)
    slurm.start_again(left.number)
    goes.await_log("restart 1")
    go.touch()
    assert goes.wait() == JobState("exited", 0), goes.log
    assert ground.bench.load(goes.outcome.outputs) == {"b": [1, 3]}
    assert goes.outcome.continued == ()
    assert "started the job again" in goes.log


def test_a_job_that_is_requeued_while_its_kernel_waits_runs_nothing_again(
    ground: Ground, slurm: Slurm, keeps: SshExecutor
) -> None:
    left = left_by(ground, keeps)
    slurm.call("scontrol", "requeue", left.number)
    assert gone(left.pid, 20)
    slurm.await_text("PENDING Reason=BeginTime", lambda: slurm.call("scontrol", "show", "job", left.number))
    left.begins_anew(ground, SshExecutor(keeps.target, here=lambda _: ""), "")
    # Whatever Slurm starts again finds nothing to do.
    assert left.number not in slurm.call("squeue", "--noheader", "--states=RUNNING,PENDING", "--format=%A").split()


_TOGETHER = """import os
import torch
import torch.distributed as dist
dist.init_process_group("gloo")
mine = torch.tensor([10.0 ** int(os.environ["RANK"])])
dist.all_reduce(mine)
total, node = float(mine), os.environ["SLURMD_NODENAME"]
where = " ".join(os.environ[name] for name in ("RANK", "LOCAL_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"))
print("dev=" + os.environ.get("CUDA_VISIBLE_DEVICES", ""), where, "on", node, flush=True)
dist.barrier()
dist.destroy_process_group()
"""


def test_processes_on_two_nodes_compute_together_and_one_that_fails_ends_all(
    ground: Ground, slurm: Slurm, place: Place
) -> None:
    # All of it on the loopback: the two nodes are one machine.
    env = {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}
    executor = SshExecutor(slurm.target(sys.executable, env=env), here=place.digest)
    job = ground.submit_to(executor, _TOGETHER, nodes=2, nproc=2, gpus=1.0, outputs=("total", "node"))
    assert job.wait(120) == JobState("exited", 0), job.log
    assert ground.bench.load(job.outcome.outputs) == {"total": 1111.0, "node": "n1"}
    printed = [ground.bench.printed(), *((job.folder / f"rank-{rank}.log").read_text() for rank in (1, 2, 3))]
    for rank, (text, node) in enumerate(zip(printed, ("n1", "n1", "n2", "n2"), strict=True)):
        assert f"dev=0 {rank} {rank % 2} {rank // 2} 4 2 on {node}" in text
    fails = "import os, time\nprint(f'pid={os.getpid()};', flush=True)\nif os.environ['RANK'] == '1':\n    1 / 0\ntime.sleep(90)"
    job = ground.submit_to(executor, fails, nodes=2, nproc=1)
    assert job.wait(60).returncode == 1
    assert job.outcome.failure is not None
    assert "rank 1: ZeroDivisionError" in job.outcome.failure.message
    job = ground.submit_to(
        executor, "import os, time\nprint(f'pid={os.getpid()};', flush=True)\ntime.sleep(90)", nodes=2, nproc=1
    )
    job.await_log("pid=")
    late = slurm.root / "shared" / "work" / f"{job.spec.token}-0" / "0" / "job" / "rank-1.log"
    until = time.monotonic() + 60
    while not late.exists() or ";" not in late.read_text():
        assert time.monotonic() < until
        time.sleep(0.05)
    found = [int(text.partition("pid=")[2].partition(";")[0]) for text in (job.log, late.read_text())]
    executor.cancel(job.handle)
    job.wait(20)
    assert [pid for pid in found if not gone(pid, 20)] == []
    executor.close()
