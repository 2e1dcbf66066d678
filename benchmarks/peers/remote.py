"""What a person types to have a few lines run on another machine, tool by tool, and when the first of them shows."""

from __future__ import annotations

import pickle
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Figure, until_printed
from benchmarks.notebooks import notebook
from benchmarks.peers.base import put
from benchmarks.peers.case import bin_of, label_of
from benchmarks.peers.functions import METAFLOW
from benchmarks.peers.notebooks import PAPERMILL
from benchmarks.peers.timed import KEPT

_HOST = "127.0.0.1"
_ROWS = [1, 2, 3]
_SCRIPT = (
    "import pickle, sys\nrows = pickle.load(open('rows.pkl', 'rb'))\nprint('first', {number}, rows[0], flush=True)"
)
_FLOW = """import pickle

from metaflow import FlowSpec, Parameter, step


class Flow(FlowSpec):
    number = Parameter("number", type=int)

    @step
    def start(self):
        rows = pickle.load(open("rows.pkl", "rb"))
        print("first", self.number, rows[0], flush=True)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Flow()
"""


@dataclass(frozen=True)
class Way:
    """Measures one try of each of its figures, in seconds, with a number that nobody printed before; None: cannot be had."""

    figures: tuple[Figure, ...]
    measure: Callable[[int], tuple[float, ...]] | None


def line(number: int) -> str:
    """What is printed."""
    return f"first {number} {_ROWS[0]}"


def _by_hand(
    name: str, note: str, folder: Path, words: Callable[[Path, int], list[str]], tool: Callable[[], Path]
) -> Way:
    """`words` are typed in `folder`, where the input lies; they get `bin` of the tool."""
    folder.mkdir(parents=True, exist_ok=True)
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    (folder / "rows.pkl").write_bytes(pickle.dumps(_ROWS))
    try:
        bin_ = tool()
    except subprocess.CalledProcessError:
        return Way((Figure(name, extra="could not be installed"),), None)
    given = {**KEPT, "HOME": str(home), "NO_PROXY": _HOST}
    return Way(
        (Figure(name, extra=note),), lambda number: (until_printed(words(bin_, number), folder, line(number), **given),)
    )


def by_ssh(folder: Path, ssh: list[str], name: str, note: str) -> Way:
    """Python prints, and that is all."""

    def words(bin_: Path, number: int) -> list[str]:
        return [*ssh, _HOST, shlex.join([f"{bin_}/python", "-c", f"print({line(number)!r})"])]

    return _by_hand(name, note, folder, words, lambda: Path(sys.executable).parent)


@contextmanager
def opened(ssh: list[str], path: Path) -> Iterator[list[str]]:
    """The words for a connection that is open already, until the block ends."""
    with subprocess.Popen([*ssh, "-M", "-N", "-S", str(path), _HOST]) as master:
        try:
            while not path.exists() and master.poll() is None:
                time.sleep(0.01)
            yield [*ssh, "-S", str(path)]
        finally:
            master.terminate()


def by_papermill(folder: Path, ssh: list[str]) -> Way:
    """The notebook and its input are sent by rsync, and run over a second connection."""
    there = f"{folder}-there"

    def words(bin_: Path, number: int) -> list[str]:
        notebook(folder, [_SCRIPT.format(number=number)])
        send = ["rsync", "-r", "--rsh", shlex.join(ssh), f"{folder}/", f"{_HOST}:{there}/"]
        run = f"cd {there} && {bin_}/papermill --log-output --no-progress-bar bench.ipynb out.ipynb"
        return ["bash", "-c", f"{shlex.join(send)} && {shlex.join([*ssh, _HOST, run])}"]

    note = "two connections and a kernel; the input by hand, no record of what was run, results stay there"
    name = f"rsync && ssh HOST {label_of(PAPERMILL)} --log-output"
    return _by_hand(name, note, folder, words, lambda: bin_of(PAPERMILL))


def by_metaflow(folder: Path) -> Way:
    """On this machine: there is no target that ssh reaches."""
    folder.mkdir(parents=True)
    put(folder, "flow.py", _FLOW)

    def words(bin_: Path, number: int) -> list[str]:
        return [f"{bin_}/python", "flow.py", "--no-pylint", "run", "--number", str(number)]

    note = "on this machine: it has no target that ssh reaches, so this is the least that its users wait"
    return _by_hand(f"{label_of(METAFLOW)}, python flow.py run", note, folder, words, lambda: bin_of(METAFLOW))


def by_ray(folder: Path, address: str, bin_: Path, name: str) -> Way:
    """The script and its input are sent with the job."""

    def words(bin_: Path, number: int) -> list[str]:
        put(folder, "script.py", _SCRIPT.format(number=number))
        given = ["--address", address, "--working-dir", str(folder)]
        return [f"{bin_}/ray", "job", "submit", *given, "--", f"{bin_}/python", "script.py"]

    note = "a plain process, no kernel; the input by hand, results stay there"
    return _by_hand(name, note, folder, words, lambda: bin_)


def in_turn(ways: list[Way], repeats: int, numbers: Iterator[int]) -> list[Figure]:
    """Their figures, after so many tries of each; every second round in the opposite order."""
    for number in range(repeats):
        for way in ways if number % 2 == 0 else reversed(ways):
            if way.measure is None:
                continue
            print(f"  {way.figures[0].what}, {number + 1} of {repeats}", flush=True)
            for figure, seconds in zip(way.figures, way.measure(next(numbers)), strict=True):
                figure.seconds.append(seconds)
    return [figure for way in ways for figure in way.figures]
