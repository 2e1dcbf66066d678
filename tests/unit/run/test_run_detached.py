"""`nbpipe run --detach` and the lab start runs through one door."""

from __future__ import annotations

import os
import time
from pathlib import Path

from runs import Site

from nbpipe.run.detached import start_detached


def test_a_detached_run_with_nothing_to_do_names_the_earlier_one_and_makes_none(site: Site) -> None:
    site.write("%%stage a\nx = 1")
    assert site.run().json["run"] == "r1"
    done = site.command("run", "n.ipynb", "--detach", "--json")
    assert (done.code, done.json["run"], done.json["status"]) == (0, "r1", "up-to-date")
    plain = site.command("run", "n.ipynb", "--detach")
    assert (plain.code, plain.out.strip(), plain.err) == (0, "up to date (r1)", "")
    assert site.project.run_ids() == ["r1"]


def test_its_process_has_a_session_of_its_own_and_no_pipe_of_the_caller(site: Site) -> None:
    (site.folder / "nbpipe.toml").touch()
    site.write("%%stage a\nimport time\ntime.sleep(600)")
    before = dict(os.environ)
    os.environ.update(site.environment())
    try:
        started = start_detached(site.project, ["run", str(site.notebook), "--json"])
    finally:
        os.environ.clear()
        os.environ.update(before)
    pid = started.process.pid
    assert started.code is None
    assert os.getsid(pid) == pid != os.getsid(0)
    open_files = {str(Path(f"/proc/{pid}/fd/{number}").readlink()) for number in (0, 1, 2)}
    assert open_files == {"/dev/null", str(started.folder / "driver.log")}
    started.process.terminate()
    until = time.monotonic() + 120
    while started.process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert site.detail(started.run).state.status == "cancelled"
