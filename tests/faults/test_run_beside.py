"""Stages that run side by side: a file belongs to the one that writes it."""

from __future__ import annotations

from pathlib import Path

from runs import Site, finish

WAIT = "import time, pathlib\nwhile not pathlib.Path({other!r}).exists():\n    time.sleep(0.01)\ntime.sleep(0.3)\n"


def _side_by_side(site: Site, write: str) -> None:
    """One stage writes while the other runs, and ends first."""
    here, there = str(site.root / "here"), str(site.root / "there")
    site.write(
        f"%%stage writes\nimport pathlib\nopen({here!r}, 'w').close()\n{WAIT.format(other=there)}{write}\ntime.sleep(1)\nx = 1",
        f"%%stage looks\nopen({there!r}, 'w').close()\n{WAIT.format(other=here)}time.sleep(0.6)\ny = 1",
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


def test_what_nobody_was_seen_to_write_beside_another_is_written_again_alone(tmp_path: Path) -> None:
    site = Site(tmp_path)
    native = "import ctypes\nlibc = ctypes.CDLL(None)\nfile = libc.creat(b'native.bin', 0o644)\nlibc.close(file)"
    _side_by_side(site, native)
    assert site.run("--jobs", "2", "--json").stages == {"writes": "succeeded", "looks": "succeeded"}
    why = "native code wrote native.bin while other stages ran: who did cannot be told"
    assert [why in warning for warning in site.detail("r1").state.warnings].count(True) >= 1
    assert [stage.attempt for stage in site.detail("r1").state.stages] == [2, 2]
    left = {name: site.store.traces.latest(name) for name in ("writes", "looks")}
    files = {
        name: [state.path for state in trace.outcome.files_written] for name, trace in left.items() if trace is not None
    }
    assert files == {"writes": ["native.bin"], "looks": []}
    (site.folder / "native.bin").unlink()
    assert site.run("--jobs", "2", "--json").stages == {"writes": "cached", "looks": "cached"}
    assert (site.folder / "native.bin").exists()
