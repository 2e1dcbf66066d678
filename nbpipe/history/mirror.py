"""Keeps the rows of a tracking server in the index, so that a question is not a journey each time.

A server with more runs than are kept is asked anew for each question, with what MLflow can filter.
"""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from nbpipe.history.index import Index, memory_index
from nbpipe.history.pushdown import mlflow_filter
from nbpipe.history.remote import remote_entries, unreachable
from nbpipe.tracking.mlflow import client, tracking_uri

if TYPE_CHECKING:
    from nbpipe.history.search import Query
    from nbpipe.run.project import Project

#: Rows kept, or looked at for one question: the newest.
MOST = 10_000
#: Seconds for which the answer of a moment ago is good enough: somebody is typing.
FRESH = 2.0
#: Seconds after which everything is read again: runs were deleted, or delivered long after they began.
_STALE = 600.0
#: Runs that began so many seconds before the newest one known are looked at again each time.
_WINDOW = 86400.0
_PLACE = "mlflow"
_KINDS = ("run", "trial")


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the server; times are seconds since the epoch."""

    uri: str
    asked: float = 0.0
    #: When everything was read; 0 for never.
    read: float = 0.0
    newest: float = 0.0
    #: It has more runs than are kept.
    large: bool = False
    problem: str = ""


def mirror(index: Index, project: Project, query: Query) -> tuple[Index, tuple[str, ...]]:
    """An index with the server's rows, and what could not be asked.

    It is `index` itself, or one made for this question where the server is large: that is for the caller to close.
    """
    uri = tracking_uri(project.root)
    try:
        seen = msgspec.json.decode(index.stamp(_PLACE), type=_Seen)
    except msgspec.MsgspecError:
        seen = _Seen(uri=uri)
    if seen.uri != uri:
        index.put((), gone=index.remote(), stamps=[(_PLACE, "")])
        seen = _Seen(uri=uri)
    now = time.time()
    if not seen.large and 0 <= now - seen.asked < FRESH:
        return index, ((seen.problem,) if seen.problem else ())
    if (why := unreachable(uri)) is None:
        try:
            if not seen.large or now - seen.read > _STALE:
                seen = _refresh(index, project, seen)
            if seen.large:
                return _apart(index, project, query)
        except Exception as error:  # noqa: BLE001 - whatever MLflow, its database or the network raises, the other rows are shown
            why = f"MLflow cannot be asked: {type(error).__name__}: {str(error)[:200]}"
    now_seen = msgspec.structs.replace(seen, asked=time.time(), problem=why or "")
    index.put((), stamps=[(_PLACE, msgspec.json.encode(now_seen).decode())])
    return index, ((why,) if why else ())


def _refresh(index: Index, project: Project, seen: _Seen) -> _Seen:
    """Read what is new, or everything; the index then has it."""
    now = time.time()
    everything = now - seen.read > _STALE
    since = 0.0 if everything else max(seen.newest - _WINDOW, 0.0)
    filters = [f"tags.`nbpipe.kind` = '{kind}' AND attributes.start_time >= {int(since * 1000)}" for kind in _KINDS]
    entries = list(islice(remote_entries(client(project.root), filters), MOST + 1))
    if len(entries) > MOST:
        index.put((), gone=index.remote(), stamps=[(_PLACE, "")])
        large = _Seen(uri=seen.uri, read=now, large=True)
        index.put((), stamps=[(_PLACE, msgspec.json.encode(large).decode())])
        return large
    found = {entry.summary.run for entry in entries}
    index.put(index.changed(entries), gone=[run for run in index.remote(since) if run not in found])
    newest = max([seen.newest, *(entry.summary.started for entry in entries)])
    return _Seen(uri=seen.uri, read=now if everything else seen.read, newest=newest)


def _apart(index: Index, project: Project, query: Query) -> tuple[Index, tuple[str, ...]]:
    """An index in memory with the local rows and the newest of the server's that may meet the question."""
    filters = [mlflow_filter(query, kind) for kind in query.kinds or _KINDS]
    entries = list(islice(remote_entries(client(project.root), filters), MOST + 1))
    more = f"of the runs that MLflow knows only the newest {MOST:,} were looked at"
    made = memory_index(index)
    made.put(entries[:MOST])
    return made, ((more,) if len(entries) > MOST else ())
