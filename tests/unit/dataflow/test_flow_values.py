"""Which stage takes which value from which."""

from __future__ import annotations

import pytest
from flows import data_edges, flow_of, inputs_of, stages_of

A = "%%stage a\n"
B = "%%stage b\n"
C = "%%stage c\n"


def test_a_stage_takes_what_it_reads_from_the_last_stage_that_bound_it() -> None:
    cells = (A + "x = 1 + f()", B + "x = g()", C + "print(x)")
    cells = ("%%explore\n", *cells)[1:]
    assert inputs_of("c", "from m import f, g", *cells) == {"x": "b"}


def test_names_that_nobody_reads_are_not_stored() -> None:
    flow = stages_of("from m import f", A + "x = f()\ny = f()", B + "print(x)")["a"].flow
    assert flow.writes == ("x", "y")
    assert flow.outputs == ("x",)


def test_a_name_that_nobody_sees_bound_comes_through_all_stages_that_may_bind_it() -> None:
    cells = (A + "%run one.py", B + "%run two.py", C + "print(given)")
    assert inputs_of("c", *cells) == {"given": "b"}
    assert inputs_of("b", *cells) == {"given": "a"}


@pytest.mark.parametrize(
    "cell",
    ["x = sorted(x)", "x.sort()", "x += [1]", "x[0] = 1", "del x[0]", "x.drop(0, inplace=True)", "for x in y: pass"],
)
def test_an_untagged_cell_that_changes_what_a_stage_reads_is_a_warning(cell: str) -> None:
    (warning,) = flow_of(A + "x = list('ab')", cell, B + "print(x)").warnings
    assert warning.startswith("cell 2 changes 'x' and is in no stage: stage 'b' (cell 3, line 2)")
    assert flow_of(A + "x = list('ab')", cell, B + "x = 1\nprint(x)", C + "print(x)").warnings == ()


def test_an_untagged_cell_that_only_looks_is_no_warning() -> None:
    assert (
        flow_of(A + "x = dict(a=[1])", "x.head()\nprint(x)\nx.plot()\nx.summary()", B + "print(x)", "x = 1").warnings
        == ()
    )


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (("%%params\nimport time\nnow = time.time()", A + "print(now)", B + "print(now)"), "'now' (cell 1, line 3)"),
        (("import time", A + "def f(x=time.time()): return x", B + "print(f())"), "'f' (cell 2, line 2)"),
        (("import uuid", A + "class K:\n    ident = uuid.uuid4()", B + "print(K.ident)"), "'K' (cell 2, line 2)"),
    ],
)
def test_what_is_another_one_in_each_stage_is_a_warning(cells: tuple[str, ...], said: str) -> None:
    (warning,) = flow_of(*cells).warnings
    assert warning.startswith(f"{said} is made anew in each of a, b")
    assert flow_of(*cells[:2]).warnings == ()


def test_an_untagged_cell_that_sets_a_seed_is_a_warning() -> None:
    (warning,) = flow_of("import numpy as np\nnp.random.seed(0)", A + "x = np.random.rand()").warnings
    assert "state of numpy.random holds in none" in warning


def test_a_change_in_place_is_a_new_value() -> None:
    cells = ("import pandas as pd", A + "df = pd.read_csv('x')", B + "df['n'] = 1", C + "df.head()")
    assert inputs_of("c", *cells) == {"df": "b"}
    assert stages_of(*cells)["b"].flow.mutates == ("df",)


def test_pure_methods_keep_stages_side_by_side() -> None:
    cells = ("import pandas as pd", A + "df = pd.read_csv('x')", B + "m = df.mean()", C + "d = df.describe()")
    assert data_edges(*cells) == {("a", "b", ("df",)), ("a", "c", ("df",))}


def test_a_change_through_another_name_reaches_all_that_share_it() -> None:
    cells = ("from m import load", A + "x = load()\ny = x[1:]", B + "y[0] = 1", C + "print(x)")
    assert inputs_of("c", *cells) == {"x": "b"}


