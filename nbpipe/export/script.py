"""Plain Python: a package with a module per stage and a program, for production that takes no notebooks and no nbpipe."""

from __future__ import annotations

import ast
import json
from typing import Literal

import msgspec

from nbpipe.errors import UnsupportedError
from nbpipe.export import script_text
from nbpipe.export.base import Definition, Deployment
from nbpipe.export.engines_here import SCRIPT
from nbpipe.export.names import dashed, identifier, mapped
from nbpipe.export.page import PINNED
from nbpipe.export.script_hoist import Hoisted, bound_in, hoisted, reads_of
from nbpipe.export.script_main import HELPERS, OTHERS, main_module
from nbpipe.export.script_parts import CHECKS, MEASURES, PROGRAM, REGISTRY
from nbpipe.export.script_plain import as_main, plain
from nbpipe.export.script_stage import Function, annotation, function, param_annotation
from nbpipe.model import Code
from nbpipe.pipeline.code import definitions_of

_CARRIES = {
    "after": "order of the calls",
    "cpus": "one stage runs at a time",
    "memory": "one stage runs at a time",
    "gpus": "one stage runs at a time",
    "model": "given to MLflow",
    "register": "`mlflow`, where `MLFLOW_TRACKING_URI` names a server",
    "--param": "options of the program, typed",
}
_INSTEAD = {
    "retries": "Nothing tries a program again but what starts it: take it off, or export to cron.",
    "timeout": "Take it off, and start the program with `timeout`.",
    "image": "A program runs in the image it is started in: take it off.",
    "--image": "A program runs in the image it is started in: take it off.",
    "--schedule": "Export without it, and call the program from cron.",
    "secrets": 'Read it in the code: os.environ["NAME"].',
}
#: Modules of the package beside those of the stages.
_OWN = ("main", "setup", "definitions", "checks", "measures", "registry", "stages")


class ScriptExporter:
    """Writes a package, `pyproject.toml` and `requirements.txt`."""

    name = "script"
    title = "Plain Python"
    proof: Literal["executed"] = "executed"
    remote = False
    #: Types of values that a run has shown stand in the signatures.
    typed = True
    verification = SCRIPT
    carries = _CARRIES
    instead = _INSTEAD

    def definition(self, deployment: Deployment) -> Definition:
        """The package. Raises UnsupportedError for code that only runs in a notebook, with its line."""
        _refuse(deployment)
        deployment = _as_main(deployment)
        pipeline = deployment.pipeline
        package = mapped([pipeline.name], lambda name: f"{identifier(name)}_pipeline", taken=pipeline.modules)[
            pipeline.name
        ]
        setup = "\n\n".join(filter(None, (plain(code, "setup") for code in pipeline.setup)))
        texts = {stage.name: _joined(stage.cells, stage.name) for stage in pipeline.stages}
        _refuse_dynamic(deployment)
        for stage in pipeline.stages:
            for item in definitions_of(pipeline, stage):
                if item.stage is None and item.kind != "magic":
                    plain(Code(cell=item.cell, line=item.line, body=item.source), stage.name)
        tops = hoisted(pipeline, [setup, *texts.values()])
        names = mapped((stage.name for stage in pipeline.stages), identifier, taken=[*_OWN, *HELPERS, *OTHERS])
        rest = _rest(setup, tops)
        prepared = _prepared(deployment, rest, texts)
        functions = [
            (stage.name, function(deployment, stage, names[stage.name], texts[stage.name], tops, set(prepared)))
            for stage in pipeline.stages
        ]
        needed = {each.name: _closure(tops, each.reads) for _, each in functions}
        needed["setup"] = _closure(tops, reads_of(rest))
        shared = _shared(tops, needed)
        files = {
            f"{package}/__init__.py": _init(deployment),
            f"{package}/__main__.py": PROGRAM,
            f"{package}/checks.py": CHECKS,
            f"{package}/measures.py": MEASURES,
            f"{package}/stages/__init__.py": '"""The stages, a module for each."""\n',
        }
        if shared:
            files[f"{package}/definitions.py"] = _definitions(tops, shared)
        asked: tuple[str, ...] | None = None
        if rest.strip():
            asked = tuple(param.name for param in deployment.params if param.name in reads_of(rest))
            files[f"{package}/setup.py"] = _setup(deployment, rest, tops, shared, needed["setup"], prepared, asked)
        for _, each in functions:
            files[f"{package}/stages/{each.name}.py"] = _module(deployment, each, tops, shared, needed[each.name])
        if any(stage.options.register for stage in pipeline.stages):
            files[f"{package}/registry.py"] = REGISTRY
        files[f"{package}/main.py"] = main_module(deployment, functions, prepared, asked)
        pins = _pins(deployment)
        files["requirements.txt"] = PINNED + "".join(f"{pin}\n" for pin in pins)
        files["pyproject.toml"] = _project(deployment, package, pins)
        for path, text in files.items():
            if path.endswith(".py"):
                compile(text, path, "exec", dont_inherit=True)
        return Definition(
            main=f"{package}/main.py",
            files=files,
            modules=True,
            steps=(
                ("Install what it needs:", "pip install -r requirements.txt"),
                (
                    "Run it; every parameter is an option, and `--folder` is where the notebook's paths begin:",
                    f"python -m {package} --help",
                ),
                ("Or make a command of it:", "pip install ."),
            ),
            notes=(
                "stages run one after the other in one process, and nothing is stored or reused between runs",
                "what the code leaves random is random in each run, where nbpipe run gives it a seed: seed it in the notebook",
                "exit codes: 0, 1 where the code fails, 8 where a check says no",
            ),
        )


