"""Whatever text stands in a notebook, an export of it is text: it parses, the text comes back, nothing is run."""

from __future__ import annotations

import ast
import io
import json
import re
import sys
import tokenize
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import yaml  # type: ignore[import-untyped]
from hostile import hostile

from nbpipe.errors import PipelineError, UnsupportedError
from nbpipe.export import options
from nbpipe.export.base import Definition, Deployment, Exporter
from nbpipe.export.page import readme
from nbpipe.export.registry import exporters
from nbpipe.model import Code, Options, Param, Pipeline, Stage

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
_seen: list[str] = []
_watching = False


def _audit(event: str, _arguments: Any) -> None:
    if _watching and event in _FORBIDDEN:
        _seen.append(event)


sys.addaudithook(_audit)


def deployment(texts: tuple[str, ...], exporter: Exporter) -> Deployment:
    """A pipeline with a text in every place that holds one."""
    name, default, text_help, env, image, choice = texts
    params = (
        Param(name="p", type="str", default=default, help=text_help),
        Param(name="q", type="choice", default=choice, choices=(choice, f"{choice}2")),
        Param(name="r", type="dict", default={default: [choice, -1, 0.5, None, True]}),
    )
    # Where the code itself is written, it is code that holds the text.
    body, told = (f"{name!r}", {}) if exporter.name == "script" else (name, {"E": env})
    stages = (
        Stage(name="one", kind="stage", cells=(Code(cell=1, body=body),), options=Options(env=told)),
        Stage(name="two", kind="check", cells=(Code(cell=2, body=body),), after=("one",)),
    )
    return Deployment(
        pipeline=Pipeline(name=name, version="0" * 64, stages=stages, params=params),
        order={"one": (), "two": ("one",)},
        params=params,
        image=(image or "i") if "--image" in exporter.carries else None,
        schedule="0 0 * * *" if "--schedule" in exporter.carries else None,
        store="s3://bucket/x" if exporter.remote else "",
        project=None if exporter.remote else "../..",
        secrets=("API_TOKEN",) if "secrets" in exporter.carries else (),
    )


def leaves(data: Any) -> Iterator[str]:
    """Every text in plain data."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for key, item in data.items():
            yield from leaves(key)
            yield from leaves(item)
    elif isinstance(data, (list, tuple)):
        for item in data:
            yield from leaves(item)


def texts_in(path: str, text: str) -> set[str]:
    """Every text that a reader of the format finds in a file; fails where it does not parse."""
    if path.endswith(".py"):
        return {n.value for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    if path.endswith("Snakefile"):
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        plain = (t.string for t in tokens if t.type == tokenize.STRING and t.string[0] in "'\"")
        return set(map(ast.literal_eval, plain))
    if path.endswith(".json"):
        return set(leaves(json.loads(text)))
    if path.endswith((".yaml", ".yml")):
        found: set[str] = set()
        for document in yaml.safe_load_all(text):
            found |= set(leaves(document))
            # A parameter may travel as one JSON text.
            for leaf in list(found):
                if leaf[:1] in '{["':
                    try:
                        found |= set(leaves(json.loads(leaf)))
                    except ValueError:
                        continue
        return found
    return set()


@pytest.mark.parametrize("turn", [0, *(pytest.param(turn, marks=pytest.mark.long) for turn in range(1, 6))])
@pytest.mark.parametrize("name", exporters())
def test_every_hostile_text_comes_back_and_nothing_is_run(name: str, turn: int) -> None:
    """Each of the texts in one of the places; after six turns it was in all of them."""
    global _watching  # noqa: PLW0603 - an audit hook cannot be taken away again
    exporter = exporters()[name]
    exporter.definition(deployment(("n", "d", "h", "e", "i", "c"), exporter))  # what is imported on use is imported now
    groups = [tuple((_TEXTS + _TEXTS[:6])[start : start + 6]) for start in range(0, len(_TEXTS), 6)]
    groups = [texts[turn:] + texts[:turn] for texts in groups]
    while groups:
        texts = groups.pop()
        given = deployment(texts, exporter)
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
        found = {text for path, content in written.files.items() for text in texts_in(path, content)}
        _, default, _, _, image, choice = texts
        assert default in found
        assert choice in found
        if "--image" in exporter.carries and image:
            assert image in found
        assert all(
            re.fullmatch(r"([A-Za-z0-9_@-][A-Za-z0-9_.@-]{0,99}/){0,2}[A-Za-z0-9_.@-]{1,100}", path)
            for path in written.files
        )


@pytest.mark.parametrize("name", exporters())
def test_what_is_no_name_of_a_stage_never_becomes_a_task(name: str) -> None:
    exporter = exporters()[name]
    given = deployment(("n", "d", "h", "e", "i", "c"), exporter)
    texts = [text for text in _TEXTS if not re.fullmatch("[a-z][a-z0-9_-]{0,62}", text)]
    for stage in ("../x", "-rf", "$(x)", "{0.__class__}", "a b", "A", "", "🦀", "a" * 300, "x\n", *texts):
        bad = Stage(name=stage, kind="stage", cells=())
        pipeline = msgspec.structs.replace(given.pipeline, stages=(*given.stages, bad))
        with pytest.raises(PipelineError, match="is not the name of a stage"):
            options.check(exporter, msgspec.structs.replace(given, pipeline=pipeline))
