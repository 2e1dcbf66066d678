"""What a cell that runs elsewhere reads of this kernel, stored: as if the stages above it had just given it."""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
from typing import TYPE_CHECKING, Any

from nbpipe.errors import ParameterError, PipelineError, Unserializable
from nbpipe.job.ambient import BY_NAME
from nbpipe.job.definitions import state, written_state
from nbpipe.live.elsewhere.handles import lying
from nbpipe.model import AmbientState, Outcome, Trace
from nbpipe.pipeline.code import fingerprint
from nbpipe.pipeline.index import index_of
from nbpipe.pipeline.params import resolve_params
from nbpipe.plan.resolve import Wanted, wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbpipe.live.elsewhere.ground import Ground
    from nbpipe.model import Artifact, Pipeline, Snippet, Stage
    from nbpipe.store import Store


class ChangedSince(PipelineError):
    """The kernel has another value of `name` than the literal that its cell gives."""


#: The run that the kernel's own values are from.
KERNEL = "kernel"
#: Ambient state that is plain enough to be taken along, and given back.
CARRIED = frozenset(
    {name for name, entry in BY_NAME.items() if entry.random}
    | {"@pandas.options", "@numpy.options", "@torch.defaults", "@decimal", "@sklearn.config", "@polars.config"}
)


