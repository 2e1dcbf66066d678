"""The pages of docs/formats say every field and label that there is, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from nbpipe.model import Pipeline, Snippet, StageFlow
from nbpipe.plan import explain, key

FORMATS = Path(__file__).parents[2] / "docs" / "formats"


def rows(text: str) -> list[str]:
    return re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)


def names(struct: type[msgspec.Struct]) -> set[str]:
    return {field.name for field in msgspec.structs.fields(struct)}


def test_the_page_of_the_pipeline_has_every_field() -> None:
    page = (FORMATS / "pipeline.md").read_text()
    assert {name for row in rows(page) for name in re.findall(r"`(\w+)`", row)} == names(Pipeline)
    for title, struct in (("**A stage** has", StageFlow), ("**A snippet** has", Snippet)):
        part = page.partition(title)[2].partition("\n\n")[0]
        assert set(re.findall(r"`(\w+)`", part)) >= names(struct), title


def test_the_page_of_the_plan_has_every_label_of_a_key() -> None:
    table = (FORMATS / "plan.md").read_text().partition("## From key to HIT")[0]
    labels = {re.match(r"[\w-]+", name)[0] for row in rows(table) for name in re.findall(r"`([^`]+)`", row)}  # type: ignore[index]
    assert labels == set(explain._ORDER)
    options = re.search(r"^\| `option:NAME` \| (.*) \|$", table, re.MULTILINE)
    assert options
    assert re.findall(r"`(\w+)`", options[1]) == list(key._OPTIONS)
    assert f"Key schema {key.KEY_SCHEMA}." in table
