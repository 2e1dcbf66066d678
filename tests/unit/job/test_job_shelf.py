"""What is loaded ahead and taken from the shelf is what an import in a fresh process gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nothing is forked elsewhere")

_LOOK = """
import json, os, sys, warnings
def attributes(module):
    return sorted(name for name in vars(module) if not name.startswith("__"))
def look():
    named = [name for name in sorted(sys.modules) if name.partition(".")[0] in {TOPS}]
    return {
        "modules": named,
        "attributes": {name: attributes(sys.modules[name]) for name in named},
        "filters": [str(each) for each in warnings.filters],
        "environ": dict(os.environ),
    }
"""
_AHEAD = """
from nbpipe.job.shelf import SHELF
SHELF.fill({AHEAD})
"""


def _seen(folder: Path, tops: set[str], ahead: list[str], code: str) -> Any:
    """What `look()` gives after the code, in a process of its own that has loaded `ahead`."""
    start = _AHEAD.format(AHEAD=ahead) if ahead else ""
    program = f"{_LOOK.replace('{TOPS}', repr(tops))}\n{start}\n{code}\nprint(json.dumps(look()))\nos._exit(0)"
    ran = subprocess.run(
        [sys.executable, "-c", program.replace("os._exit(0)", "sys.stdout.flush(); os._exit(0)")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{Path(__file__).parents[3]}{os.pathsep}{folder / 'installed'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(ran.stdout.splitlines()[-1])


def _installed(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / "installed" / name.replace("__", "/")
        path = path / "__init__.py" if name in {"one", "two"} else path.with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    _installed(
        tmp_path,
        one="import os, warnings\nwarnings.filterwarnings('ignore', message='one')\nos.environ['ONE'] = '1'\nfrom one import a\n",
        one__a="from shared import value\nimport one.b\ndel one.b\n",
        one__b="",
        one__later="import two",
        two="import warnings\nwarnings.filterwarnings('error', message='two')\nimport shared, sys\nsys.modules['two.made'] = shared\n",
        shared="value = []\nimport atexit\natexit.register(value.append, 1)\n",
    )
    return tmp_path


_TOPS = {"one", "two", "shared"}


@pytest.mark.parametrize(
    "code",
    [
        "pass",
        "import one",
        "import two",
        "import shared",
        "import two, one",
        "import one.later",
        "from one import later",
        "import one.a as a\nimport warnings\nwarnings.simplefilter('ignore')\nimport two",
        "import warnings\nwarnings.simplefilter('ignore')\nimport one",
        "import os\nos.environ['MINE'] = '2'\nimport one",
    ],
)
def test_an_import_gives_what_it_gives_in_a_fresh_process(folder: Path, code: str) -> None:
    fresh = _seen(folder, _TOPS, [], code)
    assert _seen(folder, _TOPS, ["one", "one.later", "two", "no.such.module", "one.a.value"], code) == fresh
    assert fresh["modules"] or code == "pass"


def test_the_project_s_own_module_of_that_name_is_the_one_that_is_imported(folder: Path) -> None:
    (folder / "two.py").write_text("mine = 1")
    seen = _seen(folder, _TOPS, ["one", "two"], "import two")
    assert seen["attributes"]["two"] == ["mine"]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os; os.environ['OMP_NUM_THREADS'] = '1'", "OMP_NUM_THREADS changed before 'scipy'"),
        ("import sys, pathlib; pathlib.Path('own').mkdir(); pathlib.Path('own/shared.py').touch(); sys.path.insert(0, 'own')",
         "own changed before 'scipy'"),
    ],
)  # fmt: skip
def test_what_would_make_the_import_another_one_is_said(folder: Path, code: str, said: str) -> None:
    _installed(folder, scipy="import shared")
    tried = "try:\n    import scipy\nexcept ImportError:\n    pass\nexcept Exception as error:\n    os.environ['SAID'] = str(error)"
    seen = _seen(folder, _TOPS, ["scipy", "two", "one"], f"{code}\n{tried}")
    assert said in seen["environ"]["SAID"]
    assert "warm_libraries" in seen["environ"]["SAID"]


def test_who_catches_the_refusal_is_told_all_the_same(folder: Path) -> None:
    _installed(folder, scipy="")
    code = (
        "import os; os.environ['OMP_NUM_THREADS'] = '1'\ntry:\n    import scipy\nexcept Exception:\n    pass\n"
        "os.environ['SAID'] = str(SHELF.refused)"
    )
    assert "OMP_NUM_THREADS" in _seen(folder, _TOPS, ["scipy"], code)["environ"]["SAID"]


def test_a_library_that_was_installed_anew_meanwhile_does_not_fit(folder: Path) -> None:
    code = (
        "fits = [SHELF.fits('.', {})]\nopen('installed/two/__init__.py', 'a').write('new = 1')\nfits.append(SHELF.fits('.', {}))\n"
        "fits.append(SHELF.fits('.', {'MKL_NUM_THREADS': '1'}))\nos.environ['SAID'] = str(fits)"
    )
    assert _seen(folder, _TOPS, ["one", "two"], code)["environ"]["SAID"] == "[True, False, False]"


@pytest.mark.parametrize(
    "before",
    [
        "warnings.simplefilter('ignore')",
        "warnings.simplefilter('error')",
        "pass",
        "caught = warnings.catch_warnings(record=True); noted = caught.__enter__()",
    ],
)
def test_warnings_of_an_import_are_for_the_filters_of_who_imports(folder: Path, before: str) -> None:
    _installed(
        folder,
        warning="import warnings\nwarnings.warn('old', stacklevel=2)\nwarnings.warn('dated', DeprecationWarning)\n",
    )
    code = (
        f"import contextlib, io, warnings\nnoted = []\n{before}\nwith contextlib.redirect_stderr(io.StringIO()) as out:\n"
        "    try:\n        import warning\n    except Warning as error:\n        print('raised', error, file=out)\n"
        "os.environ['SAID'] = f'{out.getvalue().count(\"old\")} {\"raised\" in out.getvalue()} {len(noted)}'"
    )
    fresh = _seen(folder, set(), [], code)["environ"]["SAID"]
    assert _seen(folder, set(), ["warning"], code)["environ"]["SAID"] == fresh


def test_what_a_library_leaves_for_the_end_is_done_only_where_it_was_imported(folder: Path) -> None:
    _installed(folder, late="import weakref\nclass A: pass\na = A()\nweakref.finalize(a, print, 'end of late')\n")
    for code in ("pass", "import late"):
        ends = []
        for ahead in ([], ["late"]):
            program = f"{_AHEAD.format(AHEAD=ahead) if ahead else ''}\n{code}"
            env = {**os.environ, "PYTHONPATH": f"{Path(__file__).parents[3]}{os.pathsep}{folder / 'installed'}"}
            ran = subprocess.run(
                [sys.executable, "-c", program], cwd=folder, env=env, capture_output=True, text=True, check=True
            )
            ends.append(ran.stdout)
        assert ends[0] == ends[1] == ("end of late\n" if code != "pass" else "")


def test_what_a_library_draws_when_it_is_imported_is_drawn_when_it_is_asked_for(folder: Path) -> None:
    _installed(folder, drawing="from random import randint\nfirst = randint(0, 1 << 24)\n")
    code = "import random\nrandom.seed(3)\nimport drawing\nos.environ['SAID'] = f'{random.random()} {drawing.randint(0, 1 << 24)}'"
    fresh = _seen(folder, set(), [], code)["environ"]["SAID"]
    assert _seen(folder, set(), ["drawing"], code)["environ"]["SAID"] == fresh


def test_what_a_library_prints_when_it_is_imported_is_printed_when_it_is_asked_for(folder: Path) -> None:
    _installed(folder, loud="import sys\nprint('loud')\nstream = sys.stdout\n")
    code = (
        "import io, contextlib\nwith contextlib.redirect_stdout(io.StringIO()) as out:\n    import loud\n"
        "    print('later', file=loud.stream)\nos.environ['SAID'] = out.getvalue()"
    )
    assert _seen(folder, {"loud"}, ["loud"], code)["environ"]["SAID"] == "loud\nlater\n"


@pytest.mark.long
@pytest.mark.parametrize(
    "code", ["import pandas", "import sklearn", "import torch", "import torch, pandas", "import scipy"]
)
def test_the_libraries_that_are_loaded_ahead(tmp_path: Path, code: str) -> None:
    tops = {"pandas", "sklearn", "torch", "scipy", "joblib", "sympy", "dateutil", "pyarrow", "multiprocessing", "http"}
    ahead = ["pandas", "sklearn.linear_model", "sklearn.datasets", "scipy.stats", "torch", "torch.nn"]
    fresh = _seen(tmp_path, tops, [], code)
    assert _seen(tmp_path, tops, ahead, code) == fresh
    assert len(fresh["modules"]) > 100 or code == "import scipy"


def test_what_a_library_sets_when_it_is_used_is_no_reason_against_another_import(folder: Path) -> None:
    (folder / "installed/scipy").mkdir()
    for name in ("__init__", "io"):
        (folder / f"installed/scipy/{name}.py").touch()
    code = "import os\nos.environ['TORCHINDUCTOR_CACHE_DIR'] = '/tmp/x'\nimport one, scipy.io"
    fresh = _seen(folder, {"one", "scipy"}, [], code)
    assert _seen(folder, {"one", "scipy"}, ["one", "scipy.io"], code) == fresh