def _refuse(deployment: Deployment) -> None:
    for stage in deployment.stages:
        if stage.options.env:
            raise UnsupportedError(
                "plain Python cannot express --env",
                stage=stage.name,
                name="env",
                fix="Set it where the program is started.",
            )


def _as_main(deployment: Deployment) -> Deployment:
    """Its definitions as a module may have them."""
    replace = msgspec.structs.replace
    snippets = tuple(
        item if item.kind == "magic" else replace(item, source=as_main(item.source))
        for item in deployment.pipeline.snippets
    )
    return replace(deployment, pipeline=replace(deployment.pipeline, snippets=snippets))


def _refuse_dynamic(deployment: Deployment) -> None:
    for stage in deployment.stages:
        if stage.flow.dynamic:
            raise UnsupportedError(
                "plain Python has no namespace of a notebook, which the stage uses (exec, globals() and their like)",
                stage=stage.name,
                name="dynamic",
                fix="Name what it uses.",
            )


def _joined(cells: tuple[Code, ...], stage: str) -> str:
    return "\n\n".join(filter(None, (plain(code, stage) for code in cells)))


def _rest(setup: str, tops: tuple[Hoisted, ...]) -> str:
    dumps = {ast.dump(ast.parse(one.source).body[0]) for one in tops}
    return script_text.without(setup, [node for node in ast.parse(setup).body if ast.dump(node) in dumps])


def _prepared(deployment: Deployment, rest: str, texts: dict[str, str]) -> tuple[str, ...]:
    """What the setup gives the stages: it runs before each of them, as it does in every stage of the pipeline."""
    bound = bound_in(rest) if rest.strip() else set()
    for stage in deployment.stages:
        for name in sorted(bound & {*stage.flow.writes, *stage.flow.inputs}):
            raise UnsupportedError(
                f"'{name}' is made anew by the setup before each stage, and this stage changes it",
                stage=stage.name,
                name=name,
                fix="Give the stage's variable a name of its own.",
            )
    return tuple(sorted(bound & {name for text in texts.values() for name in reads_of(text)}))


def _closure(tops: tuple[Hoisted, ...], reads: set[str] | frozenset[str]) -> set[str]:
    """Names at the top of modules that are needed, directly or through others."""
    known = {name: one for one in tops for name in one.names}
    found: set[str] = set()
    todo = [name for name in reads if name in known]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += [each.partition(".")[0] for each in known[name].reads if each.partition(".")[0] in known]
    return found


def _shared(tops: tuple[Hoisted, ...], needed: dict[str, set[str]]) -> set[str]:
    """Functions and classes that several modules need."""
    return {
        name
        for one in tops
        if not one.is_import
        for name in one.names
        if sum(name in names for names in needed.values()) > 1
    }


def _head(
    tops: tuple[Hoisted, ...], shared: set[str], needed: set[str], direct: set[str], dots: str
) -> tuple[str, str]:
    """Import lines, and the functions and classes that stand in this module alone."""
    own = [one for one in tops if not one.is_import and set(one.names) & needed - shared]
    inside = direct | {read.partition(".")[0] for one in own for read in one.reads}
    imports = [one.source for one in tops if one.is_import and set(one.names) & inside]
    taken = sorted(shared & inside)
    lines = [*imports, *([f"from {dots}definitions import {', '.join(taken)}"] if taken else [])]
    return "\n".join(lines), "\n\n\n".join(one.source for one in own)


def _module(
    deployment: Deployment, made: Function, tops: tuple[Hoisted, ...], shared: set[str], needed: set[str]
) -> str:
    imports, own = _head(tops, shared, needed, set(made.reads), "..")
    helpers = [name for name in ("check", "compare") if f"@{name}\n" in made.text or f"\n    {name}(" in made.text]
    values = (*made.takes, *made.gives)
    first = [*(["import builtins"] if "builtins" in made.reads else []), *_typing(deployment, [made.text], values)]
    ours = [f"from ..checks import {', '.join(helpers)}"] if helpers else []
    return _parts(["\n".join(first), imports, "\n".join(ours), "\n".join(_types(deployment, values))], own, made.text)


