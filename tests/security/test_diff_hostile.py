"""Runs that somebody else wrote are compared without trusting a byte of them."""

from __future__ import annotations

import io
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from runs import Site

from nbpipe.history.diff import Diff, compute
from nbpipe.history.difference import outputs, values
from nbpipe.model import Artifact, Outcome, Pipeline
from nbpipe.pipeline.codec import encode, stamped
from nbpipe.run.project import Project


@pytest.fixture
def project(compared: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of the project, to be spoiled."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(compared.root / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(compared.folder, tmp_path / "project")
    return Project(tmp_path / "project")


class Bomb:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.path,)


def put(project: Project, data: bytes) -> str:
    from nbpipe.store import open_store

    return open_store(project.store).objects.put_bytes(data)


def tamper(project: Project, stage: str, **change: Any) -> None:
    """Change the verdict of a stage of r3."""
    path = project.runs / "r3" / "jobs" / f"{stage}.1" / "verdict.json"
    found = msgspec.json.decode(path.read_bytes(), type=Outcome)
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(found, **change)))


@pytest.mark.parametrize(
    "name", ["npy", "arrow", "safetensors", "json", "pickle", "defstate", "module", "unheard-of", "../x"]
)
def test_no_format_a_value_claims_to_have_gets_it_unpickled(project: Project, tmp_path: Path, name: str) -> None:
    trap = tmp_path / "sprung"
    array = np.empty(1, dtype=object)
    array[0] = Bomb(trap)
    npy = io.BytesIO()
    np.save(npy, array, allow_pickle=True)
    bombs = {
        title: Artifact(digest=f"{n}" * 64, format=name, objects=(put(project, data),), size=len(data))
        for n, (title, data) in enumerate({"bare": pickle.dumps(Bomb(trap)), "npy": npy.getvalue()}.items())
    }
    tamper(project, "ingest", outputs=bombs)
    found = compute(project, "r2", "r3", everything=True)
    notes = {value.name: value.note for value in found.data if value.stage == "ingest" and value.b is not None}
    assert notes["bare"]
    assert notes["npy"]
    assert not trap.exists()


def test_a_module_path_does_not_lead_out_of_the_bundle(project: Project, tmp_path: Path) -> None:
    secret = tmp_path / "secret.py"
    secret.write_text("TOP = 'secret'")
    bundle = project.runs / "r3" / "bundle" / "pipeline.json"
    pipeline = msgspec.json.decode(bundle.read_bytes(), type=Pipeline)
    paths = [str(secret), "a/../../../../../../secret.py", "../secret.py", "x\0y"]
    for path in paths:
        bundle.write_bytes(encode(stamped(msgspec.structs.replace(pipeline, modules={"helpers": (path, "0" * 64)}))))
        assert b"TOP" not in msgspec.json.encode(compute(project, "r2", "r3", parts=("code",)))


def test_a_stage_name_is_no_path(project: Project) -> None:
    journal = project.runs / "r3" / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"ingest"', '"../../r2/jobs/ingest"'))
    assert isinstance(compute(project, "r2", "r3"), Diff)


@pytest.mark.parametrize(
    "name",
    [
        "run.json",
        "environment.json",
        "journal.jsonl",
        "bundle/pipeline.json",
        "bundle/notebook.ipynb",
        "jobs/train.1/verdict.json",
        "jobs/train.1/wanted.json",
    ],
)
def test_a_file_that_is_damaged_costs_its_part_and_no_more(project: Project, name: str) -> None:
    for junk in (b"", b"{", b"[]", b'{"a": 1}', b"\xff\xfe", b"null", b'{"outputs": 3, "stages": 3}'):
        (project.runs / "r3" / name).write_bytes(junk)
        assert compute(project, "r2", "r3").b.label == "r3"


@pytest.mark.parametrize(
    "record",
    [
        {"packages": [1], "git": "x", "gpus": {"a": 1}},
        {"packages": {"a": None}, "git": {"commit": 3, "dirty": "x", "diff": 7}, "gpus": [3, {"name": None}]},
        {"python": {"deep": [1]}, "cpus": "many"},
    ],
)
def test_an_odd_record_of_the_environment_is_shown_as_text(project: Project, record: dict[str, Any]) -> None:
    (project.runs / "r3" / "environment.json").write_text(json.dumps(record))
    found = compute(project, "r2", "r3", parts=("environment",))
    assert all(isinstance(fact.b, str | None) for fact in found.environment)


def test_what_is_too_large_is_not_read_and_says_how_large(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "LARGEST", 100)
    monkeypatch.setattr(values, "LARGEST", 100)
    found = compute(project, "r1", "r2", parts=("data", "outputs"))
    notes = [output.note for output in found.outputs if output.stage == "report"]
    assert notes
    assert all(note.startswith("too large to look into (") for note in notes)
    array = next(value for value in found.data if value.name == "values")
    assert array.note.startswith("too large to look into (")
    assert not array.fields


def test_odd_outputs_are_passed_over(project: Project) -> None:
    odd = [
        3,
        {"cell": "x"},
        {"cell": 5, "outputs": [3, {"output_type": "stream", "text": {"a": 1}}, {"data": {"text/html": 5}}]},
    ]
    tamper(project, "train", executed=put(project, json.dumps(odd).encode()))
    assert isinstance(compute(project, "r2", "r3", everything=True), Diff)
