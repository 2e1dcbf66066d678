"""What cells change around them that cannot be carried is named in a warning; nothing else is."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import nbformat
import numpy as np
import pytest
from IPython.core.formatters import PlainTextFormatter
from jobs import Bench

from nbpipe.job.unseen import Unseen, look_ahead
from nbpipe.run.api import run_notebook

_HELPER = """
class Config:
    rate = 0.1

class Item:
    pass

registry = {}
data = [1]

def scale(x, seen=[]):
    seen.append(x)
    return x
"""


def _shell(formatters: dict[str, object]) -> types.SimpleNamespace:
    """As much of IPython's shell as is looked at."""
    lists = dict.fromkeys(("input_transformers_cleanup", "input_transformers_post", "ast_transformers"), ())
    shown = types.SimpleNamespace(formatters=formatters)
    events, magics = types.SimpleNamespace(callbacks={}), types.SimpleNamespace(magics={})
    return types.SimpleNamespace(display_formatter=shown, events=events, magics_manager=magics, **lists)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    (made.project / "helper.py").write_text(_HELPER)
    return made


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("import pandas as pd; pd.set_option('display.float_format', lambda x: '')", "display.float_format"),
        ("import numpy as np; np.set_printoptions(formatter={'int': lambda x: ''})", "print formatters changed (int)"),
        ("import logging, sys; logging.basicConfig(stream=sys.stdout)", "root StreamHandler"),
        ("from unittest import mock; mock.patch('math.sqrt').start()", "math.sqrt was replaced"),
        ("import builtins; builtins.ascii = repr", "builtins changed (ascii)"),
        ("import signal; signal.signal(signal.SIGUSR1, lambda *_: None)", "signal handlers changed (SIGUSR1)"),
        ("from abc import ABC\nclass Shape(ABC): pass\nShape.register(int)", "others are registered with 'Shape'"),
        (
            "from functools import singledispatch\n@singledispatch\ndef show(x): ...\n@show.register\ndef _(x: int): ...",
            "others are registered with 'show'",
        ),
        ("import helper; helper.Config.rate = 0.5", "helper.Config changed"),
        ("import helper; helper.registry['a'] = helper.Item()", "helper.registry changed"),
        ("import helper; helper.scale = print", "helper.scale changed"),
        ("from helper import scale; scale(1)", "helper.scale changed"),
        ("import string; setattr(string, 'digits', 'none')", "string.digits was set"),
        ("import string\ndef f():\n    string.digits = 'none'\nf()", "string.digits was set"),
        ("import string\nfor x in 'ab': string.digits = x", "string.digits was set"),
        (
            "import threading, time\nthreading.Thread(target=lambda: time.sleep(9), daemon=True).start()",
            "the thread Thread-",
        ),
        (
            "import asyncio\nasync def late(): await asyncio.sleep(9)\nasyncio.ensure_future(late())",
            "asyncio task late",
        ),
        (
            "import matplotlib; matplotlib.use('agg')\nimport matplotlib.pyplot as plt; plt.figure(7)",
            "figure 7 of pyplot",
        ),
        (
            "get_ipython().display_formatter.formatters['text/plain'].for_type(int, lambda n, p, cycle: p.text('n'))",
            "how IPython shows classes changed (int)",
        ),
        ("get_ipython().events.register('post_run_cell', lambda result: None)", "(post_run_cell <lambda>)"),
        (
            "get_ipython().input_transformers_cleanup.append(lambda lines: lines)",
            "(input_transformers_cleanup <lambda>)",
        ),
        (
            "from IPython.core.magic import register_line_magic\n@register_line_magic\ndef hello(line): print(line)",
            "IPython's hooks and magics changed (%hello)",
        ),
        (
            # Some options warn when they are only asked for.
            "import warnings, pandas, builtins; warnings.simplefilter('error'); builtins.ascii = repr",
            "builtins changed (ascii)",
        ),
    ],
)
def test_a_change_that_later_stages_do_not_get_is_a_warning(bench: Bench, body: str, said: str) -> None:
    outcome = bench.run(body)
    assert outcome.status == "succeeded", outcome.failure
    assert any(said in warning and "later stages" in warning for warning in outcome.warnings), outcome.warnings


