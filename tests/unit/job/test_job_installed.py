"""A result that was made with other packages than its key names is not taken for that of the key."""

from __future__ import annotations

from pathlib import Path

import pytest
from jobs import Bench

from nbpipe.job.installed import Installed


def _install(folder: Path, version: str) -> None:
    for old in folder.glob("pretended-*"):
        (old / "METADATA").unlink()
        old.rmdir()
    info = folder / f"pretended-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: pretended\nVersion: {version}\n")


def test_a_package_is_looked_at_before_and_after_it_was_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path / "site")
    _install(tmp_path / "site", "1.0+cpu")
    seen = Installed({"pretended": "1.0", "unknown": ""})
    assert seen.differing() == ()
    _install(tmp_path / "site", "2.0")
    assert seen.differing() == ("it ran with pretended 2.0, where the plan has 1.0",)
    assert Installed({"pretended": "1.0", "absent": "3"}).differing() == (
        "it ran with pretended 2.0, where the plan has 1.0",
        "it ran with no absent, where the plan has 3",
    )


def test_a_job_that_ran_with_another_version_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    _install(bench.project, "2.0")
    same = bench.run("x = 1", distributions={"pretended": "2.0"})
    assert same.uncacheable == ()
    other = bench.run("x = 1", distributions={"pretended": "1.0"})
    assert other.status == "succeeded"
    assert other.uncacheable == ("it ran with pretended 2.0, where the plan has 1.0",)
