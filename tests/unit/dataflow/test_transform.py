"""IPython's cell syntax as Python, line for line; and the normal form that keys are made of."""

from __future__ import annotations

import ast

import pytest

from nbpipe.dataflow.magic_calls import code_in_magic, interpolated, magic_call
from nbpipe.dataflow.transform import normalized, parse, to_python
from nbpipe.errors import PipelineError


@pytest.mark.parametrize(
    ("body", "python"),
    [
        ("x = 1", "x = 1"),
        ("x = 1\n%matplotlib inline", "x = 1\nget_ipython().run_line_magic('matplotlib', 'inline')"),
        ("!ls", "get_ipython().system('ls')"),
        ("files = !ls", "files = get_ipython().getoutput('ls')"),
        ("%%bash\nls", "get_ipython().run_cell_magic('bash', '', 'ls')\n"),
        ("%%time\nx = 1", "get_ipython().run_cell_magic('time', '', '')\nx = 1"),
        ("  x = 1\n  y = 2", "x = 1\ny = 2\n"),
        ("await f()", "await f()"),
        ("cd ..", "get_ipython().run_line_magic('cd', '..')"),
        ("run other.py", "get_ipython().run_line_magic('run', 'other.py')"),
    ],
)
def test_magics_become_the_calls_that_ipython_makes(body: str, python: str) -> None:
    assert to_python(body).rstrip("\n") == python.rstrip("\n")


@pytest.mark.parametrize("body", ["%%time\n\nx = 1\ny", "# a\n!ls\nx = 1", "%%capture out\n%time x = f()\ny = 2"])
def test_lines_keep_their_numbers(body: str) -> None:
    last = parse(body).body[-1]
    assert body.split("\n")[last.lineno - 1].strip() == ast.unparse(last)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1  # why", "x=1"),
        ("x = (1 +\n     2)", "x = 1 + 2"),
        ("f( a,b )", "f(a, b)"),
        ("x = 'a'", 'x = "a"'),
        ("x; # quiet", "x ;"),
        ("%time  x", "%time  x  "),
    ],
)
def test_comments_and_formatting_do_not_count(one: str, other: str) -> None:
    assert normalized(one) == normalized(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x", "x;"),
        ("x = 1", "x = 2"),
        ("def f():\n    'doc'", "def f():\n    'other'"),
        ("!ls", "!ls -l"),
        ("%%bash\nls", "%%bash\nls -l"),
        ("x = 'a#b'", "x = 'a'"),
        ("if a:\n    b\nc", "if a:\n    b\n    c"),
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
    ],
)
def test_what_can_make_a_difference_counts(one: str, other: str) -> None:
    assert normalized(one) != normalized(other)


def test_text_that_cannot_be_parsed_is_its_own_normal_form() -> None:
    assert normalized("this is not python") == "this is not python"


@pytest.mark.parametrize(("body", "line"), [("x = 1\ny = = 2", 2), ("%%time\nx = 1\ny = = 2", 3), ("f(", 1)])
def test_an_error_has_its_line(body: str, line: int) -> None:
    with pytest.raises(PipelineError) as caught:
        to_python(body)
    assert caught.value.line == line


def _call(body: str) -> ast.AST:
    statement = parse(body).body[0]
    assert isinstance(statement, ast.Expr)
    return statement.value


def test_magics_are_recognised_by_kind() -> None:
    assert magic_call(_call("%timeit -n 3 f()")) == ("line", "timeit", "-n 3 f()")
    assert magic_call(_call("%%bash\nls")) == ("cell", "bash", "\nls")
    assert magic_call(_call("!ls {x}")) == ("system", "", "ls {x}")
    assert magic_call(_call("f()")) is None


def test_code_in_a_line_magic_is_code() -> None:
    tree = code_in_magic("timeit", "-n 3 -r 2 f(x)")
    assert tree is not None
    assert ast.unparse(tree) == "f(x)"
    assert code_in_magic("matplotlib", "inline") is None


def test_shell_lines_read_what_they_expand() -> None:
    assert interpolated("echo {a.b} $c {{not}} $HOME {d!r:>4}") == {"a", "c", "HOME", "d"}
