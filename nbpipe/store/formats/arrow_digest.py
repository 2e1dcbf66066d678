"""How Arrow's arrays are digested: neither chunking, nor offsets, nor what lies under a null counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbpipe.store.digest import Digester


def digest_arrow(digester: Digester, array: Any) -> None:
    """An Array or ChunkedArray: its type, and the Arrow IPC bytes of it in one piece."""
    import pyarrow as pa

    whole = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    pieces = whole.chunks if isinstance(whole, pa.ChunkedArray) else [whole]
    digester.text(b"arrow", str(array.type), str(len(array)))
    for piece in pieces:
        _piece(digester, piece, pa)


def _piece(digester: Digester, piece: Any, pa: Any) -> None:
    import pyarrow.compute as pc

    if piece.null_count and (pa.types.is_primitive(piece.type) and not pa.types.is_boolean(piece.type)):
        digester.token(b"valid", _buffer(pc.is_valid(piece), pa))
        piece = pc.fill_null(
            piece,
            pa.scalar(0, pa.int64()).cast(piece.type, safe=False)
            if _numeric(piece, pa)
            else piece.drop_null()[0]
            if piece.null_count < len(piece)
            else pa.scalar(None, piece.type),
        )
    digester.token(b"ipc", _buffer(piece, pa))


def _numeric(piece: Any, pa: Any) -> bool:
    return bool(pa.types.is_integer(piece.type) or pa.types.is_floating(piece.type))


def _buffer(array: Any, pa: Any) -> Any:
    sink = pa.BufferOutputStream()
    batch = pa.record_batch([array], names=[""])
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()
