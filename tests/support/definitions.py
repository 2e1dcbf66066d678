"""What a scheduler finds in a definition, read as it would be, without the scheduler: parameters and images."""

from __future__ import annotations

import ast
import contextlib
import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
import yaml  # type: ignore[import-untyped]

from nbpipe.export.base import Definition
from nbpipe.model import Param
from nbpipe.pipeline.params import resolve_params

Told = dict[str, dict[str, Any]]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a definition says. A part that the scheduler has no place for is not there."""

    #: Parameter -> what of `default`, `choices`, `help` the definition says; a run is given such a default.
    params: Told
    #: Of the whole deployment, of the stage `one`.
    image: str | None = None
    stage_image: str | None = None
    #: Where all descriptions stand together.
    about: str | None = None


def told(name: str, files: Mapping[str, str]) -> Found:
    """The definition of the exporter `name`, as its scheduler is told."""
    return _READERS[name](files)


def read(name: str, files: Mapping[str, str], params: tuple[Param, ...]) -> Found:
    """The same, and what travels as a text is read as the job reads it, by type."""
    known = {param.name: param for param in params}
    found = told(name, files)
    as_texts = name in _TEXTS
    for param, said in found.params.items():
        if as_texts and "default" in said:
            said["default"] = resolve_params((known[param],), {param: said["default"]}, None, {})[param]
        if as_texts and "choices" in said:
            said["choices"] = tuple(
                resolve_params((known[param],), {param: each}, None, {})[param] for each in said["choices"]
            )
    return found


def stages_called(name: str, written: Definition) -> dict[str, str]:
    """Name of the task, step, rule or job -> stage that it starts."""
    text = written.files[written.main]
    if name == "airflow":
        return dict(ast.literal_eval(_assigned(ast.parse(text), "STAGES")))
    if name in ("prefect", "kfp"):
        function = {"prefect": "stage_task", "kfp": "task"}[name]
        found = {}
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _is(node.value, function):
                found[ast.unparse(node.targets[0])] = ast.literal_eval(node.value.args[-1 if name == "prefect" else 0])
        return {task: stage for task, stage in found.items() if stage != "--finish"}
    if name == "dagster":
        calls = _calls(ast.parse(text), "nbpipe_op")
        told = dict(tuple(map(ast.literal_eval, call.args[:2])) for call in calls)
        return {op: stage for op, stage in told.items() if stage != "--finish"}
    if name in ("metaflow", "flyte"):
        made = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef) and n.decorator_list]
        told = {each.name: _stage_of(each) for each in made}
        return {step: stage for step, stage in told.items() if stage not in (None, "--finish")}
    if name == "snakemake":
        return dict(
            re.findall(r"^rule (\w+):\n(?:    .*\n)*?    run:\n        nbpipe\('([a-z0-9_-]+)'\)$", text, re.MULTILINE)
        )
    if name == "dvc":
        told = {key: each["cmd"].split()[4] for key, each in yaml.safe_load(text)["stages"].items()}
        return {key: stage for key, stage in told.items() if stage != "--finish"}
    if name == "slurm":
        lines = [shlex.split(line) for line in text.splitlines() if line.startswith("submit --")]
        return {words[1]: words[words.index("stage.sh") + 1] for words in lines}
    if name == "argo":
        templates = next(iter(yaml.safe_load_all(text)))["spec"]["templates"]
        told = {each["name"]: each["container"]["command"][4] for each in templates if "container" in each}
        return {task: stage for task, stage in told.items() if stage != "--finish"}
    modules = {path: each for path, each in written.files.items() if re.search("/stages/(?!__init__)", path)}
    return {path: _told(ast.get_docstring(ast.parse(each).body[-1])) for path, each in modules.items()}  # type: ignore[arg-type]


def _airflow(files: Mapping[str, str]) -> Found:
    (dag,) = _calls(_tree(files, "dag.py"), "DAG")
    told = {}
    for name, param in _items(_keyword(dag, "params")):
        said = _literals(param)
        told[name] = {"default": ast.literal_eval(param.args[0]), **_renamed(said, enum="choices", description="help")}
    return Found(params=told)


def _prefect(files: Mapping[str, str]) -> Found:
    tree = _tree(files, "flow.py")
    (flow,) = _calls(tree, "flow")
    (made,) = (each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef) and flow in each.decorator_list)
    return Found(
        params=_arguments(made.args.kwonlyargs, made.args.kw_defaults),
        about=ast.literal_eval(_keyword(flow, "description")),
    )


def _dagster(files: Mapping[str, str]) -> Found:
    fields = _assigned(_tree(files, "definitions.py"), "PARAMS")
    told = {}
    for name, field in _items(fields):
        told[name] = _renamed(_literals(field), default_value="default", description="help")
    return Found(params=told)


def _metaflow(files: Mapping[str, str]) -> Found:
    told = {}
    for call in _calls(_tree(files, "flow.py"), "Parameter"):
        said = _literals(call)
        if isinstance(_keyword(call, "type"), ast.Name) and ast.unparse(_keyword(call, "type")) == "JSONType":
            said["default"] = json.loads(said["default"])
        told[ast.literal_eval(call.args[0])] = said
    return Found(params=told)


def _kfp(files: Mapping[str, str]) -> Found:
    tree = _tree(files, "pipeline.py")
    (said,) = _calls(tree, "dsl.pipeline")
    (made,) = (each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef) and said in each.decorator_list)
    own = [_literals(call).get("image") for call in _calls(tree, "task")]
    return Found(
        params=_arguments(made.args.args, made.args.defaults),
        image=ast.literal_eval(_assigned(tree, "IMAGE")),
        stage_image=next(filter(None, own), None),
        about=ast.literal_eval(_keyword(said, "description")),
    )


def _flyte(files: Mapping[str, str]) -> Found:
    tree = _tree(files, "workflow.py")
    (said,) = _calls(tree, "workflow")
    (made,) = (each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef) and said in each.decorator_list)
    own = [_literals(call).get("container_image") for call in _calls(tree, "task")]
    return Found(
        params=_arguments(made.args.args, made.args.defaults),
        image=ast.literal_eval(_assigned(tree, "IMAGE")),
        stage_image=next(filter(None, own), None),
    )


def _script(files: Mapping[str, str]) -> Found:
    """Its parser is made, as the program makes it: nothing else of the program is run."""
    import argparse

    tree = ast.parse(files[next(path for path in files if path.endswith("/main.py"))])
    made = next(each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == "_parser")
    made.returns = None
    names: dict[str, Any] = {"argparse": argparse, "literal": json.loads, "__package__": "package"}
    exec(compile(ast.Module([made], []), "parser", "exec"), names)  # noqa: S102 - that it is safe is what is tested
    told = {}
    parser = names["_parser"]()
    about = str(parser.description)
    for action in parser._actions:
        said = {"default": action.default, "choices": action.choices}
        # As its formatter does, where somebody asks for help.
        told[action.dest] = {**said, "help": action.help % {} if action.help else action.help}
    del told["help"], told["folder of the notebook"]
    params = {name: {k: v for k, v in said.items() if v is not None} for name, said in told.items()}
    return Found(params=params, about=about % {"prog": ""} if "%(prog)" in about else about)


def _github(files: Mapping[str, str]) -> Found:
    workflow = yaml.safe_load(files[min(files)])
    told = {}
    for name, said in workflow["on"]["workflow_dispatch"]["inputs"].items():
        told[name] = _renamed(said, options="choices", description="help") | {"default": said["default"]}
    return Found(params=told, image=workflow["jobs"]["run"]["container"]["image"])


def _argo(files: Mapping[str, str]) -> Found:
    template = next(iter(yaml.safe_load_all(files["workflow.yaml"])))
    told = {}
    for said in template["spec"]["arguments"]["parameters"]:
        told[said["name"]] = _renamed(said, value="default", enum="choices", description="help")
    first, *_, record = [each for each in template["spec"]["templates"] if "container" in each]
    return Found(params=told, image=record["container"]["image"], stage_image=first["container"]["image"])


def _kubernetes(files: Mapping[str, str]) -> Found:
    config, clock = yaml.safe_load_all(files["cronjob.yaml"])
    (pod,) = clock["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    return Found(params=_given(json.loads(config["data"]["params.json"])), image=pod["image"])


def _valohai(files: Mapping[str, str]) -> Found:
    ((each,),) = (yaml.safe_load(files["valohai.yaml"]),)
    told = {}
    for said in each["step"]["parameters"]:
        told[said["name"]] = _renamed(said, default="default", choices="choices", description="help")
    return Found(params=told, image=each["step"]["image"])


def _json(path: str) -> Callable[[Mapping[str, str]], Found]:
    return lambda files: Found(params=_given(json.loads(files[path])))


_READERS: dict[str, Callable[[Mapping[str, str]], Found]] = {
    "airflow": _airflow,
    "prefect": _prefect,
    "dagster": _dagster,
    "metaflow": _metaflow,
    "kfp": _kfp,
    "flyte": _flyte,
    "script": _script,
    "github-actions": _github,
    "argo": _argo,
    "kubernetes": _kubernetes,
    "valohai": _valohai,
    "snakemake": _json("config.json"),
    **dict.fromkeys(("dvc", "slurm", "cron", "systemd"), _json("params.json")),
}
#: Where parameters travel as texts, which the job reads by type (`--texts`, `--param`).
_TEXTS = ("kfp", "flyte", "github-actions", "argo", "valohai")


def _told(docstring: str | None) -> str:
    """The name of the stage that a function of a package is about."""
    return str(ast.literal_eval(str(docstring).split(" ", 2)[2].partition(": cell")[0]))


def _is(call: ast.Call, function: str) -> bool:
    return ast.unparse(call.func) == function


def _stage_of(made: ast.FunctionDef) -> str | None:
    """What the body of a step starts: the text in the call that begins with what it is given."""
    for node in ast.walk(made):
        if isinstance(node, ast.Call) and node not in made.decorator_list:
            texts = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            if len(node.args) == 2 and len(texts) == 1:
                return texts[0]
    return None


def _tree(files: Mapping[str, str], path: str) -> ast.Module:
    return ast.parse(files[path])


def _calls(tree: ast.AST, function: str) -> list[ast.Call]:
    return [each for each in ast.walk(tree) if isinstance(each, ast.Call) and _is(each, function)]


def _assigned(tree: ast.Module, name: str) -> ast.expr:
    (found,) = (n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == name)
    return found


def _keyword(call: ast.Call, name: str) -> ast.expr:
    (found,) = (each.value for each in call.keywords if each.arg == name)
    return found


def _literals(call: ast.Call) -> dict[str, Any]:
    """The keywords that are plain data."""
    found = {}
    for each in call.keywords:
        with contextlib.suppress(ValueError):
            found[str(each.arg)] = ast.literal_eval(each.value)
    return found


def _items(node: ast.expr) -> Iterator[tuple[str, ast.Call]]:
    assert isinstance(node, ast.Dict)
    for key, each in zip(node.keys, node.values, strict=True):
        assert key is not None
        assert isinstance(each, ast.Call)
        yield ast.literal_eval(key), each


def _arguments(arguments: list[ast.arg], defaults: list[ast.expr | None] | list[ast.expr]) -> Told:
    told: Told = {}
    for argument, default in zip(arguments, defaults, strict=True):
        assert default is not None
        told[argument.arg] = {"default": ast.literal_eval(default)}
        annotation = argument.annotation
        if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Literal":
            told[argument.arg]["choices"] = ast.literal_eval(annotation.slice)
    return told


def _renamed(said: Mapping[str, Any], **names: str) -> dict[str, Any]:
    return {new: said[old] for old, new in names.items() if old in said}


def _given(values: Mapping[str, Any]) -> Told:
    return {name: {"default": each} for name, each in values.items()}
