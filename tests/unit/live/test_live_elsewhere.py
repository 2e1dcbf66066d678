"""A stage cell that runs on a target: here another process of this machine, which knows nothing of the kernel."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from IPython.utils.capture import capture_output

from nbpipe.live.elsewhere.stream import Stream
from nbpipe.run import record as records
from nbpipe.run.api import run_notebook

if TYPE_CHECKING:
    from kernels import Live

_ABOVE = (
    "import math\ndef area(r):\n    return math.pi * r * r\nclass Config:\n    scale = 1\nK = 3\nrows = [1, 2, 3]",
    "%%params\nlr: float = 0.5",
    "%%stage load\ndata = {'a': [1, 2]}\nbeside = data",
)
_TRAIN = """%%stage train --on two --metrics total
import json
from IPython.display import display
print('hello', lr, K)
handle = display({'text/plain': 'one'}, raw=True, display_id=True)
handle.update({'text/plain': 'two'}, raw=True)
total = area(2) * lr + sum(rows) + Config.scale
data['b'] = 3
def helper(x):
    return x + total
parts = (part for part in 'ab')
total"""


@pytest.fixture
def two(live: Live) -> Live:
    """With a target on which two stages may run at once."""
    (live.root / "nbpipe.toml").write_text('[targets.two]\nkind = "local"\ncpus = 2\n')
    return live


def _run(live: Live, source: str) -> tuple[Any, str]:
    with capture_output() as captured:
        result = live.shell.run_cell(source, store_history=True)
    rich = "".join(str(output.data) for output in captured.outputs)
    return result, captured.stdout + rich + captured.stderr


def test_inputs_travel_and_output_and_results_come_back(two: Live) -> None:
    for source in (*_ABOVE, "Config.scale = 2\nexec('other = data\\nK = 4')"):
        two.run(source)
    result, shown = _run(two, _TRAIN)
    assert result.success, shown
    names = two.shell.user_ns
    assert shown.splitlines()[0] == "hello 0.5 4"
    assert "one" in shown
    assert "two" in shown
    assert names["total"] == pytest.approx(14.283185)
    assert names["data"] == {"a": [1, 2], "b": 3}
    assert names["helper"](1) == names["total"] + 1
    assert names["json"] is json
    # What is not as it would be in this kernel is said.
    assert "'parts' stays there" in shown
    assert "parts" not in names
    assert "other keeps what it was here" in shown
    assert names["other"] == {"a": [1, 2]}
    assert names["beside"] is names["data"]
    record = records.read(two.project.runs / "r1")
    assert record is not None
    assert (record.status, record.params, list(record.keys)) == ("succeeded", {"lr": 0.5}, ["train"])
    assert two.last().metrics == {"total": names["total"]}
    assert "nbpipe: train ✓ on two" in shown


def test_the_same_cell_takes_the_result_that_is_there_and_so_does_a_run(two: Live) -> None:
    cells = (
        "%%params\nlr: float = 0.5",
        "%%stage load\nrows = [1, 2]",
        "%%stage train\nprint(lr)\nnet = sum(rows) * lr",
    )
    two.run(*cells[:2], "%nbpipe on two")
    _, first = _run(two, cells[2])
    two.shell.user_ns.pop("net")
    _, again = _run(two, cells[2])
    assert two.shell.user_ns["net"] == 1.5
    assert first.splitlines()[0] == again.splitlines()[0] == "0.5"
    assert "train ✓ kept since r1" in again
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_code_cell(text) for text in (*cells, "%%stage after\nassert net == 1.5\nprint(rows)")]
    nbformat.write(book, Path("n.ipynb"))
    run = run_notebook("n.ipynb", on="two")
    assert {stage.name: stage.status for stage in run.stages} == {
        "load": "succeeded",
        "train": "cached",
        "after": "succeeded",
    }
    two.run("lr = 2.0", cells[2])
    assert two.shell.user_ns["net"] == 6.0
    two.run("%nbpipe on local", cells[2])
    assert len(two.project.run_ids()) == 4


def test_definitions_are_made_here_with_the_values_that_come_home_not_with_those_that_were_here(two: Live) -> None:
    two.run("n = 1\ndef get():\n    return n\nclass Net:\n    size = 1")
    source = """%%stage train --on two
