"""The module of one stage: a function of what it takes and gives, around the author's own lines."""

from __future__ import annotations

import ast
from collections.abc import Mapping

import msgspec

from nbpipe.errors import UnsupportedError
from nbpipe.export import script_text
from nbpipe.export.base import Deployment
from nbpipe.export.python import value
from nbpipe.export.script_hoist import BUILTINS, Hoisted, bound_in, reads_of
from nbpipe.model import Param, Stage
from nbpipe.notebook.thresholds import threshold_names
from nbpipe.pipeline.code import definitions_of

_TYPES = {"int": "int", "float": "float", "str": "str", "bool": "bool", "list": "list", "dict": "dict", "none": "None"}
_PLAIN = frozenset({"int", "float", "str", "bool", "list", "dict", "tuple", "set", "bytes", "complex"})


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """How the function of a stage is called, and the text of its module."""

    name: str
    #: Variables it takes, from other stages or from the setup; parameters; metrics of stages above.
    takes: tuple[str, ...]
    params: tuple[str, ...]
    measures: tuple[str, ...]
    gives: tuple[str, ...]
    metrics: tuple[str, ...]
    text: str
    #: Names at the top of other modules that its text reads.
    reads: frozenset[str]


def function(
    deployment: Deployment, stage: Stage, name: str, text: str, tops: tuple[Hoisted, ...], prepared: set[str]
) -> Function:
    """`text` is the stage's own code, `tops` what stands at the top of modules, `prepared` what the setup gives."""
    hoisted = {each: one for one in tops for each in one.names}
    computed = {param.name for param in deployment.pipeline.params if param.type == "computed"}
    own = _without_tops(text, hoisted)
    before = _foreign(deployment, stage, hoisted, computed)
    whole = "\n\n".join([*before, own])
    reads = reads_of(whole)
    bound = bound_in(whole)
    takes = tuple(sorted({*stage.flow.inputs, *(prepared & reads)} - set(stage.flow.params)))
    compared = {each for text_ in stage.options.thresholds for each in threshold_names(text_)[0]}
    params = tuple(
        param.name for param in deployment.params if param.name in stage.flow.params or param.name in compared - bound
    )
    measures = tuple(sorted(compared - bound - set(takes) - set(params)))
    metrics = tuple(each for each in stage.options.metrics if each in bound or each in takes)
    model = (stage.options.model,) if stage.options.model else ()
    gives = tuple(dict.fromkeys([*stage.flow.outputs, *metrics, *model]))
    shadowed = sorted(each for each in bound & BUILTINS & reads if each not in takes and each not in params)
    lines = [f"{each} = builtins.{each}" for each in shadowed]
    if "display" in reads - bound and "display" not in (*takes, *params):
        lines.append("display = print  # there is no page to show it on")
    lines += [part for part in (*before, own) if part.strip()]
    lines += [_compare(each) for each in stage.options.thresholds]
    if gives:
        lines.append(f"return {', '.join(gives)}")
    body = "\n\n".join(lines) or "pass"
    return Function(
        name=name,
        takes=takes,
        params=params,
        measures=measures,
        gives=gives,
        metrics=metrics,
        text=_text(deployment, stage, name, (takes, params, measures, gives), body),
        reads=frozenset({*reads, *(("builtins",) if shadowed else ())}),
    )


def _without_tops(text: str, hoisted: Mapping[str, Hoisted]) -> str:
    tree = ast.parse(text)
    tops = {ast.dump(ast.parse(one.source).body[0]) for one in hoisted.values()}
    return script_text.without(text, [node for node in tree.body if ast.dump(node) in tops])


def _foreign(deployment: Deployment, stage: Stage, hoisted: Mapping[str, Hoisted], computed: set[str]) -> list[str]:
    """Definitions of other cells that look at variables: they are made again in here, where they see the stage's own."""
    found = []
    wanted = set(stage.flow.definitions)
    for snippet in deployment.pipeline.snippets:
        if snippet.id in wanted and snippet.kind == "param" and snippet.names[0] in computed:
            name = snippet.names[0]
            given = deployment.given
            found.append(f"{name} = {ast.unparse(value(given[name]))}" if name in given else snippet.source)
    for snippet in definitions_of(deployment.pipeline, stage):
        if all(name in hoisted for name in snippet.names):
            continue
        if snippet.kind == "class":
            raise UnsupportedError(
                f"the class {snippet.names[0]} of cell {snippet.cell} uses variables of the notebook, and would be another class"
                " in each stage",
                stage=stage.name,
                name=snippet.names[0],
                fix="Give it what it uses as arguments, or move it into a module beside the notebook.",
            )
        if snippet.kind == "magic":
            continue
        found.append(snippet.source)
    return found


def _compare(threshold: str) -> str:
    names, champion = threshold_names(threshold)
    if champion:
        raise UnsupportedError(
            f"plain Python knows no champion to compare with: {threshold}",
            name=champion[0],
            fix="Compare with a number, or with a parameter.",
        )
    expression = ast.unparse(ast.parse(threshold.strip(), mode="eval"))
    given = "".join(f", {name}={name}" for name in names)
    return f"compare({threshold.strip()!r}, lambda {', '.join(names)}: {expression}{given})"


def _text(deployment: Deployment, stage: Stage, name: str, signature: tuple[tuple[str, ...], ...], body: str) -> str:
    takes, params, measures, gives = signature
    known = {param.name: param for param in deployment.params}
    parts = [f"{each}: {annotation(deployment.types.get(each, ''))}" for each in takes]
    if params or measures:
        parts.append("*")
    parts += [f"{each}: {param_annotation(known[each])}" for each in params]
    parts += [f"{each}: float" for each in measures]
    types = [annotation(deployment.types.get(each, "")) for each in gives]
    back = "None" if not types else types[0] if len(types) == 1 else f"tuple[{', '.join(types)}]"
    head = script_text.folded(f"def {name}(", parts, f") -> {back}:")
    kind = "check" if stage.kind == "check" else "stage"
    cells = ", ".join(str(code.cell) for code in stage.cells)
    about = f'    """The {kind} {stage.name!r}: cell{"s" if len(stage.cells) > 1 else ""} {cells} of the notebook."""'
    made = f"{head}\n{about}\n{script_text.indented(body)}\n"
    tree = ast.parse(body)
    if not script_text.same(made, name, tree.body):
        raise AssertionError("moving the cells of a stage has changed them")
    return ("@check\n" if stage.kind == "check" else "") + made


def annotation(type_: str) -> str:
    """Of a value whose type was seen in a run; in quotes, as its module need not be imported here."""
    module, _, name = type_.rpartition(".")
    if not module or module == "builtins":
        return name if name in _PLAIN else "Any"
    if module.partition(".")[0] in ("__main__", "builtins") or not all(
        part.isidentifier() for part in type_.split(".")
    ):
        return "Any"
    return repr(type_)


def param_annotation(param: Param) -> str:
    """Of a parameter."""
    if param.choices is not None:
        found = f"Literal[{', '.join(repr(choice) for choice in param.choices)}]"
    else:
        found = _TYPES.get(param.type, "Any")
    return f"Optional[{found}]" if param.optional and param.type != "none" else found
