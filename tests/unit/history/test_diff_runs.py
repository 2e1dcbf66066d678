"""The diff of two real runs, part by part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest
from runs import Site

from nbpipe.errors import UsageError
from nbpipe.history.diff import PARTS, Diff, compute
from nbpipe.history.difference import schema
from nbpipe.history.difference.hunks import apply_hunks
from nbpipe.history.difference.shape import StageDiff


@pytest.fixture(scope="module")
def found(compared: Site) -> Diff:
    return compute(compared.project, "r1", "r2")


def stage_of(diff: Diff, name: str) -> StageDiff:
    return next(stage for stage in diff.stages if stage.name == name)


def test_a_renamed_stage_is_found_again_by_its_code(found: Diff) -> None:
    assert [(stage.name, stage.change) for stage in found.stages] == [
        ("ingest", "renamed"),
        ("train", "changed"),
        ("last", "changed"),
        ("report", "changed"),
    ]
    assert (stage_of(found, "ingest").a, stage_of(found, "ingest").b) == ("load", "ingest")


def test_one_of_two_stages_that_changed_places_has_moved(found: Diff) -> None:
    assert sum(stage.moved for stage in found.stages) == 1
    assert any(stage.moved for stage in found.stages if stage.name in {"last", "report"})


def test_each_stage_says_in_which_parts_it_differs_and_why(found: Diff) -> None:
    train = stage_of(found, "train")
    assert train.differs == ("code", "params", "metrics", "data", "outputs")
    assert "`lr` 0.1 → 0.2" in train.reasons
    assert stage_of(found, "last").differs == ("outputs",)
    assert all("seed" not in reason for reason in stage_of(found, "ingest").reasons)


def test_code_is_shown_as_it_stands_with_cells_and_lines(found: Diff) -> None:
    train = next(code for code in found.code if code.name == "train")
    assert (train.unit, train.change, train.meaning, train.lines_added, train.lines_removed) == (
        "stage",
        "changed",
        "code",
        1,
        0,
    )
    (hunk,) = train.hunks
    assert (hunk.b_cell, hunk.b_line) == (5, 4)
    assert "+more = 1" in hunk.lines
    assert train.a is not None
    assert train.a.text.startswith("%%stage train --metrics acc\n")


def test_comments_alone_are_said_to_be_that(found: Diff) -> None:
    assert next(code for code in found.code if code.name == "ingest").meaning == "format"


def test_definitions_and_modules_name_the_stages_that_run_them(found: Diff) -> None:
    shared = {code.name: (code.unit, code.meaning, code.stages) for code in found.code if code.unit != "stage"}
    assert shared == {"scale": ("definition", "code", ("train",)), "helpers": ("module", "code", ("train",))}


def test_applying_the_hunks_of_every_piece_gives_the_other_side(found: Diff) -> None:
    assert len(found.code) == 4
    for code in found.code:
        assert code.a is not None
        assert code.b is not None
        assert apply_hunks(code.a.text, code.hunks) == code.b.text


def test_parameters_say_what_changed_them(found: Diff) -> None:
    told = {param.name: (param.value_changed, param.reason, param.stages) for param in found.params}
    assert told == {"lr": (True, "given to r2", ("train",)), "unused": (True, "the notebook's default changed", ())}
    lr = found.params[0]
    assert lr.a is not None
    assert lr.b is not None
    assert (lr.a.value, lr.b.value, lr.b.default, lr.b.given, lr.b.help) == (0.1, 0.2, 0.1, True, "learning rate")


def test_metrics_have_their_difference(found: Diff) -> None:
    (acc,) = found.metrics
    assert (acc.name, acc.stage, acc.a, acc.b) == ("acc", "train", 2.2, 5.4)
    assert acc.delta == pytest.approx(3.2)
    assert acc.relative == pytest.approx(3.2 / 2.2)


def test_arrays_and_tables_are_compared_by_their_distributions(found: Diff) -> None:
    data = {(value.stage, value.name): value for value in found.data}
    (numbers,) = data["ingest", "values"].fields
    assert numbers.a is not None
    assert numbers.b is not None
    assert (numbers.a.count, numbers.a.max, numbers.b.count, numbers.b.max, numbers.b.mean) == (3, 3.0, 4, 5.0, 3.0)
    assert sum(numbers.a_bins) == 3
    assert 0 < (numbers.shift or 0) <= 1
    table = data["ingest", "table"]
    assert [field.name for field in table.fields] == ["x", "kind"]
    kind = table.fields[1]
    assert kind.b is not None
    assert kind.b.top[0] == ("c", 2)
    assert data["ingest", "values"].a_stage == "load"


def test_json_is_compared_line_by_line_and_pickles_only_by_digest(found: Diff) -> None:
    data = {value.name: value for value in found.data}
    changed = [line for hunk in data["settings"].hunks for line in hunk.lines if line[0] != " "]
    assert changed == ['- "lr": 0.1,', '+ "lr": 0.2,']
    kinds = data["kinds"]
    assert kinds.a is not None
    assert (kinds.a.format, kinds.a.type, kinds.note) == ("pickle", "set", "pickled: never loaded for a diff")
    assert not kinds.fields


def test_files_are_compared_by_their_contents(found: Diff) -> None:
    (file,) = found.files
    assert (file.path, file.role, file.stages, file.change) == ("data.csv", "read", ("ingest",), "changed")
    assert file.a is not None
    assert file.a.size == 12


def test_outputs_are_text_tables_and_images(found: Diff) -> None:
    outputs = {(output.stage, output.kind): output for output in found.outputs}
    assert [line for hunk in outputs["train", "text"].hunks for line in hunk.lines] == ["-acc 2.2", "+acc 5.4"]
    table = outputs["report", "table"].table
    assert table is not None
    assert [(row.key, row.change, row.a, row.b) for row in table.rows] == [
        ("layers", "same", ("[8, 8]",), ("[8, 8]",)),
        ("lr", "changed", ("0.1",), ("0.2",)),
    ]
    image = outputs["report", "image"].image
    assert image is not None
    assert (image.pixels, image.share, image.largest) == (12, 1.0, 32)
    assert image.mask


def test_the_same_thing_run_again_has_no_difference(compared: Site) -> None:
    again = compute(compared.project, "r2", "r3")
    assert again.same
    assert not any(again.counts.values())
    assert {stage.change for stage in again.stages} == {"same"}
    assert (again.code, again.data, again.files, again.outputs) == ((), (), (), ())


def test_everything_shows_what_is_equal_too(compared: Site) -> None:
    whole = compute(compared.project, "r2", "r3", everything=True)
    assert whole.same
    assert {"ingest", "train", "setup", "helpers"} <= {code.name for code in whole.code}
    assert {param.name for param in whole.params} == {"lr", "unused"}
    assert {fact.group for fact in whole.environment} >= {"python", "package", "machine"}
    assert {value.name for value in whole.data} >= {"values", "table", "acc"}


def test_the_json_meets_its_schema_and_comes_back_equal(compared: Site, found: Diff) -> None:
    whole = compute(compared.project, "r1", "r2", everything=True)
    for diff in (found, whole):
        data = msgspec.json.encode(diff)
        assert msgspec.json.decode(data, type=Diff) == diff
        jsonschema.validate(json.loads(data), schema.schema())


def test_only_the_parts_asked_for_are_looked_at(compared: Site) -> None:
    few = compute(compared.project, "r1", "r2", parts=("params", "code"))
    assert few.parts == ("code", "params")
    assert set(few.counts) == {"code", "params"}
    assert (few.metrics, few.data, few.outputs) == ((), (), ())


def test_one_stage_can_be_asked_for_by_either_name(compared: Site) -> None:
    for name in ("load", "ingest"):
        one = compute(compared.project, "r1", "r2", stage=name)
        assert [stage.name for stage in one.stages] == ["ingest"]
        assert {value.stage for value in one.data} == {"ingest"}
        assert not one.params
    with pytest.raises(UsageError, match="neither side has a stage 'gone'"):
        compute(compared.project, "r1", "r2", stage="gone")


def test_a_run_is_compared_with_the_notebook_as_it_is_now(compared: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    now = compute(compared.project, "r2", "now")
    assert (now.b.kind, now.b.label, now.counts["code"]) == ("notebook", "now", 0)
    assert [(param.name, param.reason) for param in now.params] == [("lr", "given to r2")]
    assert {note.part for note in now.notes} == {"metrics", "data", "outputs"}
    assert (now.metrics, now.data, now.files, now.outputs) == ((), (), (), ())
    data = compared.folder / "data.csv"
    before = data.read_bytes()
    data.write_bytes(b"9,z\n")
    try:
        assert [file.path for file in compute(compared.project, "r2", "now", parts=("data",)).files] == ["data.csv"]
    finally:
        data.write_bytes(before)
    monkeypatch.chdir(compared.folder)
    assert compute(compared.project, "n.ipynb", "r1").a.label == "n.ipynb"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("r99", "there is no run r99"),
        ("../r1", "is nothing that can be compared"),
        ("-rf", "is nothing"),
        ("", "is nothing"),
    ],
)
def test_what_is_no_side_is_refused(compared: Site, word: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        compute(compared.project, "r1", word)


def test_what_is_no_part_is_refused_and_so_are_two_presents(compared: Site) -> None:
    with pytest.raises(UsageError, match="no part of a diff"):
        compute(compared.project, "r1", "r2", parts=("colour",))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="both sides"):
        compute(compared.project, "now", "now")


def test_a_run_whose_bundle_was_changed_is_not_believed(compared: Site) -> None:
    bundle = compared.project.runs / "r3" / "bundle" / "pipeline.json"
    before = bundle.read_bytes()
    bundle.write_bytes(before.replace(b"more = 1", b"more = 2"))
    try:
        told = compute(compared.project, "r2", "r3", parts=("code",))
    finally:
        bundle.write_bytes(before)
    assert any("the bundle was changed" in note.text for note in told.notes)


def test_a_diff_reads_and_writes_nothing_but_what_it_compares(compared: Site) -> None:
    def state() -> dict[str, Any]:
        files = [path for path in compared.project.state.rglob("*") if path.is_file()]
        return {str(path): path.stat().st_mtime_ns for path in files}

    before = state()
    compute(compared.project, "r1", "r2", everything=True)
    assert state() == before
    assert PARTS == ("code", "params", "metrics", "environment", "data", "outputs")
    assert Path(compared.folder, "n.ipynb").exists()