def test_a_value_that_is_one_object_with_a_module_s_is_a_warning(bench: Bench) -> None:
    outcome = bench.run("import helper; mine = helper.data", outputs=("mine",))
    assert outcome.warnings == ("'mine' and helper.data are one object here, and two in later stages",)


@pytest.mark.parametrize(
    ("body", "warned"),
    [
        ("class T:\n    known = {}\n    def __init__(self): self.known[1] = self\nt = T()", True),
        ("t = [1]\ndef f(x, seen=[]): seen.append(x)\nf(t)", True),
        ("class T:\n    made = 0\n    def __init__(self): T.made += 1\nt = T()", False),
        ("class T:\n    known = []\n    def __init__(self): self.known.append(1)\nt = T()", False),
    ],
)
def test_a_value_that_hangs_on_a_definition_too_is_a_warning(bench: Bench, body: str, warned: bool) -> None:  # noqa: FBT001
    outcome = bench.run(body, outputs=("t",))
    said = [text for text in outcome.warnings if text.startswith("'t' is also in what hangs on ")]
    assert len(said) == len(outcome.warnings) == warned


@pytest.mark.long
def test_what_libraries_do_when_they_are_imported_and_used_is_no_warning(bench: Bench) -> None:
    outcome = bench.run(
        "import helper, logging, mlflow, numpy as np, pandas as pd, sklearn.linear_model, torch",
        "import matplotlib.pyplot as plt\npd.Series([1.0]).plot()\nplt.show()",
        "print(pd.DataFrame({'a': [np.float64(1)]}).describe()); logging.getLogger('torch').info('x')",
    )
    assert outcome.status == "succeeded", outcome.failure
    assert outcome.warnings == ()


@pytest.mark.parametrize(
    ("define", "register"),
    [
        (
            "from functools import singledispatch\n@singledispatch\ndef f(x):\n    return 'any'",
            "@f.register(int)\ndef _(x):\n    return 'int'",
        ),
        ("from abc import ABC\nclass f(ABC):\n    pass", "f.register(int)"),
    ],
)
def test_what_is_registered_with_a_definition_from_above_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, define: str, register: str
) -> None:
    monkeypatch.setenv("NBPIPE_TRACKING", "off")
    cells = [f"%%stage a\n{define}", f"%%stage b\n{register}", "%%stage c\nprint(f)"]
    path = tmp_path / "n.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells]), path)
    result = run_notebook(path)
    assert result.status == "succeeded", result.failure
    assert any("'f'" in warning and "registered with it" in warning for warning in result.warnings)


def test_a_look_ahead_changes_nothing_of_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = types.ModuleType("first"), types.ModuleType("second")
    vars(first)["f"] = vars(second)["f"] = len
    monkeypatch.setitem(sys.modules, "first", first)
    monkeypatch.setitem(sys.modules, "second", second)
    # What other tests have imported here is not looked at.
    monkeypatch.setattr("nbpipe.job.unseen._ready", lambda _: False)
    shell = _shell({})
    look_ahead(shell, lambda _: False)
    # Between the look and the job, which is none of the cells' doing.
    vars(first)["f"] = max
    unseen = Unseen(shell, lambda _: False)
    unseen.start()
    assert unseen.warnings(()) == []
    vars(second)["f"] = min
    assert [text.partition(":")[0] for text in unseen.warnings(())] == ["second.f was replaced"]
    vars(first)["f"] = min
    assert len(unseen.warnings(())) == 2


def test_a_look_leaves_it_to_ipython_when_it_settles_how_classes_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    # While NumPy is being imported, IPython cannot.
    monkeypatch.setitem(sys.modules, "numpy", types.ModuleType("numpy"))
    monkeypatch.setattr(sys.modules["numpy"], "__spec__", types.SimpleNamespace(_initializing=True))
    monkeypatch.setattr("nbpipe.job.unseen._ready", lambda _: False)
    plain = PlainTextFormatter()
    shell = _shell({"text/plain": plain})
    unseen = Unseen(shell, lambda _: False)
    unseen.start()
    monkeypatch.undo()
    assert np.float64 in plain.type_printers
