"""Formats by type: how a value becomes objects and comes back, and how values of a library are digested.

A format is an object that satisfies `Format`, named by an entry point of the group `nbpipe.formats`; the built-in ones
are named the same way in `BUILTIN`. They are asked in order, safe ones first; pickle takes what all others refuse.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbpipe.model import Artifact
    from nbpipe.store.base import ObjectStore

GROUP = "nbpipe.formats"
#: Name -> module:attribute, in the order in which they are asked.
BUILTIN = {
    "json": "nbpipe.store.formats.plain:FORMAT",
    "module": "nbpipe.store.formats.modules:FORMAT",
    "npy": "nbpipe.store.formats.npy:FORMAT",
    "arrow": "nbpipe.store.formats.arrow:FORMAT",
    "safetensors": "nbpipe.store.formats.safetensors:FORMAT",
}
#: Qualified name of a type (as in its MRO) -> module:function that digests its values.
DIGESTS = {
    "numpy.ndarray": "nbpipe.store.formats.npy:digest_array",
    "numpy.generic": "nbpipe.store.formats.npy:digest_scalar",
    "numpy.dtype": "nbpipe.store.formats.npy:digest_dtype",
    "pandas.DataFrame": "nbpipe.store.formats.pandas_digest:digest_frame",
    "pandas.Series": "nbpipe.store.formats.pandas_digest:digest_series",
    "pandas.Index": "nbpipe.store.formats.pandas_digest:digest_index",
    "pandas.api.extensions.ExtensionArray": "nbpipe.store.formats.pandas_digest:digest_extension",
    "pandas.core.arrays.base.ExtensionArray": "nbpipe.store.formats.pandas_digest:digest_extension",
    "pandas.core.frame.DataFrame": "nbpipe.store.formats.pandas_digest:digest_frame",
    "pandas.core.series.Series": "nbpipe.store.formats.pandas_digest:digest_series",
    "pandas.core.indexes.base.Index": "nbpipe.store.formats.pandas_digest:digest_index",
    "polars.dataframe.frame.DataFrame": "nbpipe.store.formats.arrow_digest:digest_polars",
    "polars.series.series.Series": "nbpipe.store.formats.arrow_digest:digest_polars_series",
    "pyarrow.lib.Table": "nbpipe.store.formats.arrow_digest:digest_table",
    "torch.Tensor": "nbpipe.store.formats.tensors:digest_tensor",
    "torch._tensor.Tensor": "nbpipe.store.formats.tensors:digest_tensor",
    "torch._C.Generator": "nbpipe.store.formats.tensors:digest_generator",
    "torch.dtype": "nbpipe.store.formats.tensors:digest_atom",
    "torch.device": "nbpipe.store.formats.tensors:digest_atom",
    "torch.layout": "nbpipe.store.formats.tensors:digest_atom",
    "torch.memory_format": "nbpipe.store.formats.tensors:digest_atom",
}


class Format(Protocol):
    """One way to store values of some types exactly."""

    #: Stands in `Artifact.format`; never changes once released.
    name: str

    def accepts(self, value: Any) -> bool:
        """Whether this very value comes back equal in value and type. Must be cheap for values of other types."""

    def save(self, value: Any, objects: ObjectStore) -> tuple[tuple[str, ...], str | None]:
        """Store it; return the hashes of its objects, and its digest if that fell off while writing."""

    def load(self, artifact: Artifact, objects: ObjectStore) -> Any:
        """The value, from objects that were verified."""


@lru_cache(maxsize=1)
def formats() -> dict[str, Format]:
    """All formats by name: the built-in ones, then those of other distributions, which cannot replace them."""
    found: dict[str, Format] = {name: _resolve(target) for name, target in BUILTIN.items()}
    for entry in of_others():
        if entry.name not in found:
            found[entry.name] = entry.load()
    return found


@lru_cache(maxsize=1)
def of_others() -> tuple[EntryPoint, ...]:
    """Formats of other distributions, not loaded: to look for them reads what every distribution says of itself."""
    return tuple(entry_points(group=GROUP))


def choose(value: object) -> Format | None:
    """The first format that takes the value; None if only pickle may."""
    return next((each for each in formats().values() if each.accepts(value)), None)


def digest_handler(kind: type) -> Callable[..., None] | None:
    """The function that digests values of `kind`, or of the nearest base that has one."""
    for base in kind.__mro__:
        target = DIGESTS.get(f"{base.__module__}.{base.__qualname__}")
        if target is not None:
            return _resolve(target)  # type: ignore[no-any-return]
    return None


def _resolve(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)
