"""A command line that only looks, answered by a fork of the warm parent, for the process that asks.

It has that process's variables, folder and open files. What it says goes to them; its exit code goes to the socket, after its
process id, for a Ctrl-C. A run that has something to do is not begun here, and nothing is said of it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Sequence

from nbpipe.cli.main import interrupted, run
from nbpipe.run.uptodate import LOOKING, Unsettled


def answer(channel: socket.socket, argv: Sequence[str]) -> int:
    """Answer; the exit code of this process, which is nobody's."""
    # From now on a Ctrl-C is noted, and heard when there is somebody to say it to.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, signal.default_int_handler)
    channel.sendall(b"%d\n" % os.getpid())
    _, files, _, _ = socket.recv_fds(channel, 1, 3)
    if len(files) != 3:  # noqa: PLR2004 - standard input, output and error
        return 1
    for number, given in enumerate(files):
        os.dup2(given, number)
        os.close(given)
    # As Python makes them of a process's own.
    sys.stdin = open(0, encoding=sys.stdin.encoding, errors=sys.stdin.errors, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, encoding=sys.stderr.encoding, errors=sys.stderr.errors, closefd=False)  # noqa: SIM115
    LOOKING.set(True)
    try:
        code = _run(argv)
    except Unsettled:
        return 0
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    channel.sendall(json.dumps({"code": code}).encode() + b"\n")
    return 0


def _run(argv: Sequence[str]) -> int:
    """As the command would; also where a Ctrl-C comes before it has begun."""
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        code = run(list(argv))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:
        return interrupted(argv)
    return code
