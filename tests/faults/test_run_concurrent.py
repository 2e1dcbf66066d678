"""Several runs at once, people who change their mind, and files that change under a run."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import nbformat
import pytest
from runs import Site, finish

from nbpipe.store.fsck import fsck


def _slow(site: Site) -> None:
    """Three stages; the middle one waits for the file `go`."""
    wait = f"import os, time\nwhile not os.path.exists({str(site.root / 'go')!r}): time.sleep(0.02)"
    site.write(
        "%%params\nk = 1",
        "%%stage first\nNOTE('first')\na = len('x')",
        f"%%stage slow\nNOTE('slow')\nopen('made.txt', 'w').write('half')\n{wait}\nb = a + k",
        "%%stage last\nNOTE('last')\nprint(b)",
    )


def _go(site: Site) -> None:
    (site.root / "go").touch()


def test_two_runs_of_one_notebook_do_the_work_once(site: Site) -> None:
    _slow(site)
    words = ("run", "n.ipynb", "--json")
    one = site.start(*words)
    site.wait_for(lambda: site.ran("slow"))
    two = site.start(*words)
    site.wait_for(lambda: any(event.kind == "stage-waiting" for event in site.events("r2")))
    _go(site)
    first, second = finish(one), finish(two)
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert [site.ran(name) for name in ("first", "slow", "last")] == [1, 1, 1]
    assert second.stages["slow"] == "cached"
    assert site.values("r1") == site.values("r2")
    assert site.printed("r2") == "2\n"
    assert fsck(site.store).sound
    assert list(site.store.documents.names("leases")) == []


def test_a_run_takes_over_from_one_that_is_killed_beside_it(site: Site) -> None:
    _slow(site)
    one = site.start("run", "n.ipynb", "--json")
    site.wait_for(lambda: site.ran("slow"))
    two = site.start("run", "n.ipynb", "--json")
    site.wait_for(lambda: any(event.kind == "stage-waiting" for event in site.events("r2")))
    one.kill()
    one.communicate()
    site.wait_for(lambda: site.ran("slow") == 2)
    _go(site)
    second = finish(two)
    assert second.code == 0, second.err
    assert (site.ran("first"), site.ran("slow"), site.ran("last")) == (1, 2, 1)
    assert (site.folder / "made.txt").read_text() == "half"
    assert site.quiet() == []


def test_two_sets_of_parameters_at_once_do_not_mix(site: Site) -> None:
    site.write("%%params\nk = 1", "%%stage one\nNOTE('one')\na = [k] * 3", "%%stage two\nprint(a)")
    started = [site.start("run", "n.ipynb", "--json", "-p", f"k={k}") for k in (5, 7)]
    ended = [finish(process) for process in started]
    assert [done.code for done in ended] == [0, 0]
    for done, expected in zip(ended, ("[5, 5, 5]\n", "[7, 7, 7]\n"), strict=True):
        assert site.printed(done.json["run"]) == expected
    assert {done.json["run"] for done in ended} == {"r1", "r2"}
    assert site.ran("one") == 2


@pytest.mark.parametrize("change", ["edited", "deleted"])
def test_the_notebook_that_is_changed_during_a_run_does_not_change_the_run(site: Site, change: str) -> None:
    _slow(site)
    process = site.start("run", "n.ipynb", "--json")
    site.wait_for(lambda: site.ran("slow"))
    before = site.notebook.read_bytes()
    if change == "edited":
        site.notebook.write_bytes(before.replace(b"print(b)", b"print(0)"))
    else:
        site.notebook.unlink()
    _go(site)
    done = finish(process)
    assert done.code == 0, done.err
    assert site.printed("r1") == "2\n"
    assert done.json["warnings"] == []
    if change == "edited":
        assert site.notebook.read_bytes() != before
    site.notebook.write_bytes(before)
    assert site.run().json["status"] == "up-to-date"


def test_a_run_never_writes_the_notebook(site: Site) -> None:
    _slow(site)
    _go(site)
    before, stamp = site.notebook.read_bytes(), site.notebook.stat()
    assert site.run().code == 0
    assert site.notebook.read_bytes() == before
    assert (site.notebook.stat().st_mtime_ns, site.notebook.stat().st_ino) == (stamp.st_mtime_ns, stamp.st_ino)
    assert nbformat.read(site.notebook, 4).cells[1].outputs == []


@pytest.mark.parametrize("times", [1, 2, 200])
def test_ctrl_c_stops_the_run_and_keeps_what_is_finished(site: Site, times: int) -> None:
    _slow(site)
    process = site.start("run", "n.ipynb", "--json")
    site.wait_for(lambda: site.ran("slow"))
    for _ in range(times):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.1 if times == 2 else 0.01)
    done = finish(process)
    assert (done.code, done.json["status"]) == (130, "cancelled")
    assert done.stages == {"first": "succeeded", "slow": "cancelled", "last": "skipped"}
    assert site.detail("r1").state.status == "cancelled"
    assert not (site.folder / "made.txt").exists()
    assert site.quiet() == []
    _go(site)
    again = site.run()
    assert (again.code, again.stages["first"]) == (0, "cached")


def test_ctrl_c_twice_ends_code_that_will_not_stop(site: Site) -> None:
    deaf = "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])"
    site.write(f"%%stage deaf\n{deaf}\nNOTE('deaf')\nwhile True: pass")
    process = site.start("run", "n.ipynb", "--json")
    site.wait_for(lambda: site.ran("deaf"))
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert finish(process).code == 130
    assert site.quiet() == []


def test_a_detached_run_is_followed_and_stopped_from_elsewhere(site: Site) -> None:
    _slow(site)
    started = site.command("run", "n.ipynb", "--detach", "--json")
    assert (started.code, started.json["status"]) == (0, "running")
    run = started.json["run"]
    site.wait_for(lambda: site.ran("slow"))
    assert site.detail(run).state.status == "running"
    stopped = site.command("stop", run, "--json")
    assert (stopped.code, stopped.json["status"]) == (0, "cancelled")
    log = (site.project.runs / run / "driver.log").read_text()
    assert "cancelled" in log
    assert "Traceback" not in log
    assert site.quiet() == []
    assert not (site.folder / "made.txt").exists()


def test_a_detached_run_outlives_its_command_and_leaves_its_log(site: Site) -> None:
    _slow(site)
    run = site.command("run", "n.ipynb", "--detach", "--json").json["run"]
    _go(site)
    site.wait_for(lambda: site.detail(run).state.status == "succeeded")
    site.wait_for(lambda: "succeeded in" in (site.project.runs / run / "driver.log").read_text())
    assert site.printed(run) == "2\n"
    assert site.quiet() == []


def test_a_detached_run_that_cannot_start_says_why_and_leaves_no_run(site: Site) -> None:
    site.write("%%stage one\nprint(nowhere)")
    done = site.command("run", "n.ipynb", "--detach")
    assert done.code == 3
    assert "nowhere" in done.err
    assert site.project.run_ids() == []


def test_stopping_by_force_kills_the_stage(site: Site) -> None:
    _slow(site)
    run = site.command("run", "n.ipynb", "--detach", "--json").json["run"]
    site.wait_for(lambda: site.ran("slow"))
    assert site.command("stop", run, "--force").code == 0
    assert site.detail(run).state.status == "cancelled"
    assert site.quiet() == []


def test_a_run_whose_driver_is_killed_is_settled_by_the_next_command(site: Site) -> None:
    _slow(site)
    process = site.start("run", "n.ipynb")
    site.wait_for(lambda: site.ran("slow"))
    process.kill()
    process.communicate()
    assert site.quiet() == []
    assert site.detail("r1").state.status == "interrupted"
    assert (site.folder / "made.txt").exists()
    _go(site)
    again = site.run()
    assert again.code == 0, again.err
    assert again.stages == {"first": "cached", "slow": "succeeded", "last": "succeeded"}
    last = site.events("r1")[-1]
    assert (last.kind, last.data["status"]) == ("run-finished", "interrupted")


def test_a_file_edited_while_a_stage_reads_it_is_read_again_by_the_next_run(site: Site) -> None:
    data = site.folder / "data.txt"
    data.write_text("old")
    wait = f"import os, time\nwhile not os.path.exists({str(site.root / 'go')!r}): time.sleep(0.02)"
    site.write(f"%%stage read\ntext = [open('data.txt').read()]\nNOTE('read')\n{wait}", "%%stage show\nprint(text)")
    process = site.start("run", "n.ipynb", "--json")
    site.wait_for(lambda: site.ran("read"))
    data.write_text("new")
    _go(site)
    done = finish(process)
    assert done.code == 0, done.err
    shown = site.printed(done.json["run"])
    again = site.run()
    assert site.printed(again.json["run"]) == "['new']\n"
    assert shown in {"['old']\n", "['new']\n"}


def test_a_run_that_nobody_reads_goes_on(site: Site, tmp_path: Path) -> None:
    _slow(site)
    process = site.start("run", "n.ipynb")
    site.wait_for(lambda: site.ran("slow"))
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _go(site)
    process.communicate(timeout=200)
    assert site.detail("r1").state.status == "succeeded"
