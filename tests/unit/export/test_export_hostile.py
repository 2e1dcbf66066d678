"""Whatever text stands in a notebook, an export of it is text: it parses, the text comes back, nothing is run."""

from __future__ import annotations

import ast
import io
import json
import re
import sys
import tokenize
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import yaml  # type: ignore[import-untyped]
from definitions import read, stages_called, told
from hostile import hostile, hostile_deployment

from nbpipe.errors import PipelineError, UnsupportedError
from nbpipe.export import kfp, options
from nbpipe.export.base import Definition, Deployment, Exporter
from nbpipe.export.page import readme
from nbpipe.export.registry import exporters
from nbpipe.model import Code, Stage
from nbpipe.pipeline.codec import decode, encode, stamped, version_of

_TEXTS = hostile()
_FORBIDDEN = {
    "exec",
    "open",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "pty.spawn",
    "socket.connect",
}
#: The schedulers' own templates: what they have no escape for is refused.
_BREAKS = ("\n", "\r", "\0", "\x1b", "\x7f", "\u2028", "\ufeff")
_REFUSED = {"argo": ("{{", "}}"), "github-actions": ("${{",), "kfp": ("{{$", "{{channel:", *_BREAKS)}
#: Whose definitions say what a parameter may be, and what it is for: each by itself, or together with the name.
_CHOICES = {"airflow", "prefect", "script", "github-actions", "argo", "valohai"}
_HELP = {"airflow", "dagster", "metaflow", "script", "github-actions", "argo", "valohai"}
_ABOUT: dict[str, Callable[[str], str]] = {"prefect": str, "kfp": kfp.one_line, "script": str}
#: Names that a stage may have, and that mean something to a reader of YAML, to Python, or to an engine.
_NAMES = (
    *("true", "false", "null", "yes", "no", "on", "off", "y", "n", "e1", "inf", "nan"),
    *("class", "def", "import", "none", "match", "type", "print", "self", "json", "os", "sys", "datetime"),
    *("start", "end", "main", "next", "name", "input", "index", "merge_artifacts", "all", "done", "rule", "workflow"),
    *("record_run", "record-run", "record_run_2", "record_failed_run", "stage", "stages", "run", "task", "flow", "dag"),
    *("nbpipe", "given", "params", "defs", "setup", "checks", "measures", "registry", "definitions", "metrics"),
    *("fit_model", "fit-model", "fit_model_2", "fit--model", "fit-", "a" * 63, "a" * 62 + "b", "a" * 62 + "-"),
)
_seen: list[str] = []
_watching = False


def _audit(event: str, _arguments: Any) -> None:
    if _watching and event in _FORBIDDEN:
        _seen.append(event)


sys.addaudithook(_audit)


def parse(path: str, text: str) -> None:
    """Fails where a file is not of its format."""
    if path.endswith(".py"):
        ast.parse(text)
    elif path.endswith("Snakefile"):
        list(tokenize.generate_tokens(io.StringIO(text).readline))
    elif path.endswith(".json"):
        json.loads(text)
    elif path.endswith((".yaml", ".yml")):
        list(yaml.safe_load_all(text))


def comes_back(exporter: Exporter, given: Deployment, texts: tuple[str, ...], written: Definition) -> None:
    """Each text, from where its scheduler finds it; from the bundle, which the job reads, where that has no place for it."""
    name, default, text_help, env, image, choice = texts
    bundle = decode(encode(given.pipeline))
    assert version_of(bundle) == given.pipeline.version
    assert bundle.name == name
    assert bundle.stages[0].options.env == ({} if exporter.name == "script" else {"E": env})
    assert [param.help for param in bundle.params] == [text_help, "", ""]
    assert bundle.params == given.params
    found = read(exporter.name, written.files, given.params)
    values = {"p": default, "q": choice, "r": {default: [choice, -1, 0.5, None, True]}}
    assert {param: told["default"] for param, told in found.params.items()} == values
    chosen = tuple(found.params["q"].get("choices", (choice, f"{choice}2")))
    assert (chosen, "choices" in found.params["q"]) == ((choice, f"{choice}2"), exporter.name in _CHOICES)
    # An empty one may be left out, or be the parameter's name.
    assert found.params["p"].get("help", text_help) in ([text_help] if text_help else ["", "p"])
    assert bool(text_help and "help" in found.params["p"]) == bool(text_help and exporter.name in _HELP)
    if exporter.name in _ABOUT:
        assert found.about is not None
        for said in (name, f"p: {text_help}" if text_help and exporter.name != "script" else ""):
            assert _ABOUT[exporter.name](said) in found.about
    assert found.image == (given.image if "--image" in exporter.carries else None)
    if "image" in exporter.carries:
        assert (found.stage_image or found.image) == (image or given.image)
    if written.main.endswith(("file", ".py")):
        said = next(ast.literal_eval(line) for line in written.files[written.main].splitlines() if line)
        assert said == f"The pipeline {name!r}, version {given.pipeline.version[:7]}. Written by nbpipe export."


