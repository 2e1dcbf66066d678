"""Pickle files: a pickle, its footer and its signature in one object; large buffers in objects of their own.

    pickle | footer (JSON) | length of the footer, 8 bytes little-endian | signature, 64 hex digits | b"nbpickle"

The footer lists the buffers (hash, read-only). The signature covers pickle and footer.
"""

from __future__ import annotations

import io
import mmap
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from nbpipe.errors import SecurityError
from nbpipe.store.reduction import Reducer, definition, new_function, resolve
from nbpipe.store.trust import PickleBuffer, Signer, dump, load_signed, may_hold_nan

if TYPE_CHECKING:
    from nbpipe.store.base import ObjectStore

MAGIC = b"nbpickle"
PURPOSE = "pickle"
#: Buffers from this size on are objects of their own, mapped when loaded.
LARGE = 64 << 10
#: A pickle up to this size is loaded again at once, to see that the value comes back.
CHECKED = 8 << 20
CHECKED_BUFFERS = 64 << 20
_TAIL = 8 + 64 + len(MAGIC)


def save(value: object, objects: ObjectStore, signer: Signer, reducer: Reducer) -> tuple[tuple[str, ...], int]:
    """Store `value`; return its objects, the pickle first, and their size. Raises what pickling raises."""
    stream, buffers = _dumped(value, reducer, LARGE)
    views = [buffer.raw() for buffer in buffers]
    stored = [objects.put_stream(lambda file, view=view: file.write(view))[0] for view in views]  # type: ignore[misc]
    footer = msgspec.json.encode({"buffers": list(zip(stored, [view.readonly for view in views], strict=True))})
    content = stream.getbuffer()
    signature = signer.sign(PURPOSE, [content, footer]).encode()
    tail = footer + len(footer).to_bytes(8, "little") + signature + MAGIC

    def write(file: Any) -> None:
        file.write(content)
        file.write(tail)

    main, size = objects.put_stream(write)
    return (main, *stored), size + sum(view.nbytes for view in views)


def _dumped(value: object, reducer: Reducer, large: int) -> tuple[io.BytesIO, list[PickleBuffer]]:
    """The pickle, and the buffers of at least `large` bytes that are not in it."""
    buffers: list[PickleBuffer] = []

    def keep(buffer: PickleBuffer) -> bool:
        outside = buffer.raw().nbytes >= large
        if outside:
            buffers.append(buffer)
        return not outside

    stream = io.BytesIO()
    dump(value, stream, reducer, keep)
    if may_hold_nan(stream.getvalue()):
        buffers.clear()
        stream = io.BytesIO()
        dump(value, stream, reducer, keep, naming=True)
    return stream, buffers


def load(main: str, objects: ObjectStore, signer: Signer, namespace: dict[str, Any]) -> Any:
    """The value. Hashes and signature are checked first; notebook definitions come from `namespace`."""
    content, footer, signature = _checked(main, objects.get_bytes(main), signer)
    listed = msgspec.json.decode(footer, type=dict[str, list[tuple[str, bool]]])["buffers"]
    return load_signed(
        io.BytesIO(content),
        signer=signer,
        purpose=PURPOSE,
        signed=[content, footer],
        signature=signature,
        buffers=[map_object(objects, digest, readonly=readonly) for digest, readonly in listed],
        bound=bindings(namespace),
    )


def resigned(main: str, objects: ObjectStore, signer: Signer, other: Signer) -> bytes:
    """The bytes of the pickle `main`, which `signer` signed, signed by `other` instead. Raises SecurityError."""
    content, footer, _ = _checked(main, objects.get_bytes(main), signer)
    signature = other.sign(PURPOSE, [content, footer]).encode()
    return b"".join((content, footer, len(footer).to_bytes(8, "little"), signature, MAGIC))


def _checked(main: str, data: bytes, signer: Signer) -> tuple[memoryview, memoryview, str]:
    """Pickle, footer and signature, once that was checked; nothing of them was interpreted. Raises SecurityError."""
    length = int.from_bytes(data[-_TAIL : -_TAIL + 8], "little") if data.endswith(MAGIC) and len(data) >= _TAIL else -1
    if not 0 <= length <= len(data) - _TAIL:
        raise SecurityError(f"object {main[:12]}… is not a signed pickle", name=main)
    end = len(data) - _TAIL
    content, footer = memoryview(data)[: end - length], memoryview(data)[end - length : end]
    signature = data[end + 8 : end + 72].decode("ascii", "replace")
    if not signer.check(PURPOSE, [content, footer], signature):
        raise SecurityError(
            "a stored pickle was not signed with this user's or team's key, so it is not loaded",
            name=main,
            fix="Run the stage that made it again, or set NBPIPE_STORE_KEY to the team's key.",
        )
    return content, footer, signature


def bindings(namespace: dict[str, Any]) -> dict[tuple[str, str], Any]:
    """What the names in a pickle mean for a loader with this namespace."""

    def function(module: str, code: bytes, name: str, qualname: str, cells: tuple[Any, ...]) -> Any:
        return new_function(module, code, name, qualname, cells, namespace if module == "__main__" else None)

    home = definition.__module__
    return {(home, "definition"): lambda name, code: resolve(name, code, namespace), (home, "new_function"): function}


def comes_back(value: object, signer: Signer, reducer: Reducer) -> object:
    """The value pickled and loaded again in memory; None if it is too large for that to be cheap."""
    stream, buffers = _dumped(value, reducer, 0)
    if stream.tell() > CHECKED or sum(buffer.raw().nbytes for buffer in buffers) > CHECKED_BUFFERS:
        return None
    content = stream.getvalue()
    signature = signer.sign("check", [content])
    bound = bindings(vars(sys.modules["__main__"]))
    return load_signed(
        io.BytesIO(content),
        signer=signer,
        purpose="check",
        signed=[content],
        signature=signature,
        buffers=buffers,
        bound=bound,
    )


def map_object(objects: ObjectStore, digest: str, *, readonly: bool) -> Any:
    """The object's bytes, mapped: read-only, or copied page by page when written."""
    path = objects.local_path(digest)
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ if readonly else mmap.ACCESS_COPY)


def failure(value: object) -> Exception | None:
    """What pickling `value` alone raises."""
    try:
        dump(value, io.BytesIO(), Reducer(value))
    except Exception as error:  # noqa: BLE001 - it is what the caller asked for
        return error
    return None
