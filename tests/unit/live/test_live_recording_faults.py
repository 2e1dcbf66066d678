"""Whatever goes wrong in recording, the cell runs as it would have, and the kernel says once that something did."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nbpipe.live import compose, recording, trial_files
from nbpipe.live.recorder import Recorder

if TYPE_CHECKING:
    from kernels import Live

HOSTILE = """
import time
class Meta(type):
    def __getattribute__(cls, name):
        if name in ('__name__', '__module__', '__qualname__', '__mro__'):
            touched.append(name)
            raise RuntimeError(name)
        return super().__getattribute__(name)
touched = []
def bad(*args, **kwargs):
    touched.append('called')
    time.sleep(5)
    raise RuntimeError('hostile')
class Hostile(metaclass=Meta):
    __len__ = __eq__ = __repr__ = __str__ = __iter__ = __bool__ = __float__ = __getattr__ = __reduce__ = bad
    __hash__ = None
class Rows(list):
    __len__ = __iter__ = __getitem__ = __repr__ = bad
class Text(str):
    __len__ = __eq__ = __repr__ = __str__ = bad
    __hash__ = str.__hash__
class Odd(Exception):
    __str__ = __repr__ = bad
thing, rows, text, bag = Hostile(), Rows(), Text('x'), [Hostile()]
"""


def test_hostile_values_are_never_asked_anything(live: Live) -> None:
    live.run(HOSTILE)
    live.run("%%stage a --metrics thing,rows,text,bag\n(thing, rows, text, bag, Hostile)\nx = 1")
    trial = live.last()
    assert live.shell.user_ns["touched"] == []
    assert trial.status == "succeeded"
    assert trial.inputs["thing"].type == "Hostile"
    assert trial.inputs["bag"].digest == ""
    assert trial.metrics == {}
    assert live.session.recording.recorder.failed == 0


def test_an_error_is_asked_for_its_text_as_often_as_in_a_plain_cell(live: Live) -> None:
    live.run(
        "asked = []\nclass Odd(Exception):\n    def __str__(self):\n        asked.append(1)\n        return 'odd'\n"
    )
    live.run("raise Odd()")
    plain = len(live.shell.user_ns["asked"])
    live.run("%%stage a\nraise Odd()")
    error = live.last().error
    assert error is not None
    assert (error.ename, error.evalue) == ("Odd", "odd")
    assert len(live.shell.user_ns["asked"]) == 2 * plain


PLACES: list[tuple[Any, str]] = [
    (recording, "facts_for"),
    (recording, "status_of"),
    (recording, "error_of"),
    (recording, "number"),
    (recording, "trial_of"),
    (recording, "find_project"),
    (compose, "outputs_of"),
    (compose, "names_read"),
    (compose, "given_out"),
    (compose, "digest_of"),
    (compose, "commit_of"),
    (trial_files, "_fill"),
    (trial_files, "trial_ids"),
]


@pytest.mark.parametrize(("module", "name"), PLACES, ids=[f"{m.__name__}.{n}" for m, n in PLACES])
@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("bug")], ids=["full", "bug"]
)
def test_a_failure_anywhere_reaches_no_cell(
    live: Live, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, error: Exception
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    live.run("y = 3")
    monkeypatch.setattr(module, name, fails)
    source = "%%stage a --metrics x\nx = y + 1\nx"
    broken = source + "\n1 / 0"
    with_errors = live.run(source, source, broken)
    assert live.session.recording.recorder.drain(10)
    with_errors += live.run(source)
    assert live.shell.user_ns["x"] == 4
    assert "Out[2]: 4" in with_errors
    assert with_errors.count("a trial could not be recorded") == 1
    assert "Error in callback" not in with_errors
    assert live.session.recording.recorder.failed >= 1
    monkeypatch.undo()
    os.chdir(live.root)
    live.run("%%stage b\nx = 5")
    assert live.last().stage == "b"


def test_a_folder_that_cannot_be_written_is_told_and_nothing_is_left(live: Live) -> None:
    state = live.root / ".nbpipe"
    state.write_text("not a folder")
    live.run("%%stage a\nx = 1")
    live.session.recording.recorder.drain(10)
    assert "a trial could not be recorded" in live.run("%%stage a\nx = 1")
    assert "Error" in live.session.recording.recorder.trouble
    assert sorted(path.name for path in live.root.iterdir()) == [".nbpipe", "nbpipe.toml"]
    assert state.is_file()


def test_a_disk_that_fills_leaves_no_half_file(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    live.run("%%stage a\nx = 1")
    live.trials()
    real = trial_files.os.fsync  # type: ignore[attr-defined]
    monkeypatch.setattr(trial_files.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))  # type: ignore[attr-defined]
    live.run("%%stage a\nx = 2")
    live.session.recording.recorder.drain(10)
    monkeypatch.setattr(trial_files.os, "fsync", real)  # type: ignore[attr-defined]
    assert [path.name for path in (live.root / ".nbpipe" / "trials").iterdir()] == ["t1.json"]


def test_a_file_system_without_hard_links_serves_too(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(trial_files.os, "link", refused)  # type: ignore[attr-defined]
    live.run("%%stage a\nx = 1", "%%stage a\nx = 2")
    assert [trial.id for trial in live.trials()] == ["t1", "t2"]
    folder = live.root / ".nbpipe" / "trials"
    assert sorted(path.name for path in folder.iterdir()) == ["t1.json", "t2.json"]
    assert stat.S_IMODE((folder / "t1.json").stat().st_mode) & 0o600 == 0o600


def test_too_many_are_dropped_and_counted_instead_of_waited_for() -> None:
    gate = threading.Event()
    done: list[int] = []

    def work(item: int) -> None:
        gate.wait(10)
        done.append(item)

    recorder = Recorder(work, limit=3)
    start = time.perf_counter()
    for item in range(50):
        recorder.put(item)
    assert time.perf_counter() - start < 8
    assert recorder.dropped >= 46
    assert not recorder.drain(0.05)
    gate.set()
    assert recorder.drain(10)
    assert len(done) + recorder.dropped == 50
    assert done[:3] == [0, 1, 2]


def test_an_error_does_not_end_the_thread() -> None:
    done: list[int] = []

    def work(item: int) -> None:
        if item == 1:
            raise ValueError("one")
        done.append(item)

    recorder = Recorder(work)
    for item in range(3):
        recorder.put(item)
    assert recorder.drain(10)
    assert (done, recorder.failed, recorder.trouble) == ([0, 2], 1, "ValueError: one")


def test_the_kernel_imports_nothing_heavy_and_writes_what_is_left_when_it_ends(tmp_path: Path) -> None:
    program = (
        "from IPython.core.interactiveshell import InteractiveShell as S; s = S.instance(); "
        "s.history_manager.enabled = False; s.run_cell('%load_ext nbpipe'); s.run_cell('%%stage a\\nx = 1')"
    )
    program += (
        "\nimport sys; print([name for name in ('mlflow', 'pandas', 'numpy', 'papermill') if name in sys.modules])"
    )
    env = {**os.environ, "NBPIPE_TRIALS": "1", "NBPIPE_TRACKING": "off"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=env, check=True, timeout=60, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert (tmp_path / ".nbpipe" / "trials" / "t1.json").stat().st_size > 0


def test_a_job_of_a_run_records_no_trials(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBPIPE_SECRETS", "")
    assert not recording.Recording(live.shell, lambda: None).on
    monkeypatch.delenv("NBPIPE_SECRETS")
    assert recording.Recording(live.shell, lambda: None).on
    for text in ("0", "off", "False"):
        monkeypatch.setenv("NBPIPE_TRIALS", text)
        assert not recording.Recording(live.shell, lambda: None).on
