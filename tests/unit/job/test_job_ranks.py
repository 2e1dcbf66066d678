"""A stage whose cells several processes run together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
