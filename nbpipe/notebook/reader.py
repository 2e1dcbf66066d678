"""Notebooks from disk: bytes in, a `Notebook` out, or one `NotebookError` with the path and the reason.

nbformat 4 is read with msgspec alone, outputs skipped; nbformat is imported to upgrade older files, jupytext for text
notebooks but those of Databricks. Cell ids are kept as they stand, duplicates included: nothing may be keyed on them.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.errors import NotebookError
from nbpipe.model import Cell, Notebook
from nbpipe.notebook import databricks
from nbpipe.notebook.libraries import nbformat
from nbpipe.notebook.quantities import did_you_mean

#: Suffixes of text notebooks.
TEXT_SUFFIXES = (".py", ".md", ".Rmd")

_FORMAT = 4
#: A file younger than this may be in the middle of being saved: it is read again a few times.
_YOUNG = 2.0
_RETRIES = 4
_PAUSE = 0.05
_FIX = "Open it in JupyterLab and save it, or restore it from version control."


class _Cell(msgspec.Struct):
    cell_type: str
    source: str | list[str]
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    id: str | None = None
    execution_count: Any = None


class _File(msgspec.Struct):
    nbformat: int
    cells: list[_Cell] | None = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)


_decoder = msgspec.json.Decoder(_File)


def read_notebook(path: str | Path) -> Notebook:
    """The notebook at `path`. Raises `NotebookError`, whatever is wrong with the file."""
    path = Path(path)
    for attempt in range(_RETRIES + 1):
        data, age = _bytes(path)
        try:
            return parse_notebook(data, str(path))
        except NotebookError:
            if attempt == _RETRIES or not -_YOUNG < age < _YOUNG:
                raise
            time.sleep(_PAUSE)
    raise AssertionError("the last attempt returns or raises")


def parse_notebook(data: bytes, path: str) -> Notebook:
    """The notebook in `data`; the suffix of `path` says the format. Raises `NotebookError`."""
    suffix = Path(path).suffix
    is_text = suffix in TEXT_SUFFIXES
    file = _from_text(_text(data, path), suffix, path) if is_text else _from_json(data, path)
    cells = tuple(_cell(number, cell, path) for number, cell in enumerate(file.cells or (), 1))
    _check_language(file.metadata, path)
    return Notebook(
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        cells=cells,
        metadata=file.metadata,
        format=suffix.lstrip(".") if is_text else "ipynb",
        raw=data,
    )


def _bytes(path: Path) -> tuple[bytes, float]:
    """The bytes of the file and how many seconds ago it was written."""
    try:
        data = path.read_bytes()
        return data, time.time() - path.stat().st_mtime
    except FileNotFoundError:
        raise NotebookError(f"{path} does not exist", name=str(path), fix=_neighbour(path)) from None
    except IsADirectoryError:
        fix = f"Name the notebook in it, such as {path / 'NOTEBOOK.ipynb'}."
        raise NotebookError(f"{path} is a folder, not a notebook", name=str(path), fix=fix) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise NotebookError(f"{path} cannot be read: {reason}", name=str(path)) from None


def _neighbour(path: Path) -> str | None:
    try:
        names = [
            other.name for other in path.parent.iterdir() if other.suffix == ".ipynb" or other.suffix in TEXT_SUFFIXES
        ]
    except OSError:
        return None
    return did_you_mean(path.name, names)


def _text(data: bytes, path: str) -> str:
    """The bytes as text: UTF-8 without a byte order mark."""
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise _bad(path, "it starts with a byte order mark", "Save it as UTF-8 without a byte order mark.")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise _bad(path, f"byte {error.start} is not UTF-8", "Save it as UTF-8.") from None


def _from_json(data: bytes, path: str) -> _File:
    if not data.strip():
        raise _bad(path, "it is empty")
    if not data.isascii():
        _text(data, path)
    try:
        file = _decoder.decode(data)
    except RecursionError:
        raise _bad(path, "its JSON is nested too deeply") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise _not_json(data, path, str(error)) from None
    if file.nbformat > _FORMAT:
        raise _bad(
            path, f"nbformat {file.nbformat} is newer than {_FORMAT}", "Save it as nbformat 4, or update nbpipe."
        )
    if file.nbformat < _FORMAT:
        file = _upgraded(_text(data, path), path)
    if file.cells is None:
        raise _bad(path, "it has no list of cells")
    return file


def _not_json(data: bytes, path: str, reason: str) -> NotebookError:
    """What lies there in the notebook's place, where it is something that people often find there."""
    if data.startswith(b"version https://git-lfs.github.com/"):
        return _bad(path, "it is a pointer of Git LFS, and not the file itself", "Get the file: git lfs pull")
    if b"\n<<<<<<< " in b"\n" + data and b"\n>>>>>>> " in data:
        return _bad(path, "it holds a merge conflict", "Resolve the conflict, or restore it from version control.")
    suffix = Path(path).suffix
    if suffix != ".ipynb":
        known = ", ".join(TEXT_SUFFIXES)
        return _bad(
            path,
            f"{suffix or 'a file without ending'} is read as JSON, and that failed: {reason}",
            f"Notebooks end in .ipynb, or as text in {known}.",
        )
    return _bad(path, reason)


