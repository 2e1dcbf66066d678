"""A large value is handed over without a copy of it, on the side that writes and on the side that reads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from peaks import peak, supported

#: Bytes; set NBPIPE_TEST_LARGE=1000000000 to try the size that the target names.
SIZE = int(os.environ.get("NBPIPE_TEST_LARGE", "200_000_000"))
#: What an interpreter may need besides.
SLACK = 40_000_000
START = """
import sys, warnings
import msgspec
import numpy as np
from nbpipe.model import Artifact
from nbpipe.store import open_store
from nbpipe.store.digest import digest
store = open_store(sys.argv[1])
# What is imported on first use does not count.
{warm}
artifacts = store.save_values({{"x": warm}}, stage="s")
digest(store.load_values(artifacts, {{}})["x"])
"""
SAVE = """
rows = {rows}
{make}
with held():
    artifacts = store.save_values({{"x": value}}, stage="s")
    digest(value)
assert artifacts["x"].format == "{format}", artifacts["x"].format
open(sys.argv[2], "wb").write(msgspec.json.encode(artifacts))
"""
LOAD = """
artifacts = msgspec.json.decode(open(sys.argv[2], "rb").read(), type=dict[str, Artifact])
with held():
    value = store.load_values(artifacts, {{}})["x"]
    {use}
    assert digest(value) == artifacts["x"].digest
"""
KINDS = {
    "array": {
        "format": "npy",
        "warm": "warm = np.ones(9)",
        "make": "value = np.random.default_rng(0).random(rows)",
        "use": "value.sum()",
    },
    "frame": {
        "format": "arrow",
        "warm": "import pandas as pd; warm = pd.DataFrame({'a': [1.0], 'b': [2]})",
        "make": "value = pd.DataFrame(np.random.default_rng(0).random((rows // 10, 10)), columns=list('abcdefghij'))",
        "use": "value.sum()",
    },
    "frame of several types": {
        "format": "arrow",
        "warm": "import pandas as pd; warm = pd.DataFrame({'a': [1.0], 'b': [2]})",
        "make": "value = pd.DataFrame({str(i): np.arange(rows // 4, dtype=('f8', 'i8')[i % 2]) for i in range(4)})",
        "use": "value.sum()",
    },
    "tensor": {
        "format": "safetensors",
        "warm": "import torch; warm = torch.ones(9)",
        "make": "value = torch.ones(rows, dtype=torch.float64)",
        "use": "value.sum()",
    },
}


@pytest.mark.skipif(not supported(), reason="only Linux says what memory is a process's own")
@pytest.mark.parametrize("kind", KINDS)
def test_a_large_value_is_handed_over_without_a_copy(kind: str, tmp_path: Path) -> None:
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "NBPIPE_STORE_KEY": "a key for the tests only"}
    parts = {**KINDS[kind], "rows": str(SIZE // 8)}
    arguments = (str(tmp_path / "store"), str(tmp_path / "artifacts"))
    start = START.format(**parts)
    saving = peak(start + SAVE.format(**parts), *arguments, environment=environment)
    assert saving < SIZE // 2 + SLACK, "the value is copied to be saved"
    loading = peak(start + LOAD.format(**parts), *arguments, environment=environment)
    assert loading < SIZE // 2 + SLACK, "the value is copied when it is loaded or read"


@pytest.mark.skipif(not supported(), reason="only Linux says what memory is a process's own")
def test_the_meter_sees_a_copy() -> None:
    program = "import numpy as np\nvalue = np.ones(5_000_000)\nwith held():\n    other = value.copy()\n"
    assert peak(program) > 35_000_000
