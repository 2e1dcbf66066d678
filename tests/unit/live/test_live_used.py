"""Which values that stayed elsewhere a cell may use: every way by which code comes to a name."""

from __future__ import annotations

import ast
import functools
import sys
import types
from typing import Any

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from nbpipe.live.elsewhere.used import reached

_WANTED = ("net", "big")


def _names(*sources: str) -> dict[str, Any]:
    """The names of a kernel that has run these; `net` and `big` stand for values elsewhere."""
    module = types.ModuleType("kernel")
    names = vars(module)
    names.update(functools=functools, module=module, here=names)
    for source in sources:
        exec(source, names)  # noqa: S102 - as a kernel does
    names.update(dict.fromkeys(_WANTED, object()))
    return names


def _reached(cell: str, names: dict[str, Any]) -> set[str]:
    return reached(ast.parse(TransformerManager().transform_cell(cell)), names, _WANTED)


@pytest.mark.parametrize(
    "cell",
    [
        "x = 1",
        "net = 2\nprint(net)",
        "del net",
        "for net in [1]:\n    pass",
        "print('the net and big ones')",
        "print(f'net {1}')",
        '"""Of the net."""\nx = 1',
        "f(net=3)",
        "import numpy as np\nnp.zeros(3).sum()",
        "model.eval()",
        "list(model.modules())",
        "vars(model)",
        "if __name__ == '__main__':\n    x = 1",
        "%matplotlib inline",
        "!ls -l",
        "%pip --version",
        "%nbpipe status net",
        "%reset -f",
        "%%time\nx = 1",
        "%timeit -n 1 1 + 1",
        "quiet()",
        "x = other",
    ],
)
def test_what_names_nothing_reaches_nothing(cell: str) -> None:
    names = _names(
        "class Model:\n    def eval(self):\n        '''Of the net.'''\n        return self.net\nmodel = Model()\nother = [1]",
        "def quiet():\n    '''Of the net.'''\n    model.eval()\n    net = 1\n    return net, model.big",
        "def loud():\n    return net",
    )
    assert _reached(cell, names) == set()


@pytest.mark.parametrize(
    "cell",
    [
        "net",
        "net += 1",
        "x = [net]",
        "net.weight = 3",
        "net = improve(net)",
        "if x:\n    net = 1\nnet",
        "def later():\n    return net",
        "lambda: net",
        "class A:\n    b = net",
        "[net for _ in range(3)]",
        "f'{net}'",
        "anything.net",
        "frame.filter('x > @net')",
        "key = 'net'",
        "!echo {net}",
        "!echo $net",
        "%time net.sum()",
        "%timeit -n 1 use()",
        "%%time\nuse()",
        "%%bash -s $net\necho $1",
        "net?",
        "use()",
        "x = use",
        "through()",
        "text",
        "inner()",
        "net; del net",
        "ols(formulas['y'][0], df)",
        "ols(raw, df)",
        "show()",
        "show_too()",
        "closed()",
    ],
)
def test_what_names_it_or_a_function_that_does_reaches_it(cell: str) -> None:
    names = _names(
        "def use():\n    return net",
        "def through():\n    def inside():\n        return use()\n    return inside",
        "text = 'x + net'",
        "def made():\n    def inner():\n        return [net for _ in range(2)]\n    return inner\ninner = made()",
        "formulas = {'y': ('y ~ net',)}\nraw = b'net'",
        "def show(of='net'):\n    return get(of)\ndef show_too(*, of='net'):\n    return get(of)",
        "def close(of):\n    def closed():\n        return get(of)\n    return closed\nclosed = close('net')",
    )
    assert _reached(cell, names) == {"net"}


@pytest.mark.parametrize(
    "cell",
    [
        "globals()['n' + 'et']",
        "eval(text)",
        "exec(text)",
        "vars()",
        "locals()",
        "frame.query(queries[0])",
        "import sys\nsys._getframe().f_globals",
        "import __main__",
        "import sys\nsys.modules[name]",
        "import importlib\nimportlib.import_module('__main__')",
        "get_ipython().user_ns",
        "%run other.py",
        "%store",
        "%whos",
        "%unknown",
        "%%unknown\nx",
        "here",
        "module",
        "opens()",
        "queried()",
        "import sys as s\ns.modules[__name__]",
        "from sys import modules",
        "!echo {eval(text)}",
        "%env A={globals()}",
        "SQLContext(register_globals=True)",
        "ev(text)",
        "import builtins",
        "aliased(text)",
        "taken(text)",
        "found[name]",
        "part(queries[0])",
        "(fs[0])(text)",
        "asks(text)",
        "via(text)",
        "breakpoint()",
    ],
)
def test_what_can_look_at_any_name_reaches_all(cell: str) -> None:
    names = _names(
        "def opens():\n    return globals()",
        "def queried():\n    return frame.eval(queries[0])",
        "frame = text = name = ''\nqueries = ['']",
        "import sys\nfrom builtins import eval as taken\naliased = vars\nfound = sys.modules\nfs = {'a': [exec]}",
        "part = functools.partial(eval)\nclass Frame:\n    def query(self):\n        pass\nasks = Frame().query",
        "def via(text, how=eval):\n    return how(text)",
    )
    assert _reached(cell, names) == {"net", "big"}


@pytest.mark.parametrize(
    "made",
    [
        "holder = [lambda: net]",
        "class A:\n    def method(self):\n        return net",
        "@functools.lru_cache\ndef kept():\n    return net",
        "def gen():\n    yield 1\n    yield net\nrunning = gen()\nnext(running)",
        "def f():\n    return net\npart = functools.partial(f)",
        "def f():\n    return net\nclass B:\n    def call(self):\n        return f()",
    ],
)
def test_a_function_that_something_else_holds_may_be_called_by_any_cell(made: str) -> None:
    names = _names(made)
    assert _reached("x = 1", names) == {"net"}


@pytest.mark.parametrize(
    "made",
    [
        "def make():\n    g = globals()\n    def get(k):\n        return g[k]\n    return get\nget = make()",
        "class C:\n    pass\nctx = C()\nctx.ns = globals()",
        "d = [globals()]",
        "ns = dict(a=globals())",
        "import collections\nd = collections.ChainMap(globals())",
        "part = functools.partial(eval, '1', globals())",
        "get = globals().get",
    ],
)
def test_whatever_holds_the_names_themselves_may_give_any_to_any_cell(made: str) -> None:
    names = _names(made)
    assert _reached("x = 1", names) == {"net", "big"}


def test_a_function_that_only_a_name_holds_is_called_by_cells_that_name_it() -> None:
    names = _names("def f():\n    return net\ng = f")
    assert _reached("x = 1", names) == set()
    assert _reached("g()", names) == {"net"}


def test_a_database_that_looks_among_names_may_look_at_any(monkeypatch: pytest.MonkeyPatch) -> None:
    names = _names("con = queries = None")
    assert _reached("con.execute(queries[0])", names) == set()
    monkeypatch.setitem(sys.modules, "duckdb", types.ModuleType("duckdb"))
    assert _reached("con.execute(queries[0])", names) == {"net", "big"}
