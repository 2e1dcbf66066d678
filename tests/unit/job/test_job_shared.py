"""A store that a job's machine shares changes nothing of a job but the way that bytes take."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from nbpipe.job.folder import GIVEN
from nbpipe.job.shared import Given, take
from nbpipe.store import shared
from nbpipe.store.base import hash_bytes
from nbpipe.store.local import LocalObjects

_ENDS = """
import sys, threading
from pathlib import Path
from nbpipe.job import elsewhere

elsewhere._unpacked = lambda folder: 0
elsewhere.read_spec = lambda folder: type("Spec", (), {"tracking": {}})()
elsewhere.run_job = lambda *_, **__: 7
elsewhere._shipment = lambda folder: elsewhere.Shipment(store="s3://b")

def give(*_):
    threading.Thread(target=threading.Event().wait).start()
    return True

elsewhere.give = give
sys.exit(elsewhere.run_elsewhere(Path()))
"""


def test_a_job_ends_though_its_shared_store_hangs() -> None:
    done = subprocess.run([sys.executable, "-c", _ENDS], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (7, "")


def test_inputs_are_not_waited_for_where_the_store_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "_PATIENCE", 0.2)
    monkeypatch.setattr(shared.SharedObjects, "_size", lambda *_: time.sleep(600))
    monkeypatch.setattr(shared.SharedObjects, "_get", lambda *_: pytest.fail("it was asked nevertheless"))
    take(tmp_path, str(tmp_path), [hash_bytes(b"x")], LocalObjects(tmp_path / "objects"))
    given = msgspec.json.decode((tmp_path / GIVEN).read_bytes(), type=Given)
    assert "no answer within" in given.why
    assert not given.damaged