def test_a_loop_over_a_list_of_frames_changes_the_frames() -> None:
    cells = (
        "from m import load",
        A + "one = load()\ntwo = load()",
        B + "for df in [one, two]:\n    df['k'] = 1",
        C + "one",
    )
    assert inputs_of("c", *cells) == {"one": "b"}


def test_a_copy_is_not_shared() -> None:
    cells = ("from m import load", A + "x = load()", B + "y = x.copy()\ny[0] = 1", C + "print(x)")
    assert inputs_of("c", *cells) == {"x": "a"}


def test_what_a_function_changes_is_changed_where_it_is_called() -> None:
    cells = (
        "def tidy(frame):\n    frame['k'] = 1\nfrom m import load",
        A + "df = load()",
        B + "tidy(df)",
        C + "print(df)",
    )
    assert inputs_of("c", *cells) == {"df": "b"}


def test_what_a_function_returns_may_be_its_argument() -> None:
    cells = (
        "from m import load\ndef same(frame):\n    return frame",
        A + "df = load()",
        B + "other = same(df)\nother['k'] = 1",
        C + "print(df)",
    )
    assert inputs_of("c", *cells) == {"df": "b"}


def test_captures_are_followed_through_functions() -> None:
    cells = (
        "def inner():\n    return k\ndef outer():\n    return inner()\nfrom m import load",
        A + "k = load()",
        B + "print(outer())",
    )
    assert inputs_of("b", *cells) == {"k": "a"}


def test_a_function_of_a_stage_is_created_again_and_reads_the_present_value() -> None:
    cells = ("from m import load", A + "k = load()\ndef f():\n    return k", B + "k = load()", C + "f()")
    assert inputs_of("c", *cells) == {"k": "b"}
    assert any(ref.startswith("f@") for ref in stages_of(*cells)["c"].flow.definitions)


def test_a_conditional_binding_hands_on_the_old_value() -> None:
    cells = ("from m import f", A + "x = f()", B + "if f():\n    x = 2", C + "print(x)")
    assert inputs_of("b", *cells) == {"x": "a"}
    assert stages_of(*cells)["b"].flow.optional == ("x",)
    assert inputs_of("c", *cells) == {"x": "b"}


def test_a_deleted_name_does_not_come_back() -> None:
    cells = ("from m import f", A + "x = f()", B + "del x", C + "try:\n    print(x)\nexcept NameError:\n    pass")
    assert inputs_of("c", *cells) == {"x": "b"}


def test_numbers_are_constants_that_any_stage_can_have() -> None:
    cells = (A + "n = 3\nname = 'x'\npair = (1, 2)", B + "print(n, name, pair)")
    assert data_edges(*cells) == set()
    assert len(stages_of(*cells)["b"].flow.definitions) == 3


def test_a_list_of_an_exploration_cell_exists_once() -> None:
    cells = ("seen = []", A + "seen.append(1)", B + "print(seen)")
    assert inputs_of("b", *cells) == {"seen": "a"}


def test_parameters_are_not_values() -> None:
    cells = ("%%params\nlr = 0.1", A + "x = f = lr * 2", B + "print(lr)")
    flow = stages_of(*cells)["b"].flow
    assert (flow.inputs, flow.params) == ({}, ("lr",))


def test_a_changed_parameter_is_a_value_from_there_on() -> None:
    cells = ("%%params\nlr = 0.1", A + "lr = lr / 2", B + "print(lr)")
    assert inputs_of("b", *cells) == {"lr": "a"}


def test_dynamic_code_takes_and_gives_everything() -> None:
    cells = ("from m import f", A + "x = f()", B + "exec(f())", C + "print(x, unheard_of)")
    stages = stages_of(*cells)
    assert stages["b"].flow.dynamic
    assert "x" in stages["b"].flow.inputs
    assert inputs_of("c", *cells)["unheard_of"] == "b"


def test_checks_gate_everything_below() -> None:
    cells = ("from m import f", A + "x = f()", "%%check sane\nassert x", C + "print(1)")
    assert stages_of(*cells)["c"].after == ("sane",)
    assert data_edges(*cells, kind="after") == {("sane", "c", ())}


