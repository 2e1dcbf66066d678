"""What a run prints may go into a file of the very project: nobody touches that file, and no stage is said to write it."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from runs import Site

CELLS = [f"%%stage s{n}\nimport time\ntime.sleep(0.4)\nx{n} = {n}" for n in range(3)]


@pytest.mark.parametrize("ending", ["> log.txt 2>&1", "2>&1 | tee log.txt"])
def test_the_log_is_whole_and_results_are_used_again(tmp_path: Path, ending: str) -> None:
    site = Site(tmp_path)
    site.write(*CELLS)
    log = site.folder / "log.txt"
    for verdict in ("✓ succeeded", "up to date"):
        command = f"{shlex.quote(sys.executable)} -m nbpipe run n.ipynb {ending}"
        subprocess.run(["bash", "-c", command], cwd=site.folder, env=site.environment(), check=True)
        assert verdict in log.read_text().splitlines()[-1]
        assert "warning" not in log.read_text()
    assert site.detail("r1").state.warnings == ()
    assert all(not trace.outcome.files_written for trace in map(site.store.traces.latest, ("s0", "s1", "s2")) if trace)
