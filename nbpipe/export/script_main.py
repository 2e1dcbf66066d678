"""The program of a package: `run` calls the stages in the notebook's order, `main` reads the options of a command line."""

from __future__ import annotations

import ast
from typing import Any

from nbpipe.export import script_text
from nbpipe.export.base import Deployment
from nbpipe.export.names import mapped
from nbpipe.export.python import assign, call, dotted, lines_of, value
from nbpipe.export.script_stage import Function, param_annotation
from nbpipe.model import Param

_MAIN = '''
def main(arguments: list[str] | None = None) -> int:
    """Run with the options of the command line: 0, or 8 where a check says no, or 1 where the code ends the program."""
    given = vars(_parser().parse_args(arguments))
    os.chdir(given.pop("folder of the notebook"))
    try:
        metrics = run(**given)
    except Rejected as error:
        print(f"rejected: {error}", file=sys.stderr)
        return 8
    except SystemExit as error:
        print(f"the code ended the program before the last stage (exit code {error.code})", file=sys.stderr)
        return 1
    print(json.dumps(metrics))
    return 0


if __name__ == "__main__":
    sys.exit(main())
'''
_LITERAL = '''
def literal(text: str) -> Any:
    """A list, a dictionary, a number, null or a text, as JSON or as Python writes it."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
'''

#: Names of the program that no stage has.
HELPERS = ("metrics", "set_up", "measured", "register")
#: Names at the top of the program: no variable of `run` hides one that it needs, and no stage is called so.
OTHERS = ("run", "main", "literal", "Rejected", "argparse", "ast", "json", "os", "sys", "check", "compare")


def main_module(
    deployment: Deployment,
    functions: list[tuple[str, Function]],
    prepared: tuple[str, ...],
    setup: tuple[str, ...] | None,
) -> str:
    """`functions` with the stages' names; `prepared` is what the setup gives, `setup` its parameters, None for no setup."""
    pipeline = deployment.pipeline
    variables = {each for _, function in functions for each in (*function.takes, *function.gives)}
    taken = {*variables, *(param.name for param in deployment.params)}
    named = mapped([*(function.name for _, function in functions), *HELPERS], _same, taken=taken)
    stages = {stage.name: stage for stage in pipeline.stages}
    body: list[ast.stmt] = [assign(named["metrics"], ast.Dict([], []))]
    for name, function in functions:
        if setup is not None:
            body.append(_call(named["set_up"], (), setup, (), prepared, named))
        body.append(
            _call(named[function.name], function.takes, function.params, function.measures, function.gives, named)
        )
        if function.metrics:
            measure = call(
                named["measured"], dotted(named["metrics"]), **{each: dotted(each) for each in function.metrics}
            )
            body.append(ast.Expr(measure))
        options = stages[name].options
        if options.register and options.model:
            body.append(ast.Expr(call(named["register"], dotted(options.model), value(options.register))))
    body.append(ast.Return(dotted(named["metrics"])))
    head = f"The pipeline {pipeline.name!r}, version {pipeline.version[:7]}. Written by nbpipe export."
    imports = ["import argparse", "import json", "import os", "import sys"]
    if any(_typing(param) == "literal" for param in deployment.params):
        imports.insert(1, "import ast")
    told = "\n".join(param_annotation(param) for param in deployment.params)
    wanted = [
        name for name in ("Any", "Literal", "Optional") if name in told or (name == "Any" and "import ast" in imports)
    ]
    lines = [
        *imports,
        *([f"from typing import {', '.join(wanted)}"] if wanted else []),
        "",
        "from .checks import Rejected",
    ]
    if any(function.metrics for _, function in functions):
        lines.append(_import("measures", "measured", named))
    if any(stages[name].options.register for name, _ in functions):
        lines.append(_import("registry", "register", named))
    if setup is not None:
        lines.append(_import("setup", "set_up", named))
    lines += [_import(f"stages.{function.name}", function.name, named) for _, function in functions]
    parts = [f"{ast.unparse(value(head))}\n\n", "\n".join(lines), "\n\n\n", _run(deployment, body), "\n\n"]
    if "import ast" in imports:
        parts += [_LITERAL.strip("\n"), "\n\n\n"]
    parts += [_parser(deployment), "\n\n", _MAIN.strip("\n"), "\n"]
    return script_text.double_quoted("".join(parts))


