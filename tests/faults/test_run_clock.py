"""A clock that is wrong, or that jumps while a run goes on, changes what is shown as time and nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypedDict

import pytest
from runs import Site

_DAY = 86_400
#: What `time.time` says in every process of the run, `after` seconds from the start of each.
_CLOCK = """
import os, time
real, begun = time.time, time.time()
shift, after = float(os.environ["CLOCK_SHIFT"]), float(os.environ["CLOCK_AFTER"])
time.time = lambda: real() + (shift if real() - begun >= after else 0)
time.time_ns = lambda: int(time.time() * 1e9)
"""


class _Clock(TypedDict):
    PYTHONPATH: str
    CLOCK_SHIFT: str
    CLOCK_AFTER: str


def _clock(root: Path, shift: float, after: float) -> _Clock:
    folder = root / "clock"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_CLOCK)
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
    return {"PYTHONPATH": path, "CLOCK_SHIFT": str(shift), "CLOCK_AFTER": str(after)}


@pytest.mark.long
@pytest.mark.parametrize("after", [0, 0.3], ids=["wrong", "jumps"])
@pytest.mark.parametrize("shift", [-_DAY, _DAY], ids=["back", "forth"])
def test_results_and_reuse_do_not_depend_on_the_clock(site: Site, shift: float, after: float) -> None:
    site.write(
        "%%params\nk = 1",
        "%%stage one\nNOTE('one')\ntext = open('in.txt').read()\nimport time\ntime.sleep(0.5)",
        "%%stage two\nNOTE('two')\nprint(text * k)",
    )
    source = site.folder / "in.txt"
    source.write_text("a")
    assert site.run().code == 0
    wrong = _clock(site.root, shift, after)
    assert site.run(**wrong).json["status"] == "up-to-date"
    changed = site.run("-p", "k=2", **wrong)
    assert changed.stages == {"one": "cached", "two": "succeeded"}
    # The same size, and at the wrong clock perhaps older than what was read before.
    source.write_text("b")
    os.utime(source, (source.stat().st_atime, source.stat().st_mtime + shift))
    edited = site.run("-p", "k=2", **wrong)
    assert (edited.stages, site.printed(edited.json["run"])) == ({"one": "succeeded", "two": "succeeded"}, "bb\n")
    assert site.run("-p", "k=2").json["status"] == "up-to-date"
    # The number of a run, and no time, says which one is the latest.
    shown = site.command("show", "latest", "--json", **wrong).json
    assert shown["run"] == edited.json["run"]
    assert all(stage["seconds"] >= 0 for stage in shown["stages"])
    assert site.command("gc", **wrong).code == 0
    assert site.command("fsck", **wrong).code == 0
    assert site.run("-p", "k=2", **wrong).json["status"] == "up-to-date"
    assert (site.ran("one"), site.quiet()) == (2, [])
