"""The commands that the README and the guide show are typed here, in the order in which they stand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]
_BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    """The `nbpipe` commands of a page, without the prompt, the folder of the tool and the remarks behind `#`."""
    found = []
    for block in _BLOCK.findall(page.read_text()):
        for line in block.splitlines():
            command = line.removeprefix("$ ").split("  #")[0].strip().replace(".venv/bin/", "")
            if line.startswith("$ ") and command.startswith("nbpipe "):
                found.append(command)
    return found


def test_the_pages_show_commands() -> None:
    assert sum(len(commands(page)) for page in PAGES) >= 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_shown_works(page: Path, tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "example_notebooks", tmp_path / "example_notebooks", ignore=shutil.ignore_patterns(".nbpipe")
    )
    (tmp_path / "nbpipe.toml").write_text("")
    for command in commands(page):
        argv = [sys.executable, "-m", *command.split()]
        done = subprocess.run(
            argv, cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ | {"NO_COLOR": "1"}
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def test_every_local_link_of_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / "README.md").read_text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
