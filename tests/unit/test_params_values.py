"""Parameters: what cells declare, and what a run may give them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbpipe.errors import GrammarError, ParameterError
from nbpipe.model import Code, Notebook, Outline, Param
from nbpipe.pipeline.params import effective_params, extract_params, resolve_params


def outline(*cells: str, **profiles: str) -> Outline:
    return Outline(
        notebook=Notebook(path="a", sha256="", cells=()),
        params=tuple(Code(cell=i, body=body, line=2) for i, body in enumerate(cells, 1)),
        profiles={name: Code(cell=9, body=body, line=2) for name, body in profiles.items()},
    )


def declared(body: str) -> Param:
    return extract_params(outline(body))[0][0]


def resolved(body: str, **overrides: Any) -> dict[str, Any]:
    return resolve_params(extract_params(outline(body))[0], overrides, None, {})


@pytest.mark.parametrize(
    ("body", "type_", "default", "optional"),
    [
        ("x = 1", "int", 1, False),
        ("x = -1.5", "float", -1.5, False),
        ("x = 'a'", "str", "a", False),
        ("x = True", "bool", True, False),
        ("x = [1, 2]", "list", [1, 2], False),
        ("x = (1, 2)", "list", (1, 2), False),
        ("x = {'a': [1]}", "dict", {"a": [1]}, False),
        ("x = None", "none", None, True),
        ("x: float = 1", "float", 1, False),
        ("x: 'int' = 1", "int", 1, False),
        ("x: list[int] = [1]", "list", [1], False),
        ("x: typing.Dict[str, int] = {}", "dict", {}, False),
        ("x: int | None = None", "int", None, True),
        ("x: Optional[str] = 'a'", "str", "a", True),
        ("x: Union[None, int] = 3", "int", 3, True),
        ("x: int | str = 3", "any", 3, False),
        ("x: Annotated[int, 'big'] = 3", "int", 3, False),
        ("x: Path = 'a'", "str", "a", False),
        ("x: str = None", "str", None, True),
        ("x = 2 ** 3", "computed", None, False),
        ("x = Path('a')", "computed", None, False),
        ("x: int = f()", "computed", None, False),
        ("x = 1e400", "computed", None, False),
        ("x = 10 ** 30", "computed", None, False),
        ("x = 99999999999999999999", "computed", None, False),
        ("x = {1: 2}", "computed", None, False),
        ("x = b'a'", "computed", None, False),
        ("x = '\\ud800'", "computed", None, False),
    ],
)
def test_the_type_comes_from_the_annotation_or_the_value(body: str, type_: str, default: Any, optional: bool) -> None:  # noqa: FBT001
    param = declared(body)
    assert (param.type, param.default, param.optional) == (type_, default, optional)


def test_choices_help_and_place_are_read() -> None:
    param = declared('"""doc"""\nmodel: Literal["cnn", "mlp"] = "cnn"  # which network')
    assert (param.type, param.choices, param.help) == ("choice", ("cnn", "mlp"), "which network")
    assert (param.cell, param.line) == (1, 3)
    assert declared("x = [\n 1,  # first\n]  # all").help == "all"
    assert declared("x = '# no'").help == ""


def test_cells_merge_in_order_and_other_statements_are_not_parameters() -> None:
    params, _ = extract_params(
        outline("import os\na = 1\nb, c = 2, [3]\nif a: d = 1\ndef f(): e = 1\nx.y = 3", "a = 5\nz = w = 'q'\nb += 1")
    )
    assert [(p.name, p.type, p.default) for p in params] == [
        ("a", "int", 5),
        ("b", "computed", None),
        ("c", "list", [3]),
        ("z", "str", "q"),
        ("w", "str", "q"),
    ]


@pytest.mark.parametrize(
    "body", ["x: int = 'a'", "x: int = 1.5", "x: bool = 1", 'm: Literal["a"] = "b"', "x: list = {}"]
)
def test_a_default_that_does_not_fit_its_annotation_is_an_error(body: str) -> None:
    with pytest.raises(GrammarError, match="default does not fit") as caught:
        declared(body)
    assert (caught.value.cell, caught.value.line) == (1, 2)


@pytest.mark.parametrize(
    ("body", "line"), [("x = = 1", 2), ("a = 1\n!ls", 3), ("%time x = 1", 2), ("x\0", 2), ("(" * 5000, 2)]
)
def test_a_params_cell_that_is_not_python_is_an_error(body: str, line: int) -> None:
    with pytest.raises(GrammarError, match="plain Python") as caught:
        declared(body)
    assert caught.value.cell == 1
    assert caught.value.line is not None
    assert caught.value.line >= line


def test_a_profile_gives_literals_to_parameters() -> None:
    params, profiles = extract_params(outline("epochs = 5\nlr: float = 0.1", smoke='"""quick"""\nepochs = 1\nlr = 1'))
    assert profiles == {"smoke": {"epochs": 1, "lr": 1.0}}
    assert resolve_params(params, {}, "smoke", profiles) == {"epochs": 1, "lr": 1.0}
    assert resolve_params(params, {"epochs": 2}, "smoke", profiles) == {"epochs": 2, "lr": 1.0}
    with pytest.raises(ParameterError, match="Did you mean 'smoke'"):
        resolve_params(params, {}, "smok", profiles)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("epoch = 1", "Did you mean 'epochs'"),
        ("epochs = f()", "literal"),
        ("import os", "only assign"),
        ("epochs = '5'", "not an int"),
        ("epochs += 1", "only assign"),
    ],
)
def test_a_wrong_profile_is_an_error_with_its_place(body: str, says: str) -> None:
    with pytest.raises(GrammarError, match=says) as caught:
        extract_params(outline("epochs = 5", smoke=body))
    assert (caught.value.cell, caught.value.line) == (9, 2)


@pytest.mark.parametrize(
    ("body", "given_", "want"),
    [
        ("x = 1", "5", 5),
        ("x = 1", "-5", -5),
        ("x = 1", "1_000", 1000),
        ("x = 1", "1e2", 100),
        ("x = 1", 7, 7),
        ("x = 1.0", "0.01", 0.01),
        ("x = 1.0", "1", 1.0),
        ("x = 1.0", "1e-3", 0.001),
        ("x = 1.0", ".5", 0.5),
        ("x = 1.0", 2, 2.0),
        ("x = 'a'", "5", "5"),
        ("x = 'a'", "", ""),
        ("x = 'a'", "none", "none"),
        ("x = True", "false", False),
        ("x = True", "Yes", True),
        ("x = True", "0", False),
        ("x = [1]", "[1, 2]", [1, 2]),
        ("x = {}", '{"a": 1}', {"a": 1}),
        ("x: int | None = 1", "none", None),
        ("x: int | None = 1", None, None),
        ("x: Literal[1, 'a'] = 1", "1", 1),
        ("x: Literal[1, 'a'] = 1", "a", "a"),
        ("x = None", "5", 5),
        ("x = None", "abc", "abc"),
        ("x = f()", "[1]", [1]),
        ("x: int | str = 1", "a", "a"),
    ],
)
def test_texts_are_read_by_type_and_values_kept(body: str, given_: Any, want: Any) -> None:
    value = resolved(body, x=given_)["x"]
    assert value == want
    assert type(value) is type(want)


@pytest.mark.parametrize(
    ("body", "given_"),
    [
        ("x = 1", "1.5"),
        ("x = 1", 1.5),
        ("x = 1", 5.0),
        ("x = 1", True),
        ("x = 1", ""),
        ("x = 1", "\u0661"),
        ("x = 1", None),
        ("x = 1", 1 << 63),
        ("x = 1", "1e99"),
        ("x = 1", "9" * 5000),
        ("x = 1.0", "nan"),
        ("x = 1.0", "inf"),
        ("x = 1.0", "1e400"),
        ("x = 1.0", math.nan),
        ("x = 1.0", math.inf),
        ("x = 1.0", "a"),
        ("x = 'a'", 5),
        ("x = 'a'", "\ud800"),
        ("x = 'a'", "y" * 1_000_001),
        ("x = True", "maybe"),
        ("x = True", 1),
        ("x = [1]", "1"),
        ("x = [1]", "[1"),
        ("x = [1]", [math.nan]),
        ("x = [1]", [object()]),
        ("x = {}", {1: 2}),
        ("x = {}", "[]"),
        ("x: Literal['a'] = 'a'", "b"),
        ("x: Literal[1] = 1", True),
        ("x = [1]", "[" * 100_000),
        ("x = 1", b"1"),
    ],
)
def test_values_that_do_not_fit_are_parameter_errors(body: str, given_: Any) -> None:
    with pytest.raises(ParameterError) as caught:
        resolved(body, x=given_)
    assert caught.value.name == "x"
    assert caught.value.exit_code == 2
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", ["a=1;open('x')", "x y", "", "1x", "x.y", "__import__('os')"])
def test_names_that_are_not_names_are_refused(name: str) -> None:
    with pytest.raises(ParameterError, match="not the name of a parameter"):
        resolve_params((Param(name="x", type="int", default=1),), {name: 1}, None, {})


def test_an_unknown_name_suggests_the_one_that_was_meant() -> None:
    with pytest.raises(ParameterError, match="Did you mean 'epochs'"):
        resolved("epochs = 1", epoch=2)


def test_a_parameter_without_a_value_must_be_given() -> None:
    params, profiles = extract_params(outline("path: str\nx = 1", one="path = 'a'"))
    assert params[0].required
    with pytest.raises(ParameterError, match="missing for path"):
        resolve_params(params, {}, None, profiles)
    assert resolve_params(params, {}, "one", profiles) == {"path": "a"}
    assert resolve_params(params, {"path": "b"}, None, profiles) == {"path": "b"}


def test_only_overridden_names_are_in_the_result_and_effective_values_are_all_known_ones() -> None:
    params, _ = extract_params(outline("a = 1\nb = 2\nc = f()"))
    values = resolve_params(params, {"b": "3"}, None, {})
    assert values == {"b": 3}
    assert effective_params(params, values) == {"a": 1, "b": 3}


@given(
    st.sampled_from(["x = 1", "x = 1.0", "x = 'a'", "x = True", "x = [1]", "x = {}", "x = None"]),
    st.text() | st.binary() | st.floats() | st.integers(),
)
def test_any_value_is_taken_or_refused_by_name(body: str, value: Any) -> None:
    try:
        resolved(body, x=value)
    except ParameterError as error:
        assert error.name == "x"
