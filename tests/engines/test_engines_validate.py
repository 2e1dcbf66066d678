"""Exports for schedulers that cannot be run here: checked with the schemas and models that there are for them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from engines import Site, environment_of

from nbpipe.export.registry import exporters

pytestmark = [pytest.mark.engines, pytest.mark.timeout(3600)]

CHECKED = {"argo", "cron", "github-actions", "systemd"}
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


@pytest.fixture(scope="module")
def bin_() -> Path:
    return environment_of("validators", "hera==7.1.0", "check-jsonschema==0.39.0", "pyyaml>=6")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    import nbformat

    made = Site(tmp_path_factory.mktemp("validated"), "n.ipynb")
    made.project.mkdir(parents=True)
    (made.project / "nbpipe.toml").touch()
    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell, id=f"c{n}") for n, cell in enumerate(_CELLS)]
    )
    nbformat.write(book, made.project / "n.ipynb")
    return made


def export(site: Site, to: str, *words: str) -> Path:
    out = site.project / "exports" / to
    site.nbpipe("export", "n.ipynb", "--to", to, "-o", str(out), "--schedule", "*/15 6 1-7 * mon", *words)
    return out


def test_those_that_are_called_validated_are_checked_here() -> None:
    assert {name for name, each in exporters().items() if each.proof == "validated"} == CHECKED


def test_a_workflow_of_github_fits_its_schema(site: Site, bin_: Path) -> None:
    (file,) = export(site, "github-actions").glob("*.yml")
    done = site.call(bin_ / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", file)
    assert done.returncode == 0, done.stdout


def test_the_templates_of_argo_fit_the_models_of_hera_and_nothing_is_lost(site: Site, bin_: Path) -> None:
    folder = export(site, "argo", "--image", "registry/x:1", "--store", "s3://bucket/x")
    done = site.call(bin_ / "python", "-c", _HERA, folder / "workflow.yaml")
    assert done.returncode == 0, done.stdout


def test_the_units_of_systemd_are_verified(site: Site) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    for unit in export(site, "systemd").glob("*@.*"):
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
