"""DataFrames of polars, written and read by polars itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path


def accepts(value: Any) -> bool:
    """Frames in one piece whose types an IPC file keeps: not objects, and nothing with categories of its own."""
    import polars as pl

    return type(value) is pl.DataFrame and value.width > 0 and all(map(_exact, value.dtypes))


def write(value: Any, file: BinaryIO) -> None:
    """Write a frame that was accepted."""
    import polars as pl

    value.rechunk().write_ipc(file, compression="uncompressed", compat_level=pl.CompatLevel.newest())


def read(path: Path) -> Any:
    """The frame, over the mapped file: polars never changes a buffer that it did not make."""
    import polars as pl

    return pl.scan_ipc(path, glob=False).collect()


def _exact(kind: Any) -> bool:
    import polars as pl

    if isinstance(kind, (pl.List, pl.Array)):
        return _exact(kind.inner)
    if isinstance(kind, pl.Struct):
        return all(_exact(field.dtype) for field in kind.fields)
    text = isinstance(kind, (pl.String, pl.Binary, pl.Boolean, pl.Null, pl.Decimal))
    return text or bool(kind.is_numeric() or kind.is_temporal())
