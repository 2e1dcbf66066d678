"""The shared examples of `docs/formats/grammar.json`, and lines that nobody would write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbpipe.errors import GrammarError
from nbpipe.notebook.grammar import MagicLine, parse_line
from nbpipe.notebook.options import OPTIONS

ROOT = Path(__file__).parents[3]
CASES: list[dict[str, Any]] = json.loads((ROOT / "docs/formats/grammar.json").read_text())["cases"]


@pytest.mark.parametrize("case", [c for c in CASES if "gives" in c], ids=lambda c: ascii(c["line"]))
def test_a_line_gives_what_the_shared_examples_say(case: dict[str, Any]) -> None:
    said = parse_line(case["line"])
    plain = json.loads(msgspec.json.encode(said.given))
    want = case["gives"]
    assert (said.role, said.name, plain) == (want["role"], want.get("name", ""), want.get("options", {}))
    for field, value in said.given.items():
        assert getattr(said.options, field) == value


@pytest.mark.parametrize("case", [c for c in CASES if "error" in c], ids=lambda c: ascii(c["line"]))
def test_a_wrong_line_gives_the_error_the_shared_examples_say(case: dict[str, Any]) -> None:
    with pytest.raises(GrammarError) as caught:
        parse_line(case["line"])
    assert case["error"] in caught.value.message
    assert caught.value.line == 1


def test_every_option_has_an_example_and_a_place_in_the_reference() -> None:
    reference = (ROOT / "docs/reference/magics.md").read_text()
    lines = " ".join(case["line"] for case in CASES if "gives" in case)
    for name in OPTIONS:
        assert f"--{name}" in lines
        assert f"`--{name}" in reference


def test_an_unknown_option_suggests_the_one_that_was_meant() -> None:
    with pytest.raises(GrammarError, match="Did you mean 'timeout'"):
        parse_line("%%stage a --time-out 3")


def test_an_invalid_name_suggests_a_valid_one() -> None:
    with pytest.raises(GrammarError, match="Write train_model"):
        parse_line('%%stage "Train model"')


def test_a_name_of_two_words_is_said_to_be_that() -> None:
    with pytest.raises(GrammarError) as caught:
        parse_line("%%stage 1. Train Model --gpus 1")
    assert caught.value.message == "'1. Train Model' is not a name: a name has no blanks"
    assert caught.value.fix == "Write %%stage train_model."


def test_values_do_not_leak_between_two_readings_of_one_line() -> None:
    first = parse_line("%%stage a --env A=1")
    first.given["env"]["A"] = "changed"
    first.given["gpus"] = 8
    again = parse_line("%%stage a --env A=1")
    assert again.given == {"env": {"A": "1"}}
    assert again.options.env == {"A": "1"}


_WORD = st.sampled_from(
    [f"--{name}" for name in OPTIONS] + ["a", "1", "=", "4G", "'", '"', "\\", "#", "a=1", ",", "acc>1"]
)


@given(
    st.sampled_from(["%%stage ", "%%check ", "%%params ", "%%setup ", ""]), st.text() | st.lists(_WORD).map(" ".join)
)
def test_any_line_parses_or_is_a_grammar_error(head: str, rest: str) -> None:
    try:
        said = parse_line(head + rest)
    except GrammarError as error:
        assert error.message.isprintable()
    else:
        assert isinstance(said, MagicLine)
        assert msgspec.json.decode(msgspec.json.encode(said), type=MagicLine).role == said.role


def test_a_deeply_nested_threshold_is_a_grammar_error() -> None:
    depth = 5000
    for text in ("(" * depth + "a" + ")" * depth + " > 1", "-" * depth + "a > 1", "not " * depth + "a > 1"):
        with pytest.raises(GrammarError):
            parse_line(f"%%check c --metric '{text}'")
