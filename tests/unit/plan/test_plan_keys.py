"""Keys are made of content alone, and what a stage should see follows values to all that they need."""

from __future__ import annotations

from pathlib import Path

from planned import Book, artifact

from nbpipe.model import Artifact, Outcome
from nbpipe.plan.key import NOTE, derived_seed, key_of
from nbpipe.plan.resolve import providers, wanted


def outcome(stage: str, observed: dict[str, Artifact] | None = None, **outputs: Artifact) -> Outcome:
    return Outcome(stage=stage, attempt=1, token="t", status="succeeded", outputs=outputs, observed=observed or {})  # noqa: S106


def test_notes_are_not_in_the_key_and_every_part_is() -> None:
    parts = {"code:1": "a", "param:x": "1"}
    assert key_of(parts) == key_of(parts | {f"{NOTE}code:1": "cell 7|ab@1"}) == key_of(dict(reversed(parts.items())))
    others = [{"code:1": "b", "param:x": "1"}, {"code:1": "a"}, {"code:2": "a", "param:x": "1"}, parts | {"y": ""}]
    assert len({key_of(each) for each in (parts, *others)}) == 5


def test_a_key_does_not_know_where_the_notebook_is_or_how_its_stages_are_called_above(tmp_path: Path) -> None:
    keys = []
    for name, first in (("one", "a"), ("two", "b")):
        (tmp_path / name).mkdir()
        book = Book(tmp_path / name, f"%%stage {first}\nx = sum([1])", "%%stage last\nprint(x)")
        keys.append(book.wanted("last", {first: outcome(first, x=artifact("1"))}).key)
    assert keys[0] == keys[1]


def test_only_inputs_that_are_read_count_and_they_count_by_content(tmp_path: Path) -> None:
    book = Book(tmp_path, "%%stage a\nx = sum([1])\ny = sum([2])", "%%stage b\nprint(x)", "%%stage c\nprint(y)")

    def keys(x: str, y: str) -> tuple[str, str]:
        committed = {"a": outcome("a", x=artifact(x), y=artifact(y)), "b": outcome("b")}
        return book.wanted("b", committed).key, book.wanted("c", committed).key

    assert keys("1", "2") == keys("1", "2")
    assert keys("1", "2")[0] == keys("1", "3")[0]
    assert keys("1", "2")[1] != keys("1", "3")[1]


def test_nothing_is_wanted_before_its_providers_are_committed(tmp_path: Path) -> None:
    book = Book(tmp_path, "%%stage a\nx = sum([1])", "%%stage b\nprint(x)")
    pipeline = book.pipeline
    assert wanted(pipeline, "b", {}, {}) is None
    assert providers(pipeline, pipeline.stages[1], {}) == {"a"}


def test_a_value_seen_to_change_comes_from_the_stage_that_changed_it(tmp_path: Path) -> None:
    book = Book(tmp_path, "%%stage a\nx = sum([1])", "%%stage b\nprint(x)", "%%stage c\nprint(x)")
    committed = {"a": outcome("a", x=artifact("1")), "b": outcome("b", {"x": artifact("2")})}
    assert book.wanted("c", committed).inputs == {"x": artifact("2")}
    assert providers(book.pipeline, book.pipeline.stages[2], committed) >= {"b"}


def test_what_shares_objects_with_an_input_comes_with_it(tmp_path: Path) -> None:
    book = Book(
        tmp_path,
        "%%stage a\ntrain = list((1,))\ndata = list((2,))",
        "%%stage b\nprint(data)",
        "%%stage c\nprint(train, data)",
    )
    group = {"group": ("data", "train"), "objects": ("o",)}
    shared = outcome("a", train=artifact("1", **group), data=artifact("2", **group))
    assert set(book.wanted("b", {"a": shared}).inputs) == {"data", "train"}
    alone = outcome("a", train=artifact("1"), data=artifact("2"))
    assert set(book.wanted("b", {"a": alone}).inputs) == {"data"}


def test_a_value_that_holds_a_definition_brings_it_and_what_that_uses(tmp_path: Path) -> None:
    book = Book(
        tmp_path,
        "%%params\nfactor: int = 2\nother: int = 1",
        "def scale(x):\n    return helper(x) * factor",
        "def helper(x):\n    return x",
        "%%stage a\ncalls = list(map(lambda f: f, [scale]))",
        "%%stage b\nprint(calls)",
    )
    plain = book.wanted("b", {"a": outcome("a", calls=artifact("1"))}, {"factor": 3})
    held = book.wanted("b", {"a": outcome("a", calls=artifact("1", needs=("scale",)))}, {"factor": 3})
    assert [name for item in held.snippets for name in item.names] == ["factor", "scale", "helper"]
    assert held.params == {"factor": 3}
    assert plain.params == {}
    assert held.key != plain.key


def test_a_name_that_no_outcome_holds_is_missing(tmp_path: Path) -> None:
    book = Book(tmp_path, "%%stage a\nx = sum([1])", "%%stage b\nprint(x)")
    assert book.wanted("b", {"a": outcome("a")}).missing == ("x",)


def test_a_seed_is_repeatable_differs_per_stage_and_fits_every_library() -> None:
    seeds = {(run, stage): derived_seed(run, stage) for run in range(3) for stage in ("a", "b")}
    assert derived_seed(0, "a") == seeds[0, "a"]
    assert len(set(seeds.values())) == len(seeds)
    assert all(0 <= seed < 2**31 for seed in seeds.values())
