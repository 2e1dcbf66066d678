"""The processes between the driver and the kernels: fork server and runners, killed and frozen."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import psutil
import pytest
from runs import Site, finish

from nbpipe.job.folder import KERNEL_PID


def _waiting(site: Site, options: str = "") -> subprocess.Popen[str]:
    """A run whose stage waits for the file `go`, the first time it runs."""
    first = f"open({str(site.noted)!r}).read().split().count('slow') == 1"
    wait = f"import os, time\nwhile {first} and not os.path.exists({str(site.root / 'go')!r}): time.sleep(0.02)"
    site.write(f"%%stage slow{options}\nNOTE('slow')\n{wait}\na = len('x')", "%%stage last\nNOTE('last')\nprint(a)")
    process = site.start("run", "n.ipynb", "--json")
    site.wait_for(lambda: site.ran("slow"))
    return process


def _server(site: Site) -> psutil.Process:
    """The fork server: no other of these has a parent with another command line."""
    found = [p for p in site.processes() if "nbpipe.job." in " ".join(p.cmdline())]
    pids = {p.pid for p in found}
    return next(p for p in found if p.ppid() not in pids)


def _runner(site: Site) -> psutil.Process:
    kernel = int((site.project.runs / "r1" / "jobs" / "slow.1" / KERNEL_PID).read_text())
    return psutil.Process(psutil.Process(kernel).ppid())


_FORKED = pytest.mark.skipif(os.environ.get("NBPIPE_FORK") == "0", reason="there is no server then")
_EACH = pytest.mark.parametrize(
    "who", [pytest.param(_server, marks=_FORKED), pytest.param(_runner)], ids=["server", "runner"]
)


@_EACH
def test_a_worker_that_is_killed_loses_its_stage_at_once(site: Site, who: object) -> None:
    process = _waiting(site)
    killed = time.monotonic()
    who(site).kill()  # type: ignore[operator]
    done = finish(process)
    # A second or two on a machine that is not busy; its lease would run out much later.
    assert time.monotonic() - killed < 20
    assert (done.code, done.stages) == (4, {"slow": "lost", "last": "skipped"})
    assert done.json["error"]["stage"] == "slow"
    assert site.quiet() == []


@_EACH
def test_a_retry_goes_on_without_the_worker_that_was_killed(site: Site, who: object) -> None:
    process = _waiting(site, " --retries 1")
    who(site).kill()  # type: ignore[operator]
    done = finish(process)
    assert done.code == 0, done.err
    assert site.kinds("r1", "slow") == ["stage-started", "stage-retry", "stage-started", "stage-succeeded"]
    assert site.ran("slow") == 2
    assert site.quiet() == []


def test_a_driver_that_is_frozen_and_thawed_goes_on(site: Site) -> None:
    process = _waiting(site)
    process.send_signal(signal.SIGSTOP)
    (site.root / "go").touch()
    time.sleep(1)
    other = site.start("run", "n.ipynb", "--json")
    site.wait_for(lambda: site.events("r2"))
    process.send_signal(signal.SIGCONT)
    first, second = finish(process), finish(other)
    assert (first.code, second.code) == (0, 0)
    assert (site.ran("slow"), site.ran("last")) == (1, 1)


def test_a_terminated_driver_stops_its_run_like_a_person_would(site: Site) -> None:
    process = _waiting(site)
    process.terminate()
    done = finish(process)
    assert (done.code, done.json["status"]) == (130, "cancelled")
    assert site.detail("r1").state.status == "cancelled"
    assert site.quiet() == []


def test_kills_at_any_time_lose_nothing_that_was_finished(site: Site) -> None:
    """A wide graph, killed after ever more of it."""
    names = [f"s{number}" for number in range(6)]
    cells = [f"%%stage {name}\nNOTE('{name}')\n{name} = [len('{name}')]" for name in names]
    site.write(*cells, f"%%stage total\nNOTE('total')\nprint({' + '.join(names)})")
    for seconds in (0.4, 1.0, 1.6):
        process = site.start("run", "n.ipynb", "--json")
        time.sleep(seconds)
        process.kill()
        process.communicate()
        assert site.quiet() == []
    finished = {event.stage for run in site.project.run_ids() for event in site.events(run) if "succ" in event.kind}
    before = {name: site.ran(name) for name in finished}
    done = site.run()
    assert done.code == 0, done.err
    assert {name: site.ran(name) for name in finished} == before
    assert site.printed(done.json["run"]) == "[2, 2, 2, 2, 2, 2]\n"
