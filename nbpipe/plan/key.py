"""Keys: the only place that makes them.

A key is the hash of its labelled parts, as canonical JSON: no two different sets of parts run together, and a stored
trace shows what its key was made of. Cell numbers are not in it, so a cell added above moves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from blake3 import blake3

from nbpipe.model import Artifact, Pipeline, Snippet, Stage
from nbpipe.pipeline.code import cell_prints, code_hash, snippet_print
from nbpipe.pipeline.modules import distributions_reached, reach

__all__ = ["code_hash", "derived_seed", "key_of", "make_key"]

#: Raised whenever the same parts would no longer mean the same result.
KEY_SCHEMA = 1
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
    used = [snippet for snippet in snippets if snippet.kind != "param"]
    parts = {
        "schema": str(KEY_SCHEMA),
        "kind": stage.kind,
        "python": pipeline.python,
        "kernel": pipeline.kernel,
        "seed": str(seed),
    }
    parts |= {f"code:{n}": text for n, text in enumerate(cell_prints(stage.cells), 1)}
    parts |= {f"setup:{n}": text for n, text in enumerate(cell_prints(pipeline.setup), 1)}
    parts |= {f"def:{n}:{','.join(item.names)}": snippet_print(item) for n, item in enumerate(used, 1)}
    parts |= {f"param:{name}": _json(value) for name, value in params.items()}
    computed = {param.name for param in pipeline.params if param.type == "computed"} - set(params)
    parts |= {
        f"param-code:{','.join(item.names)}": snippet_print(item)
        for item in snippets
        if item.kind == "param" and computed & set(item.names)
    }
    parts |= {f"input:{name}": artifact.digest for name, artifact in inputs.items()}
    parts |= {f"module:{name}": pipeline.modules[name][1] for name in reach(pipeline, stage, used)}
    reached = distributions_reached(pipeline, stage, used)
    parts |= {f"dist:{name}": pipeline.distributions[name] for name in reached}
    parts |= {f"metric:{name}": _json(value) for name, value in (metrics or {}).items()}
    for name in _OPTIONS:
        value = getattr(stage.options, name)
        if value:
            parts[f"option:{name}"] = _json(value)
    return key_of(parts), parts


def key_of(parts: Mapping[str, str]) -> str:
    """The key that these parts make."""
    return blake3(msgspec.json.encode(dict(parts), order="sorted")).hexdigest()


def derived_seed(seed: int, stage: str) -> int:
    """A stage's own seed: repeatable, different per stage, within what every library accepts (31 bits)."""
    return int.from_bytes(blake3(_json([seed, stage]).encode()).digest(length=4), "big") & 0x7FFFFFFF


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()
