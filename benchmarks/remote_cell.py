"""From submitting to the first printed line on another machine: `python -m benchmarks remote_cell`.

One sshd and one Ray cluster on loopback, which end with it; real kernels, real commands, in turn. Each prints the same
line, with the first number of a small list that lies where it is submitted.
"""

from __future__ import annotations

import itertools
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks.measure import Figure, Section, command, table_of, until_printed
from benchmarks.notebooks import NBPIPE, notebook
from benchmarks.peers.remote import Way, by_metaflow, by_papermill, by_ray, by_ssh, in_turn, line, opened
from nbpipe.export.verification import environment_of

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from notebooks import Kernel, kernel
from raylets import RAY, running_ray
from sshd import Sshd, install, running_sshd

TITLE = "From submitting to the first line, on another machine"
LATER = "nbpipe, a later `--on` cell of that notebook"
_FIRST = "nbpipe, the first `--on` cell of a notebook"
_UNKEPT = f"{_FIRST}, nothing kept warm there"
_LOAD = "%%stage load\nrows = [1, 2, 3]"
#: Seconds in which the target gets the next worker ready: a person needs them to read what was printed.
_PAUSE = 4.0
_LONGEST = 600.0
_ON_RAY = ("ray job submit, Ray", f"{_FIRST}, on Ray", f"{LATER}, on Ray")


def remote_cell(repeats: int) -> Iterator[Section]:
    """Over ssh, where an environment is built first, and on Ray; the table so far after each."""
    install()
    numbers = itertools.count(1)
    colds = min(repeats, 2)
    note = (
        "From the command, or from executing a cell in a live kernel, until its first line shows where it was submitted; "
        "sshd and Ray on this machine. The same cell each time, with the same list of three numbers, and another number to "
        "print. In turn, what goes over ssh first, then with Ray running what goes there. "
        f"Medians of {repeats}, of {colds} where an environment is built."
    )
    with tempfile.TemporaryDirectory() as scratch, running_sshd(Path(scratch, "sshd"), *_variables()) as sshd:
        folder = Path(scratch)
        found = _on_ssh(folder, sshd, repeats, numbers)
        yield Section(TITLE, note, table_of(found))
        found += _cold(folder, sshd, colds, numbers)
        yield Section(TITLE, note, table_of(found))
        found += _on_ray(folder, repeats, numbers)
        yield Section(TITLE, note, table_of(found))


def _variables() -> list[str]:
    """What finds uv there, and the index that is configured here."""
    found = [f'"{name}={text}"' for name, text in os.environ.items() if name.startswith(("UV_", "SSL_CERT", "PIP_"))]
    return [*found, f"PATH={Path(sys.executable).parent}:/usr/bin:/bin"]


def _on_ssh(folder: Path, sshd: Sshd, repeats: int, numbers: Iterator[int]) -> list[Figure]:
    project = _project(folder, **_ssh(sshd), python=sys.executable, folder=f"{folder}/worker")
    # `load` gives what the stage below it reads, and is in the store from now on.
    notebook(project, [_LOAD, _cell(next(numbers))])
    command([*NBPIPE, "run", "bench.ipynb", "--quiet"], project, **_given(project))

    def detached(number: int) -> tuple[float, ...]:
        notebook(project, [_LOAD, _cell(number)])
        words = f"{shlex.join(NBPIPE)} run bench.ipynb --detach && {shlex.join(NBPIPE)} logs -f"
        return (until_printed(["bash", "-c", words], project, line(number), **_given(project)),)

    ssh = ["ssh", "-F", str(sshd.root / "client"), "-p", str(sshd.port)]
    unkept = Figure(_UNKEPT, extra="connects, compares packages, starts a worker, whose imports take longest")
    unkept_later = Figure(
        "nbpipe, a later one, nothing kept warm there", extra="connected, a worker has had time to wait for it"
    )
    first = Figure(
        _FIRST, extra="connects, compares packages; the worker is forked from a process that an earlier notebook left"
    )
    later = Figure(LATER, extra="connected, the input is there")
    run = Figure(
        "nbpipe run --detach && nbpipe logs -f, of a stage `--on`",
        extra="three processes of Python here, then as the first cell; recorded, results are here",
    )
    with opened(ssh, folder / "c") as over:
        return in_turn(
            [
                by_ssh(folder / "plain", ssh, "ssh HOST python -c", "the floor: no kernel, no input, no record"),
                by_ssh(folder / "plain", over, "the same over an open connection", "by hand, ControlMaster"),
                _cells(project, unkept, unkept_later, keep_warm="off"),
                _cells(project, first, later),
                Way((run,), detached),
                by_papermill(folder / "papermill", ssh),
                by_metaflow(folder / "metaflow"),
            ],
            repeats,
            numbers,
        )


