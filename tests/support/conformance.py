"""What every executor does, whatever is behind it. A test module takes all of it with `from conformance import *`.

The module gives a fixture `ground`, see `executing.Ground`. Jobs are real: each costs a kernel, so one job shows as much as
it can.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from executing import WITH_CHILD, Ground, gone, pids, signal_all

from nbpipe.executors.base import JobState
from nbpipe.job.folder import NOTEBOOK, read_verdict, write_spec
from nbpipe.store import open_store

_DEVICES = "import os\nd = os.environ.get('CUDA_VISIBLE_DEVICES', 'none')\nprint('dev=' + d + ';', flush=True)"


def test_it_says_how_much_fits_at_once(ground: Ground) -> None:
    capacity = ground.executor.capacity
    assert capacity.cpus > 0
    assert capacity.memory is None or capacity.memory > 0


def test_a_job_leaves_its_verdict_its_values_its_notebook_and_a_whole_log(ground: Ground) -> None:
    lines = 3000
    job = ground.run(
        f"for n in range({lines}):\n    print('line', n, 'ä€😀')\nx = {{'a': {{1, 2}}}}\ny = list(range(5))",
        outputs=("x", "y"),
    )
    assert ground.executor.poll(job.handle) == JobState("exited", 0)
    assert job.outcome.status == "succeeded"
    assert ground.bench.load(job.outcome.outputs) == {"x": {"a": {1, 2}}, "y": [0, 1, 2, 3, 4]}
    printed = ground.bench.printed()
    assert printed.split("\n")[: lines + 1] == [*(f"line {n} ä€😀" for n in range(lines)), ""]
    assert (job.folder / NOTEBOOK).is_file()
    objects = open_store(job.spec.store).objects
    objects.verify(job.outcome.executed)


def test_inputs_arrive_as_they_were_stored(ground: Ground) -> None:
    store = open_store(ground.bench.root / "store")
    given = store.save_values({"a": {"k": {1, 2}}, "b": b"x" * 200_000, "c": [1.5, None]}, stage="s")
    job = ground.run("total = (a, len(b), c)\na['k'].add(3)", inputs=given, outputs=("total",))
    assert ground.bench.load(job.outcome.outputs)["total"] == ({"k": {1, 2, 3}}, 200_000, [1.5, None])
    assert "a" in job.outcome.observed


def test_the_code_runs_in_the_folder_of_the_notebook_with_its_modules_and_files(ground: Ground) -> None:
    project = ground.bench.project
    (project / "below" / "data").mkdir(parents=True)
    (project / "below" / "helper.py").write_text("def double(x):\n    return 2 * x\n")
    (project / "below" / "data" / "in put.csv").write_text("21\n")
    job = ground.run(
        "from pathlib import Path\nimport helper\nx = helper.double(int(Path('data/in put.csv').read_text()))\n"
        "Path('out').mkdir()\nPath('out/result.txt').write_text(str(x))\n"
        "print('here', Path.cwd().name, Path('nothing.txt').exists(), sorted(p.name for p in Path('data').iterdir()))",
        cwd=str(project / "below"),
        outputs=("x",),
        ships=("below/helper.py", "below/data/in put.csv"),
    )
    assert ground.bench.load(job.outcome.outputs) == {"x": 42}
    assert "here below False ['in put.csv']" in ground.bench.printed()
    read = {state.path: state.digest for state in job.outcome.files_read}
    assert read["below/data/in put.csv"]
    assert read["below/nothing.txt"] == ""
    written = {state.path: state.object for state in job.outcome.files_written}
    assert open_store(job.spec.store).objects.get_bytes(written["below/out/result.txt"]) == b"42"


def test_a_failure_says_where_and_shows_the_users_own_traceback(ground: Ground) -> None:
    job = ground.run("def f(x):\n    return 1 / x", "f(0)", outputs=("y",))
    assert ground.executor.poll(job.handle) == JobState("exited", 1)
    failure = job.outcome.failure
    assert job.outcome.status == "failed"
    assert failure is not None
    assert (failure.code, failure.cell, failure.line) == ("user-code", 2, 2)
    assert "division by zero" in failure.message
    assert "return 1 / x" in failure.traceback


def test_a_job_that_ran_with_other_packages_than_its_key_names_says_so_where_it_ran(ground: Ground) -> None:
    job = ground.run("x = 1", outputs=("x",), distributions={"msgspec": "0.0.1"})
    assert job.outcome.status == "succeeded"
    assert any("it ran with msgspec" in reason for reason in job.outcome.uncacheable)


def test_a_check_that_does_not_hold_rejects(ground: Ground) -> None:
    job = ground.run("acc = 0.5\nassert acc > 0.9, 'too low'", kind="check", stage="good")
    assert ground.executor.poll(job.handle).returncode == 8
    assert job.outcome.status == "rejected"


def test_output_streams_while_the_job_runs_and_two_jobs_run_at_once(ground: Ground) -> None:
    first = ground.submit("import time\nprint('first up', flush=True)\ntime.sleep(60)")
    second = ground.submit("import time\nprint('second up', flush=True)\ntime.sleep(60)")
    first.await_log("first up")
    second.await_log("second up")
    assert first.executor.poll(first.handle) == JobState("running")
    for job in (first, second):
        job.executor.cancel(job.handle, force=True)
        job.wait()


def test_a_cancelled_job_ends_at_once_and_leaves_no_process(ground: Ground) -> None:
    job = ground.submit(WITH_CHILD)
    found = pids(job)
    started = time.monotonic()
    job.executor.cancel(job.handle)
    assert [pid for pid in found if not gone(pid)] == []
    assert time.monotonic() - started < 60
    job.wait()
    assert job.verdict is None or job.outcome.status == "cancelled"
    job.executor.cancel(job.handle)
    job.executor.cancel(job.handle, force=True)


def test_a_killed_job_ends_at_once_without_a_verdict_even_when_it_is_frozen(ground: Ground) -> None:
    job = ground.submit(WITH_CHILD)
    found = pids(job)
    signal_all(found[:2], signal.SIGSTOP)
    job.executor.cancel(job.handle, force=True)
    assert [pid for pid in found if not gone(pid)] == []
    assert job.wait().state in ("exited", "lost")
    assert job.verdict is None


def test_a_job_stops_at_its_timeout(ground: Ground) -> None:
    job = ground.run("import time\ntime.sleep(60)", timeout=0.5)
    assert ground.executor.poll(job.handle).returncode == 5
    assert job.outcome.status == "timeout"


@pytest.mark.parametrize(("how", "status"), [("os.kill(os.getpid(), 9)", "lost"), ("os._exit(0)", "failed")])
def test_a_kernel_that_dies_is_no_success(ground: Ground, how: str, status: str) -> None:
    job = ground.run(f"import os\nx = 1\n{how}", outputs=("x",))
    assert job.outcome.status == status
    assert job.outcome.failure is not None
    assert job.outcome.failure.cell == 1


def test_a_runner_that_is_killed_ends_the_job_and_its_kernel(ground: Ground) -> None:
    job = ground.submit(WITH_CHILD)
    kernel, runner, child = pids(job)
    os.kill(runner, signal.SIGKILL)
    assert job.wait(10).state in ("exited", "lost")
    assert job.verdict is None
    assert gone(kernel)
    assert gone(child)


def test_a_job_that_is_submitted_twice_runs_once(ground: Ground) -> None:
    folder, spec = ground.bench.write("print('ran')\nx = 1", outputs=("x",))
    handle = ground.executor.submit(folder, spec)
    assert ground.executor.submit(folder, spec) == handle
    until = time.monotonic() + 60
    while ground.executor.poll(handle).state == "running":
        assert time.monotonic() < until
        time.sleep(0.01)
    assert ground.executor.submit(folder, spec) == handle
    assert ground.executor.poll(handle) == JobState("exited", 0)
    assert ground.bench.printed().count("ran") == 1


def test_a_retry_is_an_attempt_of_its_own_and_a_late_verdict_is_not_taken_for_it(ground: Ground) -> None:
    first = ground.run("import os\nos._exit(1)", outputs=("x",), attempt=1)
    second = ground.run("x = 2", outputs=("x",), attempt=2)
    assert (first.outcome.status, second.outcome.status) == ("failed", "succeeded")
    assert (first.outcome.attempt, second.outcome.attempt) == (1, 2)
    assert read_verdict(first.folder, second.spec.token) is None


def test_a_handle_that_nobody_gave_is_lost_and_cannot_be_cancelled(ground: Ground) -> None:
    assert ground.executor.poll("0" * 32) == JobState("lost")
    ground.executor.cancel("0" * 32)


def test_variables_and_secrets_reach_the_code_and_secrets_are_written_nowhere(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = f"hunter-{2}-is-no-password"
    monkeypatch.setenv("THE_TOKEN", secret)
    job = ground.submit_to(
        # Processes that were there before have not got it.
        ground.another(),
        "import os, nbpipe\nprint(os.environ['GIVEN'], nbpipe.secret('THE_TOKEN') == 'hunter-2-' + 'is-no-password')\n"
        "print(nbpipe.secret('THE_TOKEN'))",
        env={"GIVEN": "a $(b) 'c'"},
        secrets=("THE_TOKEN",),
    )
    job.wait()
    assert job.outcome.status == "succeeded"
    assert ground.bench.printed() == "a $(b) 'c' True\n[secret]\n"
    written = [path for path in ground.bench.root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in written if secret.encode() in path.read_bytes()] == []


def test_nothing_can_be_typed_into_a_job(ground: Ground) -> None:
    asked = "try:\n    input()\nexcept Exception as error:\n    print(type(error).__name__)"
    job = ground.run(f"import sys\nprint('stdin', repr(sys.stdin.read(1)))\n{asked}", timeout=20)
    assert job.outcome.status == "succeeded"
    assert ground.bench.printed() == "stdin ''\nStdinNotImplementedError\n"


def test_a_gpu_goes_to_one_job_at_a_time_and_is_named_to_it(ground: Ground) -> None:
    hold = f"{_DEVICES}\nimport time\ntime.sleep(60)"
    jobs = [ground.submit(hold, gpus=1.0), ground.submit(hold, gpus=1.0)]
    for job in jobs:
        job.await_log("dev=")
    given = sorted(job.log.partition("dev=")[2].partition(";")[0] for job in jobs)
    for job in jobs:
        job.executor.cancel(job.handle, force=True)
        job.wait(10)
    assert given == ["0", "1"]
    assert ground.run(_DEVICES, gpus=2.0).log.count("dev=0,1;") == 1


@pytest.mark.parametrize("name", ["a b'c\"$(touch gone)`;&|{0.__class__} naïve-😀", "-rf"])
def test_names_of_folders_are_only_names(ground: Ground, name: str) -> None:
    project = ground.bench.root / name / "project"
    project.mkdir(parents=True)
    (project / f"{name}.txt").write_text("here")
    spec = ground.bench.spec(
        f"print(open({name + '.txt'!r}).read())",
        project=str(project),
        cwd=str(project),
        store=str(ground.bench.root / name / "store"),
        ships=(f"{name}.txt",),
    )
    folder = ground.bench.root / name / "job"
    write_spec(folder, spec)
    handle = ground.executor.submit(folder, spec)
    until = time.monotonic() + 60
    while ground.executor.poll(handle).state == "running":
        assert time.monotonic() < until
        time.sleep(0.01)
    outcome = read_verdict(folder, spec.token)
    assert outcome is not None
    assert outcome.status == "succeeded", outcome.failure
    assert not any(path.name == "gone" for path in Path(ground.bench.root).rglob("*"))


def test_a_flood_of_output_comes_whole(ground: Ground) -> None:
    job = ground.run("for n in range(40):\n    print('0123456789abcdef' * 16384)\nprint('end')", output_limit=1000)
    lines = [json.loads(line) for line in job.log.splitlines()]
    printed = "".join(line["text"] for line in lines if line["type"] == "stream")
    assert len(printed) == 40 * (16 * 16384 + 1) + 4
    assert printed.endswith("\nend\n")


def test_closing_stops_what_still_runs(ground: Ground) -> None:
    other = ground.another()
    found = pids(ground.submit_to(other, WITH_CHILD))
    other.close()
    other.close()
    assert [pid for pid in found if not gone(pid, 8)] == []
