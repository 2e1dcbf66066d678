"""Which names of the module scope code reads and binds, with Python's real scoping."""

from __future__ import annotations

import ast
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbpipe.dataflow.effects import Effects
from nbpipe.dataflow.transform import parse
from nbpipe.dataflow.walker import effects


def of(code: str) -> Effects:
    return effects(parse(code).body)


READS = [
    ("y = x", {"x"}),
    ("x = 1\ny = x", set()),
    ("x: int = 1\nx", set()),
    ("x += 1", {"x"}),
    ("del x", {"x"}),
    ("x.a = y[z]", {"x", "y", "z"}),
    ("[i for i in r]", {"r"}),
    ("[i for i in r]\ni", {"r", "i"}),
    ("[(i, j) for i in r for j in s(i)]", {"r", "s"}),
    ("[(y := f(i)) for i in r]", {"r", "f"}),
    ("{k: v for k, v in d.items() if ok}", {"d", "ok"}),
    ("for i in r:\n    print(i)", {"r", "print"}),
    ("with open(p) as f:\n    f.read()", {"open", "p"}),
    ("try:\n    pass\nexcept E as e:\n    e", {"E"}),
    ("import a.b\na.b.c", set()),
    ("import a.b as c\na", {"a"}),
    ("from a import b\nb", set()),
    ("def f(a, b=c):\n    return a + d", {"c"}),
    ("def f():\n    pass\nf()", set()),
    ("class A(B):\n    x = y\n    z = x", {"B", "y"}),
    ("class A:\n    x = 1\n    y = [x for _ in r]", {"r", "x"}),
    ("class A:\n    x = 1\nx", {"x"}),
    ("lambda a, b=c: a + b", {"c"}),
    ("f(*a, **b)", {"f", "a", "b"}),
    ("f'{a}{b!r:{c}}'", {"a", "b", "c"}),
    ("match s:\n    case [a, *b]:\n        pass", {"s"}),
    ("match s:\n    case P(x=a):\n        a", {"s", "P"}),
    ("a if b else c", {"b", "a", "c"}),
    ("(x := 1)\nx", set()),
    ("async def f():\n    await g()\nawait f()", set()),
    ("if a:\n    x = 1\nelse:\n    x = 2\nx", {"a"}),
    ("%time y = f(x)", {"f", "x"}),
    ("!echo {name} $other {a,b}", {"name"}),
    ("%%bash -s {name} $other\nfor i in 1 2; do echo $i {j}; done", {"name"}),
    ("print(x); x = 1", {"print", "x"}),
]


@pytest.mark.parametrize(("code", "names"), READS, ids=[code for code, _ in READS])
def test_what_is_read_where_the_code_stands(code: str, names: set[str]) -> None:
    assert set(of(code).reads) == names


PERHAPS = [
    ("if a:\n    x = 1\nx", {"x"}),
    ("for i in r:\n    x = 1\nx", {"x"}),
    ("try:\n    x\nexcept NameError:\n    x = 1", {"x"}),
    ("try:\n    import fast\nexcept ImportError:\n    fast = None\nfast", set()),
    ("while c:\n    y = 1\nelse:\n    z = 1\nz", set()),
    ("for i in r:\n    if c:\n        break\nelse:\n    z = 1\nz", {"z"}),
    ("from contextlib import suppress\nwith suppress(NameError):\n    x", {"x"}),
]


@pytest.mark.parametrize(("code", "names"), PERHAPS, ids=[code for code, _ in PERHAPS])
def test_what_is_perhaps_read(code: str, names: set[str]) -> None:
    assert set(of(code).soft) == names


LATE = [
    ("def f():\n    return x", {"x"}),
    ("!echo {name} $other {a,b}", {"other", "a", "b"}),
    ("%%bash -s {name} $other\nfor i in 1 2; do echo $i {j}; done", {"other"}),
    ("%%sql\nselect '$day', {n}", {"day", "n"}),
    ("for f in names:\n    !echo $f", set()),
    ("def f(x):\n    return x", set()),
    ("def f():\n    x = 1\n    return x", set()),
    ("def f():\n    global x\n    x = y", {"y"}),
    ("def f():\n    a = 1\n    def g():\n        nonlocal a\n        a = b\n    return g", {"b"}),
    ("class A:\n    x = 1\n    def m(self):\n        return x", {"x"}),
    ("f = lambda a: a + k", {"k"}),
    ("def f():\n    import os\n    return os.sep + sep", {"sep"}),
    ("def f():\n    for i in n:\n        yield i", {"n"}),
    ("def f(a):\n    return [a * i for i in n]", {"n"}),
    ("def f():\n    try:\n        pass\n    except E as e:\n        e", {"E"}),
]


@pytest.mark.parametrize(("code", "names"), LATE, ids=[code for code, _ in LATE])
def test_what_a_body_reads_when_it_is_called(code: str, names: set[str]) -> None:
    assert set(of(code).late) == names


BINDS = [
    ("a = b = 1", {"a", "b"}),
    ("a, (b, *c) = x", {"a", "b", "c"}),
    ("a: int", set()),
    ("for i, j in r:\n    k = 1", {"i", "j", "k"}),
    ("with a as b, c as (d, e):\n    pass", {"b", "d", "e"}),
    ("import a.b, c as d", {"a", "d"}),
    ("[(y := i) for i in r]", {"y"}),
    ("class A:\n    x = 1\n    def m(self): pass", {"A"}),
    ("def f():\n    x = 1", {"f"}),
    ("try:\n    pass\nexcept E as e:\n    z = 1", {"z"}),
    (
        "match s:\n    case {'k': a, **rest}:\n        pass\n    case [b, *c] as d:\n        pass",
        {"a", "rest", "b", "c", "d"},
    ),
    ("class A:\n    global g\n    g = 1", {"A", "g"}),
    ("exec('z = 1')", {"z"}),
]


