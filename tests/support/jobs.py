"""Makes and runs jobs by hand: the smallest stage is one line of code."""

from __future__ import annotations

import atexit
import functools
import json
import os
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbpipe.executors.local import LocalExecutor
from nbpipe.job.folder import LOG, read_verdict, write_spec
from nbpipe.model import Artifact, Code, JobSpec, Outcome


@dataclass
class Bench:
    """A project with a store; every job gets a folder of its own."""

    root: Path
    folders: list[Path] = field(default_factory=list)
    code: int | None = None

    def __post_init__(self) -> None:
        self.project.mkdir(exist_ok=True)

    @property
    def project(self) -> Path:
        return self.root / "project"

    def spec(self, *bodies: str, **fields: Any) -> JobSpec:
        """A job whose cells start with a magic line, so that each body begins on line 2."""
        cells = tuple(Code(cell=number, body=body, line=2) for number, body in enumerate(bodies, start=1))
        given: dict[str, Any] = {"run": "r1", "stage": "train", "token": secrets.token_hex(8), "cells": cells}
        given |= {"cwd": str(self.project), "project": str(self.project), "store": str(self.root / "store")}
        return JobSpec(**{**given, **fields})

    def write(self, *bodies: str, **fields: Any) -> tuple[Path, JobSpec]:
        spec = self.spec(*bodies, **fields)
        folder = self.root / "jobs" / str(len(self.folders))
        self.folders.append(folder)
        write_spec(folder, spec)
        return folder, spec

    def run(self, *bodies: str, **fields: Any) -> Outcome:
        """Run and give the verdict; `code` is the exit code."""
        folder, spec = self.write(*bodies, **fields)
        executor = _executor(warm=os.environ.get("NBPIPE_FORK") != "0")
        executor.expect(1, spec.cwd)
        handle = executor.submit(folder, spec)
        while executor.poll(handle).state == "running":
            time.sleep(0.005)
        self.code = executor.poll(handle).returncode
        outcome = read_verdict(folder, spec.token)
        assert outcome is not None
        return outcome

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folders[-1] / LOG).read_text().splitlines()]

    def printed(self) -> str:
        return "".join(line["text"] for line in self.log() if line["type"] == "stream")

    def load(self, artifacts: dict[str, Artifact]) -> dict[str, Any]:
        from nbpipe.store import open_store
        from nbpipe.store.values import load_values

        return load_values(open_store(self.root / "store"), artifacts, {})


def ambient(outcome: Outcome) -> dict[str, Artifact]:
    """What the next stage gets."""
    return {state.name: state.artifact for state in outcome.ambient if state.artifact is not None}


@functools.cache
def _executor(*, warm: bool) -> LocalExecutor:
    executor = LocalExecutor(warm=warm)
    atexit.register(executor.close)
    return executor
