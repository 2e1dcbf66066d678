"""What code changes in place, and which names may stand for the same object."""

from __future__ import annotations

import ast

import pytest

from nbpipe.dataflow.effects import CallEffects
from nbpipe.dataflow.roots import dotted, roots
from nbpipe.dataflow.transform import parse
from nbpipe.dataflow.walker import call_effects, effects

MUTATES = [
    ("x[0] = 1", {"x"}),
    ("x.a.b = 1", {"x"}),
    ("x[0][1] += 1", {"x"}),
    ("x += [1]", {"x"}),
    ("del x[0]", {"x"}),
    ("x.append(1)", {"x"}),
    ("x.sort_values('a')", set()),
    ("x.sort_values('a', inplace=True)", {"x"}),
    ("x.sort_values('a', inplace=False)", set()),
    ("x.sort_values('a', inplace=flag)", {"x"}),
    ("x.unheard_of()", {"x"}),
    ("x.T[0] = 1", {"x"}),
    ("x.values[0] = 1", {"x"}),
    ("x.copy()[0] = 1", set()),
    ("model.fit(X, y)", {"model"}),
    ("net.weight.data.add_(1)", {"net"}),
    ("torch.nn.init.zeros_(w)", {"w", "torch"}),
    ("np.copyto(a, b)", {"a", "np"}),
    ("np.add(a, b, out=c)", {"c", "np"}),
    ("random.shuffle(x)", {"x", "random"}),
    ("heapq.heappush(h, 1)", {"h", "heapq"}),
    ("setattr(x, 'a', 1)", {"x"}),
    ("next(it)", {"it"}),
    ("(a or b).append(1)", {"a", "b"}),
    ("(x := y).append(1)", {"x", "y"}),
    ("for d in frames:\n    d['n'] = 1", {"d"}),
    ("[d.pop() for d in stacks]", {"stacks"}),
    ("@registry.add\ndef f(): pass", {"registry"}),
]


@pytest.mark.parametrize(("code", "names"), MUTATES, ids=[code for code, _ in MUTATES])
def test_what_is_changed_in_place(code: str, names: set[str]) -> None:
    assert names <= effects(parse(code).body).mutates
    if not names:
        assert effects(parse(code).body).mutates == set()


LINKS = [
    ("a = b", [("a", {"b"})]),
    ("a = b.copy()", []),
    ("a = b[1:]", [("a", {"b"})]),
    ("a = b[['x', 'y']]", []),
    ("a = b[b > 1]", []),
    ("a = b.T", [("a", {"b"})]),
    ("a = [b, c]", [("a", {"b", "c"})]),
    ("a = {'k': b}", [("a", {"b"})]),
    ("a, b = c, d", [("a", {"c"}), ("b", {"d"})]),
    ("for a in [b, c]:\n    pass", [("a", {"b", "c"})]),
    ("for i, a in enumerate(b):\n    pass", [("a", {"b"})]),
    ("for a, b in zip(c, d):\n    pass", [("a", {"c"}), ("b", {"d"})]),
    ("a = Wrapper(b)", [("a", {"b"})]),
    ("a = f(b)", []),
    ("a.x = b", [("a", {"b"})]),
    ("a.append(b)", [("a", {"b"})]),
    ("a = b if c else d", [("a", {"b", "d"})]),
    ("a = np.asarray(b)", [("a", {"b"})]),
    ("a = b.shape", []),
    ("match b:\n    case [a, *_]:\n        pass", [("a", {"b"})]),
]


@pytest.mark.parametrize(("code", "links"), LINKS, ids=[code for code, _ in LINKS])
def test_what_may_hold_the_same_object(code: str, links: list[tuple[str, set[str]]]) -> None:
    found = {(target, frozenset(sources)) for target, sources in effects(parse(code).body).links}
    assert {(target, frozenset(sources)) for target, sources in links} <= found
    if not links:
        assert not found


def function(code: str) -> CallEffects:
    node = parse(code).body[0]
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    return call_effects(node)


def test_a_function_that_changes_its_argument_says_so() -> None:
    found = function("def f(df, n):\n    df['n'] = n\n    return df")
    assert found.params == ("df", "n")
    assert found.mutated_params == {"df"}
    assert found.returned == {"df", "n"}  # the frame may hold what was put into it


def test_a_local_name_stands_for_the_argument_it_was_bound_to() -> None:
    assert function("def f(x):\n    y = x\n    y.append(1)").mutated_params == {"x"}
    assert function("def f(x):\n    x = x.copy()\n    x.append(1)").mutated_params == set()
    assert function("def f(x):\n    for part in x:\n        part['a'] = 1").mutated_params == {"x"}


def test_a_function_that_changes_a_name_of_the_notebook_says_so() -> None:
    found = function("def f(x):\n    seen.append(x)")
    assert found.mutates == {"seen"}
    assert found.uses == {"seen"}
    assert function("def f():\n    global n\n    n = 1").binds == {"n"}


def test_a_mutable_default_is_state_of_the_function() -> None:
    assert function("def f(x, seen=[]):\n    seen.append(x)").mutates == {"f"}
    assert function("def f(x, seen=None):\n    seen.append(x)").mutates == set()


def test_methods_of_a_class_count_as_called() -> None:
    found = function("class A:\n    def m(self):\n        log.append(k)")
    assert found.uses == {"log", "k"}
    assert found.mutates == {"log"}


def test_calls_inside_a_function_are_kept_with_their_arguments() -> None:
    found = function("def f(x, y):\n    g(y, key=x)")
    assert [(call.callee, call.args, dict(call.keywords)) for call in found.calls] == [
        ("g", (frozenset({"y"}),), {"key": frozenset({"x"})})
    ]


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("x", {"x"}),
        ("x.a[0].b", {"x"}),
        ("x.shape", set()),
        ("x + y", set()),
        ("[x, *y]", {"x", "y"}),
        ("x.copy()", set()),
        ("x.reshape(1)", {"x"}),
        ("f(x)", set()),
        ("x[~mask]", set()),
    ],
)
def test_roots_are_the_names_whose_objects_an_expression_may_give(code: str, names: set[str]) -> None:
    assert roots(ast.parse(code, mode="eval").body) == names


def test_dotted_names_start_at_a_plain_name() -> None:
    assert dotted(ast.parse("a.b.c", mode="eval").body) == "a.b.c"
    assert dotted(ast.parse("f().b", mode="eval").body) == ""
