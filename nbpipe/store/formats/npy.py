"""NumPy arrays as `.npy` files, memory-mapped copy-on-write; and how NumPy's values are digested.

The digest of an array is made from the hash of its `.npy` file, so writing the file digests the array too.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from nbpipe.store.base import HashingSink
from nbpipe.store.digest import Digester, Undigestable, npy_digest

if TYPE_CHECKING:
    import numpy as np

    from nbpipe.model import Artifact
    from nbpipe.store.base import ObjectStore

_ROWS = 4 << 20


class Npy:
    """One `.npy` file, version 1.0, or 2.0 where the header is long."""

    name = "npy"

    def accepts(self, value: Any) -> bool:
        """Plain contiguous writeable arrays whose dtype the header holds exactly."""
        if type(value).__module__ != "numpy" or type(value).__name__ != "ndarray":
            return False
        contiguous = value.flags.c_contiguous or value.flags.f_contiguous
        return bool(contiguous and value.flags.writeable and value.flags.aligned and _describable(value.dtype))

    def save(self, value: Any, objects: ObjectStore) -> tuple[tuple[str, ...], str | None]:
        """One object, hashed as it is written; the array is not copied."""
        digest, _ = objects.put_stream(lambda file: _write(value, file))
        return (digest,), npy_digest(digest, writeable=True)

    def load(self, artifact: Artifact, objects: ObjectStore) -> Any:
        """The array, mapped: pages are read when touched and copied when written."""
        import numpy as np

        path = objects.local_path(artifact.objects[0])
        with path.open("rb") as file:
            header = _read_header(file)
            offset = file.tell()
        shape, fortran, dtype = header
        if 0 in shape or dtype.itemsize == 0:
            return np.empty(shape, dtype=dtype, order="F" if fortran else "C")
        mapped = np.memmap(
            path, dtype=dtype, mode="c", offset=offset, shape=shape or (1,), order="F" if fortran else "C"
        )
        return np.asarray(mapped).view(np.ndarray).reshape(shape, order="A")


def _read_header(file: BinaryIO) -> Any:
    from numpy.lib import format as npy

    version = npy.read_magic(file)
    return npy.read_array_header_1_0(file) if version == (1, 0) else npy.read_array_header_2_0(file)


def _header(array: np.ndarray[Any, Any]) -> bytes:
    from numpy.lib import format as npy

    fields = npy.header_data_from_array_1_0(array)
    if not (array.flags.c_contiguous or array.flags.f_contiguous):
        fields["fortran_order"] = False
    buffer = io.BytesIO()
    try:
        npy.write_array_header_1_0(buffer, fields)
    except ValueError:
        buffer = io.BytesIO()
        npy.write_array_header_2_0(buffer, fields)
    return buffer.getvalue()


def _write(array: np.ndarray[Any, Any], file: BinaryIO) -> None:
    import numpy as np

    file.write(_header(array))
    if array.size == 0 or array.dtype.itemsize == 0:
        return
    if array.flags.c_contiguous or array.flags.f_contiguous:
        flat = array if array.flags.c_contiguous else array.T
        file.write(_raw(flat))
        return
    rows = max(1, _ROWS // max(1, array[:1].nbytes))
    for start in range(0, len(array), rows):
        part = np.ascontiguousarray(array[start : start + rows])
        file.write(_raw(part))


def _raw(array: Any) -> bytes:
    """The bytes of a C-contiguous array, not copied; fit for `write` and for a hash."""
    import numpy as np

    return cast("bytes", memoryview(array.reshape(-1).view(np.uint8)))


def _describable(dtype: np.dtype[Any]) -> bool:
    from numpy.lib import format as npy

    if dtype.hasobject or dtype.metadata is not None or dtype.kind not in "biufcSUVmM" or dtype.isalignedstruct:
        return False
    if dtype.names is not None and not str(dtype.fields).isascii():
        return False
    try:
        return bool(npy.descr_to_dtype(npy.dtype_to_descr(dtype)) == dtype and dtype.type.__module__ == "numpy")
    except (TypeError, ValueError):
        return False


def bytes_digest(array: np.ndarray[Any, Any]) -> str:
    """Hash of the `.npy` file the array would make."""
    sink = HashingSink()
    _write(array, cast("BinaryIO", sink))
    return sink.hexdigest()


def digest_array(digester: Digester, array: Any) -> None:
    """Dtype, shape, order, write flag and contents; objects one by one; subclasses with what they add."""
    import numpy as np

    if digester.met(array):
        return
    if array.size and not array.dtype.hasobject:
        from numpy.lib.array_utils import byte_bounds

        digester.memory(*byte_bounds(array))
    if type(array) is not np.ndarray:
        digester.token(b"ndarray subclass")
        digester.add(type(array))
        if isinstance(array, np.ma.MaskedArray):
            digester.add((np.asarray(array.data), np.asarray(np.ma.getmaskarray(array)), array.mask is np.ma.nomask))
            digester.add((array.fill_value, array.hardmask))
            return
        digester.add(dict(vars(array)) if hasattr(array, "__dict__") else {})
        array = np.asarray(array)
    if array.dtype.hasobject or not _describable(array.dtype):
        if array.dtype.kind == "V" and array.dtype.hasobject:
            raise Undigestable("a structured array with object fields")
        digest_dtype(digester, array.dtype)
        order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
        digester.text(b"objects", repr(array.shape), order, str(array.flags.writeable))
        if array.dtype.hasobject or array.dtype.kind == "T":
            digester.add(tuple(array.ravel().tolist()) if array.dtype.kind != "T" else tuple(map(str, array.ravel())))
        else:
            digester.token(b"raw", np.ascontiguousarray(array).tobytes())
        return
    digester.text(b"npy", bytes_digest(array), "w" if array.flags.writeable else "r")


def digest_scalar(digester: Digester, value: Any) -> None:
    """A NumPy scalar: dtype and bytes."""
    digester.token(b"scalar")
    digest_dtype(digester, value.dtype)
    if value.dtype.hasobject:
        digester.add(value.item())
    else:
        digester.token(b"raw", value.tobytes())


def digest_dtype(digester: Digester, dtype: Any) -> None:
    """Everything a dtype says: byte order, fields, offsets, metadata."""
    function, arguments, state = dtype.__reduce__()
    digester.text(b"dtype", type(dtype).__name__, str(dtype), str(function), repr(arguments[:1]), repr(state))


FORMAT = Npy()
