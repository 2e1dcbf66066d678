"""How an export is run on its own engine, here: what `nbpipe export --verify` installs, and what it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

Done = subprocess.CompletedProcess[str]
_LONGEST = 3600.0


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What is run: an exported folder in a copy of the project."""

    #: Folder for the engine's own files, gone afterwards.
    root: Path
    folder: Path
    project: Path
    #: Folder of the store, with nothing in it.
    store: Path
    #: Folder of the notebook.
    cwd: Path
    #: Name of the pipeline.
    name: str
    #: `bin` of the engine's environment.
    bin: Path
    #: What every process is started with.
    environment: dict[str, str]
    #: The date, YYYY-MM-DD, that the run is for; "" where no parameter asks for one.
    date: str = ""

    def call(self, *words: str | Path, cwd: Path | None = None, more: Mapping[str, str] | None = None) -> Done:
        """A command to its end; standard error is part of its output."""
        return subprocess.run(
            list(map(str, words)),
            cwd=cwd or self.folder,
            env={**self.environment, **(more or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_LONGEST,
        )


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """How exports of a scheduler are run here."""

    #: What is installed, pinned, in an environment of the engine's own.
    packages: tuple[str, ...]
    #: Runs the exported folder to its end.
    run: Callable[[Trial], Done]
    #: Commands that have to be on this machine: those of a cluster are not installed for a trial.
    needs: tuple[str, ...] = ()
    #: Says in its output that the run failed, where the exit code does not.
    failed: str = ""
    #: What it gives is read from its own report, a file at `root/report.json`, and not from the history and the store.
    reports: bool = False

    def succeeded(self, done: Done) -> bool:
        """Whether the engine calls the run a success."""
        return done.returncode == 0 and not (self.failed and self.failed in done.stdout)


def of(exporter: Any) -> Verification | None:
    """That of an exporter, which says it with its attribute `verification`; None where its engine cannot run here."""
    found: Verification | None = getattr(exporter, "verification", None)
    return found


def environment_of(name: str, packages: tuple[str, ...]) -> Path:
    """`bin` of the engine's environment, made by uv and kept; two who want it at once make it once.

    Raises CalledProcessError where it cannot be made.
    """
    import fcntl
    import shutil

    from blake3 import blake3

    mark = blake3("\n".join(packages).encode()).hexdigest()[:12]
    base = Path(os.environ.get("NBPIPE_ENGINES") or Path.home() / ".cache" / "nbpipe" / "engines")
    folder = base / f"{name}-{mark}"
    if (folder / ".whole").exists():
        return folder / "bin"
    base.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".whole").exists():
            shutil.rmtree(folder, ignore_errors=True)
            uv = [sys.executable, "-m", "uv"]
            subprocess.run([*uv, "venv", "-q", "--python", sys.executable, folder], check=True)
            if packages:
                words = ["pip", "install", "-q", "--compile-bytecode", "--python", str(folder / "bin" / "python")]
                subprocess.run([*uv, *words, *packages], check=True)
            (folder / ".whole").touch()
    return folder / "bin"
