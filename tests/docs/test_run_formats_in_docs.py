"""The folder of a run is documented: every kind of event, every field of the record, every file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from nbpipe.model import Event
from nbpipe.run.record import Record
from nbpipe.run.state import RunStatus

_ROOT = Path(__file__).parents[2]
_JOURNAL = (_ROOT / "docs/formats/journal.md").read_text()
_RUN = (_ROOT / "docs/formats/run.md").read_text()
_APPENDED = re.compile(r"\.append\(\s*\"([a-z-]+)\"")
_KINDS = sorted({kind for path in (_ROOT / "nbpipe/run").glob("*.py") for kind in _APPENDED.findall(path.read_text())})


def test_there_are_kinds_to_look_for() -> None:
    assert {"run-started", "stage-started", "stage-succeeded", "run-finished"} <= set(_KINDS)


@pytest.mark.parametrize("kind", _KINDS)
def test_every_kind_of_event_that_is_written_is_documented(kind: str) -> None:
    assert f"| `{kind}` |" in _JOURNAL


@pytest.mark.parametrize("name", Event.__struct_fields__)
def test_every_field_of_an_event_is_documented(name: str) -> None:
    assert f"| `{name}` |" in _JOURNAL


@pytest.mark.parametrize("name", Record.__struct_fields__)
def test_every_field_of_the_record_is_documented(name: str) -> None:
    assert re.search(rf"^\|[^|]*`{name}`[^|]*\|", _RUN, re.MULTILINE)


@pytest.mark.parametrize("status", get_args(RunStatus))
def test_every_status_of_a_run_is_documented(status: str) -> None:
    assert f"`{status}`" in _JOURNAL
