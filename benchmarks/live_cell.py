"""What `%%stage` costs over the plain cell in a live notebook, recording included: `python -m benchmarks.live_cell`.

Both cells run in turn in one IPython shell, each time with another constant, so that nothing is known from the time
before. The shell is as idle between two cells as a person leaves it, or not at all (`0`). Processor time of the kernel's
main thread is what a cell pays; on a busy machine the time on the clock says more about the others.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure, printed

BODY = """\
total = 0
for item in range(lr_steps):
    total += item * lr
data = [total, *known]
acc = total / (1 + len(data))
label = f"run {NUMBER}"
history.append(acc)
if acc > 10:
    best = acc
else:
    best = history[0]
summary = dict(best=best, label=label)
"""
SETUP = "lr_steps = 3\nlr = 0.1\nknown = list(range(50))\nhistory = []\nframe = {'a': [1.0, 2.0]}"
_TRIES = 300
_ROOT = Path(__file__).parents[1]


def _shell() -> Any:
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    shell.run_cell("%load_ext nbpipe")
    shell.run_cell(f"%%params\n{SETUP}")
    return shell


def _measure(shell: Any, text: str, clock: Callable[[], float]) -> float:
    start = clock()
    shell.run_cell(text, store_history=True)
    return clock() - start


def live_cell(clock: Callable[[], float], tries: int = _TRIES, pause: float = 0.01) -> tuple[str, str, list[Figure]]:
    """The plain cell, and the same cell as a stage, in seconds of this clock."""
    shell = _shell()
    plain = Figure("plain cell of 12 lines")
    stage = Figure("the same below %%stage train --metrics acc,best")
    for number in range(2 * tries + 20):
        is_stage = bool(number % 2)
        head = "%%stage train --metrics acc,best\n" if is_stage else "# train\n"
        seconds = _measure(shell, head + BODY.replace("NUMBER", str(number)), clock)
        if number >= 20:  # noqa: PLR2004 - the first ones import what all others find
            (stage if is_stage else plain).seconds.append(seconds)
        time.sleep(pause)
    recorder = shell.nbpipe_session.recording.recorder
    recorder.drain(10)
    over = (stage.median - plain.median) * 1e3
    stage.extra = f"{over:.3f} ms more; {recorder.done} trials written, {recorder.dropped} dropped"
    return (
        "A cell in a live notebook",
        "In the kernel's process, tracking off; the trial is written beside.",
        [plain, stage],
    )


def live(repeats: int) -> tuple[str, str, list[Figure]]:
    """The same in a process of its own, by processor time: what a cell pays on a busy machine, too."""
    code = "import json, sys, time\nfrom benchmarks.live_cell import live_cell\n"
    code += "title, note, figures = live_cell(time.thread_time, tries=int(sys.argv[1]))\n"
    code += "print(json.dumps([title, note, [[f.what, f.seconds, f.extra] for f in figures]]))"
    with tempfile.TemporaryDirectory() as folder:
        said = printed([sys.executable, "-c", code, str(60 * repeats)], Path(folder), PYTHONPATH=str(_ROOT))
    title, note, figures = json.loads(said.splitlines()[-1])
    return title, f"{note} Processor time.", [Figure(*figure) for figure in figures]


def main() -> int:
    """Print the figures in milliseconds."""
    pause = float(sys.argv[1]) if len(sys.argv) > 1 else 0.01
    os.environ["NBPIPE_TRACKING"] = "off"
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name, clock in (("processor time", time.thread_time), ("on the clock", time.perf_counter)):
            title, note, figures = live_cell(clock, pause=pause)
            print(f"{title}, {name}. {note} Load average {os.getloadavg()[0]:.1f}.")
            for figure in figures:
                parts = statistics.quantiles(figure.seconds, n=20)
                print(
                    f"  {figure.what}: {figure.median * 1e3:.3f} ms "
                    f"(5 %: {parts[0] * 1e3:.3f}, 95 %: {parts[-1] * 1e3:.3f})  {figure.extra}"
                )
        os.chdir("/")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
