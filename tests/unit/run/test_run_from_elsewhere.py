"""Where the command is typed is no part of a run: the notebook's own folder is."""

from __future__ import annotations

import subprocess
import sys

from runs import Site


def test_modules_of_the_folder_the_command_is_typed_in_are_not_the_notebooks(site: Site) -> None:
    other = site.root / "other"
    other.mkdir()
    (other / "helpers.py").write_text("who = 'somebody else'\n")
    (site.folder / "helpers.py").write_text("who = 'the notebook'\n")
    site.write("%%stage one\nimport helpers\nfound = helpers.who", "%%stage two\nprint(found)")
    command = [sys.executable, "-m", "nbpipe", "run", str(site.notebook), "--quiet"]
    subprocess.run(command, cwd=other, env=site.environment(), check=True, capture_output=True)
    assert site.printed("r1") == "the notebook\n"
