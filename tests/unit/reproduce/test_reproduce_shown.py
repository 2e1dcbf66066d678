"""What people read of a verdict."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nbpipe.cli.reproduce import _print, sentence, verdict_shape
from nbpipe.reproduce.verdict import Item, Obstacle, StageVerdict, Verdict, graded

EQUAL = StageVerdict(name="load", items=(Item(name="df", kind="value", verdict="equal"),))
CLOSE = StageVerdict(
    name="prep", items=(Item(name="x", kind="value", verdict="close", detail="largest difference 1e-09"),)
)
DIFFERS = StageVerdict(
    name="train",
    items=(
        Item(name="y", kind="value", verdict="close", detail="nearly"),
        Item(name="acc", kind="metric", verdict="differs", detail="0.91 → 0.93"),
        Item(name="m.bin", kind="file", verdict="differs", detail="other bytes (3 → 4)"),
    ),
)
LOST = StageVerdict(name="old", unknown="what it left then is not known any more")


def verdict(*stages: StageVerdict, obstacles: tuple[Obstacle, ...] = (), causes: tuple[str, ...] = ()) -> Verdict:
    grade = "impossible" if obstacles else graded(stages)
    return Verdict(run="r3", verdict=grade, tolerance=1e-6, stages=stages, obstacles=obstacles, causes=causes)


def test_a_verdict_is_as_bad_as_its_worst_stage_and_nothing_to_compare_is_none() -> None:
    assert graded((EQUAL, LOST)) == "equal"
    assert graded((EQUAL, CLOSE)) == "close"
    assert graded((DIFFERS, CLOSE)) == "differs"
    assert graded((LOST,)) == "impossible"
    assert graded(()) == "impossible"


def test_the_sentence_names_the_first_stage_that_differs_and_the_first_thing_in_it() -> None:
    assert sentence(verdict(EQUAL)) == "equal to the byte"
    assert sentence(verdict(CLOSE)) == "equal within 1e-06"
    assert sentence(verdict(EQUAL, DIFFERS)) == "differs from stage 'train' on: metric 'acc': 0.91 → 0.93"
    obstacles = (Obstacle(name="a.csv", what="changed since"), Obstacle(name="b.csv", what="is gone"))
    assert sentence(verdict(obstacles=obstacles)) == "cannot be reproduced: a.csv changed since; b.csv is gone"


def test_the_json_has_the_fields_that_its_page_lists() -> None:
    page = (Path(__file__).parents[3] / "docs" / "formats" / "cli-json.md").read_text()
    sections = {part.partition("\n")[0].strip("`"): part for part in re.split(r"^##+ ", page, flags=re.MULTILINE)}

    def fields(title: str) -> set[str]:
        return set(re.findall(r"^\| `(\w+)` \|", sections[title], re.MULTILINE))

    shape: Any = verdict_shape(verdict(DIFFERS, LOST))
    assert set(shape) == fields("nbpipe reproduce")
    assert {frozenset(stage) for stage in shape["stages"]} == {frozenset(fields("A comparison"))}
    assert set(shape["stages"][0]["items"][0]) == fields("An item")
    assert [stage["verdict"] for stage in shape["stages"]] == ["differs", "unknown"]
    bad: Any = verdict_shape(verdict(obstacles=(Obstacle(name="a", what="is gone"),)))
    assert set(bad["obstacles"][0]) == fields("An obstacle")
    assert (bad["exit_code"], shape["exit_code"]) == (3, 1)


def test_every_stage_has_a_line_and_hostile_text_has_no_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    bad = StageVerdict(
        name="bad", items=(Item(name="\x1b[31mx\n", kind="file", verdict="differs", detail="\x1b]0;t\x07"),)
    )
    _print(verdict(EQUAL, CLOSE, DIFFERS, LOST, bad, causes=("time.time() reads the clock (cell 1, line 2)",)))
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x07" not in out
    lines = out.splitlines()
    assert lines[0] == "  load   ✓  equal   df"
    assert lines[2] == "  train  ✗  differs acc: 0.91 → 0.93; m.bin: other bytes (3 → 4)"
    assert lines[-1] == "  likely cause: time.time() reads the clock (cell 1, line 2)"


def test_what_is_equal_is_named_once_and_a_check_that_gives_nothing_ended_as_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    kinds: tuple[Any, ...] = ("value", "metric")
    twice = StageVerdict(name="train", items=tuple(Item(name="acc", kind=kind, verdict="equal") for kind in kinds))
    _print(verdict(twice, StageVerdict(name="good", items=())))
    first, second = capsys.readouterr().out.splitlines()[:2]
    assert first.endswith("equal   acc")
    assert second.endswith("equal   it ended as then, and gives no value, file or metric")


def test_equal_is_said_of_what_was_compared_only() -> None:
    found = msgspec.structs.replace(verdict(EQUAL, LOST), unfinished=("train", "good"))
    assert sentence(found) == "equal to the byte, without old, train, good: nothing to compare with"
