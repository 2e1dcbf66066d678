"""Folders of stages that a scheduler runs side by side, which come and go while others look at them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nbpipe.job.folder import SPEC, UNDO, VERDICT
from nbpipe.job.holders import Beside
from nbpipe.stage.attempts import attempt_folder


def _job(folder: Path, *wrote: str) -> Path:
    """The folder of a job that wrote these files."""
    job = folder / "0/jobs/a.1"
    (job / UNDO).mkdir(parents=True)
    lines = [json.dumps({"path": path, "copy": ""}) + "\n" for path in wrote]
    (job / UNDO / "index.jsonl").write_text("".join(lines))
    (job / SPEC).touch()
    return job


def test_what_stages_beside_it_wrote_is_known_however_they_come_and_go(tmp_path: Path) -> None:
    wrote = list[str]()

    def others(name: str) -> None:
        for number in range(60):
            with attempt_folder(tmp_path) as folder:
                job = _job(folder, f"{name}{number}")
                wrote.append(f"{name}{number}")
                (job / VERDICT).write_text('{"status": "succeeded"}')

    with attempt_folder(tmp_path) as folder, ThreadPoolExecutor() as threads:
        job = _job(folder)
        beside = [threads.submit(others, name) for name in "bc"]
        while not all(each.done() for each in beside):
            known = set(wrote)
            assert known <= Beside(job).written
        for each in beside:
            each.result()
        assert Beside(job).written == set(wrote)
    assert list((tmp_path / "attempts").iterdir()) == []
