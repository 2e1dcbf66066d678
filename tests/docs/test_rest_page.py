"""The page of the server's resources has every route, every field and every bound."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from nbpipe.history.chunks import Chunk
from nbpipe.run.waiting import Waiting
from nbpipe.server import answering, desk, logs, notebooks, starting
from nbpipe.server.routes import ROUTES
from nbpipe.ui import details, pipelines

PAGE = (Path(__file__).parents[2] / "docs/formats/rest.md").read_text()


def part(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def names(struct: type[msgspec.Struct]) -> set[str]:
    return set(struct.__struct_encode_fields__)


def words(text: str) -> set[str]:
    return set(re.findall(r"`([\w-]+)`", text))


def test_every_route_has_a_line_and_every_line_a_route() -> None:
    lines = re.findall(r"^\| (GET|POST|DELETE) \| `(.*?)` \| (\w+) \| (\S+) \| (.*?) \| (.*) \|$", PAGE, re.MULTILINE)
    paths = {"notebook": "notebook", "draft": "notebook", "any": "any", "nowhere": "–"}
    said = {(method, path, action, where): (words(asks), answer) for method, path, action, where, asks, answer in lines}
    assert set(said) == {(route.method, route.path, route.action, paths[route.where]) for route in ROUTES}
    for route in ROUTES:
        asks, answer = said[route.method, route.path, route.action, paths[route.where]]
        assert asks == names(route.asks), route
        assert route.status == 200 or answer.startswith(str(route.status)), route


@pytest.mark.parametrize(
    ("title", "struct"),
    [
        ("A pipeline", pipelines.PipelineView),
        ("A plan", pipelines.PlanView),
        ("A proposal", pipelines.SuggestView),
        ("Details of a run", details.RunDetails),
    ],
)
def test_every_field_has_a_line(title: str, struct: type[msgspec.Struct]) -> None:
    table = part(title).strip().partition("\n\n")[0]
    cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    assert {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} == names(struct)


@pytest.mark.parametrize(
    ("title", "begin", "struct"),
    [
        ("A pipeline", "**A stage**", pipelines.StageView),
        ("A pipeline", "**A parameter**", pipelines.ParamView),
        ("A pipeline", "**A problem**", pipelines.ProblemView),
        ("A pipeline", "**An action**", pipelines.ActionView),
        ("A pipeline", "| `edges`", pipelines.EdgeView),
        ("A plan", "| `stages`", pipelines.PlanStageView),
        ("A proposal", "| `cells`", pipelines.SuggestedCell),
        ("Details of a run", "A stage has", details.StageDetail),
        ("Details of a run", "and `artifacts`", details.ArtifactRow),
        ("Details of a run", "**`kept`**", Waiting),
    ],
)
def test_every_field_inside_is_named(title: str, begin: str, struct: type[msgspec.Struct]) -> None:
    paragraph = begin + part(title).partition(begin)[2].partition("\n\n")[0]
    assert words(paragraph) >= names(struct)


def test_every_kind_of_action_is_explained() -> None:
    table = part("A pipeline").partition("| kind |")[2]
    assert set(re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE)) == set(get_args(pipelines.ActionKind))


def test_every_bound_is_said() -> None:
    assert f"{answering.LARGEST_BODY // 2**20} MiB" in PAGE
    assert f"{starting.MOST_RUNS} runs" in PAGE
    assert f"`limit` is in bytes, {logs.LARGEST} at most" in PAGE
    assert f"{notebooks.MOST_CELLS} cells" in PAGE
    assert f"{desk.PATIENCE:.0f} seconds" in PAGE
    assert {"text", "next"} <= names(Chunk)


def test_the_schema_of_events_is_that_of_the_page() -> None:
    text = (Path(__file__).parents[2] / "nbpipe/server/run-event.yaml").read_text()
    fields = re.findall(r"^  (\w+):$", text.partition("properties:")[2], re.MULTILINE)
    assert re.findall(r"^\| `(\w+)` \|", part("Events"), re.MULTILINE) == fields
