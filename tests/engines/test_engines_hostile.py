"""Definitions that hold hostile texts, loaded by their own schedulers: each sees what was written, and runs none of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from definitions import told
from engines import Site, environment_of
from hostile import hostile, hostile_deployment

from nbpipe.errors import UnsupportedError
from nbpipe.export.registry import exporter
from nbpipe.export.verification import of

pytestmark = [pytest.mark.engines, pytest.mark.timeout(3600)]

#: Texts of one kind each, without their combinations.
_TEXTS = hostile()[:125]
#: Some of them are commands that would make this file.
_MADE = Path("/tmp/x")  # noqa: S108
_EACH = """
import json, os, runpy, sys
from pathlib import Path
%s
folders = [folder for folder in Path(sys.argv[1]).iterdir() if folder.name.isdigit()]
seen = {}
for folder in folders:
    os.chdir(folder)
    seen[folder.name] = look(folder)
print("seen " + json.dumps(seen))
"""
#: What each scheduler makes of a folder: parameter -> default, description, choices; and what it shows of the whole.
_LOOK = {
    "airflow": """
from airflow.dag_processing.dagbag import DagBag
def look(folder):
    bag = DagBag(str(folder))
    assert not bag.import_errors, bag.import_errors
    (dag,) = bag.dags.values()
    params = {name: dag.params.get_param(name) for name in dag.params}
    return {name: {"default": param.value, "help": param.description, "choices": param.schema.get("enum")}
            for name, param in params.items()}, None
""",
    "prefect": """
import prefect
def look(folder):
    (flow,) = [each for each in runpy.run_path("flow.py").values() if isinstance(each, prefect.Flow)]
    return {name: {"default": said["default"], "choices": said.get("enum")}
            for name, said in flow.parameters.properties.items()}, flow.description
""",
    "dagster": """
import dagster
def look(folder):
    made = runpy.run_path("definitions.py")
    dagster.Definitions.validate_loadable(made["defs"])
    given = dagster.validate_run_config(made["pipeline_job"])["resources"]["params"]["config"]
    return {name: {"default": value, "help": made["PARAMS"][name].description} for name, value in given.items()}, None
""",
    "metaflow": """
from metaflow import FlowSpec
def look(folder):
    made = [each for each in runpy.run_path("flow.py").values() if isinstance(each, type) and issubclass(each, FlowSpec)]
    (flow,) = [each for each in made if each is not FlowSpec]
    found = {}
    for _, param in flow(use_cli=False)._get_parameters():
        param.init()
        plain = param.kwargs["type"] in (str, int, float, bool)
        default = param.kwargs["default"] if plain else json.loads(param.kwargs["default"])
        found[param.name] = {"default": default, "help": param.kwargs.get("help")}
    return found, None
""",
    "kfp": """
import yaml
def look(folder):
    runpy.run_path("pipeline.py", run_name="__main__")
    spec = next(iter(yaml.safe_load_all(Path("pipeline.yaml").read_text())))
    inputs = spec["root"]["inputDefinitions"]["parameters"]
    return {name: {"default": said["defaultValue"]} for name, said in inputs.items()}, spec["pipelineInfo"].get("description")
""",
    "flyte": """
import importlib.util
from flytekit import LaunchPlan
from flytekit.core.workflow import PythonFunctionWorkflow
def look(folder):
    LaunchPlan.CACHE.clear()
    spec = importlib.util.spec_from_file_location(f"w{folder.name}", "workflow.py")
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (flow,) = [each for each in vars(module).values() if isinstance(each, PythonFunctionWorkflow)]
    return {name: {"default": default} for name, (_, default) in flow.python_interface.inputs_with_defaults.items()}, None
""",
    "snakemake": """
from snakemake.common.configfile import load_configfile
def look(folder):
    return {name: {"default": value} for name, value in load_configfile("config.json").items()}, None
""",
    "dvc": """
from dvc.dvcfile import load_file
from dvc.repo import Repo
repo = Repo.init(sys.argv[1], no_scm=True)
def look(folder):
    stage = load_file(repo, str(folder / "dvc.yaml")).stages["one"]
    (params,) = [each for each in stage.deps if hasattr(each, "params")]
    return {name: {"default": value} for name, value in params.read_params().items()}, None
""",
}  # fmt: skip


@pytest.mark.parametrize("name", _LOOK)
def test_a_scheduler_sees_the_texts_that_were_written_and_runs_none(name: str, tmp_path: Path) -> None:
    before = _MADE.exists()
    site = Site(root=tmp_path, notebook="n.ipynb")
    site.project.mkdir()
    written: dict[str, Any] = {}
    for number, text in enumerate(_TEXTS):
        made = exporter(name)
        try:
            found = made.definition(hostile_deployment((text, text, text, "e", text, text or "c"), made))
        except UnsupportedError:
            continue
        folder = site.project / str(number)
        folder.mkdir()
        for path, content in found.files.items():
            (folder / path).write_text(content, encoding="utf-8", newline="")
        written[str(number)] = told(name, found.files)
    assert len(written) > len(_TEXTS) * 0.8
    how = of(exporter(name))
    assert how is not None
    python = environment_of(name, *how.packages) / "python"
    more = {"HOME": str(tmp_path), "PREFECT_HOME": str(tmp_path / "prefect"), "METAFLOW_USER": "tests"}
    more |= {"AIRFLOW_HOME": str(tmp_path / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    done = site.call(python, "-W", "ignore", "-c", _EACH % _LOOK[name], site.project, cwd=tmp_path, more=more)
    assert done.returncode == 0, done.stdout
    seen = json.loads(done.stdout.splitlines()[-1].removeprefix("seen "))
    assert seen.keys() == written.keys()
    for number, (params, about) in seen.items():
        expected = written[number]
        plain = {param: {key: said for key, said in each.items() if said} for param, each in params.items()}
        assert plain == json.loads(
            json.dumps({param: {key: s for key, s in each.items() if s} for param, each in expected.params.items()})
        )
        assert about == (expected.about or None)
    assert _MADE.exists() == before


def test_a_snakefile_with_all_the_texts_in_its_name_has_its_rules(tmp_path: Path) -> None:
    site = Site(root=tmp_path, notebook="n.ipynb")
    site.project.mkdir()
    made, text = exporter("snakemake"), "".join(_TEXTS)
    for path, content in made.definition(hostile_deployment((text, text, text, "e", text, text), made)).files.items():
        (site.project / path).write_text(content, encoding="utf-8", newline="")
    how = of(made)
    assert how is not None
    done = site.call(environment_of("snakemake", *how.packages) / "snakemake", "--list-rules")
    assert done.stdout.split()[-3:] == ["one", "record_run", "two"], done.stdout
