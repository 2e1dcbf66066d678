"""What a text says that a parameter varies over, read by its declared type; what is wrong is refused with its reason."""

from __future__ import annotations

import pytest

from nbpipe.errors import ParameterError
from nbpipe.model import Param
from nbpipe.sweep.space import Dimension, read_dimension, read_space

LR = Param(name="lr", type="float", default=0.1)
N = Param(name="n", type="int", default=3)
MODEL = Param(name="model", type="choice", default="cnn", choices=("cnn", "mlp", "tree"))
FLAG = Param(name="flag", type="bool", default=False)
PATH = Param(name="path", type="str", default="a")
SIZES = Param(name="sizes", type="list", default=[1])
RATE = Param(name="rate", type="float", default=None, optional=True)
FREE = Param(name="free", type="any")


@pytest.mark.parametrize(
    ("param", "text", "found"),
    [
        (LR, "log:1e-5:1e-1", Dimension(name="lr", kind="float", low=1e-5, high=0.1, log=True)),
        (LR, "0.1:0.9", Dimension(name="lr", kind="float", low=0.1, high=0.9)),
        (LR, "-1:1:0.5", Dimension(name="lr", kind="float", low=-1, high=1, step=0.5)),
        (N, "1:10", Dimension(name="n", kind="int", low=1, high=10)),
        (N, "log:1:1024", Dimension(name="n", kind="int", low=1, high=1024, log=True)),
        (FREE, "1:4", Dimension(name="free", kind="int", low=1, high=4)),
        (FREE, "0.5:4", Dimension(name="free", kind="float", low=0.5, high=4)),
    ],
)
def test_a_range_has_the_type_of_its_parameter(param: Param, text: str, found: Dimension) -> None:
    assert read_dimension(param, text) == found


@pytest.mark.parametrize(
    ("param", "text", "choices"),
    [
        (LR, "0.1, 1e-2,1", (0.1, 0.01, 1.0)),
        (N, "1,2", (1, 2)),
        (MODEL, "cnn,mlp", ("cnn", "mlp")),
        (MODEL, "*", ("cnn", "mlp", "tree")),
        (FLAG, "*", (False, True)),
        (FLAG, "yes,off", (True, False)),
        (PATH, "s3://a:b,c", ("s3://a:b", "c")),
        (PATH, '["a,b", "c"]', ("a,b", "c")),
        (SIZES, "[[1, 2], [3]]", ([1, 2], [3])),
        (RATE, "none,0.5", (None, 0.5)),
    ],
)
def test_a_list_gives_values_of_the_type_of_its_parameter(param: Param, text: str, choices: tuple[object, ...]) -> None:
    found = read_dimension(param, text).choices
    assert found == choices
    assert [type(value) for value in found] == [type(value) for value in choices]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("lr", "log:0:1", "begins above 0"),
        ("lr", "1:1", "not below"),
        ("lr", "0:1:2", "does not fit"),
        ("lr", "log:1:2:3", "LOW:HIGH"),
        ("lr", "fast", "not a float"),
        ("lr", "1e400:1e401", "finite"),
        ("lr", "-1e308:1e308", "too large"),
        ("lr", "0.1,0.10", "twice"),
        ("lr", "", "no value"),
        ("n", "1:2.5", "not an int"),
        ("model", "cnn,cmn", "not one of"),
        ("model", "log:1:2", "only numbers have ranges"),
        ("path", "*", "Literal or a bool"),
        ("sizes", "[1, 2]", "not a list"),
        ("sizes", "1,2", "JSON list"),
        ("path", "[", "not a JSON list"),
        ("flag", "[]", "empty"),
        ("lrr", "1:2", "no parameter 'lrr'"),
    ],
)
def test_what_is_wrong_is_refused_with_its_reason(name: str, text: str, said: str) -> None:
    with pytest.raises(ParameterError, match=r".*") as caught:
        read_space((LR, N, MODEL, FLAG, PATH, SIZES), {name: text})
    assert said in caught.value.message
    assert caught.value.fix


def test_a_parameter_with_one_value_does_not_vary() -> None:
    space, fixed = read_space((LR, N), {"lr": "0.1:1", "n": "7"})
    assert [dimension.name for dimension in space] == ["lr"]
    assert fixed == {"n": 7}


def test_steps_that_do_not_reach_the_upper_end_lower_it() -> None:
    found = read_dimension(LR, "0:1:0.3")
    assert found.high == pytest.approx(0.9)
    assert found.points == (0.0, 0.3, 0.6, 0.9)


def test_only_what_can_be_counted_has_points() -> None:
    assert read_dimension(N, "1:4").points == (1, 2, 3, 4)
    assert read_dimension(N, "2:8:3").points == (2, 5, 8)
    assert read_dimension(LR, "0:1").points is None
    assert read_dimension(N, "log:1:8").points is None
    assert read_dimension(N, "1:1e9").points is None
