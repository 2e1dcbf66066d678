"""A bundle holds all that a run needs, and the same notebook gives the same bytes, wherever and whenever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import nbformat
import pytest
from planned import Book

from nbpipe.errors import PipelineError
from nbpipe.notebook.reader import read_notebook
from nbpipe.pipeline.bundle import read_bundle, write_bundle
from nbpipe.pipeline.code import code_hash
from nbpipe.pipeline.codec import SCHEMA, decode, encode, version_of
from nbpipe.pipeline.extract import extract
from nbpipe.pipeline.index import index_of
from nbpipe.pipeline.numbering import version_number

FIXTURES = Path(__file__).parents[2] / "formats" / "fixtures"
OLD = FIXTURES / "pipeline-1.json"
CELLS = (
    "%%params\nlr: float = 0.1  # learning rate\npath: str",
    "%%params smoke\nlr = 1.0\npath = 'x'",
    "%%setup\nimport numpy as np",
    "def scale(x):\n    return x * 2",
    "%%stage load --reads data.csv --metrics n\nimport helpers\nrows = helpers.read(path)\nn = len(rows)",
    "%%stage train --gpus 1 --env A=1\nnames = {'b', 'a'}\nnet = scale(lr) * n",
    '%%check good --metric "n >= 1"\nassert net',
    "%%stage publish\nprint(net, rows)",
)
BUILD = """
import sys
from pathlib import Path
from nbpipe.notebook.reader import read_notebook
from nbpipe.pipeline.bundle import write_bundle
from nbpipe.pipeline.extract import extract
path = Path(sys.argv[1])
write_bundle(extract(path), read_notebook(path), path.parent, path.parent / "bundle")
"""


def site(folder: Path) -> Book:
    (folder / "pkg").mkdir(parents=True)
    (folder / "pkg" / "__init__.py").write_text("from .deep import x\n")
    (folder / "pkg" / "deep.py").write_text("x = 1\n")
    (folder / "helpers.py").write_text("import pkg\n\n\ndef read(path):\n    return [path]\n")
    return Book(folder, *CELLS)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_same_notebook_gives_the_same_bytes_on_any_machine(tmp_path: Path) -> None:
    found: list[dict[str, bytes]] = []
    for name, hash_seed, zone in (("one", "0", "UTC"), ("two/deeper", "12345", "Asia/Tokyo")):
        book = site(tmp_path / name)
        os.utime(book.path, (1, len(found)))
        env = os.environ | {"PYTHONHASHSEED": hash_seed, "TZ": zone, "LC_ALL": "C"}
        subprocess.run([sys.executable, "-c", BUILD, str(book.path)], env=env, check=True, cwd=tmp_path)
        found.append(contents(book.folder / "bundle"))
    assert found[0] == found[1]
    assert set(found[0]) == {
        "pipeline.json",
        "notebook.ipynb",
        "requirements.txt",
        *(f"stages/{name}.ipynb" for name in ("load", "train", "good", "publish")),
        *(f"modules/{name}" for name in ("helpers.py", "pkg/__init__.py", "pkg/deep.py")),
    }
    assert str(tmp_path).encode() not in b"".join(found[0].values())


def test_a_bundle_is_read_back_and_replaces_an_older_one_as_a_whole(tmp_path: Path) -> None:
    book = site(tmp_path / "n")
    dest = tmp_path / "bundle"
    dest.mkdir()
    (dest / "stale").touch()
    pipeline = book.pipeline
    assert write_bundle(pipeline, read_notebook(book.path), book.folder, dest) == dest
    back = read_bundle(dest)
    assert back == msgspec.structs.replace(pipeline, module_marks={})
    assert not (dest / "stale").exists()
    assert (dest / "notebook.ipynb").read_bytes() == book.path.read_bytes()
    assert "numpy==" in (dest / "requirements.txt").read_text()


def test_a_stage_notebook_is_a_clean_notebook_of_definitions_and_cells(tmp_path: Path) -> None:
    book = site(tmp_path / "n")
    dest = write_bundle(book.pipeline, read_notebook(book.path), book.folder, tmp_path / "bundle")
    found = nbformat.read(dest / "stages" / "train.ipynb", as_version=4)
    nbformat.validate(found)
    roles = [cell.metadata.nbpipe.role for cell in found.cells]
    assert roles == ["setup", "definitions", "stage"]
    assert "def scale" in found.cells[1].source
    assert found.cells[2].source.startswith("names = ")
    assert all(cell.outputs == [] for cell in found.cells)


def test_a_bundle_that_was_changed_or_is_not_whole_is_refused(tmp_path: Path) -> None:
    book = site(tmp_path / "n")
    dest = write_bundle(book.pipeline, read_notebook(book.path), book.folder, tmp_path / "bundle")
    text = (dest / "pipeline.json").read_text()
    (dest / "pipeline.json").write_text(text.replace("scale(lr)", "scale(9)"))
    with pytest.raises(PipelineError, match="changed since"):
        read_bundle(dest)
    (dest / "pipeline.json").unlink()
    with pytest.raises(PipelineError, match="cannot be read"):
        read_bundle(dest)


def test_the_version_follows_what_the_pipeline_does(tmp_path: Path) -> None:
    book = site(tmp_path / "n")
    first = book.pipeline
    (book.folder / "pkg" / "deep.py").write_text("# a remark\nx = 1\n")
    assert book.pipeline.version == first.version
    (book.folder / "pkg" / "deep.py").write_text("x = 2\n")
    assert book.pipeline.version != first.version
    assert version_of(msgspec.structs.replace(first, edges=())) == first.version


@pytest.mark.parametrize("schema", [1, 2])
def test_pipelines_written_before_stay_readable(schema: int) -> None:
    pipeline = decode((FIXTURES / f"pipeline-{schema}.json").read_bytes())
    assert pipeline.schema == schema
    assert index_of(pipeline).provider("publish", "rows") == "stage:load"
    assert [stage.name for stage in pipeline.stages] == ["load", "train", "good", "publish"]
    assert pipeline.stages[1].flow.inputs == {"n": "load"}
    assert pipeline.stages[1].options.gpus == 1
    assert pipeline.profiles == {"smoke": {"lr": 1.0, "path": "x"}}
    assert pipeline.modules["pkg.deep"][0] == "pkg/deep.py"
    assert version_of(pipeline) == pipeline.version
    assert decode(encode(pipeline)) == pipeline


def test_unknown_fields_are_ignored_and_newer_schemas_refused() -> None:
    shape = json.loads(OLD.read_bytes())
    assert decode(json.dumps(shape | {"novelty": 1}).encode()).name == "book"
    with pytest.raises(PipelineError, match=f"reads up to {SCHEMA}") as caught:
        decode(json.dumps(shape | {"schema": SCHEMA + 1}).encode())
    assert caught.value.fix == "Upgrade nbpipe."


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"name": 1}', b"\xff", b"[" * 100_000])
def test_what_is_no_pipeline_is_a_pipeline_error(data: bytes) -> None:
    with pytest.raises(PipelineError, match="not a pipeline"):
        decode(data)


def test_versions_are_numbered_per_notebook_in_the_order_they_come(tmp_path: Path) -> None:
    state = tmp_path / ".nbpipe"
    given = [("a", "x"), ("a", "y"), ("b", "z"), ("a", "x"), ("a", "w"), ("b", "z")]
    assert [version_number(state, name, version) for name, version in given] == [1, 2, 1, 1, 3, 1]
    (state / "versions.json").write_text("{torn")
    assert version_number(state, "a", "w") == 1


def test_extraction_reads_and_never_runs(tmp_path: Path) -> None:
    (tmp_path / "helpers.py").write_text("raise SystemExit('was run')\n")
    book = Book(tmp_path, "%%stage a\nimport helpers\nopen('x', 'w')\nraise SystemExit")
    before = contents(tmp_path)
    assert extract(book.path).modules["helpers"][0] == "helpers.py"
    assert contents(tmp_path) == before


def test_what_was_observed_makes_edges_and_leaves_the_version_and_the_bundle_alone(tmp_path: Path) -> None:
    book = Book(tmp_path, "%%stage a\nx = sum([1])", "%%stage b\nprint(1)")
    plain = book.pipeline
    facts = {"a": {"writes_files": ["out.csv"]}, "b": {"reads_files": ["out.csv"]}}
    by_code = {code_hash(plain, stage): facts[stage.name] for stage in plain.stages}
    seen = extract(book.path, observed=lambda code: by_code[code])
    assert [(edge.source, edge.target, edge.kind, edge.names) for edge in seen.edges] == [
        ("a", "b", "file", ("out.csv",))
    ]
    assert (plain.edges, seen.version) == ((), plain.version)
    dest = write_bundle(seen, read_notebook(book.path), tmp_path, tmp_path / "bundle")
    assert read_bundle(dest).edges == ()
