"""The local store under bad conditions: full, read-only, damaged, left behind; and its care-takers fsck and gc."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nbpipe.errors import CorruptObject, SecurityError, StoreError
from nbpipe.model import Artifact, Outcome, Trace
from nbpipe.store import Store, open_store
from nbpipe.store.fsck import fsck
from nbpipe.store.gc import gc

PACKAGE = Path(__file__).parents[3] / "nbpipe"


def path_of(store: Store, digest: str) -> Path:
    return Path(store.location) / "objects" / digest[:2] / digest


def overwrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def commit(store: Store, data: bytes, *, run: str = "r1", created: float = 0.0) -> str:
    digest = store.objects.put_bytes(data)
    artifact = Artifact(digest="d", format="json", objects=(digest,))
    outcome = Outcome(stage="load", attempt=1, token="t", status="succeeded", outputs={"x": artifact})  # noqa: S106
    store.traces.commit(Trace(key="k1", stage="load", outcome=outcome, run=run, created=created))
    return digest


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_takes_no_more_is_a_clear_error_and_leaves_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def full(_handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"full|cannot be written"):
        store.objects.put_bytes(b"x")
    with pytest.raises(StoreError):
        store.documents.write("a/b", b"x")
    assert [path for path in Path(store.location).rglob("*") if path.is_file()] == []


def test_a_flipped_bit_is_found_although_the_object_was_verified_before(store: Store) -> None:
    digest = store.objects.put_bytes(b"x" * 1000)
    time.sleep(0.05)
    store.objects.local_path(digest)
    stat = path_of(store, digest).stat()
    overwrite(path_of(store, digest), b"y" * 1000)
    os.utime(path_of(store, digest), ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(CorruptObject):
        store.objects.local_path(digest)


def test_a_verified_object_is_not_hashed_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = store.objects.put_bytes(b"x" * 1000)
    time.sleep(0.05)
    store.objects.local_path(digest)
    monkeypatch.setattr("nbpipe.store.local.hash_file", lambda _path: pytest.fail("hashed again"))
    store.objects.local_path(digest)


def test_the_key_is_made_once_for_this_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NBPIPE_STORE_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    open_store(tmp_path / "store")
    key = tmp_path / "nbpipe" / "key"
    first = key.read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600
    open_store(tmp_path / "store")
    assert key.read_bytes() == first
    key.chmod(0o644)
    with pytest.raises(SecurityError, match="others can read"):
        open_store(tmp_path / "store")


def test_an_empty_key_of_a_team_is_none_and_a_short_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("NBPIPE_STORE_KEY", "")
    open_store(tmp_path / "store")
    assert (tmp_path / "nbpipe" / "key").exists()
    monkeypatch.setenv("NBPIPE_STORE_KEY", "short")
    with pytest.raises(SecurityError, match="shorter than"):
        open_store(tmp_path / "store")


def test_no_other_module_unpickles() -> None:
    forbidden = re.compile(
        r"^\s*(import|from) (pickle|cPickle|_pickle|dill|cloudpickle|joblib|shelve)\b"
        r"|joblib\.load|torch\.load|yaml\.(unsafe_)?load\b|read_pickle|allow_pickle=True|pickle\.loads?\(",
        re.MULTILINE,
    )
    found = [path.name for path in PACKAGE.rglob("*.py") if forbidden.search(path.read_text())]
    assert found == ["trust.py"]


def test_the_lease_of_a_dead_process_is_broken(store: Store) -> None:
    program = f"""
from nbpipe.store import open_store
assert open_store({store.location!r}).leases.claim("k1", "dead") is not None
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    lease = store.leases.claim("k1", "alive")
    assert lease is not None
    assert store.leases.claim("k1", "late") is None
    assert store.leases.holder("k1") == "alive"


def test_of_many_processes_exactly_one_gets_the_lease(store: Store) -> None:
    program = f"""
import sys
from nbpipe.store import open_store
print(open_store({store.location!r}).leases.claim("k1") is not None, flush=True)
sys.stdin.read()
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    # All of them live until the last has answered.
    answers = [process.stdout.readline().strip() for process in processes if process.stdout is not None]
    for process in processes:
        process.communicate()
    assert sorted(answers) == ["False"] * 5 + ["True"]


def test_fsck_finds_what_is_damaged_missing_untrusted_and_left_behind(store: Store) -> None:
    damaged, lost = commit(store, b"damaged"), commit(store, b"lost")
    commit(store, b"fine")
    assert fsck(store).sound
    overwrite(path_of(store, damaged), b"damagee")
    store.objects.delete(lost)
    store.documents.write("traces/k9/1.json", b"forged")
    left = Path(store.location) / "objects" / ".tmp-1-x"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    report = fsck(store, repair=True)
    assert report.corrupt == [damaged]
    assert set(report.missing) == {damaged, lost}
    assert len(report.untrusted) == 1
    assert report.abandoned == [str(left)]
    assert not left.exists()
    assert (Path(store.location) / "quarantine" / damaged).read_bytes() == b"damagee"
    assert not store.objects.has(damaged)


def test_gc_keeps_what_a_trace_needs_and_what_is_young(store: Store) -> None:
    needed, young, old = commit(store, b"needed"), store.objects.put_bytes(b"young"), store.objects.put_bytes(b"old")
    kept = store.objects.put_bytes(b"kept")
    for digest in (needed, old, kept):
        os.utime(path_of(store, digest), (0, 0))
    seen = gc(store, keep={kept}, dry_run=True)
    assert (seen.objects, seen.bytes) == (1, 3)
    assert store.objects.has(old)
    gc(store, keep={kept})
    assert [store.objects.has(digest) for digest in (needed, young, old, kept)] == [True, True, False, True]


def test_gc_forgets_old_traces_but_not_those_of_runs_that_are_kept(store: Store) -> None:
    now = time.time()
    first = commit(store, b"1", run="r1", created=now - 100)
    second = commit(store, b"2", run="r2", created=now - 100)
    third = commit(store, b"3", run="r3", created=now)
    done = gc(store, keep={"r2"}, older_than=50, grace=0)
    assert (done.traces, done.objects) == (1, 1)
    assert [store.objects.has(digest) for digest in (first, second, third)] == [False, True, True]


def test_bytes_put_again_are_young_again(store: Store) -> None:
    digest = store.objects.put_bytes(b"x")
    os.utime(path_of(store, digest), (0, 0))
    store.objects.put_bytes(b"x")
    assert gc(store).objects == 0


def test_what_is_noted_once_is_forced_to_the_disk_and_a_claim_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path / "store")
    forced = list[int]()
    monkeypatch.setattr(os, "fsync", forced.append)
    lease = store.leases.claim("00" * 32)
    assert lease is not None
    assert forced == []
    assert store.documents.create("scheduled/result.json", b"{}")
    assert len(forced) == 2
