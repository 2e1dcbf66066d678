"""Stages that run side by side: a file belongs to the one that writes it."""

from __future__ import annotations

from pathlib import Path

import pytest
from runs import Site, finish

WAIT = "import time, pathlib\nwhile not pathlib.Path({other!r}).exists():\n    time.sleep(0.01)\ntime.sleep(0.3)\n"


def _side_by_side(
    site: Site, write: str, *, looks: str = "pass", writes_for: float = 1, looks_for: float = 0.6
) -> None:
    """One stage writes while the other runs, which goes on until that is done; how long both then take is in seconds."""
    here, there, wrote = (str(site.root / name) for name in ("here", "there", "wrote"))
    site.write(
        f"%%stage writes\nimport pathlib\nopen({here!r}, 'w').close()\n{WAIT.format(other=there)}{write}\n"
        f"open({wrote!r}, 'w').close()\n"
        f"time.sleep({writes_for})\nx = 1",
        f"%%stage looks\nimport ctypes\nopen({there!r}, 'w').close()\n{WAIT.format(other=here)}{looks}\n"
        f"while not pathlib.Path({wrote!r}).exists():\n    time.sleep(0.01)\n"
        f"time.sleep({looks_for})\ny = 1",
    )


def test_what_one_appends_is_not_taken_for_the_work_of_the_other(tmp_path: Path) -> None:
    site = Site(tmp_path)
    _side_by_side(site, "with open('log.txt', 'a') as log:\n    log.write('once ')")
    (site.folder / "log.txt").write_text("before ")
    done = site.run("--jobs", "2", "--json")
    assert done.stages == {"writes": "succeeded", "looks": "succeeded"}
    assert (site.folder / "log.txt").read_text() == "before once "
    assert site.detail("r1").state.warnings == ()
    assert [stage.attempt for stage in site.detail("r1").state.stages] == [1, 1]
    looks = site.store.traces.latest("looks")
    assert looks is not None
    assert looks.outcome.files_written == ()


_WRITES = """%%stage one --metrics acc
import pathlib, time
NOTE(f'wrote-{k}')
pathlib.Path('out.txt').write_text(str(k))
while not pathlib.Path('../go').exists():
    time.sleep(0.02)
acc = k"""
_READS = "%%stage two --metrics seen\nimport pathlib\nacc\nseen = int(pathlib.Path('out.txt').read_text())"


def test_two_runs_at_once_that_write_one_file_fail_and_leave_nothing_to_reuse(site: Site) -> None:
    site.write("%%params\nk = 1", _WRITES, _READS)
    started = [site.start("run", "n.ipynb", "--json", "-p", f"k={k}") for k in (4, 5)]
    site.wait_for(lambda: site.ran("wrote-4") and site.ran("wrote-5"))
    (site.folder / "mine.txt").touch()
    (site.root / "go").touch()
    for done in [finish(process) for process in started]:
        assert done.code == 1, done.out
        assert done.json["error"]["message"] == "another run wrote out.txt while it ran"
        assert "files of their own" in done.err
    assert (site.folder / "mine.txt").exists(), "what somebody else made meanwhile is left"
    for k in (4, 5):
        done = site.run("-p", f"k={k}")
        assert done.stages == {"one": "succeeded", "two": "succeeded"}
        assert [stage["metrics"] for stage in done.json["stages"]] == [{"acc": k}, {"seen": k}]


_NATIVE = "import ctypes\nlibc = ctypes.CDLL(None)\nfile = libc.creat(b'native.bin', 0o644)\nlibc.close(file)"


@pytest.mark.parametrize(
    ("times", "looks", "attempts"),
    [
        # The other has ended, and cannot have written it.
        ({}, "pass", [1, 1]),
        # It has ended, and may have.
        ({}, "ctypes.CDLL(None)", [2, 2]),
        # It has not told yet.
        ({"writes_for": 0, "looks_for": 1.6}, "pass", [1, 1]),
    ],
    ids=["told", "claimed", "not yet told"],
)
def test_what_nobody_was_seen_to_write_is_its_own_stages(
    tmp_path: Path, times: dict[str, float], looks: str, attempts: list[int]
) -> None:
    site = Site(tmp_path)
    _side_by_side(site, _NATIVE, looks=looks, **times)
    done = site.run("--jobs", "2", "--json")
    assert done.stages == {"writes": "succeeded", "looks": "succeeded"}
    assert [stage.attempt for stage in site.detail("r1").state.stages] == attempts
    left = {name: site.store.traces.latest(name) for name in ("writes", "looks")}
    files = {
        name: [state.path for state in trace.outcome.files_written] for name, trace in left.items() if trace is not None
    }
    assert files == {"writes": ["native.bin"], "looks": []}
    (site.folder / "native.bin").unlink()
    assert site.run("--jobs", "2", "--json").stages == {"writes": "cached", "looks": "cached"}
    assert (site.folder / "native.bin").exists()


def test_what_a_person_writes_beside_two_stages_is_neithers(tmp_path: Path) -> None:
    site = Site(tmp_path)
    _side_by_side(site, "import pathlib\nopen('../now', 'w').close()")
    process = site.start("run", "n.ipynb", "--jobs", "2", "--json")
    site.wait_for((site.root / "now").exists)
    (site.folder / "mine.txt").write_text("mine")
    assert finish(process).stages == {"writes": "succeeded", "looks": "succeeded"}
    assert [stage.attempt for stage in site.detail("r1").state.stages] == [1, 1]
    assert site.detail("r1").state.warnings == ()
    (site.folder / "mine.txt").unlink()
    assert site.run("--jobs", "2", "--json").stages == {"writes": "cached", "looks": "cached"}
    assert not (site.folder / "mine.txt").exists()
