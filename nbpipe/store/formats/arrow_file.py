"""One record batch in one Arrow IPC file, with a JSON note, and the memory it is mapped to."""

from __future__ import annotations

import json
import mmap
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

NOTE = b"nbpipe"
#: Version of the note; a reader refuses what it does not know by not finding its own.
VERSION = 1


def write_batch(columns: list[tuple[str, Any]], note: dict[str, Any], file: BinaryIO) -> None:
    """Write named Arrow arrays of equal length, one after the other, without copying them."""
    import pyarrow as pa

    fields = [pa.field(name, array.type) for name, array in columns]
    text = json.dumps({"version": VERSION, **note}, separators=(",", ":"))
    schema = pa.schema(fields, metadata={NOTE: text.encode()})
    with pa.ipc.new_file(file, schema) as writer:
        if columns:
            writer.write_batch(pa.RecordBatch.from_arrays([array for _, array in columns], schema=schema))


@dataclass(slots=True)
class Mapped:
    """A mapped file: its note, its columns in order, and NumPy views of their buffers."""

    note: dict[str, Any]
    columns: list[Any]
    memory: mmap.mmap
    base: int

    def values(self, array: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
        """The data buffer of a fixed-width Arrow array: writeable, and private to this process."""
        import numpy as np

        if len(array) == 0:
            return np.empty(0, dtype)
        return np.ndarray((len(array),), dtype, self.memory, self.offset(array))

    def block(self, arrays: list[Any], dtype: np.dtype[Any], layout: str | int) -> np.ndarray[Any, Any]:
        """Columns as the rows of one matrix, mapped where they lie in the file as `layout` wants them, else copied.

        `layout` is "C", "F", or the number of elements from one row to the next.
        """
        import numpy as np

        shape = (len(arrays), len(arrays[0]))
        width = shape[1] * dtype.itemsize
        if layout == "C" and width:
            offsets = [self.offset(array) for array in arrays]
            if all(after - before == width for before, after in pairwise(offsets)):
                return np.ndarray(shape, dtype, self.memory, offsets[0])
        if isinstance(layout, int):
            made: np.ndarray[Any, Any] = np.empty((shape[0], layout), dtype)[:, : shape[1]]
        else:
            made = np.empty(shape, dtype, order="F" if layout == "F" else "C")
        for row, array in zip(made, arrays, strict=True):
            row[:] = self.values(array, dtype)
        return made

    def offset(self, array: Any) -> int:
        """Where in the file the data buffer of `array` starts."""
        return int(array.buffers()[1].address) - self.base


def map_batch(path: Path) -> Mapped:
    """Map the file privately: changes stay in this process."""
    import pyarrow as pa

    with path.open("rb") as file:
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    buffer = pa.py_buffer(memory)
    reader = pa.ipc.open_file(buffer)
    columns = reader.get_batch(0).columns if reader.num_record_batches else []
    return Mapped(json.loads(reader.schema.metadata[NOTE]), columns, memory, buffer.address)
