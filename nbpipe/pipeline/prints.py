"""Fingerprints of code, remembered: code that was seen before is not parsed again, in this process or in the next."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from blake3 import blake3

from nbpipe.dataflow import shelf
from nbpipe.dataflow.transform import normalized

#: Fingerprints that are kept in a process; with one more than that all go.
MOST = 100_000
#: Characters of a notebook's code from which on they are kept between processes: less is parsed sooner than looked up.
LARGE = 10_000


class Prints:
    """Code -> the hash of its normal form.

    Responsibilities: remembers by a digest of the code itself. Must not know what the code belongs to.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, str] = {}

    def of(self, body: str) -> str:
        """The hash of the normalised code."""
        key = _key(body)
        found = self._known.get(key)
        return found if found is not None else self._learn(key, digest(normalized(body)))

    def prepare(self, place: str, bodies: Iterable[str]) -> None:
        """Know these, which are all that a notebook has; `place` names it, and says under which name they are kept.

        What was kept is asked by the code: the fingerprint of a cell that has changed is not there.
        """
        wanted = {_key(body): body for body in bodies}
        if sum(map(len, wanted.values())) < LARGE or wanted.keys() <= self._known.keys():
            return
        kept = _kept(place)
        found = {
            key: self._known.get(key) or self._learn(key, kept.get(key) or digest(normalized(body)))
            for key, body in wanted.items()
        }
        if found.keys() != kept.keys():
            shelf.keep("prints", _name(place), msgspec.msgpack.encode(found))

    def _learn(self, key: bytes, found: str) -> str:
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[key] = found
        return found


def digest(text: str) -> str:
    """blake3 of the text, hex; a lone surrogate counts like any other character."""
    return blake3(text.encode("utf-8", "surrogatepass")).hexdigest()


def _key(body: str) -> bytes:
    return blake3(body.encode("utf-8", "surrogatepass")).digest()


def _kept(place: str) -> dict[bytes, str]:
    data = shelf.look_up("prints", _name(place))
    if data is None:
        return {}
    try:
        return msgspec.msgpack.decode(data, type=dict[bytes, str])
    except msgspec.MsgspecError:
        return {}  # of a layout that nobody knows any more


def _name(place: str) -> bytes:
    return place.encode("utf-8", "surrogatepass")
