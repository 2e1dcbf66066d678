"""Services of schedulers, which a test starts and ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from engines import Site


def airflow_home(site: Site, bin_: Path, folder: Path | None = None) -> dict[str, str]:
    """The variables of the site's Airflow, which has a database of its own; it sees the exported folder, if one is given."""
    home = site.root / "airflow"
    dags = home / "dags"
    more = {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__DAGS_FOLDER": str(dags), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    if not dags.exists():
        dags.mkdir(parents=True)
        migrated = site.call(bin_ / "airflow", "db", "migrate", more=more)
        assert migrated.returncode == 0, migrated.stdout
    if folder is not None:
        (dags / "exported").unlink(missing_ok=True)
        (dags / "exported").symlink_to(folder)
    return more


@dataclass
class Services:
    """What runs, and the folder of its logs."""

    logs: Path
    started: list[subprocess.Popen[bytes]]

    def wait_for(self, reached: Callable[[], bool]) -> None:
        """Until it is so. Raises AssertionError with the ends of the logs, at once where a service has ended."""
        until = time.monotonic() + 300
        while not reached():
            alive = all(service.poll() is None for service in self.started)
            said = "\n".join(f"== {log.name}\n{log.read_text()[-3000:]}" for log in sorted(self.logs.iterdir()))
            assert alive, said
            assert time.monotonic() < until, said
            time.sleep(0.5)


@contextlib.contextmanager
def running(site: Site, commands: Mapping[str, tuple[str, ...]], more: Mapping[str, str]) -> Iterator[Services]:
    """Services until the block ends, each in a session of its own."""
    logs = site.root / "logs"
    logs.mkdir(exist_ok=True)
    started: list[subprocess.Popen[bytes]] = []
    try:
        for name, words in commands.items():
            with (logs / name).open("wb") as log:
                service = subprocess.Popen(
                    words,
                    cwd=site.root,
                    env=site.environment(more),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            started.append(service)
        yield Services(logs, started)
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            for service in started:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(service.pid, number)
            for service in started:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    service.wait(20)
