"""Tables of pyarrow: their schema with all its metadata, and their record batches as they are."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path


def accepts(value: Any) -> bool:
    """Tables whose types an IPC file keeps and whose columns are cut into chunks at the same rows."""
    import pyarrow as pa

    if type(value) is not pa.Table or value.num_columns == 0:
        return False
    if not all(exact_type(field.type) for field in value.schema):
        return False
    chunks = [[len(chunk) for chunk in column.chunks] for column in value.columns]
    if any(each != chunks[0] for each in chunks) or 0 in chunks[0]:
        return False
    return len(chunks[0]) == 1 or not any(pa.types.is_dictionary(field.type) for field in value.schema)


def write(value: Any, file: BinaryIO) -> None:
    """Write a table that was accepted."""
    import pyarrow as pa

    with pa.ipc.new_file(file, value.schema) as writer:
        writer.write_table(value)


def read(path: Path) -> Any:
    """The table. Nothing in it can be changed, so it lies over the file itself."""
    import pyarrow as pa

    with path.open("rb") as file:
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return pa.ipc.open_file(pa.py_buffer(memory)).read_all()


def exact_type(kind: Any) -> bool:
    """Whether an IPC file keeps arrays of this type exactly: flat types, and lists and structs of them."""
    import pyarrow as pa

    types = pa.types
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return exact_type(kind.value_type) and not types.is_dictionary(kind.value_type)
    if types.is_struct(kind):
        inner = [kind.field(at).type for at in range(kind.num_fields)]
        return all(exact_type(each) and not types.is_dictionary(each) for each in inner)
    if types.is_dictionary(kind):
        return types.is_integer(kind.index_type) and _flat(kind.value_type, types)
    return _flat(kind, types)


def _flat(kind: Any, types: Any) -> bool:
    text = types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind) or types.is_large_binary(kind)
    number = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind)
    return bool(text or number or types.is_temporal(kind) or types.is_null(kind) or types.is_fixed_size_binary(kind))
