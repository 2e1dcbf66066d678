"""The page of the status says every field, state and kind of reason that there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from nbpipe.live.reasons import Kind, Reason
from nbpipe.live.staleness import StageStatus, State
from nbpipe.live.status import Status

PAGE = (Path(__file__).parents[2] / "docs" / "formats" / "status.md").read_text()


def rows(text: str) -> set[str]:
    return set(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE))


def test_every_field_is_on_the_page_and_no_other() -> None:
    whole, rest = PAGE.split("## A stage")
    stage, reason = rest.split("## A reason")
    fields, kinds = reason.split("| kind | meaning |")
    assert rows(whole) == set(Status.__struct_fields__)
    assert rows(stage) == set(StageStatus.__struct_fields__)
    assert rows(fields) == set(Reason.__struct_fields__)
    assert rows(kinds) == set(get_args(Kind))


def test_every_state_is_on_the_page() -> None:
    assert all(f"`{state}`" in PAGE for state in get_args(State))
