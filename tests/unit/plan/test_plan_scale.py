"""What large notebooks cost: counted in parses and steps of Python, not in time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from msgspec.structs import replace
from planned import Book, artifact

from nbpipe.dataflow.links import edges
from nbpipe.model import Outcome, Pipeline
from nbpipe.pipeline.codec import encode
from nbpipe.pipeline.index import Index, index_of
from nbpipe.plan.resolve import wanted
from nbpipe.plan.settled import Settled

#: Counts what is parsed while a notebook is planned in a new process.
COUNTING = """
import ast, builtins, json, sys
from pathlib import Path
parsed = []
compile_ = compile
def counting(source, *words, **more):
    flags = words[2] if len(words) > 2 else more.get("flags", 0)
    if flags & ast.PyCF_ONLY_AST:
        parsed.append(str(source))
    return compile_(source, *words, **more)
builtins.compile = counting
from nbpipe.run.planning import plan_notebook
plan = plan_notebook(Path(sys.argv[1]))
print(json.dumps([len(plan.decisions), parsed]))
"""


def chain(stages: int) -> list[str]:
    """Code that no chain of another length has: nothing of it is remembered."""
    given = [f"%%stage s{n}\nv{n} = v{n - 1} + {n}  # {stages}" for n in range(1, stages)]
    return ["%%params\nk: int = 1", f"%%stage s0\nv0 = sum([k])  # {stages}", *given]


def parsed(notebook: Path) -> list[str]:
    done = subprocess.run([sys.executable, "-c", COUNTING, str(notebook)], capture_output=True, text=True, check=True)
    stages, found = json.loads(done.stdout)
    assert stages == 30
    return list(found)


def test_an_unchanged_notebook_is_not_parsed_again_and_of_a_changed_one_the_changed_cell_alone(tmp_path: Path) -> None:
    filler = "\n".join(f"# {n} {'x' * 60}" for n in range(8))
    cells = [f"{cell}\n{filler}" for cell in chain(30)]
    book = Book(tmp_path, *cells)
    assert len(cells_in(parsed(book.path))) == 30
    assert cells_in(parsed(book.path)) == []
    book.write(*cells[:-1], f"%%stage s29\nv29 = v28 + 30\n{filler}")
    assert [text.partition("\n")[0] for text in cells_in(parsed(book.path))] == ["v29 = v28 + 30"]


def cells_in(texts: list[str]) -> list[str]:
    return [text for text in texts if text.startswith("v")]


def steps(work: Callable[[], object]) -> int:
    """Lines of Python that were executed, each turn of a loop counted."""
    count = 0

    def trace(_frame: FrameType, event: str, _given: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def grows_evenly(cost: Callable[[int], int]) -> bool:
    """Twice as much more costs twice as much more: what is quadratic costs four times as much."""
    small, middle, large = cost(40), cost(80), cost(160)
    return large - middle < 2.2 * (middle - small)


def pipeline_of(folder: Path, cells: list[str]) -> Pipeline:
    return Book(folder, *cells).pipeline


def test_extraction_costs_the_same_per_stage_however_many_there_are(tmp_path: Path) -> None:
    def cost(stages: int) -> int:
        return steps(lambda: pipeline_of(tmp_path, chain(stages)))

    # What is read once for the whole process is not the stages' own.
    cost(40)
    assert grows_evenly(cost)


def test_a_changed_cell_costs_the_reading_of_that_cell_and_one_that_does_other_things_the_links_between_all(
    tmp_path: Path,
) -> None:
    cells = chain(150)
    analysed = steps(lambda: pipeline_of(tmp_path, cells))
    unchanged = steps(lambda: pipeline_of(tmp_path, cells))
    number = steps(lambda: pipeline_of(tmp_path, [*cells[:-1], cells[-1].replace("+ 149", "+ 150")]))
    name = steps(lambda: pipeline_of(tmp_path, [*cells[:-1], cells[-1].replace("v149", "w149")]))
    assert number - unchanged < (analysed - unchanged) / 10
    assert name - unchanged < (analysed - unchanged) * 2 / 3


def test_a_pipeline_is_as_large_as_its_stages_are_many(tmp_path: Path) -> None:
    assert grows_evenly(lambda stages: len(encode(pipeline_of(tmp_path, chain(stages)))))


def test_a_plan_costs_the_same_per_stage_however_many_there_are(tmp_path: Path) -> None:
    def cost(stages: int) -> int:
        pipeline = pipeline_of(tmp_path, chain(stages))

        def resolve() -> None:
            committed = Settled(Index(pipeline))
            for n in range(stages):
                target = wanted(pipeline, f"s{n}", committed, {})
                assert target is not None
                committed.add(f"s{n}", given(f"s{n}", f"v{n}"))

        return steps(resolve)

    # What is read once for the whole process is not the stages' own.
    cost(40)
    assert grows_evenly(cost)


def given(stage: str, name: str) -> Outcome:
    return Outcome(stage=stage, attempt=1, token="t", status="succeeded", outputs={name: artifact(name)})  # noqa: S106


def test_edges_of_ambient_state_are_found_in_one_pass(tmp_path: Path) -> None:
    def cost(stages: int) -> int:
        found = pipeline_of(tmp_path, [f"{cell}\nimport random\nrandom.seed(0)" for cell in chain(stages)])
        return steps(lambda: edges(found.stages, {"s0": {"outputs": ["v0"]}}))

    assert grows_evenly(cost)


def test_a_name_comes_from_where_the_stage_sees_it(tmp_path: Path) -> None:
    cells = ["%%stage a\nx = sum([1])", "%%stage b\ny = x", "%%stage c\nx = y + 1", "%%stage d\nprint(x)"]
    index = index_of(pipeline_of(tmp_path, cells))
    assert [index.provider(stage, "x") for stage in "abcd"] == ["", "stage:a", "stage:a", "stage:c"]
    assert [index.giver(stage, "x") for stage in "abcd"] == [None, "a", "a", "c"]
    assert index.provider("d", "z") == ""


def test_a_pipeline_in_which_every_stage_lists_all_names_as_schema_1_did_says_the_same(tmp_path: Path) -> None:
    pipeline = pipeline_of(tmp_path, chain(6))
    names = [*(f"v{n}" for n in range(6)), "k"]

    def visible(index: Index, stage: str) -> dict[str, str]:
        return {name: found for name in names if (found := index.provider(stage, name))}

    new = index_of(pipeline)
    stages = tuple(
        replace(stage, flow=replace(stage.flow, scope=visible(new, stage.name))) for stage in pipeline.stages
    )
    assert len(stages[-1].flow.scope) == 6
    assert len(pipeline.stages[-1].flow.scope) == 1
    old = Index(replace(pipeline, stages=stages))
    assert [visible(old, stage.name) for stage in stages] == [visible(new, stage.name) for stage in stages]


def test_an_outcome_that_is_taken_back_gives_nothing_any_more(tmp_path: Path) -> None:
    index = index_of(pipeline_of(tmp_path, chain(3)))
    committed = Settled(index)
    committed.add("s0", replace(given("s0", "extra"), metrics={"m": 1.0}))
    assert (committed.giver("s2", "extra"), len(committed.telling("s2"))) == ("s0", 1)
    committed.add("s0", given("s0", "v0"))
    assert (committed.giver("s2", "extra"), committed.telling("s2"), len(committed)) == (None, [], 1)
    committed.remove("s0")
    assert (committed.giver("s1", "v0"), list(committed)) == ("s0", [])
