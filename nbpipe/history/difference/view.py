"""What a side must be able to say. Each answer is made when it is asked for, and kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from nbpipe.history.difference.shape import CodeText, ParamValue
from nbpipe.model import Artifact, FileState, Options, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nbpipe.history.difference.shape import Note
    from nbpipe.history.difference.shape import Side as SideShape
    from nbpipe.store.base import ObjectStore


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of code. `bodies` are its cells without their magic lines: what it means."""

    kind: str
    text: CodeText
    bodies: tuple[str, ...] = ()
    #: None where only the magic line itself is known.
    options: Options | None = None
    magic: str = ""
    #: Of stages: parameters that the code reaches. Of definitions and modules: stages that run them.
    params: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    #: Identity of its meaning, where it is known without looking at the text.
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Sources:
    """All code of a side, in notebook order. `version` is equal only where all of it is."""

    version: str = ""
    stages: tuple[Unit, ...] = ()
    setup: tuple[Unit, ...] = ()
    definitions: tuple[Unit, ...] = ()
    modules: tuple[Unit, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """How a stage went. Equal `identity` (not empty) means the very same result."""

    status: str = ""
    seconds: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)
    identity: str = ""


@dataclass(frozen=True, slots=True)
class Executed:
    """Outputs of a stage that are not read yet. Equal `identity` means equal outputs; `size` is in bytes."""

    identity: str
    size: int
    read: Callable[[], Sequence[Mapping[str, Any]]]


class View(Protocol):
    """A run, a trial or a notebook, as a diff looks at it. Nothing here runs code or loads a pickle."""

    about: SideShape
    #: What could not be read; filled as it is found out.
    notes: list[Note]

    def sources(self) -> Sources:
        """Its code."""

    def params(self) -> Mapping[str, ParamValue]:
        """Its parameters."""

    def facts(self, stage: str) -> Facts:
        """How a stage went; empty where it has not run."""

    def key_parts(self, stage: str) -> Mapping[str, str]:
        """The labelled parts of the stage's key; empty where they are not known."""

    def outcome(self, stage: str) -> Outcome | None:
        """What the stage left; None where it has not, or where that is not known."""

    def inputs(self, stage: str) -> Mapping[str, Artifact]:
        """What the stage read; `digest` is "" where it is not known."""

    def curves(self, stage: str) -> Mapping[str, Sequence[tuple[int, float]]]:
        """Metric -> (step, value) in the order in which they were logged, of metrics logged more than once."""

    def executed(self, stage: str) -> Executed | None:
        """Cells with their outputs, `{"cell", "outputs"}`; None where there are none, or that is not known."""

    def environment(self) -> Mapping[str, Any]:
        """Facts as in `environment.json`."""

    def file_now(self, path: str) -> FileState | None:
        """A file as it is now, of a side that is a notebook; None of others."""

    def objects(self) -> ObjectStore | None:
        """Where its values lie; None where it has none."""
