"""What a package brings along is found in the metadata of what is installed, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbpipe.export.page import constraints
from nbpipe.pipeline.closure import closure_of, required_by


@pytest.fixture(autouse=True)
def _site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of packages: what each of them requires."""
    told = {
        "One_App 1.0": ["two>=1", "three[fast] ; python_version >= '3'", "far ; sys_platform == 'nowhere'", "gone>=9"],
        "two 2.0+local": ["One.App", "five<5"],
        "three 3.0": ["four ; extra == 'fast'", "far ; extra == 'slow'", "not a requirement!"],
        "four 4.0": ["three"],
        "five 5.1": [],
        "far 1": [],
        "other 1": ["far"],
    }
    for title, lines in told.items():
        name, version = title.split()
        info = tmp_path / f"{name.lower().replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        head = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {line}" for line in lines)]
        (info / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", *head, "", "Requires-Dist: far", ""]))
    monkeypatch.syspath_prepend(tmp_path)


def test_markers_and_extras_count_and_a_circle_ends() -> None:
    assert required_by(["one-app"]) == {"five": "5.1", "four": "4.0", "three": "3.0", "two": "2.0+local"}
    assert required_by(["three"]) == {}
    assert required_by(["nowhere-to-be-found"]) == {}


def test_a_version_that_another_package_does_not_want_is_said_and_not_pinned() -> None:
    assert closure_of(["One.App"]).disputed == {"five": "two requires five<5"}
    text = constraints("# a comment\n-c constraints.txt\none-app==1.0\nother\n")
    assert text.splitlines()[1:] == [
        "far==1",
        "# five is not pinned: 5.1 is installed, but two requires five<5",
        "four==4.0",
        "other==1",
        "three==3.0",
        "two==2.0",
    ]
