"""Folders of processes that have no project: none is left behind, however a process ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from nbpipe.stage.scratch import scratch_folder

_HOLD = """
import time
from nbpipe.stage.scratch import scratch_folder
with scratch_folder() as folder:
    print(folder, flush=True)
    time.sleep(60)
"""


def test_what_a_killed_process_left_goes_with_the_next_and_what_somebody_works_in_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with subprocess.Popen([sys.executable, "-c", _HOLD], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        other = Path(process.stdout.readline().strip())
        (other / "file").touch()
        with scratch_folder() as folder:
            assert list(folder.iterdir()) == []
            assert (other / "file").exists()
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert other.exists()
    with scratch_folder():
        assert not other.parent.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_link_and_a_pipe_in_the_folder_for_temporary_files_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp" / "nbpipe-site-pipe").mkdir(parents=True)
    os.mkfifo(tmp_path / "tmp" / "nbpipe-site-pipe" / "held")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "held").touch()
    (tmp_path / "tmp" / "nbpipe-site-link").symlink_to(tmp_path / "mine")
    with scratch_folder():
        pass
    assert (tmp_path / "mine" / "held").exists()
