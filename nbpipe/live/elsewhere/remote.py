"""A value that stayed on the target where a cell computed it: what its name is bound to until a cell uses it."""

from __future__ import annotations

import dataclasses
import html
from typing import TYPE_CHECKING, Any, NoReturn

from nbpipe.errors import UsageError
from nbpipe.history.difference.sizes import size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nbpipe.model import Artifact

#: What Python, numpy and front-ends may ask of any object, and would take an answer of a handle for the value's.
_ASKED = (
    "eq ne lt le gt ge str format bool len iter next reversed contains getitem setitem delitem call setattr delattr "
    "index int float complex bytes round trunc floor ceil neg pos abs invert enter exit aenter aexit await aiter anext "
    "array array_ufunc array_function fspath length_hint"
)
_BINARY = "add sub mul matmul truediv floordiv mod divmod pow lshift rshift and or xor"
#: Displays ask for methods of such names, and take any error for "shows nothing".
_DISPLAY = ("__", "_repr_", "_ipython_")


@dataclasses.dataclass(frozen=True, eq=False)
class Remote:
    """What is known of a value that stayed on a target."""

    name: str
    artifact: Artifact = dataclasses.field(repr=False)
    #: Of the result that it belongs to, and the root of its project.
    key: str = dataclasses.field(default="", repr=False)
    root: str = dataclasses.field(default="", repr=False)
    #: The definitions that it is made with, as they were when it was computed.
    needs: Mapping[str, Any] = dataclasses.field(default_factory=dict, repr=False)
    bring: Callable[[RemoteValue], Any] | None = dataclasses.field(default=None, repr=False)

    @property
    def type(self) -> str:
        """Qualified name of the value's type."""
        return self.artifact.type

    @property
    def summary(self) -> dict[str, Any]:
        """What is known of the value: shape, dtype, columns, length."""
        return dict(self.artifact.summary)

    @property
    def bytes(self) -> int:
        """Size of the value as it is stored."""
        return self.artifact.size

    @property
    def target(self) -> str:
        """Name of the target that has it."""
        return self.artifact.on


class RemoteValue:
    """Stands for a value that lies in the store of a target, until a cell that may use it is run.

    It is no proxy: before that cell runs, the value takes its place. `remote` says what is known of it: `name`, `type`,
    `summary`, `bytes`, `target`. Whoever uses it where nobody could see that coming gets a UsageError.
    """

    __slots__ = ("__weakref__", "remote")

    remote: Remote

    def __init__(self, name: str, artifact: Artifact, **known: Any) -> None:
        object.__setattr__(self, "remote", Remote(name, artifact, **known))

    def load(self) -> Any:
        """The value, which is bound to its name from now on. Raises NbpipeError where it cannot be had."""
        if self.remote.bring is None:
            raise UsageError(f"{self!r} belongs to no kernel")
        return self.remote.bring(self)

    def __repr__(self) -> str:
        known = self.remote
        return f"<{known.name}: {known.type}, {size_text(known.bytes)} on {known.target}; loads when a cell uses it>"

    def _repr_html_(self) -> str:
        known = self.remote
        more = "".join(f", {html.escape(str(key))} {html.escape(str(text))}" for key, text in known.summary.items())
        return (
            f"<code>{html.escape(known.name)}</code>: {html.escape(known.type)}{more}<br>"
            f"{size_text(known.bytes)} on <b>{html.escape(known.target)}</b>, loads when a cell uses it"
        )

    __hash__ = object.__hash__

    def __getattr__(self, name: str) -> NoReturn:
        # Not an AttributeError, where it may be an attribute of the value: `hasattr` would say that it has none.
        raise AttributeError(_text(self)) if name.startswith(_DISPLAY) else _error(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"'{self.remote.name}' is still on {self.remote.target}: only the value itself can be stored")


def _text(handle: RemoteValue) -> str:
    return f"'{handle.remote.name}' is still on {handle.remote.target}, and was used where nobody could see it coming"


def _error(handle: RemoteValue) -> UsageError:
    return UsageError(_text(handle), fix=f"Name it in the cell that uses it, or call {handle.remote.name}.load().")


def _refuse(handle: RemoteValue, *_: object, **__: object) -> NoReturn:
    raise _error(handle)


for _asked in (*_ASKED.split(), *(f"{side}{name}" for name in _BINARY.split() for side in ("", "r", "i"))):
    setattr(RemoteValue, f"__{_asked}__", _refuse)
