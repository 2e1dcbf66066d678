"""The promise on generated notebooks: run, changed in one cell and run again, changed back; never a silent difference."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbpipe.errors import NbpipeError
from nbpipe.run.api import run_notebook

#: Every name there is, so that no statement fails for lack of one.
START = """\
import copy, os, random
import numpy as np
random.seed(1)
n, m = 3, 4
xs, ys = [1, 2], [n]
d = {"a": xs}
arr = np.arange(5)
part = arr[1:]
def f():
    return n + len(xs)
def g(v):
    v.append(m)
class C:
    count = 0
    def __init__(self):
        self.held = xs
obj = C()
h = lambda: n * 2
open("out.txt", "w").write("7")
"""
SHOW = "print(n, xs, ys, d, arr.tolist(), part.tolist(), C.count, obj.held, f(), h(), os.environ.get('NBP_X'))"
STATEMENTS = (
    "n = m + 1",
    "n += 1",
    "m = n",
    "n = len(xs) + len(ys)",
    "n = f()",
    "n = h()",
    "n = int(arr.sum())",
    "n = random.randint(0, 99)",
    "random.seed(n)",
    "n = int(open('out.txt').read())",
    "_ = open('out.txt', 'w').write(str(n))",
    "xs = [n, m]",
    "xs = ys",
    "xs = list(ys)",
    "ys = xs[1:]",
    "ys = d['a']",
    "xs.append(n)",
    "xs += [m]",
    "ys.insert(0, n)",
    "d['a'] = xs",
    "d = {'a': ys, 'b': n}",
    "d = copy.deepcopy(d)",
    "g(xs)",
    "g(ys)",
    "g(obj.held)",
    "for item in [xs, ys]:\n    item.append(m)",
    "for key in sorted(d):\n    m = len(key) + n",
    "xs = [n + value for value in xs if isinstance(value, int)]",
    "arr = arr + 1",
    "arr *= 2",
    "part[0] = n % 7",
    "part = arr[2:]",
    "part = arr.copy()",
    "arr[:] = 1",
    "def f():\n    return m * 10",
    "def f():\n    global n\n    n += 1\n    return n",
    "def f():\n    xs.append(0)\n    return len(xs)",
    "def f(k=n):\n    return k + m",
    "def g(v):\n    v.extend([1, m])",
    "def g(v):\n    h_local = v\n    h_local.append(len(d))",
    "h = lambda: m + len(d)",
    "h = f",
    "class C:\n    count = n\n    def __init__(self):\n        self.held = ys",
    "C.count += 1",
    "obj = C()",
    "obj.held = list(obj.held)",
    "obj.held.append(n)",
    "if n > m:\n    m = n\nelse:\n    xs = [m]",
    "if n % 2:\n    ys = xs",
    "while n > 50:\n    n -= 30",
    "try:\n    n = undefined_name\nexcept NameError:\n    n = 5",
    "del m\nm = 2",
    "os.environ['NBP_X'] = str(n)",
    "globals()['n'] = m",
    "exec('m = n + 1')",
    "exec('def f():' + ' return 99')",
    "hooks = [f, C, h]",
    "n = int(globals().get('hooks', [f])[0]())",
    "kept = open('out.txt', 'w')\nkept.write(str(n))",
    "kept = open('more.txt', 'a')\nkept.write(str(m))\nkept.flush()",
    "print(n, xs)",
    "print(arr.tolist(), part.tolist())",
    "print(d, C.count, obj.held)",
)
_CELL = st.lists(st.sampled_from(STATEMENTS), min_size=1, max_size=4).map("\n".join)
_CELLS = st.lists(_CELL, min_size=2, max_size=4)

_FRESH = """
import contextlib, io, json, sys
namespace = {"__name__": "__main__"}
shown = []
for cell in json.load(sys.stdin):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(cell, "cell", "exec"), namespace)
    shown.append(out.getvalue())
print(json.dumps(shown))
"""


def _left(folder: Path) -> dict[str, str]:
    """What a program left in a folder."""
    return {path.name: path.read_text() for path in folder.glob("*.txt")}


def _fresh(cells: list[str], folder: Path) -> list[str] | None:
    """What each cell prints in one fresh interpreter; None if one of them raises."""
    done = subprocess.run(
        [sys.executable, "-c", _FRESH], input=json.dumps(cells), cwd=folder, capture_output=True, text=True, check=False
    )
    return json.loads(done.stdout) if done.returncode == 0 else None


def _notebook(cells: list[str]) -> Any:
    made = [nbformat.v4.new_code_cell(f"%%stage s{n}\n{cell}", id=f"cell-{n}") for n, cell in enumerate(cells)]
    book = nbformat.v4.new_notebook(cells=made)
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return book


def _printed(path: Path) -> list[str]:
    book = nbformat.read(path, 4)
    return ["".join(o["text"] for o in c.outputs if o.get("name") == "stdout") for c in book.cells]


def _agree(cells: list[str], project: Path) -> None:
    """The notebook's run in `project` prints what a fresh interpreter prints, or fails and says why."""
    notebook = project / "program.ipynb"
    nbformat.write(_notebook(cells), notebook)
    with tempfile.TemporaryDirectory() as elsewhere:
        expected = _fresh(cells, Path(elsewhere))
        left = _left(Path(elsewhere))
    for name in _left(project):
        (project / name).unlink()
    try:
        result = run_notebook(notebook, jobs=2)
    except NbpipeError as error:
        assert error.message
        return
    if result.failure is not None:
        assert result.failure.message
        assert expected is None or result.failure.code not in {"user-code", "internal"}, result.failure
        return
    assert expected is not None, "the run succeeded where a fresh kernel fails"
    assert _printed(result.notebook) == expected
    assert _left(project) == left


@pytest.fixture(autouse=True)
def _no_tracking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBPIPE_TRACKING", "off")


@pytest.mark.long
@settings(
    max_examples=int(__import__("os").environ.get("NBPIPE_PROGRAMS", "12")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(cells=_CELLS, at=st.integers(0, 3), other=_CELL)
def test_a_generated_notebook_gives_what_a_fresh_kernel_gives(cells: list[str], at: int, other: str) -> None:
    program = [START, *cells, SHOW]
    changed = [START, *cells, SHOW]
    changed[1 + at % len(cells)] = other
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        for version in (program, changed, program):
            _agree(version, project)