n = len([get(), 1])
def size(of=n):
    return of
def again(of=size()):
    return of
class Net:
    size = n
    called = get()
class Large(Net):
    pass
net = Large()
net.width = 3"""
    result, shown = _run(two, source)
    assert result.success, shown
    names = two.shell.user_ns
    assert (names["size"](), names["again"](), names["Net"].size, names["Net"].called) == (2, 2, 2, 2)
    assert type(names["net"]) is names["Large"]
    assert isinstance(names["net"], names["Net"])
    assert names["net"].width == 3


def test_a_definition_that_cannot_be_made_here_keeps_no_other_from_being_made_once(two: Live) -> None:
    source = """%%stage train --on two
import sys
made = 1
def broken(of=sys.gettrace.nothing if hasattr(sys, 'nbpipe_was_here') else 1):
    return of
class Net:
    pass
net = Net()
def after():
    return made"""
    sys.nbpipe_was_here = True  # type: ignore[attr-defined]
    try:
        result, shown = _run(two, source)
    finally:
        del sys.nbpipe_was_here  # type: ignore[attr-defined]
    assert result.success, shown
    assert shown.count("a definition of the cell cannot be made here") == 1
    names = two.shell.user_ns
    assert "broken" not in names
    assert type(names["net"]) is names["Net"]
    assert names["after"]() == 1


def test_an_error_there_shows_the_users_own_lines_and_binds_nothing(two: Live) -> None:
    two.run("def boom(x):\n    return 1 / x", "rows = [0]")
    result, shown = _run(two, "%%stage bad --on two\nleft = 1\nprint('before')\nboom(rows[0])")
    assert type(result.error_in_exec).__name__ == "ZeroDivisionError"
    assert str(result.error_in_exec) == "division by zero"
    assert "before" in shown
    assert f"Cell In[{result.execution_count}], line 4" in shown
    assert "return 1 / x" in shown
    assert "nbpipe/" not in shown
    assert "left" not in two.shell.user_ns
    assert two.last().error is not None
    assert two.last().error.ename == "ZeroDivisionError"  # type: ignore[union-attr]


def test_a_cell_of_several_processes_is_a_job_of_its_own_and_gives_what_the_first_one_has(two: Live) -> None:
    two.run("step = 2")
    result, shown = _run(two, "%%stage both --nproc 2\nimport os\nrank = os.environ['RANK']\nprint('rank', rank, step)")
    assert result.success, shown
    assert shown.startswith("rank 0 2\nnbpipe: both ✓ on local")
    assert two.shell.user_ns["rank"] == "0"
    assert next(two.project.runs.glob("r1/jobs/both.1/rank-1.log")).read_text() == "rank 1 2\n"


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("rows = (n for n in [1])", "reads 'rows' (generator), which cannot be sent"),
        ("rows = [1]\nexec('def area(r): return 0')", "reads 'area', which is another one in this kernel"),
        ("rows = [1]\nexec('lr = [3]')", "'lr'"),
        ("rows = [1]\ndel K", "reads 'K', which is no longer in this kernel"),
    ],
)
def test_what_cannot_be_sent_as_it_is_is_refused_by_name_before_anything_starts(
    two: Live, before: str, said: str
) -> None:
    two.run(*_ABOVE[:2], before)
    _, shown = _run(two, "%%stage sum --on two\nx = sum(rows) + area(1) + K + lr")
    assert said in shown
    assert "x" not in two.shell.user_ns
    assert two.project.run_ids() == []


def test_a_line_of_a_log_that_no_job_writes_ends_no_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = {"cell": 1, "type": "stream", "name": "stdout", "text": "on\n"}
    (tmp_path / "log").write_text("".join(f"{line}\n" for line in ('{"cell": 1, "ty', "[]", "{}", json.dumps(said))))
    stream = Stream(None, 1)
    stream.follow(tmp_path / "log")
    assert stream.pump()
    assert capsys.readouterr().out == "on\n"
