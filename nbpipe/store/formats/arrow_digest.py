"""How Arrow's arrays are digested: neither chunking, nor offsets, nor what lies under a null counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbpipe.store.base import HashingSink

if TYPE_CHECKING:
    from nbpipe.store.digest import Digester


def digest_table(digester: Digester, table: Any) -> None:
    """A Table: its schema with all metadata, and its columns."""
    digester.token(b"table", table.schema.serialize())
    for column in table.columns:
        digest_arrow(digester, column)


def digest_polars(digester: Digester, frame: Any) -> None:
    """A DataFrame of polars: its columns."""
    if not digester.met(frame):
        digester.token(b"polars", b"%d" % frame.width)
        for series in frame.get_columns():
            _polars(digester, series)


def digest_polars_series(digester: Digester, series: Any) -> None:
    """A Series of polars."""
    if not digester.met(series):
        _polars(digester, series)


def _polars(digester: Digester, series: Any) -> None:
    """Name, type and contents. Categories by their text: their numbers depend on what the process met before."""
    import polars as pl

    digester.text(b"series", series.name, repr(series.dtype))
    if isinstance(series.dtype, (pl.Categorical, pl.Enum)):
        series = series.cast(pl.String)
    whole = series.rechunk()
    if "128" in repr(series.dtype):
        # Whole numbers of 128 bits are no type of Arrow's.
        digester.add(tuple(_frozen(item) for item in whole.to_list()))
    else:
        digest_arrow(digester, whole.to_arrow(compat_level=pl.CompatLevel.oldest()))


def _frozen(item: Any) -> Any:
    """Lists and dicts as tuples: which of them are one object is an accident here."""
    if isinstance(item, dict):
        return tuple((name, _frozen(inner)) for name, inner in item.items())
    return tuple(map(_frozen, item)) if isinstance(item, list) else item


def digest_arrow(digester: Digester, array: Any) -> None:
    """An Array or ChunkedArray: its type, and the Arrow IPC bytes of it in one piece, hashed as they are made."""
    import pyarrow as pa

    whole = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    pieces = whole.chunks if isinstance(whole, pa.ChunkedArray) else [whole]
    digester.text(b"arrow", str(array.type), str(len(array)))
    for piece in pieces:
        _piece(digester, piece, pa)


def _piece(digester: Digester, piece: Any, pa: Any) -> None:
    """Which are null, and the rest without them; lists and structs by their parts, which then know their parents' nulls."""
    import pyarrow.compute as pc

    types, kind = pa.types, piece.type
    if piece.null_count:
        digester.token(b"valid", _hashed(pc.is_valid(piece), pa))
    if types.is_struct(kind) and kind.num_fields:
        for part in piece.flatten():
            _piece(digester, part, pa)
    elif types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        digester.token(b"lengths", _hashed(pc.list_value_length(piece).fill_null(-1), pa))
        _piece(digester, piece.flatten(), pa)
    elif piece.null_count and not types.is_null(kind):
        digester.token(b"ipc", _hashed(piece.drop_null(), pa))
    else:
        digester.token(b"ipc", _hashed(piece, pa))


def _hashed(array: Any, pa: Any) -> bytes:
    sink = HashingSink()
    batch = pa.record_batch([array], names=[""])
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.hexdigest().encode()
