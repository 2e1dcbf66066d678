"""Which of several pipes and sockets have something to read, however many files a process has open."""

from __future__ import annotations

import select
from collections.abc import Iterable
from socket import socket


def readable(ends: Iterable[socket | int], seconds: float) -> set[int]:
    """Descriptors of those that have something to read, or have ended; waits up to `seconds` for the first.

    Not `select.select`, which refuses descriptors from 1024 on. Raises ValueError for a socket that is closed.
    """
    heard = select.poll()
    for end in ends:
        heard.register(end, select.POLLIN)
    return {descriptor for descriptor, _ in heard.poll(seconds * 1000)}
