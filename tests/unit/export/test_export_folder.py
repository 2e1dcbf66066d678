"""An exported folder: written whole, written again with what changed, and never over what is somebody's own."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from nbpipe.errors import UsageError
from nbpipe.export.folder import write
from nbpipe.export.manifest import MANIFEST, Manifest, read

PLAIN = Manifest(scheduler="x", pipeline="p", version="v", notebook="n.ipynb")


def put(folder: Path, files: dict[str, str], *, force: bool = False) -> dict[str, str]:
    changes = write(folder, {path: text.encode() for path, text in files.items()}, PLAIN, force=force)
    return {change.path: change.status for change in changes}


def test_the_first_export_is_new_and_the_second_the_same(tmp_path: Path) -> None:
    assert put(tmp_path / "out", {"a": "1", "b/c": "2"}) == {"a": "new", "b/c": "new"}
    assert put(tmp_path / "out", {"a": "1", "b/c": "2"}) == {"a": "same", "b/c": "same"}
    found = read(tmp_path / "out")
    assert found is not None
    assert sorted(found.files) == ["a", "b/c"]


def test_what_changed_is_shown_and_what_is_gone_is_removed_with_its_folder(tmp_path: Path) -> None:
    put(tmp_path, {"a": "1\n", "b/c": "2"})
    (change,) = write(tmp_path, {"a": b"one\n"}, PLAIN, force=False)[:1]
    assert (change.status, change.diff.splitlines()[2:]) == ("changed", ["@@ -1 +1 @@", "-1", "+one"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", MANIFEST]


def test_what_the_manifest_alone_says_is_no_export_in_which_nothing_changed(tmp_path: Path) -> None:
    put(tmp_path, {"a": "1"})
    elsewhere = msgspec.structs.replace(PLAIN, store="s3://b/p", seed=7)
    same, told = write(tmp_path, {"a": b"1"}, elsewhere, force=False)
    assert (same.status, told.path, told.status) == ("same", MANIFEST, "changed")
    assert '+ "store": "s3://b/p",' in told.diff
    assert '- "seed": 0,' in told.diff
    assert [change.status for change in write(tmp_path, {"a": b"1"}, elsewhere, force=False)] == ["same"]


@pytest.mark.parametrize("files", [{"a": "2"}, {}])
def test_an_edited_file_is_neither_written_over_nor_removed(tmp_path: Path, files: dict[str, str]) -> None:
    put(tmp_path, {"a": "1"})
    (tmp_path / "a").write_text("mine")
    with pytest.raises(UsageError, match="was edited since it was exported"):
        put(tmp_path, {**files, "new": "x"})
    assert (tmp_path / "a").read_text() == "mine"
    assert not (tmp_path / "new").exists()
    put(tmp_path, files, force=True)
    assert (tmp_path / "a").exists() == bool(files)


def test_a_file_that_no_export_wrote_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    (tmp_path / "other").write_text("mine too")
    with pytest.raises(UsageError, match="was not written by an export"):
        put(tmp_path, {"a": "1"})
    assert put(tmp_path, {"a": "1"}, force=True) == {"a": "changed"}
    assert (tmp_path / "other").read_text() == "mine too"


def test_nothing_is_written_through_a_link_nor_outside(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "b").symlink_to(outside)
    (folder / "a").symlink_to(outside / "file")
    for path in ("a", "b/c", "../x"):
        with pytest.raises(UsageError):
            put(folder, {path: "1"}, force=True)
    assert list(outside.iterdir()) == []
    assert not (tmp_path / "x").exists()


def test_a_manifest_that_cannot_be_read_stops_everything(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(UsageError, match="is not what an export wrote"):
        put(tmp_path, {"a": "1"})
    (tmp_path / MANIFEST).write_text(
        '{"schema": 99, "scheduler": "x", "pipeline": "p", "version": "v", "notebook": "n"}'
    )
    with pytest.raises(UsageError, match="newer nbpipe"):
        put(tmp_path, {"a": "1"})


def test_every_field_of_the_manifest_is_specified() -> None:
    page = (Path(__file__).parents[3] / "docs/formats/export.md").read_text().partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \| ", page, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(Manifest.__struct_encode_fields__)
