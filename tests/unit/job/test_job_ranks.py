"""A stage whose cells several processes run together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runs import Site

_TRAIN = """%%stage train --nproc 2 --metrics total
import torch
import torch.distributed as dist
dist.init_process_group('gloo')
rank = dist.get_rank()
print('rank', rank, 'of', dist.get_world_size(), rows)
open(f'shard-{rank}.csv').read()
{FAIL}
value = torch.tensor([float(rank + 1)])
dist.all_reduce(value)
total = float(value)
if rank == 0:
    open('model.txt', 'w').write(str(total))
dist.destroy_process_group()"""


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
    assert done.json["error"]["line"] == 8
    site.wait_for(lambda: not site.processes())
