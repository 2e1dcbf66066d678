"""The page and the schema of the diff say what the structs say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from nbpipe.history.difference import schema, shape, shape_values
from nbpipe.history.difference.shape_values import Shape

FORMATS = Path(__file__).parents[2] / "docs" / "formats"
STRUCTS = [
    each
    for module in (shape, shape_values)
    for each in vars(module).values()
    if isinstance(each, type) and issubclass(each, Shape) and each is not Shape
]


def test_the_schema_file_is_made_from_the_structs() -> None:
    assert (FORMATS / "diff.schema.json").read_text() == schema.text(), (
        "python -m nbpipe.history.difference.schema FILE"
    )


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_every_field_is_on_the_page(struct: type[msgspec.Struct]) -> None:
    named = set(re.findall(r"`([^`]+)`", (FORMATS / "diff.md").read_text()))
    assert {field.name for field in msgspec.structs.fields(struct)} <= named


@pytest.mark.parametrize("part", shape.PARTS)
def test_every_part_is_on_the_page(part: str) -> None:
    assert f"`{part}`" in (FORMATS / "diff.md").read_text()


def test_a_diff_always_says_which_schema_it_has() -> None:
    side = shape.Side(label="r1", kind="run")
    written = json.loads(msgspec.json.encode(shape.Diff(a=side, b=side, parts=(), same=True, counts={})))
    assert written["schema"] == 1
    made = schema.schema()["$defs"]["Diff"]
    assert "schema" in made["required"]
    assert made["properties"]["schema"]["const"] == 1
