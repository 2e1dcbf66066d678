"""A value that stayed on the target where a cell computed it: what its name is bound to until a cell uses it."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any, NoReturn

from nbpipe.history.difference.sizes import size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nbpipe.model import Artifact


class RemoteValue:
    """Stands for a value that lies in the store of a target, until a cell that may use it is run.

    It is no proxy: before that cell runs, the value takes its place. `name`, `type` (qualified), `summary` (shape, columns,
    length …), `bytes`, `target`. Whoever uses it where nobody could see that coming gets an error.
    """

    __slots__ = ("__weakref__", "_artifact", "_bring", "_key", "_needs", "_root", "name")

    def __init__(
        self,
        name: str,
        artifact: Artifact,
        *,
        key: str = "",
        root: str = "",
        needs: Mapping[str, Any] | None = None,
        bring: Callable[[RemoteValue], Any] | None = None,
    ) -> None:
        self.name = name
        self._artifact = artifact
        #: Of the result that it belongs to, and the root of its project.
        self._key = key
        self._root = root
        #: The definitions that it is made with, as they were when it was computed.
        self._needs = dict(needs or {})
        self._bring = bring

    @property
    def type(self) -> str:
        """Qualified name of the value's type."""
        return self._artifact.type

    @property
    def summary(self) -> dict[str, Any]:
        """What is known of the value: shape, dtype, columns, length."""
        return dict(self._artifact.summary)

    @property
    def bytes(self) -> int:
        """Size of the value as it is stored."""
        return self._artifact.size

    @property
    def target(self) -> str:
        """Name of the target that has it."""
        return self._artifact.on

    def load(self) -> Any:
        """The value, which is bound to its name from now on. Raises NbpipeError where it cannot be had."""
        if self._bring is None:
            raise RuntimeError(f"{self!r} belongs to no kernel")
        return self._bring(self)

    def __repr__(self) -> str:
        return f"<{self.name}: {self.type}, {size_text(self.bytes)} on {self.target}; loads when a cell uses it>"

    def _repr_html_(self) -> str:
        known = "".join(f", {html.escape(str(key))} {html.escape(str(text))}" for key, text in self.summary.items())
        return (
            f"<code>{html.escape(self.name)}</code>: {html.escape(self.type)}{known}<br>"
            f"{size_text(self.bytes)} on <b>{html.escape(self.target)}</b>, loads when a cell uses it"
        )

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"'{self.name}' is still on {self.target}, and was used outside of a cell: .load() brings it"
        )

    def __bool__(self) -> NoReturn:
        raise TypeError(f"'{self.name}' is still on {self.target}, and was used outside of a cell: .load() brings it")

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"'{self.name}' is still on {self.target}: only the value itself can be stored")
