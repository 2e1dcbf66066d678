"""Every tool on the same pipelines, in turn: new, again, and after each kind of change."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

from benchmarks.measure import Section
from benchmarks.peers.base import Peer
from benchmarks.peers.functions import DAGSTER, FLYTE, KEDRO, METAFLOW
from benchmarks.peers.notebooks import NBPIPE, NBPIPE_COLD, PAPERMILL, PLOOMBER, STEPWISE
from benchmarks.peers.scripts import DVC, SNAKEMAKE
from benchmarks.peers.steps import ARRAY, DIAMOND, FIVE, Steps, changed, heavy, wide
from benchmarks.peers.table import Row, table
from benchmarks.peers.timed import FailedError, TooLongError, kernels, timed
from nbpipe.export.verification import environment_of

PEERS = (NBPIPE, NBPIPE_COLD, PAPERMILL, STEPWISE, PLOOMBER, METAFLOW, FLYTE, DVC, SNAKEMAKE, DAGSTER, KEDRO)
#: What every environment has besides the tool.
_DATA = ("pandas==3.0.6", "numpy")
OPERATIONS = ("new", "nothing to do", "last step changed", "parameter changed", "comment changed")
_FIRST_TWO = OPERATIONS[:2]
Parts = Iterator[Section]


def _versions(steps: Steps, middle: str) -> list[tuple[str, Steps, int]]:
    """What is measured, with the steps and the parameter of each, one after the other in one folder."""
    last = changed(steps, steps[-1].name, "print('more')")
    note = changed(last, middle, "# a remark")
    return list(zip(OPERATIONS, (steps, steps, last, last, note), (1, 1, 1, 2, 2), strict=True))


def compared(
    title: str,
    steps: Steps,
    middle: str,
    repeats: int,
    *,
    operations: tuple[str, ...] = OPERATIONS,
    limit: float = 180.0,
    more: tuple[str, ...] = (),
    peers: tuple[Peer, ...] = PEERS,
) -> Parts:
    """The table so far, after each tool in each round: what was measured is kept when the rest is interrupted.

    `limit` is in seconds for a command; a tool that needs longer is not asked again. `more` are packages.
    """
    rows = {peer.name: Row(label_of(peer), peer.note) for peer in peers}
    bins: dict[str, Path] = {}
    for round_ in range(1, repeats + 1):
        for peer in peers:
            row = rows[peer.name]
            if row.problem:
                continue
            print(f"  {title}: {peer.name}, {round_} of {repeats}", flush=True)
            try:
                bins.setdefault(peer.name, bin_of(peer, more))
                _round(peer, bins[peer.name], row, [v for v in _versions(steps, middle) if v[0] in operations], limit)
            except (FailedError, TooLongError) as error:
                row.problem = str(error)[-300:]
            except subprocess.CalledProcessError:
                row.problem = "could not be installed"
            yield Section(title, _note(round_), table(list(rows.values()), operations))


def _round(peer: Peer, bin_: Path, row: Row, versions: list[tuple[str, Steps, int]], limit: float) -> None:
    # What a killed command had started may still be writing for a moment.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch) / "flow"
        folder.mkdir()
        if peer.prepare:
            timed([str(bin_ / peer.prepare[0]), *peer.prepare[1:]], folder, limit)
        for operation, now, k in versions:
            peer.write(folder, now)
            seconds, peak = timed(peer.command(bin_, k), folder, limit)
            row.took(operation, seconds)
            row.peak = max(row.peak, peak, *kernels(folder))


def _note(round_: int) -> str:
    return (
        "Whole commands in seconds, each tool in an environment of its own, in turn; × is the ratio to nbpipe for the same "
        f"operation. Medians of {round_} or, where no brackets follow, one figure. Kale is not among them: what it makes runs on "
        "Kubeflow alone (kubeflow/kale#851)."
    )


def label_of(peer: Peer) -> str:
    """Its name and version."""
    packages = [text.partition("==") for text in peer.packages[:1]]
    return f"{peer.name} {packages[0][2]}" if packages else f"{peer.name} {version('nbpipe')}"


def bin_of(peer: Peer, more: tuple[str, ...] = ()) -> Path:
    """Folder of its own programs, in an environment with what all have. Raises CalledProcessError where it cannot be made."""
    if not peer.packages:
        return Path(sys.executable).parent
    # uv looks for wheels where pip was told to.
    os.environ.setdefault("UV_FIND_LINKS", os.environ.get("PIP_FIND_LINKS", ""))
    return environment_of(f"bench-{peer.packages[0].partition('=')[0]}", (*peer.packages, *_DATA, *more))


def peers_five(repeats: int) -> Parts:
    """Five trivial steps in a row."""
    return compared("Peers: five trivial steps", FIVE, "c", repeats)


def peers_frame(repeats: int) -> Parts:
    """A diamond around a frame of 100 MB."""
    return compared(
        "Peers: a frame of 100 MB goes to two steps", DIAMOND, "left", min(repeats, 3), operations=OPERATIONS[:4]
    )


def peers_array(repeats: int) -> Parts:
    """A diamond around an array of 1 GB."""
    return compared(
        "Peers: an array of 1 GB goes to two steps", ARRAY, "left", min(repeats, 2), operations=_FIRST_TWO, limit=60.0
    )


def peers_torch(repeats: int) -> Parts:
    """Ten steps in a row that import torch and pandas."""
    return compared(
        "Peers: ten steps that import torch and pandas",
        heavy(10),
        "h5",
        min(repeats, 3),
        operations=OPERATIONS[:3],
        limit=90.0,
        more=(f"torch=={version('torch')}",),
    )


def peers_wide(repeats: int) -> Parts:
    """100 steps beside each other."""
    return compared(
        "Peers: 100 steps beside each other",
        wide(100),
        "w50",
        min(repeats, 2),
        operations=_FIRST_TWO,
        limit=60.0,
    )


CASES: list[Callable[[int], Parts]] = [peers_five, peers_frame, peers_array, peers_torch, peers_wide]