@pytest.mark.parametrize("turn", [0, *(pytest.param(turn, marks=pytest.mark.long) for turn in range(1, 6))])
@pytest.mark.parametrize("name", exporters())
def test_every_hostile_text_comes_back_and_nothing_is_run(name: str, turn: int) -> None:
    """Each of the texts in one of the places; after six turns it was in all of them."""
    global _watching  # noqa: PLW0603 - an audit hook cannot be taken away again
    exporter = exporters()[name]
    exporter.definition(
        hostile_deployment(("n", "d", "h", "e", "i", "c"), exporter)
    )  # what is imported on use is imported now
    groups = [tuple((_TEXTS + _TEXTS[:6])[start : start + 6]) for start in range(0, len(_TEXTS), 6)]
    groups = [texts[turn:] + texts[:turn] for texts in groups]
    while groups:
        texts = groups.pop()
        given = hostile_deployment(texts, exporter)
        _seen.clear()
        _watching = True
        try:
            options.check(exporter, given)
            try:
                written: Definition = exporter.definition(given)
            except UnsupportedError:
                # The others come back without those that it has no escape for.
                left = tuple("x" if any(mark in text for mark in _REFUSED[name]) else text for text in texts)
                assert left != texts
                groups.append(left)
                continue
            readme(exporter, given, written)
        finally:
            _watching = False
        assert _seen == [], texts
        for path, content in written.files.items():
            parse(path, content)
        comes_back(exporter, given, texts, written)
        assert all(
            re.fullmatch(r"([A-Za-z0-9_@-][A-Za-z0-9_.@-]{0,99}/){0,2}[A-Za-z0-9_.@-]{1,100}", path)
            for path in written.files
        )


@pytest.mark.parametrize("name", exporters())
def test_a_name_that_engines_keep_for_themselves_is_a_stage_like_any_other(name: str) -> None:
    exporter = exporters()[name]
    plain = hostile_deployment(("n", "d", "h", "e", "i", "c"), exporter)
    # Where the code itself is written, each stage gives the next one something.
    stages = tuple(
        Stage(name=stage, kind="stage", cells=(Code(cell=n, body=f"x{n} = {n}"),)) for n, stage in enumerate(_NAMES)
    )
    pipeline = stamped(msgspec.structs.replace(plain.pipeline, stages=stages))
    given = msgspec.structs.replace(plain, pipeline=pipeline, order=dict.fromkeys(_NAMES, ()))
    options.check(exporter, given)
    written = exporter.definition(given)
    assert [stage.name for stage in decode(encode(pipeline)).stages] == list(_NAMES)
    if name in ("cron", "systemd", "kubernetes", "valohai", "github-actions"):
        return  # they start the whole pipeline
    called = stages_called(name, written)
    assert sorted(called.values()) == sorted(_NAMES)
    assert len({task.lower() for task in called}) == len(_NAMES)


@pytest.mark.parametrize("name", exporters())
def test_a_parameter_whose_name_a_scheduler_does_not_take_is_refused(name: str) -> None:
    """Each of them was loaded by its scheduler, or is against the rule of its schema."""
    exporter = exporters()[name]
    given = hostile_deployment(("n", "d", "h", "e", "i", "c"), exporter)
    refusing: dict[str, set[str]] = {
        "größe": {"kfp", "argo", "github-actions"},
        "_x": {"kfp", "prefect"},
        "self": {"kfp"},
    }
    refusing |= {
        "wait_for": {"prefect"},
        "return_state": {"prefect"},
        "model_config": {"prefect"},
        "x_1": set(),
        "X": set(),
    }
    for param, by in refusing.items():
        params = (msgspec.structs.replace(given.params[0], name=param),)
        renamed = msgspec.structs.replace(given, params=params)
        if name in by:
            with pytest.raises(UnsupportedError, match=f"a parameter of the name '{param}'") as refused:
                options.check(exporter, renamed)
            assert (refused.value.name, bool(refused.value.fix)) == (param, True)
        else:
            options.check(exporter, renamed)
            found = told(name, exporter.definition(renamed).files)
            assert list(found.params) == [param.lower() if name == "flyte" else param]


@pytest.mark.parametrize("name", [name for name, each in exporters().items() if "secrets" in each.carries])
def test_what_is_no_name_of_a_variable_is_no_secret(name: str) -> None:
    """The commands of a README hold names of secrets, and so do expressions of GitHub."""
    exporter = exporters()[name]
    given = hostile_deployment(("n", "d", "h", "e", "i", "c"), exporter)
    for text in _TEXTS:
        if re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", text):
            continue
        with pytest.raises(PipelineError, match="is not the name of a secret") as refused:
            options.check(exporter, msgspec.structs.replace(given, secrets=(text,)))
        assert refused.value.fix


@pytest.mark.parametrize("name", exporters())
def test_what_is_no_name_of_a_stage_never_becomes_a_task(name: str) -> None:
    exporter = exporters()[name]
    given = hostile_deployment(("n", "d", "h", "e", "i", "c"), exporter)
    texts = [text for text in _TEXTS if not re.fullmatch("[a-z][a-z0-9_-]{0,62}", text)]
    for stage in ("../x", "-rf", "$(x)", "{0.__class__}", "a b", "A", "", "🦀", "a" * 300, "x\n", *texts):
        bad = Stage(name=stage, kind="stage", cells=())
        pipeline = msgspec.structs.replace(given.pipeline, stages=(*given.stages, bad))
        with pytest.raises(PipelineError, match="is not the name of a stage"):
            options.check(exporter, msgspec.structs.replace(given, pipeline=pipeline))
