"""What a pull request is told by the workflow of `--ci`: its commands run here, one after the other, in a repository."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml  # type: ignore[import-untyped]
from runs import Site

from nbpipe.errors import UsageError
from nbpipe.export.api import export_notebook
from nbpipe.notebook.reader import read_notebook

_GH = """#!/bin/sh
echo "$@" >> "$GH_LOG"
cp "$5" "$GH_LOG.body"
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    made.write(
        "%%params\nn: int = 10",
        "%%params smoke\nn = 2",
        "%%stage slow\nx = n * 2",
        "%%stage model --metrics acc\nacc = x / 100",
        "%%check good\nassert acc < 1",
    )
    return made


def git(folder: Path, *words: str) -> str:
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    done = subprocess.run(
        ["git", *words], cwd=folder, env={**os.environ, **who}, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def workflow(site: Site) -> dict[str, Any]:
    out = site.command("export", "n.ipynb", "--to", "github-actions", "--ci")
    assert out.code == 0, out.err
    found: dict[str, Any] = yaml.safe_load((site.folder / "exports/n-github-actions/nbpipe-n-ci.yml").read_text())
    return found


def steps(site: Site, job: dict[str, Any], clone: Path, **more: str) -> dict[str, int]:
    """Run the commands of the job as GitHub does: a step that fails skips those that do not run always."""
    tools = site.root / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "gh").write_text(_GH)
    (tools / "gh").chmod(0o755)
    codes: dict[str, int] = {}
    for step in job["steps"]:
        if "run" not in step or (any(codes.values()) and "if" not in step):
            continue
        # What GitHub fills in.
        filled = {
            name: re.sub(r"\$\{\{ steps.run.outcome \}\}", "failure" if codes.get("Run") else "success", str(text))
            for name, text in {**job["env"], **step.get("env", {})}.items()
        }
        filled = {name: re.sub(r"\$\{\{ .* \}\}", "a key for the tests only", text) for name, text in filled.items()}
        path = f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = site.environment(**filled, PATH=path, **more)
        command = step["run"].replace("python -m pip install", "true")
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", command],
            cwd=clone,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        codes[step["name"]] = done.returncode
    return codes


@pytest.mark.long
def test_a_pull_request_is_told_what_runs_again_and_which_metrics_move(site: Site) -> None:
    job = workflow(site)["jobs"]["notebook"]
    git(site.folder, "init", "-q", "-b", "main")
    (site.folder / ".gitignore").write_text(".nbpipe\n")
    git(site.folder, "add", "-A")
    git(site.folder, "commit", "-qm", "one")
    clone = site.root / "clone"
    git(site.root, "clone", "-q", str(site.folder), str(clone))
    book = nbformat.read(clone / "n.ipynb", as_version=4)
    (model,) = [cell for cell in book.cells if "x / 100" in cell.source]
    model.source = model.source.replace("x / 100", "x / 50")
    nbformat.write(book, clone / "n.ipynb")
    git(clone, "commit", "-qam", "two")
    log = site.root / "gh"
    told = {"GITHUB_BASE_REF": "main", "GITHUB_SHA": git(clone, "rev-parse", "HEAD"), "GH_LOG": str(log)}
    told["GITHUB_STEP_SUMMARY"] = str(site.root / "summary.md")
    codes = steps(site, job, clone, **told)
    assert set(codes.values()) == {0}, codes
    comment = Path(f"{log}.body").read_text()
    assert comment == (site.root / "summary.md").read_text()
    assert "### nbpipe: success" in comment
    plan, _, metrics = comment.partition("#### Metrics, compared with main")
    assert re.search(r"slow\W+HIT", plan), plan
    assert re.search(r"model\W+RUN", plan), plan
    assert re.search(r"acc.*0\.04.*0\.08", metrics), metrics
    assert "pr comment a key for the tests only --body-file" in log.read_text()
    # A notebook that fails is told of, too, and the workflow fails.
    model.source += "\nraise ValueError('``` no')"
    nbformat.write(book, clone / "n.ipynb")
    git(clone, "commit", "-qam", "three")
    codes = steps(site, job, clone, **{**told, "GITHUB_SHA": git(clone, "rev-parse", "HEAD")})
    assert codes["Run"] == 1
    assert codes["Comment"] == 0
    assert "### nbpipe: failure" in Path(f"{log}.body").read_text()


def test_it_may_write_comments_and_nothing_else_and_no_text_of_a_person_stands_in_a_command(site: Site) -> None:
    found = workflow(site)
    assert found["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert found["on"] == {"pull_request": None}
    assert all("n.ipynb" not in step.get("run", "") for step in found["jobs"]["notebook"]["steps"])
    assert json.dumps(found).count("secrets.NBPIPE_STORE_KEY") == 3


def test_other_schedulers_look_at_no_pull_requests(site: Site) -> None:
    with pytest.raises(UsageError, match="looks at no pull requests"):
        export_notebook(read_notebook(site.folder / "n.ipynb"), to="airflow", ci=True)
