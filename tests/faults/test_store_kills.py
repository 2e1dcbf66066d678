"""Killed at any step of any write, the store holds what it held before, or what was written: never anything else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nbpipe.errors import CorruptObject, StoreError
from nbpipe.model import Artifact
from nbpipe.store import Store, open_store
from nbpipe.store.faults import POINTS
from nbpipe.store.fsck import fsck
from nbpipe.store.gc import gc

VALUES = {"a": [1, 2, 3], "s": {1, 2}}
PROGRAM = """
import sys
from nbpipe.model import Outcome, Trace
from nbpipe.store import open_store
store = open_store(sys.argv[1])
found = store.save_values({"a": [1, 2, 3], "s": {1, 2}}, stage="s")
outcome = Outcome(stage="s", attempt=1, token="t", status="succeeded", outputs=found)
store.traces.commit(Trace(key="k", stage="s", outcome=outcome))
print("committed", flush=True)
"""
FULL = """
import resource, sys
from nbpipe.errors import StoreError
from nbpipe.store import open_store
store = open_store(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
for write in (lambda: store.objects.put_bytes(b"x" * (3 << 20)), lambda: store.documents.write("d", b"x" * (3 << 20))):
    try:
        write()
    except StoreError as error:
        print(error.message)
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NBPIPE_STORE_KEY", "a key for the tests only")
    return open_store(tmp_path / "store")


def run(store: Store, program: str, fault: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NBPIPE_FAULT": fault}
    argv = [sys.executable, "-c", program, store.location]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)


def left_behind(store: Store) -> list[Path]:
    return list(Path(store.location).rglob(".tmp-*"))


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_write_the_store_is_sound_and_the_next_try_completes_it(store: Store, point: str) -> None:
    passages = 0
    while True:
        passages += 1
        done = run(store, PROGRAM, f"{point}:{passages}")
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert "committed" not in done.stdout
        report = fsck(store)
        assert (report.corrupt, report.missing, report.untrusted) == ([], {}, [])
        for trace in store.traces.lookup("k"):
            assert store.load_values(trace.outcome.outputs, {}) == VALUES
        for path in left_behind(store):
            os.utime(path, (0, 0))
        gc(store, grace=0)
        assert left_behind(store) == []
    assert passages > 3, "two objects and a trace were to be written"
    (trace, *_) = store.traces.lookup("k")
    assert store.load_values(trace.outcome.outputs, {}) == VALUES
    assert fsck(store).sound


def test_what_was_acknowledged_survives_a_kill_that_follows(store: Store) -> None:
    done = run(store, PROGRAM + "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "committed\n")
    assert len(store.traces.lookup("k")) == 1
    assert fsck(store).sound


def test_a_disk_that_fills_up_in_the_middle_is_a_clear_error_and_leaves_nothing(store: Store) -> None:
    done = run(store, FULL)
    assert done.stdout.count("the store at") == 2, done.stderr
    assert [path for path in Path(store.location).rglob("*") if path.is_file()] == []


def test_two_objects_that_were_swapped_are_found_and_never_loaded(store: Store) -> None:
    artifacts = store.save_values({"a": [1], "b": [2]}, stage="s")
    one, two = (_path(store, artifacts[name]) for name in "ab")
    first, second = one.read_bytes(), two.read_bytes()
    for path, data in ((one, second), (two, first)):
        path.chmod(0o644)
        path.write_bytes(data)
    for name in "ab":
        with pytest.raises(CorruptObject):
            store.load_values({name: artifacts[name]}, {})
    assert sorted(fsck(store).corrupt) == sorted(artifacts[name].objects[0] for name in "ab")


@pytest.mark.parametrize("kind", ["arrow", "safetensors"])
def test_damage_in_a_mapped_format_is_found_before_it_is_interpreted(store: Store, kind: str) -> None:
    import pandas as pd
    import torch

    value = pd.DataFrame({"a": [1.0, 2.0]}) if kind == "arrow" else torch.ones(3)
    artifacts = store.save_values({"x": value}, stage="s")
    assert artifacts["x"].format == kind
    path = _path(store, artifacts["x"])
    data = path.read_bytes()
    path.chmod(0o644)
    for damaged in (data[:-1], data[:50] + bytes([data[50] ^ 1]) + data[51:], b""):
        path.write_bytes(damaged)
        with pytest.raises(CorruptObject):
            store.load_values(artifacts, {})
    path.unlink()
    with pytest.raises(StoreError):
        store.load_values(artifacts, {})


def _path(store: Store, artifact: Artifact) -> Path:
    return Path(store.location) / "objects" / artifact.objects[0][:2] / artifact.objects[0]
