"""What stands in a saved notebook: tables and text in which nothing is markup."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from histories import past_run, past_runs

from nbpipe.history.diff import compute
from nbpipe.history.query import detail
from nbpipe.history.search import search
from nbpipe.ui.fallback import Static, history
from nbpipe.ui.fallback_diff import diff
from nbpipe.ui.fallback_run import progress
from nbpipe.ui.rows import progress_view

EVIL = "</td></table><script>alert(1)</script><img src=x onerror=alert(1)>\n\x1b[2J"
ALLOWED = {"div", "p", "table", "thead", "tbody", "tr", "th", "td", "pre"}


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}


def harmless(static: Static) -> bool:
    tags = Tags()
    tags.feed(static.bundle("abc")["text/html"])
    return tags.seen <= ALLOWED and tags.attributes <= {"class"}


def test_the_newest_runs_with_what_tells_them_apart(tmp_path: Path) -> None:
    page = search(past_runs(tmp_path, 5))
    static = history(page.rows[:3], page.total)
    lines = static.text.splitlines()
    assert lines[0] == "nbpipe history: 5 runs, the newest 3"
    assert lines[1].split() == ["run", "status", "started", "version", "lr", "model", "acc", "loss"]
    assert lines[2].split()[:3] == ["r5", "✓", "succeeded"]
    assert "<td>0.005</td>" in static.html


@pytest.mark.parametrize("place", ["name", "params", "metrics"])
def test_hostile_texts_are_text_in_every_copy(tmp_path: Path, place: str) -> None:
    project = past_runs(tmp_path, 1)
    name = EVIL if place == "name" else "digits"
    params = {EVIL: EVIL} if place == "params" else {"lr": 1}
    metrics = {EVIL: 0.5} if place == "metrics" else {}
    past_run(project, 2, params=params, metrics=metrics, name=name, stages=(EVIL,))
    page = search(project)
    found = detail(project, "r2")
    view = progress_view(found.summary, found.state, 0.0)
    for static in (history(page.rows, 2), progress(view), diff(compute(project, "r1", "r2", parts=("params",)))):
        assert harmless(static)


def test_the_name_of_the_live_view_is_the_only_thing_that_is_put_into_the_markup(tmp_path: Path) -> None:
    static = history((), 0)
    assert 'class="nbp-static nbp-static-abc"' in static.bundle("abc")["text/html"]
    assert 'class="nbp-static"' in static.bundle('x"><script>')["text/html"]


def test_a_diff_in_text_has_its_tables_and_its_code(tmp_path: Path) -> None:
    project = past_runs(tmp_path, 3)
    static = diff(compute(project, "r1", "r3", parts=("params", "metrics")))
    assert static.text.startswith("nbpipe diff: r1 ↔ r3")
    assert [line.split() for line in static.text.splitlines() if line.startswith("lr")] == [
        ["lr", "changed", "0.001", "0.003"]
    ]
    same = diff(compute(project, "r1", "r1", parts=("params",)))
    assert same.text == "nbpipe diff: r1 ↔ r1: nothing differs"
