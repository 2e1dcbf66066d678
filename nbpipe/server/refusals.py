"""Why a request is refused, and with which status of HTTP."""

from __future__ import annotations

from nbpipe.errors import (
    NbpipeError,
    NotebookError,
    PipelineError,
    SecurityError,
    StoreError,
    TargetError,
    UsageError,
)


class Refused(NbpipeError):
    """The server itself says no. `status` is the answer's, `code` as in `docs/formats/rest.md`."""

    def __init__(self, status: int, code: str, message: str, *, fix: str = "", name: str | None = None) -> None:
        super().__init__(message, fix=fix, name=name)
        self.status = status
        self.code = code


#: The first that an error is.
_STATUS: tuple[tuple[type[NbpipeError], int], ...] = (
    (UsageError, 400),
    (NotebookError, 422),
    (PipelineError, 422),
    (SecurityError, 403),
    (StoreError, 503),
    (TargetError, 503),
)


def status_of(error: NbpipeError) -> int:
    """The status that an error is answered with."""
    if isinstance(error, Refused):
        return error.status
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 409)


def not_found(what: str) -> Refused:
    """The path or the run is not there, or is not to be seen."""
    return Refused(404, "not-found", what)
