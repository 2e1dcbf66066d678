"""Which files a run started from, and where their bytes are found."""

from __future__ import annotations

from pathlib import Path

import pytest
from blake3 import blake3

from nbpipe.errors import StoreError
from nbpipe.model import FileState, Outcome
from nbpipe.pipeline.contents import listing_digest
from nbpipe.reproduce.copies import Copies
from nbpipe.reproduce.inputs import Inputs, changed_variables, find_inputs
from nbpipe.reproduce.scratch import bundled_modules, fill, scratch_project
from nbpipe.store import Store


def hashed(text: str) -> str:
    return blake3(text.encode()).hexdigest()


def outcome(
    reads: dict[str, str], writes: dict[str, str] | None = None, variables: dict[str, str] | None = None
) -> Outcome:
    return Outcome(
        stage="s",
        attempt=1,
        token="t",  # noqa: S106 - of an attempt
        status="succeeded",
        files_read=tuple(FileState(path=path, digest=digest) for path, digest in reads.items()),
        files_written=tuple(FileState(path=path, digest=digest) for path, digest in (writes or {}).items()),
        variables=variables or {},
    )


def put(project: Path, **texts: str) -> None:
    for name, text in texts.items():
        (project / name).write_text(text)


def test_a_file_is_taken_from_the_project_else_from_the_store_else_it_is_an_obstacle(
    tmp_path: Path, store: Store
) -> None:
    put(tmp_path, same="same", overwritten="new", changed="new")
    store.objects.put_bytes(b"old")
    (tmp_path / "job" / "undo").mkdir(parents=True)
    put(tmp_path / "job" / "undo", **{"0f": "replaced", "index.jsonl": "{}"})
    reads = {
        "same": hashed("same"),
        "overwritten": hashed("old"),
        "changed": hashed("lost"),
        "appended": hashed("replaced"),
        "gone": hashed("x"),
        "none": "",
    }
    found = find_inputs([outcome(reads)], tmp_path, {}, Copies(store, [tmp_path / "job"]).find)
    assert found.files["same"] == tmp_path / "same"
    assert found.files["overwritten"].read_bytes() == b"old"
    assert found.files["appended"].read_text() == "replaced"
    assert set(found.files) == {"same", "overwritten", "appended"}
    assert [str(each) for each in found.obstacles] == ["changed changed since", "gone is gone"]


def test_what_an_earlier_stage_wrote_is_made_again_but_what_it_replaced_is_needed(tmp_path: Path, store: Store) -> None:
    store.objects.put_bytes(b"before")
    stages = [
        outcome({"log": hashed("before")}, {"log": hashed("after"), "out/made": hashed("made")}),
        outcome({"log": hashed("after"), "out/made": hashed("made")}),
    ]
    found = find_inputs(stages, tmp_path, {}, Copies(store, [tmp_path / "job"]).find)
    assert {path: place.read_bytes() for path, place in found.files.items()} == {"log": b"before"}
    assert found.obstacles == []
    assert "out" in found.folders


def test_a_folder_that_was_listed_gets_its_names_back_without_those_the_run_made(tmp_path: Path, store: Store) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    put(tmp_path / "data", a="a", b="b", made="m")
    listing = listing_digest({"a", "b", "deep"})
    found = find_inputs(
        [outcome({"data/": listing}, {"data/made": hashed("m")})], tmp_path, {}, Copies(store, [tmp_path / "job"]).find
    )
    assert set(found.files) == {"data/a", "data/b"}
    assert {"data", "data/deep"} <= found.folders
    assert found.remarks == []
    put(tmp_path / "data", new="n")
    later = find_inputs(
        [outcome({"data/": listing, "data/a": hashed("a")})], tmp_path, {}, Copies(store, [tmp_path / "job"]).find
    )
    assert set(later.files) == {"data/a"}
    assert "data/" in later.remarks[0]


def test_files_outside_the_project_are_read_where_they_are(tmp_path: Path, store: Store) -> None:
    put(tmp_path, outside="x")
    path = str(tmp_path / "outside")
    project = tmp_path / "project"
    assert find_inputs([outcome({path: hashed("x")})], project, {}, Copies(store, []).find) == Inputs(folders=set())
    changed = find_inputs([outcome({path: hashed("y")})], project, {}, Copies(store, []).find)
    assert [str(each) for each in changed.obstacles] == [f"{path} changed since"]


def test_links_lead_where_they_led_inside_the_project_to_its_copy(tmp_path: Path, store: Store) -> None:
    outside, project, run = tmp_path / "outside", tmp_path / "project", tmp_path / "run"
    for folder in (outside, project / "data", run):
        folder.mkdir(parents=True)
    put(outside, far="x")
    put(project / "data", near="y")
    put(project, **{"n.ipynb": "{}"})
    put(run, **{"journal.jsonl": "", "run.json": "{}"})
    (project / "far").symlink_to(outside)
    (project / "latest").symlink_to("data/near")
    (project / "unseen").symlink_to(run)
    (project / "unused").symlink_to("n.ipynb")
    (project / "above").symlink_to(tmp_path)
    (project / "loop").symlink_to(project)
    reads = {str(outside / "far"): hashed("x"), "data/near": hashed("y")}
    found = find_inputs([outcome(reads)], project, {}, Copies(store, []).find)
    assert set(found.links) == {"far", "latest", "unseen"}
    with scratch_project() as scratch:
        fill(scratch, project, run, "n.ipynb", project / "n.ipynb", found)
        assert (scratch.root / "far" / "far").read_text() == "x"
        assert (scratch.root / "latest").read_text() == "y"
        (scratch.root / "latest").write_text("z")
    assert (project / "latest").read_text() == "y"
    assert (outside / "far").read_text() == "x"


def test_changed_environment_variables_are_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NB_SAME", "1")
    monkeypatch.setenv("NB_OTHER", "2")
    digest = store.variable_digest
    read = {"NB_SAME": digest("NB_SAME", "1"), "NB_OTHER": digest("NB_OTHER", "1"), "NB_NONE": ""}
    assert changed_variables([outcome({}, variables=read)], digest) == ["NB_OTHER"]


def test_paths_lead_neither_out_of_the_scratch_project_nor_out_of_the_bundle(tmp_path: Path) -> None:
    put(tmp_path, inside="x")
    run = tmp_path / "run"
    (run / "bundle" / "modules").mkdir(parents=True)
    assert bundled_modules(run, ".", (str(tmp_path / "inside"), "x/../../../inside")) == {}
    with scratch_project() as scratch:
        for path in ("../escape", str(tmp_path / "escape")):
            with pytest.raises(StoreError, match="does not lie in the project"):
                fill(scratch, tmp_path, run, "n.ipynb", tmp_path / "inside", Inputs(files={path: tmp_path / "inside"}))
        root = scratch.root
        (root / "locked").mkdir(mode=0o500)
    assert not root.exists()
    assert not (tmp_path / "escape").exists()


def test_folders_that_a_stage_needed_are_there_but_for_those_that_stages_make(tmp_path: Path, store: Store) -> None:
    made = Outcome(stage="a", attempt=1, token="a", status="succeeded", folders={"out": True}, found=("raw",))  # noqa: S106
    used = Outcome(stage="b", attempt=1, token="b", status="succeeded", found=("out", "raw"))  # noqa: S106
    wrote = outcome({}, {"out/x": hashed("x"), "else/y": hashed("y")})
    found = find_inputs([made, used, wrote], tmp_path, {}, Copies(store, []).find)
    assert found.folders == {"raw", "else"}