def _upgraded(text: str, path: str) -> _File:
    try:
        notebook = nbformat().reads(text, as_version=_FORMAT)
        return msgspec.convert(notebook, _File)
    except Exception as error:  # noqa: BLE001 - nbformat raises whatever a malformed old file leads it to
        raise _bad(path, f"it is older than nbformat 4 and cannot be upgraded: {_reason(error)}") from None


def _from_text(text: str, suffix: str, path: str) -> _File:
    if not text.strip():
        raise _bad(path, "it is empty")
    if suffix == ".py" and databricks.is_databricks(text):
        return msgspec.convert(databricks.document(text), _File)
    nbformat()
    import jupytext

    try:
        return msgspec.convert(jupytext.reads(text, fmt=suffix.lstrip(".")), _File)
    except Exception as error:  # noqa: BLE001 - jupytext and its YAML header raise many kinds
        raise _bad(path, f"jupytext cannot read it: {_reason(error)}") from None


def _cell(number: int, cell: _Cell, path: str) -> Cell:
    source = cell.source if isinstance(cell.source, str) else "".join(cell.source)
    if "\r" in source:
        source = source.replace("\r\n", "\n").replace("\r", "\n")
    if cell.cell_type not in ("code", "markdown", "raw"):
        raise _bad(path, f"cell {number} is of an unknown kind: {cell.cell_type[:40]!a}")
    if cell.cell_type == "code":
        if "\0" in source:
            raise _bad(path, f"cell {number} holds a NUL character", "Delete it from the cell.")
        if not source.isascii():
            _check_surrogates(source, number, path)
    tags = cell.metadata.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise _bad(path, f"cell {number}: metadata.tags is not a list of texts")
    return Cell(
        number=number,
        kind=cell.cell_type,  # type: ignore[arg-type]  # one of three, checked above
        source=source,
        tags=tuple(tags),
        id=cell.id,
        metadata=cell.metadata,
        executed=cell.execution_count if type(cell.execution_count) is int else None,
    )


def _check_surrogates(source: str, number: int, path: str) -> None:
    try:
        source.encode()
    except UnicodeEncodeError:
        raise _bad(path, f"cell {number} holds half of a surrogate pair") from None


def _check_language(metadata: dict[str, Any], path: str) -> None:
    """Raise `NotebookError` where the notebook says it is of another language than Python."""
    kernel = metadata.get("kernelspec") or {}
    info = metadata.get("language_info") or {}
    if not isinstance(kernel, dict) or not isinstance(info, dict):
        raise _bad(path, "metadata.kernelspec and metadata.language_info are not objects")
    language = kernel.get("language") or info.get("name") or ""
    if not isinstance(language, str):
        raise _bad(path, "the name of its language is not a text")
    if language and not language.lower().startswith(("python", "ipython")):
        raise _bad(
            path, f"its language is {language[:40]!a}, and nbpipe reads Python only", "Choose a Python kernel for it."
        )


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _bad(path: str, reason: str, fix: str = _FIX) -> NotebookError:
    return NotebookError(f"{path} is not a notebook that can be read: {reason}", name=path, fix=fix)
