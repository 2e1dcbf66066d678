"""Keys: the only place that makes them.

A key is the hash of its labelled parts, as canonical JSON: no two different sets of parts run together, and a stored
trace shows what its key was made of. Cell numbers are not in it, so a cell added above moves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from blake3 import blake3

from nbpipe.model import Artifact, Code, Options, Pipeline, Snippet, Stage
from nbpipe.pipeline.code import cell_prints, code_hash, snippet_print
from nbpipe.pipeline.marks import mark
from nbpipe.pipeline.modules import reached

__all__ = ["code_hash", "derived_seed", "key_of", "make_key", "stage_options"]

#: Raised whenever the same parts would no longer mean the same result.
KEY_SCHEMA = 1
#: Parts that only help to say what changed start with this; they are not in the key.
NOTE = "~"
#: Parts that name a distribution, and hold its version.
DIST = "dist:"
#: Options that can change what a stage gives; resources, retries, timeouts and the place do not.
_OPTIONS = ("image", "nodes", "nproc", "metrics", "thresholds", "model", "env", "inputs")


def make_key(
    pipeline: Pipeline,
    stage: Stage,
    *,
    snippets: Iterable[Snippet],
    params: Mapping[str, Any],
    inputs: Mapping[str, Artifact],
    seed: int,
    metrics: Mapping[str, float] | None = None,
) -> tuple[str, dict[str, str]]:
    """The key of a stage and its labelled parts.

    `snippets` are all that will be created in the job, `params` the effective values it reaches, `seed` its own,
    `metrics` the ones from elsewhere that its thresholds compare with.
    """
    snippets = tuple(snippets)
    used = [snippet for snippet in snippets if snippet.kind != "param"]
    parts = {
        "schema": str(KEY_SCHEMA),
        "kind": stage.kind,
        "python": pipeline.python,
        "kernel": pipeline.kernel,
        "seed": str(seed),
    }
    parts |= _cells("code", stage.cells) | _cells("setup", pipeline.setup)
    parts |= _definitions(used)
    parts |= {f"param:{name}": _json(value) for name, value in params.items()}
    given = [item for item in snippets if item.kind == "param"]
    if given:
        computed = {param.name for param in pipeline.params if param.type == "computed"} - set(params)
        own = [item for item in given if computed & set(item.names)]
        parts |= {f"param-code:{','.join(item.names)}": snippet_print(item) for item in own}
    parts |= {f"input:{name}": artifact.digest for name, artifact in inputs.items()}
    modules, distributions = reached(pipeline, stage, used)
    for name in modules:
        parts[f"module:{name}"] = pipeline.modules[name][1]
        parts[f"{NOTE}module:{name}"] = pipeline.module_marks.get(name, pipeline.modules[name][0])
    parts |= {f"{DIST}{name}": pipeline.distributions[name] for name in distributions}
    parts |= {f"metric:{name}": _json(value) for name, value in (metrics or {}).items()}
    parts |= stage_options(stage.options)
    return key_of(parts), parts


def stage_options(options: Options) -> dict[str, str]:
    """The options that can change what a stage gives, as parts of its key."""
    given = {name: getattr(options, name) for name in _OPTIONS}
    return {f"option:{name}": _json(value) for name, value in given.items() if value}


def key_of(parts: Mapping[str, str]) -> str:
    """The key that these parts make; notes are not part of it."""
    kept = {label: text for label, text in parts.items() if not label.startswith(NOTE)}
    return blake3(msgspec.json.encode(kept, order="sorted")).hexdigest()


def _cells(kind: str, cells: tuple[Code, ...]) -> dict[str, str]:
    prints = cell_prints(cells)
    parts = {f"{kind}:{n}": text for n, text in enumerate(prints, 1)}
    notes = ((n, mark(f"cell {code.cell}", code.body, code.line)) for n, code in enumerate(cells, 1))
    return parts | {f"{NOTE}{kind}:{n}": text for n, text in notes}


def _definitions(used: list[Snippet]) -> dict[str, str]:
    """One part per definition, by its names; a second one of the same names is told apart by a number."""
    parts: dict[str, str] = {}
    order: list[str] = []
    for item in used:
        names = ",".join(item.names)
        label = f"def:{names}"
        if label in parts:
            label = f"def:{names}#{sum(other.partition('#')[0] == label for other in parts) + 1}"
        parts[label] = snippet_print(item)
        parts[NOTE + label] = mark(f"cell {item.cell}", item.source, item.line)
        order.append(label.removeprefix("def:"))
    # In notebook order: of two that need each other's effects, the first one counts.
    return parts | {"order": " ".join(order)}


def derived_seed(seed: int, stage: str) -> int:
    """A stage's own seed: repeatable, different per stage, within what every library accepts (31 bits)."""
    return int.from_bytes(blake3(_json([seed, stage]).encode()).digest(length=4), "big") & 0x7FFFFFFF


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()
