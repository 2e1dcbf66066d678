"""Columns of a stored value, from its bytes. Only formats that hold nothing but data; the bytes are not trusted."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbpipe.errors import NbpipeError
from nbpipe.history.difference.columns import Column, of_array, of_arrow

if TYPE_CHECKING:
    from nbpipe.model import Artifact
    from nbpipe.store.base import ObjectStore

#: Bytes of a value that is looked into.
LARGEST = 64_000_000
#: Columns of one value that are looked into.
MOST_COLUMNS = 200
_HEADER = 10_000_000
#: Bytes below which reading a file takes less than mapping it.
_READ_WHOLE = 1_000_000
_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U8": "|u1",
    "BOOL": "|b1",
}


class UnreadableError(ValueError):
    """The bytes are not what the format says; the message is for people."""


def columns_of(artifact: Artifact, objects: ObjectStore) -> dict[str, Column]:
    """Columns by name, at most `MOST_COLUMNS`; an array is one column with the name "".

    Raises UnreadableError for bytes that are damaged or of a format that has no columns, StoreError for ones that are not there.
    """
    reader = READERS.get(artifact.format)
    if reader is None or len(artifact.objects) != 1:
        raise UnreadableError(f"{artifact.format} has no columns")
    path = objects.local_path(artifact.objects[0])
    found: dict[str, Column] = {}
    try:
        for name, column in reader(path):
            found[_free(name, found)] = column
            if len(found) == MOST_COLUMNS:
                break
    except NbpipeError:
        raise
    except Exception as error:  # whatever a library raises on bytes that somebody else made
        raise UnreadableError(f"it cannot be read as {artifact.format}: {type(error).__name__}") from error
    return found


def plain_text(artifact: Artifact, objects: ObjectStore) -> str:
    """A JSON value with one item a line. Raises as `columns_of`."""
    data = objects.get_bytes(artifact.objects[0]) if artifact.objects else b""
    try:
        return json.dumps(json.loads(data), indent=1, ensure_ascii=False)
    except (ValueError, RecursionError) as error:
        raise UnreadableError("it cannot be read as json") from error


def _npy(path: Path) -> Iterator[tuple[str, Column]]:
    import numpy as np

    if path.stat().st_size < _READ_WHOLE:
        array = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
    else:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.dtype.names is None:
        yield "", of_array(np.asarray(array))
        return
    for name in array.dtype.names:
        yield name, of_array(np.ascontiguousarray(array[name]))


def _safetensors(path: Path) -> Iterator[tuple[str, Column]]:
    import numpy as np

    data = np.memmap(path, dtype=np.uint8, mode="r")
    length = int.from_bytes(data[:8].tobytes(), "little")
    if length > min(_HEADER, len(data) - 8):
        raise ValueError("header")
    header = json.loads(data[8 : 8 + length].tobytes())
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        low, high = entry["data_offsets"]
        raw = data[8 + length + low : 8 + length + high]
        kind = str(entry["dtype"])
        if kind == "BF16":
            # The upper half of a float32.
            wide = raw.view("<u2").astype("<u4") << 16
            yield name, of_array(wide.view("<f4").reshape(entry["shape"]), "bfloat16")
        elif kind in _DTYPES:
            yield name, of_array(np.ascontiguousarray(raw).view(_DTYPES[kind]).reshape(entry["shape"]))
        else:
            yield name, Column(kind[:20], 0, raw=np.ascontiguousarray(raw))


def _arrow(path: Path) -> Iterator[tuple[str, Column]]:
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    # Offsets and indices that lead out of their buffers are found here, not by following them.
    table.validate(full=True)
    note = json.loads((table.schema.metadata or {}).get(b"nbpipe", b"{}"))
    for at, how, name in _order(note, table.schema.names):
        chunks = table.column(at).combine_chunks()
        array = chunks if isinstance(chunks, pa.Array) else pa.concat_arrays(chunks.chunks)
        yield name, of_arrow(array, how)


def _order(note: dict[str, Any], names: list[str]) -> list[tuple[int, dict[str, Any], str]]:
    """Columns as people see them: place in the file, how it is stored, name. Index columns come last."""
    if note.get("kind") == "frame":
        places = [(int(place), block["array"]) for block in note["blocks"] for place in block["at"]]
    elif note.get("kind") == "series":
        places = [(0, note["array"])]
    else:
        places = [] if note.get("kind") == "index" else [(at, {}) for at in range(len(names))]
    own = sorted(range(min(len(places), len(names))), key=lambda at: places[at][0])
    found = [(at, places[at][1], names[at]) for at in own]
    labels = note.get("index", {}).get("names", [])
    for at in range(len(places), len(names)):
        number = at - len(places)
        label = labels[number] if number < len(labels) else None
        how = note.get("index", {}).get("array", {}) if note.get("index", {}).get("index") == "array" else {}
        found.append((at, how, str(label) if label is not None else "(index)"))
    return found


def _free(name: str, taken: dict[str, Column]) -> str:
    """The name, or one that says that it is the second of it."""
    count, free = 2, name[:200]
    while free in taken:
        free, count = f"{name[:200]} #{count}", count + 1
    return free


READERS: dict[str, Callable[[Path], Iterator[tuple[str, Column]]]] = {
    "npy": _npy,
    "arrow": _arrow,
    "safetensors": _safetensors,
}
