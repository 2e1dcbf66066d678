"""Every tool on the same pipelines, in turn: new, again, and after each kind of change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Figure
from benchmarks.peers.base import Peer
from benchmarks.peers.functions import DAGSTER, FLYTE, KEDRO, METAFLOW
from benchmarks.peers.notebooks import NBPIPE, PAPERMILL, PLOOMBER, STEPWISE
from benchmarks.peers.scripts import DVC, SNAKEMAKE
from benchmarks.peers.steps import DIAMOND, FIVE, Steps, changed, wide

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "support"))

from engines import environment_of

PEERS = (NBPIPE, PAPERMILL, STEPWISE, PLOOMBER, METAFLOW, FLYTE, DVC, SNAKEMAKE, DAGSTER, KEDRO)
_SEVERAL = (NBPIPE, FLYTE, DVC, SNAKEMAKE, KEDRO)
#: What every environment has besides the tool.
_DATA = ("pandas==3.0.6", "numpy")
_KEPT = {
    "NBPIPE_TRACKING": "off",
    "METAFLOW_USER": "bench",
    "DVC_NO_ANALYTICS": "1",
    "PLOOMBER_STATS_ENABLED": "false",
    "KEDRO_DISABLE_TELEMETRY": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}
OPERATIONS = ("new", "nothing to do", "last step changed", "parameter changed", "comment changed")


def _versions(steps: Steps, middle: str) -> list[tuple[str, Steps, int]]:
    """What is measured, with the steps and the parameter of each, one after the other in one folder."""
    last = changed(steps, steps[-1].name, "print('more')")
    note = changed(last, middle, "# a remark")
    return list(zip(OPERATIONS, (steps, steps, last, last, note), (1, 1, 1, 2, 2), strict=True))


def _case(
    title: str, steps: Steps, middle: str, peers: tuple[Peer, ...], repeats: int
) -> tuple[str, str, list[Figure]]:
    bins = {peer.name: _bin(peer) for peer in peers}
    figures = {(op, peer.name): Figure(f"{op}: {peer.name}", [], peer.note) for op in OPERATIONS for peer in peers}
    peaks: dict[str, int] = {}
    for _ in range(repeats):
        for peer in peers:
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch) / "flow"
                folder.mkdir()
                if peer.prepare:
                    _timed([str(bins[peer.name] / peer.prepare[0]), *peer.prepare[1:]], folder)
                for operation, now, k in _versions(steps, middle):
                    peer.write(folder, now)
                    seconds, peak = _timed(peer.command(bins[peer.name], k), folder)
                    figures[operation, peer.name].seconds.append(seconds)
                    peaks[peer.name] = max(peaks.get(peer.name, 0), peak, *_kernels(folder))
    for peer in peers:
        figures["new", peer.name].extra += f"; peak {peaks[peer.name] / 2**30:.2f} GiB"
    note = (
        "Whole commands, each tool in an environment of its own, in turn; the ratio is to nbpipe with nothing computed yet. "
        "nbpipe's parent of warm kernels may be there from the run before, as it is for its users."
    )
    return title, note, list(figures.values())


def _bin(peer: Peer) -> Path:
    if not peer.packages:
        return Path(sys.executable).parent
    return environment_of(f"bench-{peer.packages[0].partition('=')[0]}", *peer.packages, *_DATA)


def _timed(argv: list[str], folder: Path) -> tuple[float, int]:
    """Seconds that a command takes, and the most bytes that it or one of its children has had. Raises RuntimeError if it fails."""
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    own = {} if argv[0] == sys.executable else {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        child = subprocess.Popen(argv, cwd=folder, env=os.environ | _KEPT | own, stdout=said, stderr=said)
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            said.seek(0)
            raise RuntimeError(f"{argv}: {said.read().decode(errors='replace')[-3000:]}")
    return seconds, used.ru_maxrss * 1024


def _kernels(folder: Path) -> list[int]:
    """Bytes that nbpipe's kernels have had: they are nobody's children."""
    return [
        int(json.loads(path.read_text()).get("peak_memory", 0))
        for path in folder.glob(".nbpipe/runs/*/jobs/*/verdict.json")
    ]


def peers_five(repeats: int) -> tuple[str, str, list[Figure]]:
    """Five trivial steps in a row."""
    return _case("Peers: five trivial steps", FIVE, "c", PEERS, repeats)


def peers_frame(repeats: int) -> tuple[str, str, list[Figure]]:
    """A diamond around a frame of 100 MB."""
    return _case("Peers: a frame of 100 MB goes to two steps", DIAMOND, "left", PEERS, min(repeats, 3))


def peers_wide(repeats: int) -> tuple[str, str, list[Figure]]:
    """100 steps beside each other: the tools that are made for more than a few."""
    return _case("Peers: 100 steps beside each other", wide(100), "w50", _SEVERAL, min(repeats, 3))


CASES: list[Callable[[int], tuple[str, str, list[Figure]]]] = [peers_five, peers_frame, peers_wide]
