"""Which jobs get libraries that were loaded ahead: those whose code cannot tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nbpipe.job.libraries import of_pipeline, suit, too_late
from nbpipe.model import Artifact, Code, JobSpec, Pipeline, Snippet, Stage


def _spec(folder: Path, *bodies: str, **fields: Any) -> JobSpec:
    cells = tuple(Code(cell=number, body=body) for number, body in enumerate(bodies, 1))
    places = {"cwd": str(folder), "project": str(folder), "store": str(folder / "store")}
    return JobSpec(run="r1", stage="train", cells=cells, **{"token": "t", **places, **fields})


@pytest.mark.parametrize(
    "body",
    [
        "import pandas as pd",
        "import os, torch",
        "def f():\n    from sklearn.linear_model import (\n        Ridge,\n    )",
        "from torch import nn, optim  # both",
    ],
)
def test_a_job_that_imports_one_of_them(tmp_path: Path, body: str) -> None:
    assert suit(_spec(tmp_path, body))
    snippet = Snippet(id="pd@1.1", kind="import", names=("pd",), source=body, cell=1, line=1)
    assert suit(_spec(tmp_path, "x = 1", snippets=(snippet,)))


@pytest.mark.parametrize(
    "bodies",
    [
        ("x = 1",),
        ("import matplotlib",),
        ("import os\nos.environ['OMP_NUM_THREADS'] = '1'", "import torch"),
        ("%env CUDA_VISIBLE_DEVICES=0", "import torch"),
        ("import sys; sys.path.insert(0, 'src')", "import pandas"),
        ("import pandas", "import sys\nassert 'torch' not in sys.modules"),
        ("import helper", "import pandas"),
        ("import package.part", "import pandas"),
        ("import chain", "import pandas"),
        ("!pip install pandas==2.2", "import pandas"),
        ("import subprocess", "import pandas"),
        ("import a_package_that_nobody_knows", "import torch"),
        ("from sklearn.experimental import enable_iterative_imputer",),
    ],
)
def test_a_job_that_does_not_or_that_may_change_what_an_import_gives(tmp_path: Path, bodies: tuple[str, ...]) -> None:
    (tmp_path / "helper.py").write_text("import os\nos.environ['MKL_NUM_THREADS'] = '1'")
    (tmp_path / "chain.py").write_text("import helper")
    (tmp_path / "package").mkdir()
    (tmp_path / "package/part.py").write_text("from os import putenv")
    assert not suit(_spec(tmp_path, *bodies))


def test_own_modules_that_change_nothing_are_no_reason(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("import math")
    assert suit(_spec(tmp_path, "import helper\nimport pandas"))


@pytest.mark.parametrize(
    "fields",
    [
        {"kernel": "other"},
        {"gpus": 1.0},
        {"nproc": 2},
        {"env": {"TQDM_DISABLE": "1"}},
        {"ambient": {"@environ": Artifact(digest="d", format="json", type="dict")}},
    ],
)
def test_what_a_job_is_given_can_be_a_reason_against(tmp_path: Path, fields: dict[str, Any]) -> None:
    assert not suit(_spec(tmp_path, "import torch", **fields))


def test_the_modules_of_a_pipeline_in_the_order_of_the_notebook() -> None:
    cells = (Code(cell=3, body="import torch.nn as nn\nfrom sklearn import datasets, svm"),)
    stages = (Stage(name="a", kind="stage", cells=cells),)
    pipeline = Pipeline(name="p", stages=stages, setup=(Code(cell=1, body="import pandas, json"),))
    assert of_pipeline(pipeline) == ("pandas", "torch.nn", "sklearn", "sklearn.datasets", "sklearn.svm")


@pytest.mark.parametrize(
    ("body", "given", "late"),
    [
        ("import os\nos.environ['OMP_NUM_THREADS'] = '1'\nimport numpy", (), True),
        ("%env NPY_DISABLE_CPU_FEATURES=AVX2", (), True),
        ("import helper, numpy", (), True),
        ("from dotenv import load_dotenv\nload_dotenv()\nimport numpy", (), True),
        ("import numpy", ("OPENBLAS_NUM_THREADS",), True),
        ("import numpy", ("NB_MODE",), False),
        ("import os\nos.environ['TOKENIZERS_PARALLELISM'] = 'false'\nimport numpy", (), False),
    ],
)
def test_a_job_that_sets_what_numpy_looks_at_imports_it_itself(
    tmp_path: Path, body: str, given: tuple[str, ...], *, late: bool
) -> None:
    (tmp_path / "helper.py").write_text("import os\nos.environ.setdefault('MKL_NUM_THREADS', '1')")
    (tmp_path / ".env").write_text("OMP_NUM_THREADS=1\n")
    assert too_late(_spec(tmp_path, body), given) == late