@pytest.mark.parametrize(("code", "names"), BINDS, ids=[code for code, _ in BINDS])
def test_what_is_bound(code: str, names: set[str]) -> None:
    assert of(code).binds == names


CERTAIN = [
    ("x = 1", {"x"}),
    ("if a:\n    x = 1", set()),
    ("if a:\n    x = 1\nelse:\n    x, y = 1, 2", {"x"}),
    ("if a:\n    x = 1\nelse:\n    raise E", {"x"}),
    ("for i in r:\n    x = 1", set()),
    ("with a:\n    x = 1", {"x"}),
    ("with suppress(E):\n    x = 1", set()),
    ("try:\n    x = 1\nexcept E:\n    x = 2", {"x"}),
    ("try:\n    x = 1\nexcept E:\n    pass", set()),
    ("try:\n    x = 1\nexcept E:\n    raise", {"x"}),
    ("try:\n    pass\nfinally:\n    x = 1", {"x"}),
    ("match s:\n    case 1:\n        x = 1\n    case _:\n        x = 2", {"x"}),
    ("match s:\n    case 1:\n        x = 1", set()),
    ("a and (x := 1)", set()),
    ("(x := 1) and a", {"x"}),
    ("del x", {"x"}),
]


@pytest.mark.parametrize(("code", "names"), CERTAIN, ids=[code for code, _ in CERTAIN])
def test_what_is_bound_on_every_way(code: str, names: set[str]) -> None:
    assert of(code).certain == names


@pytest.mark.parametrize(
    ("code", "dynamic"),
    [
        ("exec(text)", True),
        ("globals()['x'] = 1", True),
        ("%run other.py", True),
        ("%store -r x", True),
        ("import __main__ as m", True),
        ("get_ipython().user_ns['x'] = 1", True),
        ("get_ipython().run_cell('x = 1')", True),
        ("Base.__subclasses__()", True),
        ("from __main__ import f", True),
        ("def f(): return __main__.x", True),
        ("sys.modules['__main__'].x", True),
        ("vars(sys.modules[__name__])", True),
        ("importlib.import_module('__main__')", True),
        ("timeit.timeit('f()', setup='from __main__ import f')", True),
        ("unittest.main(argv=[''], exit=False)", True),
        ("main(argv=['x'], exit=False)", True),
        ("doctest.testmod()", True),
        ("if __name__ == '__main__': f()", False),
        ("table['main'] + rows[__name__]", False),
        ("x.eval('a + b')", False),
        ("df.query('a > 1')", False),
        ("exec('x = 1')", False),
        ("def locals_of(): pass", False),
        ("def f(eval): return eval(1)", False),
    ],
)
def test_code_that_no_analysis_can_see_through_is_dynamic(code: str, *, dynamic: bool) -> None:
    assert of(code).dynamic is dynamic


# Python itself knows which names of a piece of code are global: the walk has to agree with it.

_NAMES = st.sampled_from(["a", "b", "c", "d"])


def _lines(body: st.SearchStrategy[list[str]]) -> st.SearchStrategy[list[str]]:
    def indent(lines: list[str]) -> list[str]:
        return ["    " + line for line in lines]

    function = st.tuples(_NAMES, _NAMES, _NAMES, body).map(lambda p: [f"def {p[0]}({p[1]}={p[2]}):", *indent(p[3])])
    branch = st.tuples(_NAMES, body, body).map(lambda p: [f"if {p[0]}:", *indent(p[1]), "else:", *indent(p[2])])
    loop = st.tuples(_NAMES, _NAMES, body).map(lambda p: [f"for {p[0]} in {p[1]}:", *indent(p[2])])
    classes = st.tuples(_NAMES, body).map(lambda p: [f"class {p[0]}:", *indent(p[1])])
    handled = st.tuples(body, _NAMES, body).map(lambda p: ["try:", *indent(p[0]), f"except {p[1]}:", *indent(p[2])])
    several = st.lists(st.one_of(function, branch, loop, classes, handled, body), min_size=1, max_size=3)
    return several.map(lambda blocks: [line for block in blocks for line in block])


_SIMPLE = st.one_of(
    st.tuples(_NAMES, _NAMES).map(lambda p: [f"{p[0]} = {p[1]}"]),
    st.tuples(_NAMES, _NAMES).map(lambda p: [f"{p[0]} += {p[1]}"]),
    st.tuples(_NAMES, _NAMES, _NAMES).map(lambda p: [f"{p[0]} = [{p[1]} for {p[1]} in {p[2]}]"]),
    st.tuples(_NAMES, _NAMES, _NAMES).map(lambda p: [f"{p[0]} = lambda {p[1]}: {p[1]} + {p[2]}"]),
    _NAMES.map(lambda n: [f"import {n}"]),
    _NAMES.map(lambda n: [f"print({n})"]),
)
_PROGRAMS = st.recursive(_SIMPLE, _lines, max_leaves=8).map("\n".join)


def _global_names(code: types.CodeType, *, module: bool) -> set[str]:
    import dis

    found = set()
    for step in dis.get_instructions(code):
        plain = step.opname in {"LOAD_NAME", "STORE_NAME", "DELETE_NAME"} and module
        if plain or step.opname in {"LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL"}:
            found.add(str(step.argval))
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            found |= _global_names(part, module=False)
    return found


@given(_PROGRAMS)
def test_the_walk_finds_every_global_name_that_python_finds(program: str) -> None:
    found = effects(ast.parse(program).body)
    names = {*found.touched, *found.binds, *found.global_binds, *found.annotated, *found.certain}
    assert _global_names(compile(program, "<program>", "exec"), module=True) - names == set()
