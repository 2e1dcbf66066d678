"""The command line's first step: a command that only looks is answered by the warm parent of kernels, if there is one.

That process has imported what the command needs, and forks a child that answers with this process's environment, folder,
terminal and arguments. What it cannot answer (a run that has something to do), and everything where there is no such
process, goes its ordinary way. Imports little.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket

#: Commands that only look. A run looks first whether it has anything to do.
_ASKED = ("run", "plan")
#: Help takes no longer where the process itself gives it.
_NOT = ("--detach", "--smoke-first", "--debug", "--run-id", "--fresh", "--on", "--help", "-h")
#: Where one of these says that nothing is kept warm, nothing is asked.
_SWITCHES = {"NBPIPE_KEEP_WARM": ("", "0", "off"), "NBPIPE_FORK": ("0",)}
#: Seconds for somebody to be there who answers. Doing it itself takes no longer.
_PATIENCE = 0.5
_STEP = 0.2


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        code = _answered(sys.argv[1:])
    except KeyboardInterrupt:
        from nbpipe.cli.main import interrupted

        code = interrupted(sys.argv[1:])
    if code is None:
        from nbpipe.cli.main import main as run

        run()
    sys.exit(code)


def _answered(argv: list[str]) -> int | None:
    """The exit code, once a warm parent has answered the command; None where this process has to do it itself."""
    looks = bool(argv) and argv[0] in _ASKED and not any(word.partition("=")[0] in _NOT for word in argv)
    if sys.platform != "linux" or not looks or any(os.environ.get(name) in off for name, off in _SWITCHES.items()):
        return None
    from nbpipe.job import sockets

    try:
        for number in (0, 1, 2):
            os.fstat(number)
        place = sockets.folder()
        found = sorted(name for name in os.listdir(place) if name.endswith(".sock")) if place else []  # noqa: PTH208
        own = sockets.process() if found else ""
        name = next((name for name in found if name.startswith(own)), None)
        return _ask(f"{place}/{name}", argv) if name is not None else None
    except OSError:
        # Its folder is gone, or a file that it writes to: the command itself has words for that.
        return None


def _ask(place: str, argv: list[str]) -> int | None:
    import json
    import signal
    import socket

    said = {"argv": argv, "env": {**os.environ}, "cwd": os.getcwd()}  # noqa: PTH109
    answer, code, hit = b"", None, False

    def interrupt(*_: object) -> None:
        """Who answers has the terminal, and says itself that it was interrupted."""
        nonlocal hit
        hit = True
        if b"\n" not in answer:
            raise KeyboardInterrupt
        try:
            os.kill(int(answer.partition(b"\n")[0]), signal.SIGINT)
        except OSError:
            raise KeyboardInterrupt from None

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, interrupt)
    try:
        with socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(_PATIENCE)
            channel.connect(place)
            channel.sendall(json.dumps(said).encode() + b"\n")
            while b"\n" not in answer and (data := channel.recv(4096)):
                answer += data
            channel.settimeout(None)
            # Only to who is there: files that nobody takes would stay open, for whoever reads from them.
            socket.send_fds(channel, [b"."], [0, 1, 2])
            while not answer.endswith(b"}\n") and (data := _more(channel)):
                answer += data
        code = json.loads(answer.partition(b"\n")[2])["code"]
    except (OSError, ValueError, KeyError):
        code = None
    finally:
        signal.signal(signal.SIGINT, before)
    if hit and code is None:
        raise KeyboardInterrupt
    return code if isinstance(code, int) else None


def _more(channel: socket) -> bytes:
    """What is said next. Waits in steps: a Ctrl-C that comes just before a wait is heard after it."""
    from nbpipe.job.readable import readable

    while not readable([channel], _STEP):
        pass
    return channel.recv(4096)
