"""How a cell ended, as IPython tells it: status, error, line, outputs. Runs no code of the user's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbpipe.errors import CheckRejected
from nbpipe.live.facts import type_name
from nbpipe.tracking.trial import TrialError, TrialStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType, TracebackType

#: Characters of outputs that a trial keeps, and of an error's message.
LIMIT = 100_000
_EVALUE = 2000
_STREAMS = {"out_stream": "stdout", "err_stream": "stderr"}
_RESULTS = ("display_data", "execute_result")
#: Kinds of data that are kept, the most telling ones first.
_KINDS = ("text/plain", "image/png", "image/svg+xml", "image/jpeg", "text/markdown", "text/latex", "text/html")
_PLAIN = (str, int, float, bool, type(None))


def status_of(result: Any) -> TrialStatus:
    """How it ended."""
    error = result.error_before_exec or result.error_in_exec
    if error is None:
        return "succeeded"
    if isinstance(error, CheckRejected):
        return "rejected"
    return "cancelled" if isinstance(error, KeyboardInterrupt) else "failed"


def error_of(result: Any, namespace: Mapping[str, Any], stored: Any) -> TrialError | None:
    """The error and the line of the cell it passed through. `stored` is what IPython keeps of it, if it does."""
    error = result.error_before_exec or result.error_in_exec
    if error is None:
        return None
    line = _line(error.__traceback__, namespace)
    if line is None and isinstance(error, SyntaxError) and type(error.lineno) is int:
        line = error.lineno
    return TrialError(
        ename=type_name(type(error)).rpartition(".")[2], evalue=_message(error, stored)[:_EVALUE], line=line
    )


def _message(error: BaseException, stored: Any) -> str:
    told = stored.get("evalue") if type(stored) is dict else None
    if type(told) is str:
        return told
    args = BaseException.__dict__["args"].__get__(error)
    own = type.__getattribute__(type(error), "__str__") in (BaseException.__str__, CheckRejected.__str__)
    return str(error) if own and type(args) is tuple and all(type(item) in _PLAIN for item in args) else ""


def _line(traceback: TracebackType | None, namespace: Mapping[str, Any]) -> int | None:
    """Line of the innermost frame that is code of the cell itself."""
    frames = list(_frames(traceback))
    own = next((frame.f_code.co_filename for frame, _ in frames if frame.f_globals is namespace), None)
    lines = [line for frame, line in frames if frame.f_code.co_filename == own]
    return lines[-1] if own is not None and lines else None


def _frames(traceback: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while traceback is not None:
        yield traceback.tb_frame, traceback.tb_lineno
        traceback = traceback.tb_next


def outputs_of(kept: Any, clean: Callable[[str], str] = str) -> tuple[list[dict[str, Any]], bool]:
    """Nbformat outputs from what IPython itself keeps of a cell's outputs, and whether something was left out.

    `clean` takes secrets out of a text, before it is shortened: half a secret could not be found any more.
    """
    left = LIMIT
    out: list[dict[str, Any]] = []
    cut = False
    for item in kept or ():
        if item.output_type in _STREAMS:
            text = clean("".join(part for part in item.bundle.get("stream", ()) if type(part) is str))
            shown = text[:left]
            cut |= len(shown) < len(text)
            left -= len(shown)
            if shown:
                out.append({"output_type": "stream", "name": _STREAMS[item.output_type], "text": shown})
        elif item.output_type in _RESULTS:
            data = {}
            for kind in _KINDS:
                value = item.bundle.get(kind)
                if type(value) is bytes and kind.startswith("image/"):
                    value = _base64(value)
                if type(value) is not str:
                    continue
                value = clean(value)
                if len(value) > left:
                    cut = True
                    continue
                left -= len(value)
                data[kind] = value
            if data:
                out.append({"output_type": item.output_type, "data": data, "metadata": {}})
    return out, cut


def _base64(data: bytes) -> str:
    from base64 import b64encode

    return b64encode(data).decode()