def test_what_setup_reads_every_stage_needs() -> None:
    cells = ("%%params\nseed = 1", "%%setup\nimport random\nrandom.seed(seed)", A + "print(1)")
    assert stages_of(*cells)["a"].flow.params == ("seed",)


@pytest.mark.parametrize(
    ("setup", "said"),
    [
        ("try:\n    n += 1\nexcept NameError:\n    n = 0", "'n'"),
        ("try:\n    known\nexcept NameError:\n    known = {}", "'known'"),
        ("if 'known' not in globals():\n    known = {}", "globals()"),
        ("seed += 1", "'seed'"),
        ("seed = int(seed)", ""),
        ("try:\n    import cupy as xp\n    fast = True\nexcept ImportError:\n    fast = False", ""),
        ("n = 0\nn += 1\ndef f():\n    return g()\ndef g():\n    return n", ""),
        ("import os\nfor name in ('A', 'B'):\n    os.environ[name] = name", ""),
    ],
)
def test_setup_that_asks_for_what_it_binds_is_a_warning(setup: str, said: str) -> None:
    warnings = flow_of("%%params\nseed = 1", f"%%setup\n{setup}", A + "print(1)").warnings
    assert [said in warning and "%%setup asks" in warning for warning in warnings] == ([True] if said else [])


def test_options_ask_for_values() -> None:
    cells = ("from m import f", A + "acc = f()\nnet = f()", "%%stage b --metrics acc --model net\nprint(1)")
    assert inputs_of("b", *cells) == {"acc": "a", "net": "a"}


@pytest.mark.parametrize(
    "line",
    ["import pandas as pd", "from pandas import *"],
)
def test_imports_of_exploration_cells_come_along(line: str) -> None:
    flow = stages_of(line, A + ("x = pd.DataFrame()" if "as" in line else "x = DataFrame()"))["a"].flow
    assert len(flow.definitions) == 1


def test_a_stage_that_imports_gives_the_import_to_the_others() -> None:
    stages = stages_of(A + "import json\nx = json.loads('1')", B + "json.dumps(x)")
    assert [ref.split("@")[0] for ref in stages["b"].flow.definitions] == ["json"]
    assert "json" not in stages["b"].flow.inputs


def test_state_that_hangs_on_a_class_orders_the_stages() -> None:
    cells = ("class Counter:\n    n = 0", A + "Counter.n += 1", B + "print(Counter.n)")
    assert ("a", "b") in {(edge.source, edge.target) for edge in flow_of(*cells).edges}


def test_the_same_cells_give_the_same_analysis() -> None:
    cells = ("import numpy as np", A + "x = np.arange(3)\ny = x\nz = [x, y]", B + "z[0][1] = 2", C + "print(x, y)")
    assert flow_of(*cells) == flow_of(*cells)


def test_a_future_import_holds_for_the_stages_below() -> None:
    cells = (A + "from __future__ import annotations", B + "def f(x: Nowhere): pass", C + "f(1)")
    assert [ref.split("@")[0] for ref in stages_of(*cells)["c"].flow.definitions] == ["annotations", "f"]


def test_behaviour_set_on_a_class_is_set_again_and_data_is_carried() -> None:
    start = "class P:\n    n = 0\ndef hello(self):\n    return 1"
    again = stages_of(start, A + "P.hello = hello", B + "print(1)")["b"].flow.definitions
    assert [ref.split("@")[0] for ref in again] == ["P", "hello", "*"]
    assert stages_of(start, A + "P.n += 1\nP.k = 3", B + "print(1)")["b"].flow.definitions == ()


def test_a_patched_module_is_patched_again() -> None:
    cells = ("import pandas as pd\ndef total(df):\n    return 1", A + "pd.DataFrame.total = total", B + "print(1)")
    assert [ref.split("@")[0] for ref in stages_of(*cells)["b"].flow.definitions] == ["pd", "total", "*"]
