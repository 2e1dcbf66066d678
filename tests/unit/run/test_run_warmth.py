"""For how long a parent of kernels is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbpipe.errors import UsageError
from nbpipe.run.project import Project
from nbpipe.run.warmth import keep_warm


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NBPIPE_KEEP_WARM", "NBPIPE_WAITED_FOR", "CI"):
        monkeypatch.delenv(name, raising=False)


class _Terminal:
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_nothing_is_kept(tmp_path: Path) -> None:
    assert keep_warm(Project(tmp_path)) == 0


def test_where_somebody_waits_it_is_ten_minutes_but_never_in_ci(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as terminal:
        terminal.setattr("sys.stdin", _Terminal())
        assert keep_warm(Project(tmp_path)) == 600
    monkeypatch.setenv("NBPIPE_WAITED_FOR", "1")
    assert keep_warm(Project(tmp_path)) == 600
    monkeypatch.setenv("CI", "true")
    assert keep_warm(Project(tmp_path)) == 0


def test_the_variable_counts_before_the_project_and_the_project_before_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NBPIPE_WAITED_FOR", "1")
    (tmp_path / "nbpipe.toml").write_text('keep_warm = "2m"\n')
    assert keep_warm(Project(tmp_path)) == 120
    (tmp_path / "nbpipe.toml").write_text("keep_warm = false\n")
    assert keep_warm(Project(tmp_path)) == 0
    monkeypatch.setenv("NBPIPE_KEEP_WARM", "30")
    assert keep_warm(Project(tmp_path)) == 30
    monkeypatch.setenv("NBPIPE_KEEP_WARM", "off")
    assert keep_warm(Project(tmp_path)) == 0


def test_what_is_no_duration_is_refused_with_what_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBPIPE_KEEP_WARM", "soon")
    with pytest.raises(UsageError, match="keep_warm: 'soon' is not a duration") as caught:
        keep_warm(Project(tmp_path))
    assert caught.value.fix == 'Write keep_warm = "10m", or "off".'
