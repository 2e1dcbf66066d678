"""From executing a `--on` cell to its first printed line, over ssh on loopback: `python -m benchmarks.remote_cell [TIMES]`.

An sshd of its own, a real kernel, a target that was used before: the connection is open, a worker waits with its imports
done. In turn with `ssh HOST python -c 'print(…)'`, which has neither kernel nor inputs nor a record of what it did.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Figure

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from notebooks import Kernel, kernel
from sshd import Sshd, install, running_sshd

#: Seconds in which the target gets the next worker ready: a person needs them to read what was printed.
_PAUSE = 4.0


def _cell(live: Kernel, number: int) -> float:
    live.send(f"%%stage train --on box\nprint('first', {number}, rows[0], flush=True)\nx = {number}")
    took = live.until(f"first {number} ")
    if live.end():
        raise RuntimeError(live.shown())
    return took


def _plain(sshd: Sshd, number: int) -> float:
    command = ["ssh", "-F", str(sshd.root / "client"), "-p", str(sshd.port), "127.0.0.1", sys.executable]
    started = time.monotonic()
    subprocess.run([*command, "-c", f"'print({number})'"], check=True, capture_output=True)
    return time.monotonic() - started


def remote_cell(folder: Path, times: int) -> list[Figure]:
    """The first cell to a target, a later one, and the plain call."""
    first, later = Figure("first cell on the target: connect, compare, import"), Figure("a later cell")
    plain = Figure("ssh HOST python -c")
    install()
    with running_sshd(folder / "sshd") as sshd:
        (folder / "nbpipe.toml").write_text(
            f'[targets.box]\nkind = "ssh"\nhost = "127.0.0.1"\nport = {sshd.port}\npython = "{sys.executable}"\n'
            f'config = "{sshd.root}/client"\nfolder = "{folder}/worker"\n'
        )
        environment = {**os.environ, "NBPIPE_TRACKING": "off", "XDG_CONFIG_HOME": str(folder / "config")}
        with kernel(folder, environment) as live:
            live.run("%%stage load\nrows = [1, 2, 3]")
            first.seconds.append(_cell(live, 0))
            for number in range(1, times + 1):
                time.sleep(_PAUSE)
                later.seconds.append(_cell(live, number))
                plain.seconds.append(_plain(sshd, number))
    later.extra = f"{later.median / plain.median:.2f} × the plain call"
    return [first, later, plain]


def main() -> int:
    """Print the medians."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with tempfile.TemporaryDirectory() as scratch:
        figures = remote_cell(Path(scratch), times)
    print(f"From executing a cell to its first printed line. Load average {os.getloadavg()[0]:.1f}.")
    for figure in figures:
        print(f"  {figure.what}: {figure.median:.3f} s ({figure.fastest:.3f} to {figure.slowest:.3f})  {figure.extra}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