def _parts(heads: list[str], *blocks: str) -> str:
    """Groups of imports with a line between them, then blocks with two."""
    return "\n\n\n".join(filter(None, ("\n\n".join(filter(None, heads)), *blocks)))


def _setup(
    deployment: Deployment,
    rest: str,
    tops: tuple[Hoisted, ...],
    shared: set[str],
    needed: set[str],
    prepared: tuple[str, ...],
    asked: tuple[str, ...],
) -> str:
    imports, own = _head(tops, shared, needed, reads_of(rest), ".")
    known = {param.name: param for param in deployment.params}
    parts = ["*", *(f"{name}: {param_annotation(known[name])}" for name in asked)] if asked else []
    back = ["None", "Any", f"tuple[{', '.join(['Any'] * len(prepared))}]"][min(len(prepared), 2)]
    head = script_text.folded("def set_up(", parts, f") -> {back}:")
    body = rest + (f"\n\nreturn {', '.join(prepared)}" if prepared else "")
    text = f'{head}\n    """What comes before each stage."""\n{script_text.indented(body)}\n'
    return _parts(["\n".join(_typing(deployment, [text], ())), imports], own, text)


def _definitions(tops: tuple[Hoisted, ...], shared: set[str]) -> str:
    chosen = [one for one in tops if not one.is_import and set(one.names) & shared]
    reads = {read.partition(".")[0] for one in chosen for read in one.reads}
    imports = "\n".join(one.source for one in tops if one.is_import and set(one.names) & reads)
    about = '"""What several stages use."""'
    return _parts([about, imports], *(one.source for one in chosen)) + "\n"


def _typing(deployment: Deployment, texts: list[str], values: tuple[str, ...]) -> list[str]:
    signature = "\n".join(text.partition(":\n")[0] for text in texts)
    names = [name for name in ("Any", "Literal", "Optional") if name in signature]
    if _modules(deployment, values):
        names.append("TYPE_CHECKING")
    return [f"from typing import {', '.join(sorted(names))}"] if names else []


def _modules(deployment: Deployment, values: tuple[str, ...]) -> list[str]:
    types = {deployment.types[name] for name in values if name in deployment.types}
    return sorted({each.rpartition(".")[0] for each in types if annotation(each).startswith("'")})


def _types(deployment: Deployment, values: tuple[str, ...]) -> list[str]:
    modules = _modules(deployment, values)
    return ["if TYPE_CHECKING:", *(f"    import {module}" for module in modules)] if modules else []


def _init(deployment: Deployment) -> str:
    about = f"The pipeline {deployment.pipeline.name!r}, version {deployment.pipeline.version[:7]}. Written by nbpipe export."
    lines = [ast.unparse(ast.Constant(about))]
    if "matplotlib" in deployment.pipeline.provided_by:
        lines += [
            "",
            "import os",
            "",
            "# Nobody looks at windows of a program.",
            'os.environ.setdefault("MPLBACKEND", "agg")',
        ]
    return "\n".join(lines) + "\n"


def _pins(deployment: Deployment) -> list[str]:
    pins = {name: found.partition("+")[0] for name, found in deployment.pipeline.distributions.items()}
    found = [f"{name}=={pins[name]}" for name in sorted(pins)]
    if any(stage.options.register for stage in deployment.stages) and "mlflow" not in pins:
        found.append("mlflow")
    return found


def _project(deployment: Deployment, package: str, pins: list[str]) -> str:
    """TOML, whose texts are those of JSON."""
    name = dashed(deployment.pipeline.name, longest=50)
    modules = sorted(
        {
            path.partition("/")[0].removesuffix(".py")
            for path, _ in deployment.pipeline.modules.values()
            if "/" not in path
        }
    )
    lines = [
        "# Written by nbpipe export: export again instead of editing.",
        "[project]",
        f"name = {json.dumps(name)}",
        f"version = {json.dumps(f'0+{deployment.pipeline.version[:7]}')}",
        f"requires-python = {json.dumps(f'>={deployment.pipeline.python}')}",
        f"dependencies = {json.dumps(pins)}",
        "",
        "[project.scripts]",
        f"{json.dumps(name)} = {json.dumps(f'{package}.main:main')}",
        "",
        "[build-system]",
        'requires = ["setuptools>=77"]',
        'build-backend = "setuptools.build_meta"',
        "",
        "[tool.setuptools]",
        f"packages = {json.dumps([package, f'{package}.stages'])}",
        f"py-modules = {json.dumps(modules)}",
    ]
    return "\n".join(lines) + "\n"


EXPORTER = ScriptExporter()
