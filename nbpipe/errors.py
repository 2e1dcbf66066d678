"""Every error nbpipe raises on purpose, and the exit code each one gives.

    NbpipeError
    ├── UsageError                 the command or the API was called wrongly
    │   ├── ParameterError         unknown, missing, or of the wrong type
    │   └── SecretError            a secret is not set, or not declared
    ├── NotebookError              the file is not a notebook that can be read
    ├── PipelineError              the notebook is readable, the pipeline in it is not sound
    │   ├── GrammarError           a magic line or a tag that does not parse
    │   ├── UndefinedNameError     a stage reads a name that nothing above it gives
    │   ├── CycleError             stages need each other
    │   └── UnsupportedError       an option that this version or target cannot honour
    ├── StageError                 a stage did not succeed
    │   ├── UserCodeError          the user's own code raised
    │   ├── CheckRejected          a check said no
    │   ├── Unserializable         an output that no format can store exactly
    │   ├── KernelLost             the kernel or its worker died
    │   └── StageTimeout           it ran longer than --timeout
    ├── TargetError                a target cannot be reached, or does not fit
    ├── StoreError                 the store cannot be read or written
    │   └── CorruptObject          bytes do not match their hash
    ├── SecurityError              bytes that are not trusted were about to be trusted
    └── Interrupted                stopped by a person or a signal

An error carries its subject as attributes; its message says what happened, where (stage, cell, line) and what to do next.
"""

from __future__ import annotations

import traceback
from pathlib import Path

OK = 0
EXIT_CODES = {
    "ok": 0,
    "user": 1,
    "usage": 2,
    "notebook": 3,
    "lost": 4,
    "timeout": 5,
    "store": 6,
    "security": 7,
    "rejected": 8,
    "interrupted": 130,
}


class NbpipeError(Exception):
    """Root of the tree. `code` is a stable machine name, `exit_code` what the process ends with."""

    code = "error"
    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        stage: str | None = None,
        cell: int | None = None,
        line: int | None = None,
        name: str | None = None,
        fix: str | None = None,
    ) -> None:
        super().__init__(message)
        #: What happened, one sentence, without the place.
        self.message = message
        #: Stage name, when the subject is inside one.
        self.stage = stage
        #: Cell number as people count it: the first cell of the notebook is 1.
        self.cell = cell
        #: Line inside the cell, from 1, counting the magic line.
        self.line = line
        #: The variable, option, parameter or file that the error is about.
        self.name = name
        #: What to do next, one sentence.
        self.fix = fix

    @property
    def where(self) -> str:
        """The place as people read it: `stage 'train', cell 7, line 3`; empty when there is none."""
        parts = []
        if self.stage is not None:
            parts.append(f"stage '{self.stage}'")
        if self.cell is not None:
            parts.append(f"cell {self.cell}")
        if self.line is not None:
            parts.append(f"line {self.line}")
        return ", ".join(parts)

    def __str__(self) -> str:
        head = f"{self.where}: {self.message}" if self.where else self.message
        return f"{head}\n{self.fix}" if self.fix else head

    def _render_traceback_(self) -> list[str]:
        """What IPython shows of it: the user's own lines, then the message. nbpipe's own lines tell a user nothing."""
        own = [frame for frame in traceback.extract_tb(self.__traceback__) if not _is_inside(frame.filename)]
        return [*(f"{_place(frame.filename)}line {frame.lineno}: {frame.line}" for frame in own), f"nbpipe: {self}"]


class UsageError(NbpipeError):
    """The command or the API was called wrongly."""

    code = "usage"
    exit_code = 2


class ParameterError(UsageError):
    """A parameter is unknown, missing, or of the wrong type."""

    code = "parameter"


class SecretError(UsageError):
    """A secret is not set, is too short, or was not declared."""

    code = "secret"


class NotebookError(NbpipeError):
    """The file is not a notebook that can be read; `name` is its path."""

    code = "notebook"
    exit_code = 3


class PipelineError(NbpipeError):
    """The notebook can be read, but the pipeline in it is not sound."""

    code = "pipeline"
    exit_code = 3


class GrammarError(PipelineError):
    """A magic line or a cell tag does not parse."""

    code = "grammar"


class UndefinedNameError(PipelineError):
    """A stage reads a name that nothing above it gives."""

    code = "undefined-name"


class CycleError(PipelineError):
    """Stages need each other; the message prints the path with its variables."""

    code = "cycle"


class UnsupportedError(PipelineError):
    """An option is understood, but this version or target cannot honour it."""

    code = "unsupported"


class StageError(NbpipeError):
    """A stage did not succeed."""

    code = "stage"


class UserCodeError(StageError):
    """The user's own code raised; the traceback is theirs."""

    code = "user-code"


class CheckRejected(StageError):
    """A check said no."""

    code = "rejected"
    exit_code = 8


class Unserializable(StageError):
    """A value that must leave its stage cannot be stored so that it comes back equal."""

    code = "unserializable"

    def __init__(self, name: str, type_name: str, stage: str | None = None, *, reason: str = "") -> None:
        why = f": {reason}" if reason else ""
        super().__init__(
            f"'{name}' ({type_name}) cannot be stored for the stages that read it{why}",
            stage=stage,
            name=name,
            fix=f"Create '{name}' in the stage that uses it, or put both cells in one stage.",
        )
        #: Fully qualified type of the value.
        self.type_name = type_name
        #: What the format that tried last said.
        self.reason = reason


class KernelLost(StageError):
    """The kernel, or the worker it ran on, died."""

    code = "kernel-lost"
    exit_code = 4


class StageTimeout(StageError):
    """The stage ran longer than its --timeout."""

    code = "timeout"
    exit_code = 5


class TargetError(NbpipeError):
    """A target cannot be reached, or is not fit for what the notebook needs; `name` is the target."""

    code = "target"
    exit_code = 4


class StoreError(NbpipeError):
    """The store cannot be read or written: full, read-only, or gone."""

    code = "store"
    exit_code = 6


class CorruptObject(StoreError):
    """Stored bytes do not match the hash they are stored under."""

    code = "corrupt"


class SecurityError(NbpipeError):
    """Bytes that are not trusted were about to be trusted."""

    code = "security"
    exit_code = 7


class Interrupted(NbpipeError):
    """Stopped by a person or a signal."""

    code = "interrupted"
    exit_code = 130


def _is_inside(file: str) -> bool:
    """Of nbpipe, or of what runs the cells."""
    path = Path(file)
    return Path(__file__).parent in path.parents or not {"IPython", "ipykernel"}.isdisjoint(path.parts)


def _place(file: str) -> str:
    """Nothing for a cell: its file is IPython's own business."""
    return "" if file.startswith("<") or "ipykernel_" in file else f"{file}, "