def _same(name: str) -> str:
    return name


def _import(module: str, name: str, named: dict[str, str]) -> str:
    renamed = f" as {named[name]}" if named[name] != name else ""
    return f"from .{module} import {name}{renamed}"


def _call(
    function: str,
    takes: tuple[str, ...],
    params: tuple[str, ...],
    measures: tuple[str, ...],
    gives: tuple[str, ...],
    named: dict[str, str],
) -> ast.stmt:
    keywords: dict[str, ast.expr] = {each: dotted(each) for each in params}
    for each in measures:
        keywords[each] = ast.Subscript(dotted(named["metrics"]), value(each), ast.Load())
    made = call(function, *(dotted(each) for each in takes), **keywords)
    if not gives:
        return ast.Expr(made)
    if len(gives) == 1:
        return assign(gives[0], made)
    return ast.Assign([ast.Tuple([ast.Name(each, ast.Store()) for each in gives], ast.Store())], made)


def _run(deployment: Deployment, body: list[ast.stmt]) -> str:
    parts = ["*"] if deployment.params else []
    for param in deployment.params:
        default = "" if param.required else f" = {ast.unparse(value(param.default))}"
        parts.append(f"{param.name}: {param_annotation(param)}{default}")
    head = script_text.folded("def run(", parts, ") -> dict[str, float]:")
    lines = [line for node in body for line in lines_of(ast.fix_missing_locations(node), "    ")]
    about = '    """Run the stages in the order of the notebook; returns the metrics."""'
    return "\n".join([head, about, *lines]) + "\n"


def _parser(deployment: Deployment) -> str:
    """`_parser`, through a tree: what stands in it is text of people."""
    options = mapped((param.name for param in deployment.params), _same, taken=["help", "folder"])
    about = f"The pipeline {deployment.pipeline.name}."
    # Only then argparse fills it in.
    about = about.replace("%", "%%") if "%(prog)" in about else about
    made = call("argparse.ArgumentParser", prog=value("python -m PACKAGE"), description=value(about))
    made.keywords[0].value = dotted("__package__")
    body: list[ast.stmt] = [assign("parser", made)]
    for param in deployment.params:
        dashed = f"--{options[param.name].replace('_', '-')}"
        names = dict.fromkeys([dashed, f"--{options[param.name]}"])
        keywords: dict[str, ast.expr] = {"dest": value(param.name), **_keywords(param)}
        if param.required:
            keywords["required"] = value(True)  # noqa: FBT003 - a keyword's value
        else:
            keywords["default"] = value(param.default)
        if param.help:
            keywords["help"] = value(param.help.replace("%", "%%"))
        body.append(ast.Expr(call("parser.add_argument", *map(value, names), **keywords)))
    where: dict[str, Any] = {
        "dest": "folder of the notebook",
        "default": ".",
        "metavar": "DIR",
        "help": "where the code runs, for the paths in it",
    }
    body.append(ast.Expr(call("parser.add_argument", value("--folder"), **{key: value(v) for key, v in where.items()})))
    body.append(ast.Return(dotted("parser")))
    lines = [line for node in body for line in lines_of(ast.fix_missing_locations(node), "    ")]
    text = "\n".join(["def _parser() -> argparse.ArgumentParser:", *lines]) + "\n"
    if ast.dump(ast.parse(text).body[0].body[-1]) != ast.dump(body[-1]):  # type: ignore[attr-defined]
        raise AssertionError("folding has changed the code")
    return text


def _typing(param: Param) -> str:
    """What reads the text of an option."""
    if param.choices is not None:
        return "str" if all(isinstance(choice, str) for choice in param.choices) and not param.optional else "literal"
    if param.type in ("int", "float", "str", "bool") and not param.optional:
        return param.type
    return "literal"


def _keywords(param: Param) -> dict[str, ast.expr]:
    kind = _typing(param)
    if kind == "bool":
        return {"action": dotted("argparse.BooleanOptionalAction")}
    found: dict[str, ast.expr] = {"type": dotted(kind)} if kind != "str" else {}
    if param.choices is not None:
        found["choices"] = value([*param.choices, *([None] if param.optional and None not in param.choices else [])])
    else:
        found["metavar"] = value(param.type.upper())
    return found
