"""Graphs as text, dot and Mermaid."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbpipe.cli import drawing
from nbpipe.cli.text import width
from nbpipe.model import Edge, Pipeline, Stage


def pipeline(*stages: str, checks: tuple[str, ...] = ()) -> Pipeline:
    """`"c < a:x b"`: stage c needs x from a, and comes after b."""
    nodes: list[Stage] = []
    edges: list[Edge] = []
    for text in stages:
        name, _, needs = text.partition(" < ")
        nodes.append(Stage(name=name, kind="check" if name in checks else "stage", cells=()))
        for need in needs.split():
            giver, _, names = need.partition(":")
            edges.append(
                Edge(
                    source=giver,
                    target=name,
                    names=tuple(filter(None, names.split(","))),
                    kind="data" if names else "after",
                )
            )
    return Pipeline(name="p", stages=tuple(nodes), edges=tuple(edges))


def rails(drawn: str) -> list[str]:
    return [row.split("←")[0].rstrip() for row in drawn.splitlines()]


def test_a_chain_goes_straight_down() -> None:
    assert rails(drawing.draw(pipeline("a", "b < a:x", "c < b:y"), 80)) == ["● a", "● b", "● c"]


def test_a_diamond_opens_and_closes() -> None:
    drawn = drawing.draw(pipeline("a", "b < a:x", "c < a:x", "d < b:y c:z"), 80)
    assert rails(drawn) == ["● a", "├─● b", "● │ c", "●─┘ d"]


def test_a_rail_that_is_only_crossed_is_not_joined() -> None:
    drawn = drawing.draw(pipeline("a", "b < a:x", "c < a:x", "d < a:x b:y c:z"), 80)
    assert rails(drawn) == ["● a", "├─● b", "├─│─● c", "●─┴─┘ d"]


def test_a_check_has_a_shape_of_its_own_and_stages_without_edges_stand_alone() -> None:
    assert rails(drawing.draw(pipeline("a", "gate", checks=("gate",)), 80)) == ["● a", "◆ gate"]


def test_every_row_says_what_it_needs_and_from_whom() -> None:
    drawn = drawing.draw(pipeline("a", "b", "c < a:x,y b"), 80)
    assert drawn.splitlines()[-1].endswith("← a: x, y; b")


def test_edges_of_files_say_so() -> None:
    found = pipeline("a", "b")
    edge = Edge(source="a", target="b", names=("d.csv",), kind="file")
    found = Pipeline(name="p", stages=found.stages, edges=(edge,))
    assert drawing.label_of(found, "b") == "a (file): d.csv"


graphs = st.integers(min_value=1, max_value=12).flatmap(
    lambda size: st.lists(
        st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)).filter(lambda pair: pair[0] < pair[1]),
        max_size=30,
    ).map(lambda pairs: (size, sorted(set(pairs))))
)


@given(graphs, st.integers(min_value=10, max_value=60))
def test_any_graph_is_drawn_with_one_row_per_stage_within_the_terminal(
    graph: tuple[int, list[tuple[int, int]]], columns: int
) -> None:
    size, pairs = graph
    found = Pipeline(
        name="p",
        stages=tuple(Stage(name=f"s{n}", kind="stage", cells=()) for n in range(size)),
        edges=tuple(Edge(source=f"s{a}", target=f"s{b}", names=("x",)) for a, b in pairs),
    )
    rows = drawing.draw(found, columns).splitlines()
    assert len(rows) == size
    assert max(width(row) for row in rows) <= columns


@given(graphs)
def test_a_row_joins_exactly_the_rails_of_its_givers(graph: tuple[int, list[tuple[int, int]]]) -> None:
    """Read the drawing back: which column belongs to whom follows from the symbols alone."""
    size, pairs = graph
    found = Pipeline(
        name="p",
        stages=tuple(Stage(name=f"s{n}", kind="stage", cells=()) for n in range(size)),
        edges=tuple(Edge(source=f"s{a}", target=f"s{b}", names=("x",)) for a, b in pairs),
    )
    owners: dict[int, int] = {}
    last = {a: max(b for source, b in pairs if source == a) for a, _ in pairs}
    for n, row in enumerate(drawing.draw(found, 500).splitlines()):
        rail = row.split(f" s{n}")[0]
        at = rail.index("●") // 2
        joined = {owners[i // 2] for i, char in enumerate(rail) if i % 2 == 0 and char in "├└┼┴┤┘"}
        if at in owners:
            joined.add(owners[at])
        assert joined == {a for a, b in pairs if b == n}
        owners = {column: owner for column, owner in owners.items() if last[owner] != n}
        if n in last:
            owners[at] = n


def test_dot_quotes_names_and_labels() -> None:
    hostile = Pipeline(
        name='p" ] evil [',
        stages=(Stage(name="a", kind="stage", cells=()), Stage(name="b", kind="check", cells=())),
        edges=(Edge(source="a", target="b", names=('x"\\', "y")),),
    )
    text = drawing.dot(hostile)
    assert text.splitlines()[0] == 'digraph "p\\" ] evil [" {'
    assert '  "a" -> "b" [label="x\\"\\\\, y"];' in text


def test_mermaid_cannot_be_broken_out_of() -> None:
    edge = Edge(source="a", target="b", names=('x"] --> [<b>',))
    found = Pipeline(name="p", stages=pipeline("a", "b").stages, edges=(edge,))
    line = drawing.mermaid(found).splitlines()[-1]
    assert line.count('"') == 2
    assert not set(line.split('"')[1]) & set('[]<>"|')


@pytest.mark.parametrize("form", [drawing.dot, drawing.mermaid])
def test_every_stage_and_edge_is_written(form: object) -> None:
    assert callable(form)
    text = form(pipeline("load", "train < load:x", "gate < train", checks=("gate",)))
    assert all(name in text for name in ("load", "train", "gate", "x"))
