"""A notebook whose stages are settled by hand: plans and keys under test, with a real store and no kernel."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from blake3 import blake3

from nbpipe.model import AmbientState, Artifact, Decision, FileState, Outcome, Pipeline, Trace
from nbpipe.pipeline.extract import extract
from nbpipe.pipeline.params import resolve_params
from nbpipe.plan.constraints import holds
from nbpipe.plan.facts import Outside
from nbpipe.plan.planner import make_plan
from nbpipe.plan.resolve import Wanted, wanted
from nbpipe.store import open_store


def artifact(text: str, **fields: Any) -> Artifact:
    """A value that is told apart by this text."""
    return Artifact(digest=blake3(text.encode()).hexdigest(), format="json", **fields)


class Book:
    """A notebook in a folder, and the results its stages are said to have given."""

    def __init__(self, folder: Path, *cells: str) -> None:
        self.folder = folder
        self.path = folder / "book.ipynb"
        self.store = open_store("memory:")
        self.files = Outside(folder, self.store.variable_digest)
        (folder / "nbpipe.toml").touch()
        self.write(*cells)

    def write(self, *cells: str, kernel: str = "python3") -> None:
        """Each text is one code cell, its magic line included."""
        written: list[dict[str, Any]] = [
            {"cell_type": "code", "id": f"c{n}", "metadata": {}, "source": text, "outputs": [], "execution_count": None}
            for n, text in enumerate(cells)
        ]
        kernelspec = {"name": kernel, "display_name": kernel, "language": "python"}
        book = {"cells": written, "metadata": {"kernelspec": kernelspec}, "nbformat": 4, "nbformat_minor": 5}
        self.path.write_text(json.dumps(book))

    @property
    def pipeline(self) -> Pipeline:
        return extract(self.path)

    def wanted(self, stage: str, committed: Mapping[str, Outcome], params: Mapping[str, Any] | None = None) -> Wanted:
        """What the stage is to run with; its providers are committed."""
        found = wanted(self.pipeline, stage, committed, params or {})
        assert found is not None
        return found

    def settle(
        self,
        params: Mapping[str, str] | None = None,
        *,
        gives: Mapping[str, str] | None = None,
        reads: Mapping[str, Iterable[str]] | None = None,
        ambient: Mapping[str, tuple[AmbientState, ...]] | None = None,
    ) -> list[str]:
        """Run what has to run, so to speak; the stages that did. `gives`: name -> text in place of one made from the key."""
        pipeline = self.pipeline
        values = resolve_params(pipeline.params, params or {}, None, pipeline.profiles)
        committed: dict[str, Outcome] = {}
        ran = []
        for stage in pipeline.stages:
            target = wanted(pipeline, stage.name, committed, values)
            assert target is not None
            earlier = self.store.traces.lookup(target.key)
            trace = next((item for item in earlier if holds(item, target, self.files.digest) is None), None)
            if trace is None:
                outputs = {n: artifact((gives or {}).get(n, f"{n} {target.key}")) for n in stage.flow.outputs}
                files = tuple(FileState(path=p, digest=self.files.digest(p)) for p in (reads or {}).get(stage.name, ()))
                outcome = Outcome(
                    stage=stage.name,
                    attempt=1,
                    token="t",  # noqa: S106 - tells attempts apart
                    status="succeeded",
                    outputs=outputs,
                    files_read=files,
                    ambient=(ambient or {}).get(stage.name, ()),
                    seconds={"total": 2.0},
                )
                trace = Trace(key=target.key, stage=stage.name, parts=target.parts, outcome=outcome, run="r1")
                self.store.traces.commit(trace)
                ran.append(stage.name)
            committed[stage.name] = trace.outcome
        return ran

    def decisions(self, params: Mapping[str, str] | None = None, **fields: Any) -> dict[str, Decision]:
        """The plan, by stage."""
        pipeline = self.pipeline
        values = resolve_params(pipeline.params, params or {}, None, pipeline.profiles)
        plan = make_plan(pipeline, values, self.store.traces, file_digest=self.files.digest, **fields)
        return {item.stage: item for item in plan.decisions}

    def why(self, params: Mapping[str, str] | None = None) -> dict[str, tuple[str, ...]]:
        """Stage -> reasons, of the stages that are to run."""
        return {name: item.reasons for name, item in self.decisions(params).items() if item.action == "RUN"}