def params_of(pipeline: Pipeline, stage: Stage, names: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as the kernel has them now. Raises PipelineError for a value that is none."""
    told = {
        param.name: names[param.name]
        for param in pipeline.params
        if param.name in names and (param.required or param.name in stage.flow.params)
    }
    try:
        return resolve_params(pipeline.params, told, None, {})
    except ParameterError as error:
        raise PipelineError(error.message, stage=stage.name, name=error.name, fix=error.fix) from None


def given_by_kernel(
    ground: Ground, store: Store, names: Mapping[str, Any], params: Mapping[str, Any], on: str
) -> tuple[dict[str, Trace], Wanted]:
    """Traces of the stages above, with the values of now; and what the stage should run with. It runs on the target `on`.

    Raises PipelineError, with the name, for what cannot travel: a value that cannot be stored, a name that is not bound, a
    definition that is another than the notebook's; ChangedSince for a constant that no longer is one.
    """
    stage, above = ground.stage, ground.pipeline.stages[:-1]
    inputs: dict[str, Artifact] = {}
    todo = {name for name in stage.flow.inputs if _bound(name, stage, names)}
    states: dict[str, Artifact] = {}
    while True:
        inputs |= (there := lying(names, todo, on))
        inputs |= _saved({name: names[name] for name in sorted(todo - there.keys())}, stage, store)
        traces = _traces(ground.pipeline, inputs, states, _ambient(above, store))
        outcomes = {name: trace.outcome for name, trace in traces.items()}
        target = wanted(ground.pipeline, stage.name, outcomes, params)
        if target is None:
            raise PipelineError("cannot be told apart from the stages above it", stage=stage.name)
        todo = {name for name in target.missing if name in names} - inputs.keys()
        more = _states(target, names, store) if not todo else {}
        if not todo and more.keys() <= states.keys():
            break
        states |= more
    for snippet in target.snippets:
        _refuse_other(snippet, stage, names)
    return traces, target


def _bound(name: str, stage: Stage, names: Mapping[str, Any]) -> bool:
    if name in names:
        return True
    if name in stage.flow.optional:
        return False
    raise PipelineError(
        f"reads '{name}', which this kernel does not have",
        stage=stage.name,
        name=name,
        fix=f"Run stage '{stage.flow.inputs[name]}' first.",
    )


def _saved(values: dict[str, Any], stage: Stage, store: Store) -> dict[str, Artifact]:
    from nbpipe.store.values import save_values

    try:
        return save_values(store, values, stage=stage.name) if values else {}
    except Unserializable as error:
        raise PipelineError(
            f"reads '{error.name}' ({error.type_name}), which cannot be sent: {error.reason}",
            stage=stage.name,
            name=error.name,
            fix=f"Create '{error.name}' in this cell, or run the cell here: --on local.",
        ) from None


def _traces(
    pipeline: Pipeline,
    inputs: Mapping[str, Artifact],
    states: Mapping[str, Artifact],
    ambient: tuple[AmbientState, ...],
) -> dict[str, Trace]:
    """Each value with the stage that gives it, so that it is found where a run would find it."""
    *above, stage = pipeline.stages
    found = {}
    for item in above:
        outputs = {name: saved for name, saved in inputs.items() if _giver(pipeline, stage, name) == item.name}
        last = item is above[-1]
        outcome = Outcome(
            stage=item.name,
            attempt=1,
            token=KERNEL,
            status="succeeded",
            outputs=outputs,
            observed=dict(states) if last else {},
            ambient=ambient if last else (),
        )
        found[item.name] = Trace(key=KERNEL, stage=item.name, outcome=outcome, pipeline=pipeline.name, run=KERNEL)
    return found


def _giver(pipeline: Pipeline, stage: Stage, name: str) -> str:
    """The stage above that gives a name; the last one for what only turned out to be needed."""
    kind, _, target = index_of(pipeline).provider(stage.name, name).partition(":")
    return stage.flow.inputs.get(name) or (target if kind == "stage" else pipeline.stages[-2].name)


def _ambient(above: tuple[Stage, ...], store: Store) -> tuple[AmbientState, ...]:
    """Ambient state that stages above have set, as it is now."""
    import sys

    from nbpipe.store.values import save_values

    touched = {name for stage in above for name in stage.flow.ambient_sets} & CARRIED
    found = []
    for name in sorted(touched):
        entry = BY_NAME[name]
        if entry.owner in sys.modules:
            artifact = save_values(store, {name: entry.get()}, stage=KERNEL)[name]
            found.append(AmbientState(name=name, after=artifact.digest, artifact=artifact))
    return tuple(found)


def _states(target: Wanted, names: Mapping[str, Any], store: Store) -> dict[str, Artifact]:
    """What code has hung on definitions since they were made: attributes of a class, defaults of a function."""
    from nbpipe.store.digest import Undigestable, digest
    from nbpipe.store.values import save_state

    found = {}
    for snippet in target.snippets:
        if snippet.kind not in ("function", "class"):
            continue
        node = ast.parse(snippet.source).body[0]
        written, value = written_state(node), names.get(snippet.names[0])
        now = state(value)
        if written is None or now is None or getattr(value, "__module__", "") != "__main__":
            continue
        try:
            changed = digest(now) != digest(written)
        except Undigestable:
            changed = True
        if changed:
            found[snippet.names[0]] = save_state(store, snippet.names[0], now, stage=target.stage)
    return found


def _refuse_other(snippet: Snippet, stage: Stage, names: Mapping[str, Any]) -> None:
    """Raise PipelineError for a definition that is not what the cell that was run last says."""
    name = snippet.names[0] if snippet.names else ""
    if snippet.kind == "constant" and name in names and _differs(snippet.source, names[name]):
        raise ChangedSince(f"reads '{name}'", stage=stage.name, name=name)
    if snippet.kind in ("constant", "function", "class") and name not in names:
        said = "is no longer"
    elif snippet.kind == "function" and _written_otherwise(snippet.source, names[name]):
        said = "is another one"
    else:
        return
    raise PipelineError(
        f"reads '{name}', which {said} in this kernel: it is not what its cell gave",
        stage=stage.name,
        name=name,
        fix=f"Run the cell again that defines '{name}'.",
    )


def _differs(source: str, value: Any) -> bool:
    node = ast.parse(source).body[0]
    try:
        written = ast.literal_eval(getattr(node, "value", None) or ast.Constant(None))
    except (ValueError, TypeError):
        return False
    return type(written) is not type(value) or bool(written != value)


def _written_otherwise(source: str, value: Any) -> bool:
    value = inspect.unwrap(value) if callable(value) else value
    if not isinstance(value, types.FunctionType):
        return False
    try:
        return fingerprint(textwrap.dedent(inspect.getsource(value))) != fingerprint(source)
    except (OSError, TypeError, SyntaxError):
        # Nobody knows where it was written: not in a cell that ran here.
        return True
