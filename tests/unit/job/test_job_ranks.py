"""A stage whose cells several processes run together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from executing import gone
from jobs import Bench

from nbpipe.executors.local import LocalExecutor
from nbpipe.job.folder import read_verdict
from nbpipe.job.ranks import WAITING

if TYPE_CHECKING:
    from pathlib import Path

    from runs import Site

_TRAIN = """%%stage train --nproc 2 --metrics total
import os, socket, time
rank, size = int(os.environ['RANK']), int(os.environ['WORLD_SIZE'])
print('rank', rank, 'of', size, rows)
open(f'shard-{rank}.csv').read()
{FAIL}
where = (os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT']))
if rank == 0:
    # It waits for the others as a collective does: what they hold is added to what it has.
    with socket.create_server(where) as server:
        total = 1.0 + float(server.accept()[0].makefile().readline())
    open('model.txt', 'w').write(str(total))
else:
    while True:
        try:
            socket.create_connection(where).sendall(b'2\\n')
        except ConnectionRefusedError:
            time.sleep(0.02)
            continue
        break"""


def _write(site: Site, fail: str = "") -> None:
    site.write("%%stage load\nrows = [1, 2]", _TRAIN.replace("{FAIL}", fail), "%%stage after\nprint(total, rank)")
    for rank in range(2):
        (site.folder / f"shard-{rank}.csv").write_text("1\n")


def test_ranks_compute_together_and_the_result_depends_on_what_each_has_read(site: Site) -> None:
    _write(site)
    done = site.run()
    assert done.code == 0, done.err
    assert done.json["metrics"] == {"total": 3.0}
    assert "rank 0 of 2 [1, 2]" in site.printed("r1")
    assert "rank 1" not in site.printed("r1")
    assert (site.project.runs / "r1" / "jobs" / "train.1" / "rank-1.log").read_text() == "rank 1 of 2 [1, 2]\n"
    assert set(site.run().stages.values()) == {"cached"}
    (site.folder / "shard-1.csv").write_text("2\n")
    assert site.run().stages["train"] == "succeeded"


def test_a_rank_that_fails_fails_the_stage_in_its_own_words(site: Site) -> None:
    _write(site, "if rank == 1: 1 / 0")
    done = site.run()
    assert done.code == 1
    assert "rank 1: ZeroDivisionError: division by zero" in done.json["error"]["message"]
    assert done.json["error"]["line"] == 6
    site.wait_for(lambda: not site.processes())


def _on_two_nodes(bench: Bench, code: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str]:
    """Run it with two processes on each of two nodes, of which the second waits; the job's folder, and how that ended."""
    monkeypatch.setenv(WAITING, "1")
    folder, spec = bench.write(code, nproc=2, nodes=2, outputs=("names",))
    command = [sys.executable, "-m", "nbpipe.job.ranks", "1", str(folder)]
    environment = {**os.environ, "NBPIPE_PARENT": str(os.getpid())}
    executor = LocalExecutor(warm=False)
    node = subprocess.Popen(command, env=environment)
    try:
        handle = executor.submit(folder, spec)
        while executor.poll(handle).state == "running":
            time.sleep(0.01)
        assert node.wait(10) == 0
    finally:
        executor.close()
        node.kill()
        node.wait()
    outcome = read_verdict(folder, spec.token)
    assert outcome is not None
    return folder, outcome.failure.message if outcome.failure is not None else outcome.status


_NAMES = (
    "import os\nnames = [os.environ[n] for n in ('RANK', 'LOCAL_RANK', 'GROUP_RANK', 'WORLD_SIZE')]\nprint(*names)\n"
)


def test_a_node_that_waits_runs_its_ranks_and_ends_with_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, ended = _on_two_nodes(Bench(tmp_path), _NAMES, monkeypatch)
    assert ended == "succeeded"
    assert [(folder / f"rank-{n}.log").read_text() for n in (1, 2, 3)] == ["1 1 0 4\n", "2 0 1 4\n", "3 1 1 4\n"]
    assert json.loads((folder / "rank-3" / "end.json").read_text()) == {"code": 0}
    # What all ranks get is nobody else's.
    assert not (folder / "ranks.json").exists()


@pytest.mark.long
def test_a_rank_of_a_node_that_waits_fails_the_stage_and_what_it_started_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import os, subprocess, time\nprint(subprocess.Popen(['sleep', '70']).pid, flush=True)\n"
    code += "if os.environ['RANK'] == '2':\n    os._exit(9)\ntime.sleep(60)"
    folder, ended = _on_two_nodes(Bench(tmp_path), code, monkeypatch)
    assert ended == "rank 2: its process ended with exit code 9"
    assert all(gone(int((folder / f"rank-{rank}.log").read_text())) for rank in (1, 2, 3))


_LATE = """import os, signal, sys
from nbpipe.job.launch import die_with_parent
parent = os.getpid()
if os.fork():
    os._exit(0)
while os.getppid() == parent:
    pass
die_with_parent(signal.SIGKILL, parent)
print("goes on")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the pipes end it")
def test_a_process_whose_parent_dies_as_it_starts_does_not_go_on() -> None:
    assert subprocess.run([sys.executable, "-c", _LATE], capture_output=True, text=True, check=True).stdout == ""
