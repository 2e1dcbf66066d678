"""A notebook as a package of plain Python: its stages give what a run of the notebook gives, or it is refused with its line."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import nbformat
import pytest

from nbpipe.errors import PipelineError, UnsupportedError
from nbpipe.export.api import deployment_of, export_notebook
from nbpipe.export.registry import exporter
from nbpipe.export.script_text import indented
from nbpipe.export.verify import verify
from nbpipe.notebook.reader import read_notebook

_MAKE = '''%%stage make --metrics m
%matplotlib inline
import textwrap

class Box:
    def __init__(self, value):
        self.value = value


# closes over a parameter
def scaled(x):
    return [x * n for _ in range(n)]

text = textwrap.dedent("""
    two
  lines
""")
sum = sum(scaled(2))  # a builtin gets a value
box = Box(half(sum))
m = [1, math.floor(box.value)]
raw = !echo one; echo two
listed = [str(line) for line in raw]
!echo said
'''
_PARAMS = """%%params
n: int = 3  # how many: 100%
name: str = "it's"
sizes: list = [1, 2]
model: Literal['a', 'b'] = 'a'
deep: bool = True
"""
_CELLS = (
    "import math\n\ndef half(x):\n    # by two\n    return x / 2\n\nLIMIT = [3]",
    _PARAMS,
    "%%setup\nimport random\n\nrng = random.Random(n)",
    "%matplotlib inline",
    _MAKE,
    "%%stage draw\ndrawn = [rng.random() for _ in sizes]\nagain = scaled(1)\nopen('out.txt', 'w').write(name + text)",
    '%%check good --metric "m >= 9" --metric "sum < 100"\nassert isinstance(box, Box), model\nassert LIMIT',
    "%%stage last\ndisplay(listed)\nrest = {'box': half(box.value), 'listed': listed, 'deep': deep}",
)


def notebook(folder: Path, *cells: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "nbpipe.toml").touch()
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell, id=f"c{n}") for n, cell in enumerate(cells)])
    nbformat.write(book, folder / "n.ipynb")
    return folder / "n.ipynb"


def started(folder: Path, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    # Without this repository on the path, and with the folder of the package instead.
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "n_pipeline", *words]
    return subprocess.run(command, cwd=cwd or folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = notebook(tmp_path_factory.mktemp("script"), *_CELLS)
    return export_notebook(read_notebook(path), to="script").folder


def test_every_value_file_metric_and_verdict_is_that_of_a_native_run(tmp_path: Path) -> None:
    report = verify(notebook(tmp_path, *_CELLS), to="script")
    assert {row.stage: row.different for row in report.rows} == dict.fromkeys(("make", "draw", "good", "last"), ())
    assert {row.stage: row.compared for row in report.rows}["make"] > 5
    assert report.equal


def test_the_program_takes_every_parameter_as_an_option_of_its_type_and_needs_no_nbpipe(exported: Path) -> None:
    for file in exported.glob("n_pipeline/**/*.py"):
        assert "nbpipe" not in {name for node in ast.walk(ast.parse(file.read_text())) for name in _imported(node)}
    words = ("--n", "4", "--name", "x y", "--sizes", "[1, 2, 3]", "--model", "b", "--no-deep")
    done = started(exported, *words, "--folder", str(exported.parents[1]))
    assert (done.returncode, json.loads(done.stdout.splitlines()[-1])) == (0, {"m": 16.0})
    assert (exported.parents[1] / "out.txt").read_text() == "x y\n  two\nlines\n"
    for wrong in (("--n", "many"), ("--model", "c"), ("--nonsense",)):
        assert started(exported, *wrong).returncode == 2
    assert "100%" in started(exported, "--help").stdout


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    return [(node.module or "").partition(".")[0]] if isinstance(node, ast.ImportFrom) and not node.level else []


def test_a_check_that_says_no_ends_the_program_with_its_own_exit_code_and_nothing_below_runs(exported: Path) -> None:
    done = started(exported, "--n", "1", "--folder", str(exported.parents[1]))
    assert (done.returncode, "m >= 9 does not hold: m = 1" in done.stderr) == (8, True)


@pytest.mark.parametrize(("code", "exit_code"), [("sys.exit(0)", 1), ("raise ValueError('no')", 1)])
def test_code_that_ends_early_or_fails_is_no_success(tmp_path: Path, code: str, exit_code: int) -> None:
    path = notebook(tmp_path, f"%%stage one\nimport sys\nx = 1\n{code}", "%%stage two\nprint('reached', x)")
    done = started(export_notebook(read_notebook(path), to="script").folder)
    assert (done.returncode, "reached" in done.stdout) == (exit_code, False)


def test_the_authors_lines_stay_as_they_are_and_stand_where_they_see_what_they_use(exported: Path) -> None:
    make = (exported / "n_pipeline" / "stages" / "make.py").read_text()
    assert "    # closes over a parameter\n    def scaled(x):\n" in make
    assert "\n    sum = sum(scaled(2))  # a builtin gets a value\n" in make
    shared = (exported / "n_pipeline" / "definitions.py").read_text()
    assert "def half(x):\n    # by two\n    return x / 2" in shared
    assert "class Box" in shared
    assert "def make(rng" not in make


def test_types_that_a_run_has_seen_stand_in_the_signatures(tmp_path: Path) -> None:
    path = notebook(
        tmp_path, "%%stage one\nfrom decimal import Decimal\nx, y = Decimal(1), [1]", "%%stage two\nz = (x, y)"
    )
    given = deployment_of(read_notebook(path), to="script")
    types = {"x": "decimal.Decimal", "y": "builtins.list"}
    found = exporter("script").definition(msgspec.structs.replace(given, types=types)).files
    two = found["n_pipeline/stages/two.py"]
    assert "def two(x: 'decimal.Decimal', y: list) -> None:" in two
    assert "if TYPE_CHECKING:\n    import decimal\n" in two


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("x = 1\n%run other.py", "line 3"),
        ("name = 'x'\n!ls {name}", "shell line"),
        ("import nbpipe\nx = nbpipe.__version__", "nbpipe"),
        ("from math import *\nx = pi", "import *"),
        ("def f():\n    global y\n    y = 1\nf()\nx = y", "global y"),
        ("x = eval('1')", "eval"),
        ("import asyncio\nx = await asyncio.sleep(0, 1)", "await"),
        ("x = get_ipython()", "get_ipython"),
        ("x = f'{__name__}'", "f-string (line 2)"),
        ("__name__ = 'x'\nx = __name__", "__name__ is set"),
        ("try:\n    x = __file__\nexcept NameError:\n    x = '.'", "__file__ is not defined (line 3)"),
    ],
)
def test_what_only_a_notebook_can_do_is_refused_with_its_stage_and_line(tmp_path: Path, cell: str, said: str) -> None:
    path = notebook(tmp_path, f"%%stage one\n{cell}")
    with pytest.raises(PipelineError) as raised:
        export_notebook(read_notebook(path), to="script")
    assert isinstance(raised.value, UnsupportedError), raised.value
    assert (raised.value.stage, said in str(raised.value)) == ("one", True), str(raised.value)
    assert not (tmp_path / "exports").exists()


def test_a_condition_on_the_main_module_holds_as_it_does_in_a_notebook(tmp_path: Path) -> None:
    path = notebook(
        tmp_path,
        "def named():\n    return 'é', __name__",
        "%%stage one\nimport logging\nlog = logging.getLogger(__name__)\n\ndef main():\n    return [log.name, named(), __name__]\n\n"
        "if __name__ == '__main__':\n    x = main()",
        "%%stage two\nprint(x)",
    )
    done = started(export_notebook(read_notebook(path), to="script").folder)
    assert (done.returncode, done.stdout) == (0, "['__main__', ('é', '__main__'), '__main__']\n{}\n"), done.stderr


def test_a_function_of_an_exploration_cell_is_refused_as_one_of_a_stage(tmp_path: Path) -> None:
    path = notebook(tmp_path, "a = 1\n\ndef f():\n    return get_ipython()", "%%stage one\nx = f()")
    with pytest.raises(UnsupportedError, match=r"get_ipython \(line 4\)") as raised:
        export_notebook(read_notebook(path), to="script")
    assert (raised.value.stage, raised.value.cell) == ("one", 1)


def test_a_class_that_would_be_another_one_in_each_stage_is_refused(tmp_path: Path) -> None:
    cells = (
        "%%params\nn: int = 1",
        "%%stage one\nclass A:\n    size = n\na = A()",
        "%%stage two\nb = isinstance(a, A)",
    )
    with pytest.raises(UnsupportedError, match="would be another class"):
        export_notebook(read_notebook(notebook(tmp_path, *cells)), to="script")


@pytest.mark.parametrize(
    "text",
    ['x = """a\nb"""\ny = 1', "x = (1,\n  2)", "x = f'''{1}\n {2}'''\nif x:\n    y = '''\n'''", "x = 'a' \\\n  'b'"],
)
def test_moving_code_deeper_changes_no_string_in_it(text: str) -> None:
    def dumped(body: list[Any]) -> list[str]:
        return [ast.dump(node) for node in body]

    function = ast.parse(f"def f():\n{indented(text)}").body[0]
    assert isinstance(function, ast.FunctionDef)
    assert dumped(function.body) == dumped(list(ast.parse(text).body))
