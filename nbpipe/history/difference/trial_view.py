"""A trial: one cell that ran in a live notebook, as its file records it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from blake3 import blake3

from nbpipe.history.difference.parameters import plain_values
from nbpipe.history.difference.shape import CellStart, CodeText, Note, ParamValue, Side
from nbpipe.history.difference.view import Executed, Facts, Sources, Unit
from nbpipe.history.trials import load_trial
from nbpipe.model import Artifact, FileState, Outcome
from nbpipe.run.project import Project

if TYPE_CHECKING:
    from nbpipe.store.base import ObjectStore

#: Format of a value that was looked at in a kernel and not stored.
LIVE = "live"
#: The number of a cell that is not known.
_SOME_CELL = 0


class TrialView:
    """One trial. It has its cell, the parameters and inputs it read, its metrics and outputs; no values, no definitions."""

    def __init__(self, project: Project, trial: str) -> None:
        """Raise UsageError where there is no such trial."""
        self._trial = load_trial(project, trial)
        found = self._trial
        self.about = Side(
            label=found.id,
            kind="trial",
            notebook=found.notebook,
            name=found.stage,
            version=found.code,
            status=found.status,
            started=found.started,
            seconds=found.seconds,
            stage=found.stage,
        )
        self.notes: list[Note] = []
        if found.cut:
            self.notes.append(
                Note(part="outputs", text=f"the outputs of {found.id} were shortened when it was recorded")
            )

    def sources(self) -> Sources:
        """The cell, as a stage of its own."""
        source = self._trial.source
        magic, _, body = source.partition("\n") if source.startswith("%%") else ("", "", source)
        text = CodeText(name=self._trial.stage, text=source, cells=(CellStart(cell=_SOME_CELL, line=1),))
        unit = Unit(kind=self._trial.kind, text=text, bodies=(body,), magic=magic, params=tuple(self._trial.params))
        return Sources(version=self._trial.code, stages=(unit,))

    def params(self) -> Mapping[str, ParamValue]:
        """Those that the cell read."""
        return plain_values(self._trial.params)

    def facts(self, stage: str) -> Facts:
        """How the cell went."""
        if stage != self._trial.stage:
            return Facts()
        return Facts(status=self._trial.status, seconds=self._trial.seconds, metrics=self._trial.metrics)

    def key_parts(self, stage: str) -> Mapping[str, str]:  # noqa: ARG002 - of no stage
        """None: only runs have keys."""
        return {}

    def outcome(self, stage: str) -> Outcome | None:  # noqa: ARG002
        """None: what it left stayed in the kernel."""
        return None

    def inputs(self, stage: str) -> Mapping[str, Artifact]:
        """What the cell read; `digest` is "" where it was too large to be digested."""
        if stage != self._trial.stage:
            return {}
        found = {}
        for name, seen in self._trial.inputs.items():
            summary: dict[str, Any] = {"shape": list(seen.shape or ()), "dtype": seen.dtype}
            if seen.columns:
                summary["columns"] = [[name, kind] for name, kind in seen.columns.items()]
            if seen.value is not msgspec.UNSET:
                summary["value"] = msgspec.json.encode(seen.value).decode("utf-8", "replace")
            found[name] = Artifact(digest=seen.digest, format=LIVE, type=seen.type, summary=summary)
        return found

    def curves(self, stage: str) -> Mapping[str, Sequence[tuple[int, float]]]:  # noqa: ARG002
        """None."""
        return {}

    def executed(self, stage: str) -> Executed | None:
        """The outputs of the cell."""
        outputs = self._trial.outputs
        if stage != self._trial.stage or not outputs:
            return None
        data = msgspec.json.encode(outputs)
        cells = [{"cell": _SOME_CELL, "outputs": list(outputs)}]
        return Executed(blake3(data).hexdigest(), len(data), lambda: cells)

    def environment(self) -> Mapping[str, Any]:
        """As far as a kernel tells: versions of the packages that the cell uses, Python, machine, commit."""
        found = self._trial.environment
        facts: dict[str, Any] = {"os": found.get("system"), "packages": dict(self._trial.packages)}
        facts |= {name: found[name] for name in ("python", "host", "user") if name in found}
        facts |= {"gpus": [{"name": found["gpu"]}]} if found.get("gpu") else {}
        return facts | ({"git": {"commit": found["git"]}} if found.get("git") else {})

    def file_now(self, path: str) -> FileState | None:  # noqa: ARG002
        """None."""
        return None

    def objects(self) -> ObjectStore | None:
        """None."""
        return None
