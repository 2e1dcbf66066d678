"""What was found out about code is kept between processes, and never trusted over content."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from nbpipe.dataflow import cells, hints, remembered, shelf
from nbpipe.dataflow.flow import Flow, Linked
from nbpipe.dataflow.remembered import _analysis, analysis
from nbpipe.errors import PipelineError
from nbpipe.model import Cell, Notebook
from nbpipe.notebook.stages import outline
from nbpipe.pipeline.params import extract_params

CELLS = [
    "%%params\nlr: float = 0.1",
    "%%setup\nimport json",
    "%%stage load --metrics n\nimport helper\ndef scale(x, by=2):\n    return x * by * lr\ndata = [helper.x, 1]\nn = len(data)",
    "%%stage train --after load\nnet = {k: scale(k) for k in data}; data.append(3)\ntext = f'{net!r} {json.dumps(data)}'",
    "%%check good --metric 'n > 1'\nassert net",
    *(f"%%stage s{n}\n'''padding {'x' * 400}'''\nv{n} = sum(data) + {n}" for n in range(30)),
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Not beside the notebook: a folder there may be a module.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    forget()
    return tmp_path / ".cache" / "nbpipe" / "analysis"


def forget() -> None:
    """As a new process knows nothing."""
    _analysis.cache_clear()
    remembered._results.clear()
    cells._known.clear()
    cells._facts.clear()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows whenever it is really found out what follows from the cells."""
    real, noted = remembered._link, list[str]()

    def link(question: remembered._Question, of: cells.Cells) -> Linked:
        noted.append("analysed")
        return real(question, of)

    monkeypatch.setattr(remembered, "_link", link)
    return noted


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The cells that are really read."""
    real, noted = cells._make, list[str]()

    def make(part: cells.Part) -> cells._Kept:
        noted.append(part.code.body)
        return real(part)

    monkeypatch.setattr(cells, "_make", make)
    return noted


def flow(folder: Path, cells: list[str] | None = None, *more: Cell) -> Flow:
    """As a new process would find it."""
    forget()
    sources = cells or CELLS
    book = Notebook(
        path=str(folder / "n.ipynb"),
        sha256="",
        cells=(*(Cell(number=n, kind="code", source=source) for n, source in enumerate(sources, 1)), *more),
    )
    found = outline(book)
    return analysis(found, extract_params(found)[0])


def test_an_unchanged_notebook_is_analysed_once_and_the_answer_is_the_same(
    tmp_path: Path, asked: list[str], read: list[str]
) -> None:
    first = flow(tmp_path)
    assert flow(tmp_path) == first
    assert asked == ["analysed"]
    assert len(read) == len(CELLS)


def test_of_a_changed_notebook_only_the_changed_cell_is_read(tmp_path: Path, asked: list[str], read: list[str]) -> None:
    flow(tmp_path)
    read.clear()
    found = flow(tmp_path, [*CELLS[:-1], CELLS[-1].replace("+ 29", "* 30")])
    assert [body.endswith("v29 = sum(data) * 30") for body in read] == [True]
    assert asked == ["analysed"], "it does the same to the same names"
    assert found.stages[-1].cells[0].body == read[0]
    flow(tmp_path, [*CELLS[:-1], CELLS[-1].replace("v29", "w29")])
    assert (len(read), len(asked)) == (2, 2)


def test_a_cell_that_may_fail_says_nothing_of_one_with_the_same_text_that_may_not(tmp_path: Path) -> None:
    wrong = Cell(number=98, kind="code", source="%%stage wrong\nthis is no Python", tags=("raises-exception",))
    assert flow(tmp_path, CELLS, wrong).stages[-1].name == "wrong"
    for cells_at_the_end in ([replace(wrong, tags=())], [wrong, replace(wrong, number=99, tags=())]):
        with pytest.raises(PipelineError, match="this is not Python"):
            flow(tmp_path, CELLS, *cells_at_the_end)


def test_facts_that_cannot_be_kept_are_found_out_again_where_they_are_needed(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A text that is none, should one come through.
    monkeypatch.setattr(hints, "_SURROGATE", re.compile("(?!)"))
    tried = "f = open('\\ud800')"
    first = flow(tmp_path, [*CELLS, tried])
    assert flow(tmp_path, [*CELLS, tried]) == first
    changed = [*CELLS[:-1], CELLS[-1].replace("v29", "w29"), tried]
    found = flow(tmp_path, changed)
    assert read.count(tried) == 2
    shutil.rmtree(tmp_path / ".cache")
    assert flow(tmp_path, changed) == found


def test_a_definition_whose_text_alone_has_changed_has_its_new_text(tmp_path: Path, asked: list[str]) -> None:
    before, after = "return x * by * lr", "return x / by / lr"
    changed = [cell.replace(before, after) for cell in CELLS]
    first, second = flow(tmp_path), flow(tmp_path, changed)
    assert asked == ["analysed"]
    assert [item.source.replace(before, after) for item in first.snippets] == [item.source for item in second.snippets]
    assert after in "".join(item.source for item in second.snippets)
    shutil.rmtree(tmp_path / ".cache")
    assert flow(tmp_path, changed) == second


def test_any_change_is_analysed_anew(tmp_path: Path, asked: list[str]) -> None:
    flow(tmp_path)
    flow(tmp_path, [*CELLS[:-1], CELLS[-1] + "; x = 1"])
    flow(tmp_path, ["%%params\nlr: int = 1", *CELLS[1:]])
    (tmp_path / "helper.py").write_text("x = 0")
    flow(tmp_path)
    assert len(asked) == 4
    (tmp_path / "nobody_says_this.py").write_text("x = 0")
    flow(tmp_path)
    assert len(asked) == 4, "what no cell names does not count"
    flow(tmp_path, [*CELLS, "%%stage e\né = 1"])
    (tmp_path / "another.py").write_text("x = 0")
    flow(tmp_path, [*CELLS, "%%stage e\né = 1"])
    assert len(asked) == 6, "where letters may be spelt in two ways, every name counts"


def test_a_small_notebook_leaves_nothing_behind(tmp_path: Path, cache: Path) -> None:
    flow(tmp_path, ["%%stage a\nx = 1"])
    assert not cache.exists()


def test_what_was_kept_is_for_its_owner_alone(tmp_path: Path, cache: Path) -> None:
    flow(tmp_path)
    assert sorted(path.name.partition("-")[0] for path in cache.iterdir()) == ["facts", "linked"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in cache.iterdir())
    assert cache.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "swapped"])
def test_a_damaged_answer_is_found_out_and_made_anew(
    tmp_path: Path, cache: Path, asked: list[str], read: list[str], damage: str
) -> None:
    other = flow(tmp_path, CELLS[:-1])
    first = flow(tmp_path)
    files = {path: path.read_bytes() for path in cache.iterdir()}
    for path, data in files.items():
        middle = len(data) // 2
        path.write_bytes(
            {
                "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
                "cut": data[:middle],
                "empty": b"",
                "swapped": next(found for at, found in files.items() if at != path),
            }[damage]
        )
    assert (flow(tmp_path), flow(tmp_path, CELLS[:-1])) == (first, other)
    assert len(asked) == 4
    assert len(read) >= 2 * len(CELLS)


def test_what_was_kept_in_another_layout_is_made_anew(
    tmp_path: Path, cache: Path, asked: list[str], read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = flow(tmp_path)
    real = shelf.look_up
    for foreign in (b"", b"\xc1", msgspec.msgpack.encode({"a": 1}), msgspec.msgpack.encode([[], [], [], [], []])):
        monkeypatch.setattr(shelf, "look_up", lambda *_, found=foreign: found)
        assert flow(tmp_path) == first
    # Of the right layout, and yet one cell's facts cannot be read.
    kept = msgspec.msgpack.encode({key: (one.digest, [b"?"], one.texts) for key, one in cells._known.items()})
    monkeypatch.setattr(shelf, "look_up", lambda kind, _: kept if kind == "facts" else None)
    assert flow(tmp_path) == first
    monkeypatch.setattr(shelf, "look_up", real)
    assert len(asked) == 6
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("place", ["file", "folder"])
def test_what_others_may_write_is_not_believed(
    tmp_path: Path, cache: Path, asked: list[str], read: list[str], place: str
) -> None:
    flow(tmp_path)
    for path in cache.iterdir() if place == "file" else [cache]:
        path.chmod(0o777)
    flow(tmp_path)
    assert len(asked) == 2
    assert len(read) == 2 * len(CELLS)


def test_another_version_of_what_analyses_does_not_believe_this_one(
    tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    flow(tmp_path)
    monkeypatch.setattr(shelf, "_made_by", lambda: b"another")
    flow(tmp_path)
    assert len(asked) == 2


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert flow(tmp_path).stages


def test_only_so_many_answers_are_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "_MOST", 3)
    for number in range(6):
        shelf.keep("flow", str(number).encode(), b"answer")
    assert len(list(cache.iterdir())) == 3
    assert shelf.look_up("flow", b"5") == b"answer"
    assert shelf.look_up("other", b"5") is None


def test_a_process_whose_nbpipe_was_replaced_neither_keeps_nor_believes(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.keep("kind", b"question", b"answer")
    assert shelf.look_up("kind", b"question") == b"answer"
    monkeypatch.setattr(shelf, "_BEGUN", 0.0)
    shelf._made_by.cache_clear()
    assert shelf.look_up("kind", b"question") is None
    shelf.keep("kind", b"other", b"answer")
    assert len(list(cache.iterdir())) == 1
    monkeypatch.undo()


def test_answers_take_only_so_much_room_and_those_that_are_used_stay(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "_ROOM", 10_000)
    shelf.keep("kind", b"large", b"x" * 2_000)
    assert not cache.exists()
    for name in (b"a", b"b", b"c"):
        shelf.keep("kind", name, b"x" * 1_000)
    for path in cache.iterdir():
        os.utime(path, (1, 1))
    assert shelf.look_up("kind", b"a")
    for number in range(8):
        shelf.keep("kind", b"%d" % number, b"x" * 1_000)
    assert shelf.look_up("kind", b"a")
    assert shelf.look_up("kind", b"b") is None