def _cold(folder: Path, sshd: Sshd, repeats: int, numbers: Iterator[int]) -> list[Figure]:
    """With a Python there that has nothing."""
    bare = folder / "bare"
    subprocess.run([sys.executable, "-m", "uv", "venv", "-q", "--python", sys.executable, bare], check=True)
    told = Figure("nbpipe, the first `--on` cell, nothing installed there: until it says that uv installs")
    whole = Figure("the same, until its first line", extra="uv installs nbpipe's packages from its cache")
    for number in itertools.islice(numbers, repeats):
        print(f"  {told.what}: {number}", flush=True)
        there = {"folder": f"{folder}/fresh-{number}", "environment": "build", "env.PYTHONPATH": "/nowhere"}
        project = _project(folder, **_ssh(sshd), python=f"{bare}/bin/python", **there)
        with _live(project) as live:
            live.run(_LOAD)
            live.send(_cell(number))
            told.seconds.append(live.until("waits for the packages"))
            whole.seconds.append(told.seconds[-1] + live.until(line(number), _LONGEST))
            _end(live)
    return [told, whole]


def _on_ray(folder: Path, repeats: int, numbers: Iterator[int]) -> list[Figure]:
    by_hand, first, later = (Figure(f"{name} {RAY.rpartition('=')[2]}") for name in _ON_RAY)
    try:
        environment_of("ray", (RAY,))
    except subprocess.CalledProcessError:
        return [Figure(figure.what, extra="Ray could not be installed") for figure in (by_hand, first, later)]
    first.extra = "compares packages; Ray starts a process for each job, whose imports take longest"
    later.extra = "the same, compared already"
    with running_ray() as ray:
        # The cluster has a folder of its own for temporary files; in the one of here lies the project.
        given = {"kind": "ray", "address": ray.address, "env.TMPDIR": tempfile.gettempdir()}
        project = _project(folder, python=sys.executable, folder=f"{folder}/nodes", **given)
        submitted = by_ray(folder / "ray", ray.address, ray.python.parent, by_hand.what)
        return in_turn([submitted, _cells(project, first, later)], repeats, numbers)


def _ssh(sshd: Sshd) -> dict[str, object]:
    return {"kind": "ssh", "host": "127.0.0.1", "port": sshd.port, "config": f"{sshd.root}/client"}


def _project(root: Path, **settings: object) -> Path:
    """A project whose target `box` has these settings from now on."""
    project = root / "project"
    project.mkdir(exist_ok=True)
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
    (project / "nbpipe.toml").write_text(f"[targets.box]\n{lines}")
    return project


def _given(project: Path) -> dict[str, str]:
    return {"NBPIPE_TRACKING": "off", "NBPIPE_KEEP_WARM": "60s", "XDG_CONFIG_HOME": str(project.parent / "config")}


def _live(project: Path, keep_warm: str = "60s") -> AbstractContextManager[Kernel]:
    return kernel(project, {**os.environ, **_given(project), "NBPIPE_KEEP_WARM": keep_warm})


def _cell(number: int) -> str:
    return f"%%stage train --on box\nprint('first', {number}, rows[0], flush=True)\nx = {number}"


def _cells(project: Path, first: Figure, later: Figure, keep_warm: str = "60s") -> Way:
    """The first cell of a kernel, and the next one after a pause."""

    def measure(number: int) -> tuple[float, ...]:
        with _live(project, keep_warm) as live:
            live.run(_LOAD)
            took = [_shown(live, number)]
            time.sleep(_PAUSE)
            return (*took, _shown(live, -number))

    return Way((first, later), measure)


def _shown(live: Kernel, number: int) -> float:
    live.send(_cell(number))
    took = live.until(line(number), _LONGEST)
    _end(live)
    return took


def _end(live: Kernel) -> None:
    if live.end():
        raise RuntimeError(live.shown())
