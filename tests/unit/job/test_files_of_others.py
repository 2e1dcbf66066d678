"""Files that come into the project while a stage runs: whose they are, where no hook saw who wrote them."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jobs import Bench

from nbpipe.job.folder import UNDO, VERDICT, write_durably
from nbpipe.job.holders import WHOSE, uncrowded
from nbpipe.job.undo import undo
from nbpipe.model import FileState, JobSpec, Outcome

#: A stage that says `begun`, and waits for `go`.
_WAITS = "import os, time\nopen('begun', 'w').close()\nwhile not os.path.exists('go'):\n    time.sleep(0.01)\n"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    (bench.project / "a.csv").write_text("x,y\n1,2\n")
    (bench.project / "sub").mkdir()
    return bench


def _meanwhile(bench: Bench, body: str, *, before: str = "") -> Outcome:
    """What others do while it runs: a file of theirs, a file edited, a file that the stage waits for."""

    def act() -> None:
        while not (bench.project / "begun").exists():
            time.sleep(0.01)
        (bench.project / "notes.txt").write_text("mine")
        (bench.project / "a.csv").write_text("edited")
        (bench.project / "go").touch()

    other = threading.Thread(target=act)
    other.start()
    outcome = bench.run(f"{before}\n{_WAITS}{body}")
    other.join()
    return outcome


def _written(outcome: Outcome) -> list[str]:
    assert outcome.status == "succeeded", outcome.failure
    return [state.path for state in outcome.files_written]


@pytest.mark.parametrize(
    ("body", "written"),
    [
        ("", ["begun"]),
        ("import pandas, numpy as np\nnp.save('n.npy', np.ones(3))\npandas.DataFrame({'a': [1]}).to_csv('n.csv')",
         ["begun", "n.csv", "n.npy"]),
        ("import ctypes.util, matplotlib.pyplot as plt, sklearn.tree\nplt.savefig('p.pdf')", ["begun", "p.pdf"]),
    ],
)  # fmt: skip
def test_what_others_write_is_theirs_where_the_stage_cannot_have_written_it(
    bench: Bench, body: str, written: list[str]
) -> None:
    outcome = _meanwhile(bench, body)
    assert _written(outcome) == written
    assert outcome.uncacheable == ("go was changed by others while the stage ran, which had looked at it",)
    assert undo(bench.folders[-1]) == []
    left = {path.name: path.read_text() for path in bench.project.iterdir() if path.is_file()}
    assert {name: left[name] for name in ("notes.txt", "a.csv", "go")} == {
        "notes.txt": "mine",
        "a.csv": "edited",
        "go": "",
    }
    assert not set(written) & set(left)


@pytest.mark.parametrize("looks", ["open('a.csv').read()", "import os; os.listdir('.')"])
def test_a_file_that_others_change_once_the_stage_has_looked_keeps_its_result_from_being_used_again(
    bench: Bench, looks: str
) -> None:
    outcome = _meanwhile(bench, "", before=looks)
    assert _written(outcome) == ["begun"]
    assert any("a.csv was changed by others" in reason for reason in outcome.uncacheable)


@pytest.mark.parametrize(
    ("body", "written"),
    [
        ("import ctypes\nctypes.CDLL(None).creat(b'made.bin', 0o644)", "made.bin"),
        ("import pyarrow as pa\nwith pa.OSFile('made.bin', 'w') as f:\n    f.write(b'1')", "made.bin"),
        ("import own\nown.write()", "made.bin"),
        ("import sqlite3 as s\nc = s.connect(':memory:')\nc.executescript(\"attach 'm.db' as o; create table o.t(x)\")", "m.db"),
        ("import os\nos.system('echo 1 > made.txt')", "made.txt"),
        ("import os, threading as t\na = t.Thread(target=os.system, args=('touch made',))\na.start(); a.join()", "made"),
    ],
)  # fmt: skip
def test_what_native_code_and_programs_write_is_the_stages_own(bench: Bench, body: str, written: str) -> None:
    (bench.project / "own.py").write_text(
        "def write():\n    import pyarrow\n    with pyarrow.OSFile('made.bin', 'w') as f:\n        f.write(b'1')\n"
    )
    assert written in _written(bench.run(body))


@pytest.mark.parametrize(("theirs", "own"), [("data.txt", False), ("other.txt", True)])
def test_a_file_that_was_there_and_changed_unseen_is_claimed_by_all_that_may_have_written_it(
    bench: Bench,
    theirs: str,
    own: bool,  # noqa: FBT001
) -> None:
    def told(folder: Path, spec: JobSpec, **fields: Any) -> Outcome:
        (folder / UNDO).mkdir()
        outcome = Outcome(stage="train", attempt=1, token=spec.token, status="succeeded", **fields)
        write_durably(folder / VERDICT, msgspec.json.encode(outcome))
        return outcome

    beside, job = bench.write("pass"), bench.write("pass")
    told(*beside, files_written=(FileState(path=theirs, digest="2"),))
    read = (FileState(path="data.txt", digest="1"), FileState(path="sub/data.txt", digest="1"))
    reasons = ("it changed", f"native code wrote data.txt while other stages ran: {WHOSE}")
    written = (FileState(path="data.txt", digest="2"), FileState(path="sub/data.txt", digest="2"))
    folder, outcome = job[0], told(*job, files_written=written, files_read=read, crowded=True, uncacheable=reasons)
    index = folder / UNDO / "index.jsonl"
    index.write_text(json.dumps({"path": str(bench.project / "sub/data.txt"), "copy": "", "seen": "scan"}) + "\n")
    found = uncrowded(outcome, folder, here=True)
    assert (found.unseen, found.crowded) == (not own, not own)
    if own:
        assert found.files_read == read[:1], "what only ends alike was not its own"
        assert found.uncacheable == reasons[:1]
