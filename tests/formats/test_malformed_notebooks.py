"""Bad notebooks: one named error with the path and the reason, whatever is wrong with the file."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbpipe.errors import NbpipeError, NotebookError
from nbpipe.notebook.reader import parse_notebook, read_notebook
from nbpipe.notebook.stages import outline


def notebook(**changes: Any) -> dict[str, Any]:
    cell: dict[str, Any] = {
        "cell_type": "code",
        "id": "a",
        "metadata": {},
        "source": "%%stage a\nx = 1",
        "outputs": [],
        "execution_count": None,
    }
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell], **changes}


def with_cell(**changes: Any) -> bytes:
    return dumped(notebook(cells=[notebook()["cells"][0] | changes]))


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


GOOD = dumped(notebook())
BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "blank": (b" \n\t ", "empty"),
    "a list": (b"[]", "array"),
    "an empty object": (b"{}", "nbformat"),
    "null": (b"null", "null"),
    "a number": (b"3", "int"),
    "not JSON": (b"hello", "malformed"),
    "HTML": (b"<!DOCTYPE html><html></html>", "malformed"),
    "half a merge conflict": (b"<<<<<<< HEAD\n" + GOOD, "malformed"),
    "a merge conflict": (b"{\n<<<<<<< HEAD\n" + GOOD + b"\n=======\n{}\n>>>>>>> other\n", "merge conflict"),
    "a pointer of Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 1\n", "Git LFS"),
    "two documents": (GOOD + GOOD, "trailing"),
    "truncated": (GOOD[:-20], "truncated"),
    "byte order mark": (b"\xef\xbb\xbf" + GOOD, "byte order mark"),
    "UTF-16": (GOOD.decode().encode("utf-16"), "byte order mark"),
    "latin-1": (GOOD.replace(b"x = 1", b"x = '\xe9'"), "not UTF-8"),
    "latin-1 in an output": (GOOD.replace(b'"outputs": []', b'"outputs": ["\xe9"]'), "not UTF-8"),
    "NUL bytes": (b"\0" * 100, "malformed"),
    "NUL in a source": (with_cell(source="x = 1\0"), "NUL"),
    "lone surrogate": (GOOD.replace(b"x = 1", b"x = '\\ud800'"), "JSON"),
    "nbformat 99": (dumped(notebook(nbformat=99)), "99"),
    "nbformat 5": (dumped(notebook(nbformat=5)), "newer"),
    "nbformat 0": (dumped(notebook(nbformat=0)), "older"),
    "negative nbformat": (dumped(notebook(nbformat=-1)), "older"),
    "nbformat as text": (dumped(notebook(nbformat="4")), "nbformat"),
    "huge nbformat": (GOOD.replace(b'"nbformat": 4', b'"nbformat": 4' + b"0" * 400), "nbformat"),
    "no nbformat": (dumped({"cells": []}), "nbformat"),
    "no cells": (dumped({"nbformat": 4, "metadata": {}}), "cells"),
    "cells null": (dumped(notebook(cells=None)), "cells"),
    "cells an object": (dumped(notebook(cells={})), "cells"),
    "a cell that is a text": (dumped(notebook(cells=["x"])), "cells[0]"),
    "a cell without kind": (dumped(notebook(cells=[{"source": ""}])), "cell_type"),
    "a cell of unknown kind": (with_cell(cell_type="heading"), "unknown kind"),
    "a cell without source": (dumped(notebook(cells=[{"cell_type": "code"}])), "source"),
    "source a number": (with_cell(source=3), "source"),
    "source a list of numbers": (with_cell(source=[1]), "source"),
    "source null": (with_cell(source=None), "source"),
    "metadata a list": (dumped(notebook(metadata=[])), "metadata"),
    "cell metadata null": (with_cell(metadata=None), "metadata"),
    "tags a text": (with_cell(metadata={"tags": "stage:a"}), "tags"),
    "tags of numbers": (with_cell(metadata={"tags": [1]}), "tags"),
    "id a number": (with_cell(id=1), "id"),
    "kernelspec a text": (dumped(notebook(metadata={"kernelspec": "python3"})), "kernelspec"),
    "language a number": (dumped(notebook(metadata={"kernelspec": {"language": 3}})), "language"),
    "another language": (dumped(notebook(metadata={"kernelspec": {"name": "ir", "language": "R"}})), "Python only"),
    "another language info": (dumped(notebook(metadata={"language_info": {"name": "julia"}})), "Python only"),
    "deep nesting": (GOOD.replace(b'"outputs": []', b'"outputs": ' + b"[" * 100_000 + b"]" * 100_000), "nested"),
    "a broken old notebook": (dumped({"nbformat": 3, "worksheets": 7}), "upgraded"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.filterwarnings("ignore")
def test_a_malformed_notebook_is_one_named_error(kind: str) -> None:
    data, reason = BAD[kind]
    with pytest.raises(NotebookError) as caught:
        parse_notebook(data, "folder/bad.ipynb")
    assert "folder/bad.ipynb" in caught.value.message
    assert reason in caught.value.message
    assert caught.value.exit_code == 3
    assert caught.value.name == "folder/bad.ipynb"


def test_an_older_notebook_is_upgraded() -> None:
    old = {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {"name": ""},
        "worksheets": [
            {"cells": [{"cell_type": "code", "input": ["%%stage a\n", "x = 1"], "language": "python", "outputs": []}]}
        ],
    }
    assert parse_notebook(dumped(old), "old.ipynb").cells[0].source == "%%stage a\nx = 1"


def test_a_source_may_be_a_list_of_lines_and_end_lines_as_windows_does() -> None:
    read = parse_notebook(with_cell(source=["%%stage a\r\n", "x = 1\r\n", "y = 2"]), "a.ipynb")
    assert read.cells[0].source == "%%stage a\nx = 1\ny = 2"


def test_duplicate_ids_are_kept_since_nothing_is_keyed_on_them() -> None:
    cell = notebook()["cells"][0]
    read = parse_notebook(dumped(notebook(cells=[cell, cell])), "a.ipynb")
    assert [c.id for c in read.cells] == ["a", "a"]
    assert [c.cell for c in outline(read).stages[0].cells] == [1, 2]


def test_the_bytes_and_their_hash_are_kept() -> None:
    import hashlib

    read = parse_notebook(GOOD, "a.ipynb")
    assert read.raw == GOOD
    assert read.sha256 == hashlib.sha256(GOOD).hexdigest()


def test_a_missing_file_names_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "digits.ipynb").write_bytes(GOOD)
    with pytest.raises(NotebookError, match="does not exist") as caught:
        read_notebook(tmp_path / "digit.ipynb")
    assert caught.value.fix == "Did you mean 'digits.ipynb'?"
    with pytest.raises(NotebookError, match="does not exist"):
        read_notebook(tmp_path / "nowhere" / "x.ipynb")


@pytest.mark.parametrize("name", [".", "a.ipynb/x.ipynb", "\0.ipynb", "n" * 300 + ".ipynb"])
def test_a_path_that_is_no_file_is_a_notebook_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.ipynb").write_bytes(GOOD)
    with pytest.raises(NotebookError):
        read_notebook(tmp_path / name)


def test_a_notebook_that_is_just_being_saved_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_bytes(GOOD[: len(GOOD) // 2])

    def finish() -> None:
        time.sleep(0.05)
        path.write_bytes(GOOD)

    writer = threading.Thread(target=finish)
    writer.start()
    assert len(read_notebook(path).cells) == 1
    writer.join()


@pytest.mark.parametrize("suffix", [".py", ".md", ".Rmd"])
def test_text_notebooks_are_read_with_their_stages(suffix: str) -> None:
    text = {
        ".py": "# %% [markdown]\n# # Title\n\n# %%\n# %%stage a\nx = 1\n\n# %%\n# %%check b\nassert x\n",
        ".md": "# Title\n\n```python\n%%stage a\nx = 1\n```\n\n```python\n%%check b\nassert x\n```\n",
        ".Rmd": "# Title\n\n```{python}\n%%stage a\nx = 1\n```\n\n```{python}\n%%check b\nassert x\n```\n",
    }[suffix]
    read = parse_notebook(text.encode(), f"a{suffix}")
    assert [(s.name, s.kind, s.cells[0].body) for s in outline(read).stages] == [
        ("a", "stage", "x = 1"),
        ("b", "check", "assert x"),
    ]
    assert read.format == suffix.removeprefix(".")


@pytest.mark.parametrize(
    "data", [b"", b"---\njupyter: [\n---\n", b"\xff\xfe", b"# %% \xe9", b"---\njupyter:\n  kernelspec: 3\n---\nx"]
)
def test_a_broken_text_notebook_is_a_notebook_error_or_read(data: bytes) -> None:
    for suffix in (".md", ".py"):
        try:
            parse_notebook(data, f"a{suffix}")
        except NotebookError as error:
            assert f"a{suffix}" in error.message


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_PATHS = [("cells",), ("cells", 0), ("metadata",), ("nbformat",), *(("cells", 0, k) for k in notebook()["cells"][0])]


@given(st.sampled_from(_PATHS), _JSON)
@pytest.mark.filterwarnings("ignore")
def test_any_value_in_any_place_gives_a_notebook_or_a_named_error(place: tuple[Any, ...], value: Any) -> None:
    document = notebook()
    node: Any = document
    for step in place[:-1]:
        node = node[step]
    node[place[-1]] = value
    survives(dumped(document))


@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.binary(max_size=3)), min_size=1, max_size=4))
@pytest.mark.filterwarnings("ignore")
def test_any_change_of_bytes_gives_a_notebook_or_a_named_error(changes: list[tuple[int, bytes]]) -> None:
    data = GOOD
    for at, new in changes:
        data = data[:at] + new + data[at + 1 :]
    survives(data)


@given(
    _JSON,
    st.lists(st.sampled_from(["stage:a", "check:a", "after:a", "gpus:x", "step:b", "prev:b", "skip", "setup", "x"])),
)
def test_any_metadata_and_tags_give_an_outline_or_a_named_error(meta: Any, tags: list[str]) -> None:
    survives(with_cell(metadata={"nbpipe": meta, "tags": tags}))


def survives(data: bytes) -> None:
    try:
        outline(parse_notebook(data, "a.ipynb"))
    except NbpipeError as error:
        assert error.exit_code == 3


def test_a_file_of_another_ending_is_told_which_there_are() -> None:
    with pytest.raises(NotebookError, match=r"x\.qmd is not .* '?\.qmd is read as JSON") as caught:
        parse_notebook(b"```{python}\nx = 1\n```\n", "x.qmd")
    assert caught.value.fix == "Notebooks end in .ipynb, or as text in .py, .md, .Rmd."
