"""A full disk and bytes that rot: a named error or the right value, never a wrong one, and the next run goes on."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from executing import Ground
from jobs import Bench
from runs import Site

from nbpipe.executors.ssh.executor import SshExecutor
from nbpipe.store.fsck import fsck
from nbpipe.targets.settings import Target

_BIG = (
    "%%stage small\nNOTE('small')\ns = len('x')",
    "%%stage big\nNOTE('big')\nimport numpy as np\nb = np.arange(s * 500_000)",
    "%%stage last\nNOTE('last')\nprint(b.sum())",
)


@pytest.fixture
def mount() -> Iterator[Callable[[Path, int], None]]:
    """Mounts a file system of so many bytes, or resizes the one that is there; needs root on Linux."""
    mounted: list[Path] = []

    def make(path: Path, size: int) -> None:
        path.mkdir(parents=True, exist_ok=True)
        again = ["-o", f"remount,size={size}"] if path in mounted else ["-o", f"size={size}", "tmpfs"]
        done = subprocess.run(["mount", "-t", "tmpfs", *again, str(path)], capture_output=True, check=False)
        if done.returncode:
            pytest.skip("a file system can be mounted only by root")
        mounted.append(path)

    yield make
    for path in set(mounted):
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_store_that_is_full_fails_the_stage_and_keeps_what_was_committed(
    site: Site, mount: Callable[[Path, int], None]
) -> None:
    place = site.root / "tiny"
    mount(place, 1 << 20)
    site.write(*_BIG)
    done = site.run("--store", str(place))
    assert done.code == 6
    assert done.stages == {"small": "succeeded", "big": "failed", "last": "skipped"}
    assert (done.json["error"]["stage"], done.json["error"]["code"]) == ("big", "store")
    assert "full" in done.json["error"]["message"]
    assert site.quiet() == []

    mount(place, 64 << 20)
    again = site.run("--store", str(place))
    assert again.stages == {"small": "cached", "big": "succeeded", "last": "succeeded"}
    assert site.printed(again.json["run"]) == f"{sum(range(500_000))}\n"


@pytest.mark.parametrize("free", [0, 12, 60, 150])
def test_a_project_on_a_full_disk_says_so_and_runs_once_there_is_room(
    site: Site, mount: Callable[[Path, int], None], free: int
) -> None:
    """`free` is what is left, in KiB: the disk fills at the run's folder, the bundle, a job's folder, the store."""
    mount(site.folder, 8 << 20)
    site.write(*_BIG)
    ballast = site.folder / ".git" / "ballast"
    ballast.parent.mkdir()
    with ballast.open("wb") as file:
        room = os.statvfs(site.folder)
        file.write(bytes(max(room.f_bavail * room.f_frsize - free * 1024, 0)))
    done = site.run()
    assert done.code == 6, done.err
    assert done.err.count("nbpipe:") == 1
    assert "Traceback" not in done.err
    assert "a mistake in nbpipe" not in done.err
    assert site.ran("last") == 0
    assert site.quiet() == []
    for run in site.project.run_ids():
        assert site.detail(run).state.status in {"failed", "interrupted"}

    ballast.unlink()
    again = site.run()
    assert again.code == 0, again.err
    assert site.printed(again.json["run"]) == f"{sum(range(500_000))}\n"
    assert site.ran("last") == 1
    assert fsck(site.store).sound


def _fill(folder: Path) -> Path:
    ballast = folder / ".git" / "ballast"
    ballast.parent.mkdir(exist_ok=True)
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1024))
        except OSError:
            return ballast


_WRITERS = (
    ("run", "n.ipynb", "-p", "n=2"),
    ("run", "n.ipynb", "-p", "n=2", "--detach"),
    ("sweep", "n.ipynb", "-p", "n=2,3", "--metric", "m:max"),
    ("tag", "r1", "good=yes"),
    ("report", "r1"),
)


@pytest.mark.long
@pytest.mark.parametrize("how", ["full", "read-only"])
def test_no_command_takes_a_disk_that_refuses_for_a_mistake_of_nbpipe(
    site: Site, mount: Callable[[Path, int], None], how: str
) -> None:
    mount(site.folder, 8 << 20)
    site.write("%%params\nn: int = 1", "%%stage a --metrics m\nm = n")
    assert site.run().code == 0
    if how == "full":
        _fill(site.folder)
    else:
        subprocess.run(["mount", "-o", "remount,ro", str(site.folder)], check=True)
    for words in _WRITERS:
        done = site.command(*words)
        assert (done.code, "a mistake in nbpipe" in done.err) == (6, False), (words, done.out, done.err)
        assert "full" in done.err if how == "full" else "Read-only" in done.err, (words, done.err)
    doctor = site.command("doctor")
    assert (doctor.code, "✗ disk" in doctor.out or "✗ store" in doctor.out) == (6, True), doctor.out
    history = site.command("history")
    assert history.out.count("\n") == 1, "a run that never began is none"


def test_doctor_says_where_no_store_can_be_made(site: Site, mount: Callable[[Path, int], None]) -> None:
    mount(site.folder, 8 << 20)
    site.write("%%stage a\nx = 1")
    subprocess.run(["mount", "-o", "remount,ro", str(site.folder)], check=True)
    done = site.command("doctor")
    assert done.code == 6
    assert f"cannot be made: {site.folder} cannot be written" in done.out


def test_a_file_too_large_for_the_user_s_limit_is_a_store_error(site: Site) -> None:
    site.write(*_BIG)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))

    done = site.run(prepare=limit)
    assert (done.code, done.stages["big"]) == (6, "failed")
    assert done.json["error"]["stage"] == "big"
    again = site.run()
    assert again.stages == {"small": "cached", "big": "succeeded", "last": "succeeded"}


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


def _cut(path: Path) -> None:
    path.chmod(0o644)
    os.truncate(path, path.stat().st_size // 2)


def _remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [_flip, _cut, _remove])
def test_a_damaged_object_is_never_served_but_computed_again(site: Site, damage: Callable[[Path], None]) -> None:
    site.write(*_BIG)
    assert site.run().code == 0
    largest = max(site.store.objects.list(), key=site.store.objects.size)
    damage(site.store.objects.local_path(largest))
    again = site.run()
    assert again.code == 0, again.err
    assert again.stages == {"small": "cached", "big": "succeeded", "last": "cached"}
    assert (site.ran("big"), site.ran("last")) == (2, 1)
    assert fsck(site.store).sound
    reasons = {stage["name"]: stage["reason"] for stage in again.json["stages"]}
    assert "damaged" in reasons["big"]


def test_two_objects_that_were_swapped_are_both_noticed(site: Site) -> None:
    site.write(
        "%%stage one\nNOTE('one')\na = [len('x')] * 3",
        "%%stage two\nNOTE('two')\nb = [len('xy')] * 3",
        "%%stage sum\nprint(a, b)",
    )
    assert site.run().code == 0
    named = {trace.stage: trace.outcome.outputs for trace in site.store.traces.all()}
    first, second = (
        site.store.objects.local_path(named[stage][name].objects[0]) for stage, name in (("one", "a"), ("two", "b"))
    )
    middle = first.with_name("middle")
    first.replace(middle)
    second.replace(first)
    middle.replace(second)
    again = site.run()
    assert again.stages == {"one": "succeeded", "two": "succeeded", "sum": "cached"}
    assert site.printed(again.json["run"]) == "[1, 1, 1] [2, 2, 2]\n"


_FILLS = (
    "f = open('fill', 'wb')\ntry:\n    while True:\n        f.write(bytes(4096)); f.flush()\nexcept OSError:\n    pass"
)


@pytest.mark.long
def test_a_job_that_fills_the_disk_of_a_target_is_lost_for_that_and_is_in_the_way_of_no_other(
    tmp_path: Path, mount: Callable[[Path, int], None]
) -> None:
    mount(tmp_path / "worker", 4 << 20)
    target = Target(name="c", kind="ssh", python=sys.executable, folder=str(tmp_path / "worker"))
    ground = Ground(Bench(tmp_path), lambda: SshExecutor(target, here=lambda _: ""))
    (ground.bench.project / "large").write_bytes(os.urandom(8 << 20))
    try:
        for fields in ({}, {"ships": ("large",)}):
            failed = ground.run(_FILLS, outputs=("f",), **fields)
            assert failed.outcome.status == "lost"
            assert failed.outcome.failure is not None
            assert "o space" in failed.outcome.failure.message
            assert list((tmp_path / "worker" / "work").iterdir()) == []
            assert ground.run("x = 1", outputs=("x",)).outcome.status == "succeeded"
    finally:
        ground.close()


def test_an_object_that_rots_during_the_run_stops_the_stage_that_reads_it(site: Site) -> None:
    site.write(
        "%%stage one\nNOTE('one')\na = [len('x')] * 3",
        f"%%stage two\nimport time\nwhile not __import__('os').path.exists({str(site.root / 'go')!r}): time.sleep(0.01)",
        "%%stage three --after two\nprint(a)",
    )
    process = site.start("run", "n.ipynb", "--json")
    site.wait_for(lambda: any(trace.stage == "one" for trace in site.store.traces.all()))
    trace = next(trace for trace in site.store.traces.all() if trace.stage == "one")
    _flip(site.store.objects.local_path(trace.outcome.outputs["a"].objects[0]))
    (site.root / "go").touch()
    _out, err = process.communicate(timeout=200)
    assert process.returncode == 6, err
    assert "stage 'three'" in err
    assert "does not match its hash" in err
    assert site.run().code == 0
    assert site.ran("one") == 2


def test_a_store_that_cannot_be_written_is_named_before_anything_runs(site: Site) -> None:
    site.write(*_BIG)
    (site.folder / "taken").write_text("a file, not a folder")
    done = site.run("--store", "taken")
    assert done.code == 6
    assert "taken" in done.err
    assert site.ran("small") == 0
