"""Files of the project are the user's; what is installed there, and nbpipe itself, is not."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from jobs import Bench

import nbpipe
from nbpipe.job.sources import is_local

ROOT = Path(nbpipe.__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("file", "local"),
    [
        ("/p/helpers.py", True),
        ("/p/src/lib/helpers.py", True),
        ("/p2/helpers.py", False),
        ("/p/.venv/lib/python3.11/site-packages/numpy/__init__.py", False),
    ],
)
def test_a_source_file_is_local_where_it_lies_in_the_project_and_is_not_installed(file: str, *, local: bool) -> None:
    assert is_local(file, "/p") is local
    assert is_local(file, f"/p{os.sep}") is local


def test_nbpipe_and_python_are_not_local_wherever_they_lie() -> None:
    assert not is_local(str(ROOT / "nbpipe" / "job" / "server.py"), str(ROOT))
    assert not is_local(str(Path(os.__file__).resolve()), str(Path(sys.base_prefix).resolve().parent))
    assert is_local(str(ROOT / "tests" / "x.py"), str(ROOT))


def test_a_stage_in_nbpipe_s_own_repository_depends_on_nothing_of_it(tmp_path: Path) -> None:
    outcome = Bench(tmp_path).run(
        "import os, multiprocessing, nbpipe\nos.getenv('HOME'), len(open(nbpipe.__file__).read())", project=str(ROOT)
    )
    assert outcome.status == "succeeded", outcome.failure
    assert (outcome.modules, outcome.files_read) == ({}, ())
    assert (list(outcome.variables), outcome.uncacheable) == (["HOME"], ())
