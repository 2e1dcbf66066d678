"""Files that libraries open in native code are reads of the stage all the same."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from jobs import Bench
from safetensors.numpy import save_file

from nbpipe.job.readers import below
from nbpipe.job.undo import undo
from nbpipe.run.api import run_notebook
from nbpipe.run.planning import plan_notebook


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    frame = pd.DataFrame({"a": [1, 2]})
    (bench.project / "ds" / "deep").mkdir(parents=True)
    for name in ("a.parquet", "ds/x.parquet", "ds/deep/y.parquet"):
        frame.to_parquet(bench.project / name)
    frame.to_csv(bench.project / "a.csv", index=False)
    save_file({"a": np.ones(2)}, bench.project / "s.safetensors")
    return bench


READS = [
    ("import polars as pl\npl.read_csv('a.csv')", ["a.csv"]),
    ("import polars as pl\npl.scan_parquet(source='a.parquet').collect()", ["a.parquet"]),
    ("from polars import read_parquet\nread_parquet(['a.parquet', 'ds/x.parquet'])", ["a.parquet", "ds/x.parquet"]),
    ("import pyarrow.parquet as pq\npq.read_table('a.parquet')", ["a.parquet"]),
    ("import pyarrow.parquet as pq\npq.ParquetFile('a.parquet').metadata", ["a.parquet"]),
    ("import pandas as pd\npd.read_parquet('ds')", ["ds/", "ds/deep/", "ds/deep/y.parquet", "ds/x.parquet"]),
    ("from pathlib import Path\nimport pyarrow.dataset as ds\nds.dataset(Path('ds/deep'))", ["ds/deep/", "ds/deep/y.parquet"]),
    ("from safetensors.numpy import load_file\nload_file('s.safetensors')", ["s.safetensors"]),
    ("from safetensors import safe_open\nsafe_open('s.safetensors', 'np').__enter__().keys()", ["s.safetensors"]),
    ("import polars as pl\ntry: pl.read_csv('none.csv')\nexcept FileNotFoundError: pass", ["none.csv"]),
]  # fmt: skip


@pytest.mark.parametrize(("body", "paths"), READS)
def test_what_a_native_reader_is_given_is_read(bench: Bench, body: str, paths: list[str]) -> None:
    outcome = bench.run(body)
    assert outcome.status == "succeeded", outcome.failure
    assert [state.path for state in outcome.files_read] == paths
    assert outcome.warnings == ()


def test_a_pattern_stands_for_its_files_and_for_the_names_beside_them(bench: Bench) -> None:
    outcome = bench.run("import polars as pl\npl.read_parquet('ds/*.parquet')")
    assert {"ds/", "ds/x.parquet"} <= {state.path for state in outcome.files_read}


def test_what_the_stage_is_said_to_read_is_read(bench: Bench) -> None:
    outcome = bench.run("None", reads=("a.csv", "ds/*.parquet", "s3://bucket/x"))
    assert [state.path for state in outcome.files_read] == ["a.csv", "ds/", "ds/x.parquet"]


def test_readers_keep_their_names_and_signatures(bench: Bench) -> None:
    body = "import polars as pl, inspect, pickle\nf = pl.read_csv\n"
    outcome = bench.run(f"{body}print(f.__name__, inspect.signature(f), pickle.loads(pickle.dumps(f)) is f)")
    assert outcome.status == "succeeded", outcome.failure
    assert re.fullmatch(r"read_csv \(source.* True\n", bench.printed(), re.DOTALL)


def test_files_and_folders_of_a_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("d/1/x.csv", "d/2/x.csv", "d/2/y.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [sorted(found) for found in below("d/*/x.csv")] == [["d/1/x.csv", "d/2/x.csv"], ["d", "d/1", "d/2"]]
    assert [sorted(found) for found in below("d/**/*.txt")] == [["d/2/y.txt"], ["d/", "d/1/", "d/2/"]]


def test_a_changed_file_of_polars_runs_the_stage_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBPIPE_TRACKING", "off")
    (tmp_path / "nbpipe.toml").touch()
    (tmp_path / "a.csv").write_text("a\n1\n")
    cells = ["%%stage load\nimport polars as pl\ntotal = pl.read_csv('a' + '.csv')['a'].sum()\nprint(total)"]
    path = tmp_path / "n.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells]), path)
    assert run_notebook(path).status == "succeeded"
    assert plan_notebook(path).decisions[0].action == "HIT"
    (tmp_path / "a.csv").write_text("a\n2\n")
    assert plan_notebook(path).decisions[0].reasons == ("a.csv changed (content)",)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ("import polars as pl\npl.DataFrame({'a': [3]}).write_csv('a.csv')", "a.csv"),
        ("import polars as pl\npl.LazyFrame({'a': [3]}).sink_parquet('new.parquet')", "new.parquet"),
        ("import pyarrow as pa, pyarrow.parquet as pq\npq.write_table(pa.table({'a': [3]}), 'new.parquet')", "new.parquet"),
        ("import pandas as pd\npd.DataFrame({'a': [3]}).to_parquet('a.csv')", "a.csv"),
        ("import torch\ntorch.save({'a': 1}, 'a.csv'); torch.load('a.csv')", "a.csv"),
        ("import numpy as np\nfrom safetensors.numpy import save_file\nsave_file({'a': np.zeros(1)}, 'new.st')", "new.st"),
    ],
)  # fmt: skip
def test_what_a_native_writer_is_given_is_written_and_can_be_put_back(bench: Bench, body: str, path: str) -> None:
    target = bench.project / path
    before = target.read_bytes() if target.exists() else None
    outcome = bench.run(body)
    assert outcome.status == "succeeded", outcome.failure
    assert [state.path for state in outcome.files_written] == [path]
    assert (outcome.warnings, outcome.uncacheable) == ((), ())
    undo(bench.folders[-1])
    assert (target.read_bytes() if target.exists() else None) == before
