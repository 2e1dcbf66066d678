"""What an export says is what the notebook says: graph, parameters, options; or it is refused."""

from __future__ import annotations

import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nbformat
import pytest
from conformance_page import rows
from written_exporter import documented

from nbpipe.errors import UnsupportedError, UsageError
from nbpipe.export.api import Exported, deployment_of, export_notebook
from nbpipe.export.base import Deployment
from nbpipe.export.cron import read_cron
from nbpipe.export.names import dashed, identifier, mapped, worded
from nbpipe.export.options import OF_ALL, OF_STAGES, table
from nbpipe.export.registry import exporter, exporters
from nbpipe.notebook.reader import read_notebook

ROOT = Path(__file__).parents[3]
#: Those that do nothing but start the whole pipeline when it is time.
CLOCKS = ("cron", "systemd", "kubernetes")


def notebook(folder: Path, *cells: str) -> Path:
    (folder / "nbpipe.toml").touch()
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell, id=f"c{n}") for n, cell in enumerate(cells)])
    nbformat.write(book, folder / "n.ipynb")
    return folder / "n.ipynb"


def export(path: Path, to: str, **given: Any) -> Exported:
    if exporter(to).remote:
        given = {"store": "s3://bucket/x", "image": "registry/image:1"} | given
    if to in CLOCKS:
        given = {"schedule": "@daily"} | given
    return export_notebook(read_notebook(path), to=to, **given)


def _chain(folder: Path, stages: int, to: str) -> Deployment:
    folder.mkdir()
    cells = ["%%params\nn: int = 1", "%%stage s_0\nx0 = n"]
    cells += [f"%%stage {'s-' if n % 2 else 's_'}{n // 2 * 2}\nx{n} = x{n - 1} + 1" for n in range(1, stages)]
    remote = exporter(to).remote
    return deployment_of(
        read_notebook(notebook(folder, *cells)),
        to=to,
        store="s3://b/x" if remote else None,
        image="i" if remote else None,
        schedule="@daily" if to in CLOCKS else None,
    )


def _calls(given: Deployment, to: str) -> int:
    """How many functions are called for a definition: what it takes, on a machine as busy as may be."""
    calls = 0

    def count(_frame: object, event: str, _given: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        exporter(to).definition(given)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("to", exporters())
def test_fifty_stages_take_twice_what_twenty_five_take_and_each_is_there(tmp_path: Path, to: str) -> None:
    given, half = _chain(tmp_path / "fifty", 50, to), _chain(tmp_path / "half", 25, to)
    # What is imported and compiled on first use is there by now.
    found = exporter(to).definition(given)
    assert _calls(given, to) < 2.3 * _calls(half, to)
    text = found.files[found.main]
    # `s_0` and `s-0` are two stages, whatever the scheduler makes of their names.
    if to == "script":
        assert len([path for path in found.files if "/stages/s_" in path]) == len(given.stages)
    elif to not in (*CLOCKS, "github-actions", "valohai"):
        assert all(re.search(rf"(?<![\w-]){re.escape(stage.name)}(?![\w-])", text) for stage in given.stages)
    assert len(given.stages) == 50


def test_names_are_mapped_without_collisions() -> None:
    names = ["fit_model", "fit-model", "Fit_Model", "fit__model", "a" * 300, "a" * 299 + "b", "", "1", "class", "é"]
    for rule in (identifier, dashed, worded):
        found = mapped(names, rule, taken=["record_run"])
        assert len(set(found.values())) == len(names)
        assert mapped(names, rule, taken=["record_run"]) == found
    assert all(name.isidentifier() for name in mapped(names, identifier).values())
    assert all(re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", name) for name in mapped(names, dashed).values())


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("0 6 * * *", "0 6 * * *"),
        ("@daily", "0 0 * * *"),
        ("*/15 0-6,12 1 JAN-mar Mon", "*/15 0-6,12 1 1-3 1"),
    ],
)
def test_a_cron_expression_is_read_into_five_numeric_fields(text: str, read: str) -> None:
    assert read_cron(text) == read


@pytest.mark.parametrize("text", ["", "daily", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "5-1 * * * *", "*/0 * * * *",
                                  "0 6 * * * root", "a * * * *", "1e1 * * * *"])  # fmt: skip
def test_what_is_no_cron_expression_is_refused_before_midnight(text: str) -> None:
    with pytest.raises(UsageError, match="is not a cron expression"):
        read_cron(text)


@pytest.mark.parametrize("to", exporters())
def test_every_option_is_carried_or_refused_with_its_stage(tmp_path: Path, to: str) -> None:
    written = {
        "retries": "--retries 2", "timeout": "--timeout 1h", "cpus": "--cpus 2", "memory": "--memory 2G",
        "gpus": "--gpus 1", "image": "--image x", "on": "--on gpu", "nodes": "--nodes 2", "nproc": "--nproc 2",
        "model": "--model x", "register": "--model x --register y",
    }  # fmt: skip
    assert {*written, "after"} == set(OF_STAGES)
    for name, line in written.items():
        path = notebook(tmp_path, "%%stage one\nz = 1", f"%%stage two {line}\nx = 1")
        if name in exporter(to).carries:
            export(path, to, force=True)
            continue
        with pytest.raises(UnsupportedError, match=rf"cannot express --{name}") as refused:
            export(path, to)
        assert (refused.value.stage, refused.value.cell, bool(refused.value.fix)) == ("two", 2, True)


