"""Files that several threads of a stage use at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from jobs import Bench

from nbpipe.job.undo import undo

_POOL = "import os\nfrom concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(8)\n"
#: Large enough for a look at one to take as long as others need to be opened.
_BYTES = 3_000_000
_NAMES = [f"f{number:02}.bin" for number in range(16)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    for number, name in enumerate(_NAMES):
        (bench.project / name).write_bytes(bytes([number]) * _BYTES)
    (bench.project / "sub").mkdir()
    return bench


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (f"list(pool.map(lambda name: len(open(name, 'rb').read()), {_NAMES}))", _NAMES),
        (f"from pathlib import Path\nlist(pool.map(Path.read_bytes, map(Path, {_NAMES})))", _NAMES),
        ("list(pool.map(os.path.exists, ['f00.bin', 'none']))", ["f00.bin", "none"]),
        ("list(pool.map(os.listdir, ['.', 'sub']))", ["./", "sub/"]),
    ],
)
def test_what_threads_read_and_ask_for_at_once_is_seen(bench: Bench, body: str, read: list[str]) -> None:
    outcome = bench.run(_POOL + body)
    assert outcome.status == "succeeded", outcome.failure
    assert [state.path for state in outcome.files_read] == read


def test_what_threads_write_at_once_is_seen_and_undone(bench: Bench) -> None:
    before = {path.name: path.read_bytes() for path in bench.project.glob("*.bin")}
    outcome = bench.run(
        f"{_POOL}def work(name):\n    for mode in 'wb', 'ab':\n        with open(name, mode) as f:\n            f.write(b'new')\n"
        f"list(pool.map(work, 2 * [*{_NAMES}, *(name + '.made' for name in {_NAMES})]))"
    )
    assert outcome.status == "succeeded", outcome.failure
    assert [state.path for state in outcome.files_written] == sorted([*_NAMES, *(f"{name}.made" for name in _NAMES)])
    assert undo(bench.folders[-1]) == []
    assert {path.name: path.read_bytes() for path in bench.project.glob("*.bin*")} == before
