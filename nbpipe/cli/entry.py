"""The command line's first step: a command that only looks is answered by the warm parent of kernels, if there is one.

That process has imported what the command needs, and forks a child that answers with this process's environment, folder,
terminal and arguments. What it cannot answer (a run that has something to do), and everything where there is no such
process, goes its ordinary way. Imports little.
"""

from __future__ import annotations

import os
import sys

#: Commands that only look. A run looks first whether it has anything to do.
_ASKED = ("run", "plan")
_NOT = ("--detach", "--smoke-first", "--debug", "--run-id", "--fresh", "--on")
#: Where one of these says that nothing is kept warm, nothing is asked.
_SWITCHES = {"NBPIPE_KEEP_WARM": ("", "0", "off"), "NBPIPE_FORK": ("0",)}


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        code = _answered(sys.argv[1:])
    except KeyboardInterrupt:
        sys.stderr.write("nbpipe: interrupted\n")
        code = 130
    if code is None:
        from nbpipe.cli.main import main as run

        run()
    sys.exit(code)


def _answered(argv: list[str]) -> int | None:
    """The exit code, once a warm parent has answered the command; None where this process has to do it itself."""
    looks = (
        bool(argv) and (argv[0] in _ASKED or argv[-1] in {"--help", "-h"}) and not any(word in _NOT for word in argv)
    )
    if sys.platform != "linux" or not looks or any(os.environ.get(name) in off for name, off in _SWITCHES.items()):
        return None
    from nbpipe.job import sockets

    place = sockets.folder()
    found = sorted(name for name in os.listdir(place) if name.endswith(".sock")) if place else []  # noqa: PTH208
    if not found:
        return None
    own = sockets.process()
    for name in found:
        if name.startswith(own):
            return _ask(f"{place}/{name}", argv)
    return None


def _ask(place: str, argv: list[str]) -> int | None:
    import json
    import signal
    import socket

    said = {"argv": argv, "env": {**os.environ}, "cwd": os.getcwd()}  # noqa: PTH109
    answer = b""

    def interrupt(*_: object) -> None:
        """Who answers has the terminal, and says itself that it was interrupted."""
        if b"\n" not in answer:
            raise KeyboardInterrupt
        os.kill(int(answer.partition(b"\n")[0]), signal.SIGINT)

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        with socket.socket(socket.AF_UNIX) as channel:
            channel.connect(place)
            socket.send_fds(channel, [json.dumps(said).encode() + b"\n"], [0, 1, 2])
            while not answer.endswith(b"}\n") and (data := channel.recv(4096)):
                answer += data
        code = json.loads(answer.partition(b"\n")[2])["code"]
    except (OSError, ValueError, KeyError):
        return None
    finally:
        signal.signal(signal.SIGINT, before)
    return code if isinstance(code, int) else None