@pytest.mark.parametrize("to", exporters())
def test_a_scheduled_run_has_a_value_for_every_parameter(tmp_path: Path, to: str) -> None:
    path = notebook(tmp_path, "%%params\npath: str", "%%stage one\nx = path")
    if "--schedule" not in exporter(to).carries:
        with pytest.raises(UnsupportedError, match="cannot express --schedule") as refused:
            export(path, to, schedule="@daily")
        assert refused.value.fix
        return
    with pytest.raises(UnsupportedError, match="has nobody who gives 'path' a value"):
        export(path, to, schedule="@daily")
    export(path, to, schedule="@daily", params={"path": "x.csv"})


def test_the_value_of_a_secret_is_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    canary = "canary-in-the-mine"
    monkeypatch.setenv("TOKEN", canary)
    cells = ("%%params\nname: str = 'x'", "%%stage one\nimport nbpipe\nx = len(nbpipe.secret('TOKEN')) + len(name)")
    path = notebook(tmp_path, *cells)
    for to in (name for name, each in exporters().items() if "secrets" in each.carries):
        found = export(path, to)
        files = [file for file in found.folder.rglob("*") if file.is_file()]
        assert not any(canary.encode() in file.read_bytes() for file in files)
        assert any(b"TOKEN" in file.read_bytes() for file in files)
        with pytest.raises(UsageError, match="value of the secret TOKEN"):
            export(path, to, params={"name": canary})
    with pytest.raises(UsageError, match="holds a password"):
        export(path, "airflow", store="s3://user:pass@host/x", force=True)


@pytest.mark.parametrize("to", exporters())
def test_the_packages_that_are_imported_and_all_that_come_with_them_are_pinned(to: str, tmp_path: Path) -> None:
    folder = export(notebook(tmp_path, "%%stage one\nimport pandas\nx = pandas.DataFrame"), to).folder
    required, constrained = ((folder / f"{name}.txt").read_text() for name in ("requirements", "constraints"))
    assert "\n-c constraints.txt\n" in required
    assert f"\npandas=={version('pandas')}\n" in required
    assert {f"numpy=={version('numpy')}", f"python-dateutil=={version('python-dateutil')}"} <= set(
        constrained.split("\n")
    )
    # What runs the cells comes along, but for the package that needs neither nbpipe nor Jupyter.
    assert ("\nnbpipe==" in required, "\njupyter-client==" in constrained) == ((to != "script",) * 2)
    assert not re.search(r"^(?!#|-c |[a-z0-9._-]+==[A-Za-z0-9.]+$)", required + constrained.rstrip("\n"), re.MULTILINE)
    # Those whose stages are containers have an image to build; a README says the few commands.
    assert (folder / "Dockerfile").exists() == (to in ("kfp", "flyte", "argo", "kubernetes"))
    assert len(re.findall(r"^\d\. ", (folder / "README.md").read_text(), re.MULTILINE)) in (2, 3, 4, 5)
    if (folder / "Dockerfile").exists():
        assert "COPY requirements.txt constraints.txt /nbpipe/\n" in (folder / "Dockerfile").read_text()


def test_an_unknown_scheduler_is_answered_with_those_there_are() -> None:
    with pytest.raises(UsageError) as refused:
        exporter("airfow")
    assert "airflow" in (refused.value.fix or "")


def test_the_table_of_the_documentation_is_that_of_the_code() -> None:
    page = (ROOT / "docs/reference/export.md").read_text()
    assert f"<!-- table -->\n{table(exporters())}<!-- end -->" in page


@pytest.mark.parametrize("name", exporters())
def test_every_scheduler_has_a_page_that_says_how_far_it_is_proved(name: str) -> None:
    page = (ROOT / f"docs/reference/export-{name}.md").read_text()
    found = exporter(name)
    assert page.startswith(f"# {found.title}\n")
    assert {"executed": "**Executed**", "validated": "**Validated, not executed**"}[found.proof] in page
    known = {*OF_STAGES, *OF_ALL}
    assert known >= set(found.carries)
    assert known >= set(found.instead)
    assert not set(found.carries) & set(found.instead)


def test_the_table_of_conformance_speaks_of_schedulers_that_are_executed_and_of_nothing_that_differs() -> None:
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows()]
    executed = {name for name, each in exporters().items() if each.proof == "executed"}
    assert {cell[0] for cell in cells} <= executed
    assert {cell[-1] for cell in cells} == {"equal"}
    assert len({(cell[0], cell[2]) for cell in cells}) == len(cells) > 0


def test_the_exporter_of_the_documentation_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbpipe.export import registry

    monkeypatch.syspath_prepend(documented(tmp_path / "site"))
    registry.exporters.cache_clear()
    try:
        exported = export(notebook(tmp_path, "%%stage one\nx = 1", "%%stage two\ny = x"), "shell")
        assert "for stage in one two; do" in (exported.folder / "run.sh").read_text()
        with pytest.raises(UnsupportedError, match="A shell script cannot express --gpus 1"):
            export(notebook(tmp_path, "%%stage one --gpus 1\nx = 1"), "shell")
        assert table(exporters()).startswith("| option | airflow |")
    finally:
        registry.exporters.cache_clear()


def test_every_option_of_a_stage_by_itself_is_documented() -> None:
    from nbpipe.stage.__main__ import _parser

    page = (ROOT / "docs/reference/export.md").read_text()
    options = {text for action in _parser()._actions for text in action.option_strings} - {"-h", "--help"}
    section = page.partition("## One stage by itself")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(--[a-z-]+)", section, re.MULTILINE)) == options
