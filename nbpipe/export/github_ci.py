"""A workflow of GitHub Actions for pull requests: whether the notebook is sound and runs, and which metrics it moves.

Every text of a person reaches the commands through the environment.
"""

from __future__ import annotations

from typing import Any

from nbpipe.export.base import Deployment
from nbpipe.export.lines import yaml_text

#: Profile for a quick end-to-end pass, where the notebook has it.
SMOKE = "smoke"
_CHECK = 'python -m nbpipe check "$NOTEBOOK" 2>&1 | tee "$REPORT/check.txt"\n'
_BASE = """\
git checkout --quiet --detach "origin/$GITHUB_BASE_REF"
code=0
python -m nbpipe run "$NOTEBOOK" $PROFILE --json > "$REPORT/base.json" || code=$?
git checkout --quiet --detach "$GITHUB_SHA"
if test "$code" -ne 0 && ! test -s "$REPORT/base.json"; then
  echo "the notebook of $GITHUB_BASE_REF does not run (exit code $code)" > "$REPORT/metrics.txt"
fi
"""
_PLAN = 'python -m nbpipe plan "$NOTEBOOK" $PROFILE 2>&1 | tee "$REPORT/plan.txt"\n'
_RUN = 'python -m nbpipe run "$NOTEBOOK" $PROFILE --json > "$REPORT/run.json"\n'
_DIFF = """\
run() { python -c 'import json, sys; print(json.load(open(sys.argv[1]))["run"])' "$1"; }
if test -s "$REPORT/base.json" && test -s "$REPORT/run.json"; then
  python -m nbpipe diff "$(run "$REPORT/base.json")" "$(run "$REPORT/run.json")" --part metrics > "$REPORT/metrics.txt" 2>&1
fi
"""
#: Outputs are indented: nothing in them is taken for Markdown.
_WRITE = """\
part() { if test -s "$REPORT/$2"; then printf '\\n#### %s\\n\\n' "$1"; sed 's/^/    /' "$REPORT/$2"; fi; }
{
  printf '### nbpipe: %s\\n' "$CHECKED"
  part 'Check' check.txt
  part 'Plan: what this changes' plan.txt
  part "Metrics, compared with $GITHUB_BASE_REF" metrics.txt
} > "$REPORT/comment.md"
cat "$REPORT/comment.md" >> "$GITHUB_STEP_SUMMARY"
"""
_POST = """\
file="$REPORT/comment.md"
gh pr comment "$NUMBER" --body-file "$file" --edit-last || gh pr comment "$NUMBER" --body-file "$file"
"""


def workflow(deployment: Deployment, name: str) -> str:
    """The text of the workflow. It runs the notebook as it stands in the repository, not the exported folder."""
    always = "${{ !cancelled() }}"
    profile = f"--profile {SMOKE}" if SMOKE in deployment.pipeline.profiles else ""
    keys = (*deployment.secrets, "NBPIPE_STORE_KEY")
    secret = {each: f"${{{{ secrets.{each} }}}}" for each in keys}
    place = {"NBPIPE_STORE": deployment.store} if deployment.store else {}
    job: dict[str, Any] = {"runs-on": "ubuntu-latest"}
    if deployment.image is not None:
        job["container"] = {"image": deployment.image}
    job["env"] = {
        "NOTEBOOK": deployment.notebook,
        "FOLDER": deployment.folder,
        "PROFILE": profile,
        "REPORT": ".nbpipe/pull-request",
        # Runs of pull requests are nobody's history.
        "NBPIPE_TRACKING": "off",
        **place,
    }
    steps: list[dict[str, Any]] = [{"uses": "actions/checkout@v4", "with": {"fetch-depth": 0}}]
    if deployment.image is None:
        steps.append({"uses": "actions/setup-python@v5", "with": {"python-version": deployment.pipeline.python}})
    steps.append(
        {"name": "Install", "run": 'python -m pip install -r "$FOLDER/requirements.txt"\nmkdir -p "$REPORT"\n'}
    )
    if not deployment.store:
        cache = {"path": ".nbpipe/store", "key": f"{name}-ci-${{{{ github.run_id }}}}", "restore-keys": f"{name}-ci-"}
        steps.append({"uses": "actions/cache@v4", "with": cache})
    steps += [
        {"name": "Check", "id": "check", "run": _CHECK, "shell": "bash"},
        {"name": "Run the base branch", "run": _BASE, "shell": "bash", "env": secret},
        {"name": "Plan", "run": _PLAN, "shell": "bash", "env": secret},
        {"name": "Run", "id": "run", "run": _RUN, "shell": "bash", "env": secret},
        {"name": "Compare", "if": always, "run": _DIFF, "shell": "bash"},
        {
            "name": "Report",
            "if": always,
            "run": _WRITE,
            "shell": "bash",
            "env": {"CHECKED": "${{ steps.run.outcome }}"},
        },
        {
            # A pull request from a fork may not write comments: the report is on the page of the workflow as well.
            "name": "Comment",
            "if": always,
            "continue-on-error": True,
            "run": _POST,
            "shell": "bash",
            "env": {"GH_TOKEN": "${{ github.token }}", "NUMBER": "${{ github.event.pull_request.number }}"},
        },
        {
            "uses": "actions/upload-artifact@v4",
            "if": always,
            "with": {"name": f"{name}-ci", "path": ".nbpipe/pull-request", "include-hidden-files": True},
        },
    ]
    told = {
        "name": f"{name}-ci",
        "on": {"pull_request": None},
        "permissions": {"contents": "read", "pull-requests": "write"},
        "concurrency": {"group": f"{name}-ci-${{{{ github.ref }}}}", "cancel-in-progress": True},
        "jobs": {"notebook": {**job, "steps": steps}},
    }
    return yaml_text(told, head="Written by nbpipe export --ci: export again instead of editing.")
