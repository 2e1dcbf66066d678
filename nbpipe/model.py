"""The frozen values that travel between packages. No behaviour beyond small derived properties.

Everything here is a `msgspec.Struct`: `msgspec.json.encode` writes it, `msgspec.json.decode(..., type=...)` reads it,
unknown fields are ignored, missing ones take their default. What lands in a file is specified in `docs/formats/`.

Names of values: a plain identifier is a variable (`df`); `@random` names ambient state (the table is in
`job/ambient.py`). Cell and line numbers are the ones people count: both start at 1, a line number counts the magic line.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all that travels: frozen, keyword-only, defaults left out of the JSON."""


# ---------------------------------------------------------------------------------------------- notebook


class Cell(Value, frozen=True, kw_only=True, omit_defaults=True):
    """One notebook cell as read from disk."""

    number: int
    kind: Literal["code", "markdown", "raw"]
    source: str
    tags: tuple[str, ...] = ()
    id: str | None = None
    metadata: dict[str, Any] = {}
    #: In which order it was executed last, as the notebook says; None for never.
    executed: int | None = None


class Notebook(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A notebook as read from disk; `sha256` is of the very bytes, `raw` holds them (never serialised)."""

    path: str
    sha256: str
    cells: tuple[Cell, ...]
    metadata: dict[str, Any] = {}
    format: str = "ipynb"
    raw: bytes = b""


class Code(Value, frozen=True, kw_only=True, omit_defaults=True):
    """The Python part of a code cell: what is left once the nbpipe magic line is taken off."""

    cell: int
    body: str
    #: Line of the cell on which `body` starts (2 below a magic line, else 1).
    line: int = 1
    #: The cell is tagged `raises-exception`: an error in it does not stop the run.
    may_raise: bool = False


class Options(Value, frozen=True, kw_only=True, omit_defaults=True):
    """Options of one stage or check, validated. Sizes are bytes, times are seconds."""

    after: tuple[str, ...] = ()
    on: str | None = None
    gpus: float | None = None
    cpus: float | None = None
    memory: int | None = None
    image: str | None = None
    nodes: int | None = None
    nproc: int | None = None
    retries: int = 0
    timeout: float | None = None
    #: "default": reuse in runs; "never": --no-cache; "live": --cache, reuse in the live notebook too.
    cache: Literal["default", "never", "live"] = "default"
    inputs: tuple[str, ...] | None = None
    outputs: tuple[str, ...] | None = None
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    #: Thresholds of a check: expressions over metrics, variables and `champion`.
    thresholds: tuple[str, ...] = ()
    model: str | None = None
    register: str | None = None
    env: dict[str, str] = {}


class StageCells(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A stage as the notebook writes it: its cells in notebook order."""

    name: str
    kind: Literal["stage", "check"]
    cells: tuple[Code, ...]
    options: Options = Options()


class Outline(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A notebook's cells sorted by their role. Nothing has been analysed yet."""

    notebook: Notebook
    params: tuple[Code, ...] = ()
    profiles: dict[str, Code] = {}
    setup: tuple[Code, ...] = ()
    #: In the order of each stage's first cell.
    stages: tuple[StageCells, ...] = ()
    exploration: tuple[Code, ...] = ()
    warnings: tuple[str, ...] = ()
    #: "cell" tag on the notebook's metadata: stages may be merged when a value cannot be stored (`nbpipe suggest` sets it).
    mergeable: bool = False


# ---------------------------------------------------------------------------------------------- pipeline


class Param(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A name assigned in the params cell."""

    name: str
    #: "int", "float", "str", "bool", "list", "dict", "none", "any", "choice", or "computed" when the default is not a literal.
    type: str
    default: Any = None
    choices: tuple[Any, ...] | None = None
    optional: bool = False
    #: Declared without a value (`path: str`): a run must give one.
    required: bool = False
    help: str = ""
    cell: int = 0
    line: int = 0


class Snippet(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A definition that any stage can create again from source: import, function, class, constant, parameter."""

    #: Unique in the pipeline and stable while the notebook is: `NAME@CELL.STATEMENT`.
    id: str
    kind: Literal["import", "function", "class", "constant", "param", "compound", "magic"]
    names: tuple[str, ...]
    source: str
    cell: int
    line: int
    #: Stage it stands in; None for params, setup and exploration cells.
    stage: str | None = None
    #: Global names read while the definition itself is executed (defaults, decorators, bases, class body).
    needs: tuple[str, ...] = ()
    #: Global names read later, when what it defines is called.
    uses: tuple[str, ...] = ()
    #: Top-level modules it imports.
    modules: tuple[str, ...] = ()


class StageFlow(Value, frozen=True, kw_only=True, omit_defaults=True):
    """What the dataflow analysis knows of one stage. Names are variables; all tuples are sorted unless said otherwise."""

    #: Values it needs on entry: name -> stage that gives it.
    inputs: dict[str, str] = {}
    #: Of those, the ones that may be absent (only conditionally bound above) or are only passed through.
    optional: tuple[str, ...] = ()
    #: Names it may bind, change in place or delete, whether or not somebody needs them.
    writes: tuple[str, ...] = ()
    #: Of those and of `inputs`, the names some later stage may read from here: what the job stores.
    outputs: tuple[str, ...] = ()
    #: Inputs it may change in place (a subset of `outputs` where read later).
    mutates: tuple[str, ...] = ()
    #: Snippets that must be executed before the stage's cells, in notebook order (ids).
    definitions: tuple[str, ...] = ()
    #: Parameters its code reaches, definitions included.
    params: tuple[str, ...] = ()
    #: Names visible on entry -> "stage:NAME", "snippet:ID", "setup" or "param:NAME": those that the stage before it in the
    #: notebook does not see, or sees from elsewhere. `pipeline/index.py` adds them up (used to add what a value turns out to need).
    scope: dict[str, str] = {}
    #: Top-level modules that its cells and definitions import.
    modules: tuple[str, ...] = ()
    #: Ambient state that the code certainly sets / certainly draws from or changes (hints, e.g. "@numpy.random").
    ambient_sets: tuple[str, ...] = ()
    ambient_uses: tuple[str, ...] = ()
    #: Literal paths the code names for reading / writing (hints), as written.
    file_reads: tuple[str, ...] = ()
    file_writes: tuple[str, ...] = ()
    #: exec, eval, globals() and the like: everything visible is an input, everything bound is an output.
    dynamic: bool = False


class Stage(Value, frozen=True, kw_only=True, omit_defaults=True):
    """One node of the pipeline."""

    name: str
    kind: Literal["stage", "check"]
    cells: tuple[Code, ...]
    options: Options = Options()
    flow: StageFlow = StageFlow()
    #: Stages that must be finished before it, whatever the data says: `--after`, and every check above it.
    after: tuple[str, ...] = ()


class Edge(Value, frozen=True, kw_only=True, omit_defaults=True):
    """`target` needs `names` from `source`. `kind` says which machinery found it."""

    source: str
    target: str
    names: tuple[str, ...] = ()
    kind: Literal["data", "after", "file", "ambient", "observed"] = "data"


class Pipeline(Value, frozen=True, kw_only=True, omit_defaults=True):
    """The extracted graph with everything needed to run it. `version` is the hash of its canonical bytes."""

    schema: int = 1
    name: str
    version: str = ""
    #: In notebook order.
    stages: tuple[Stage, ...]
    edges: tuple[Edge, ...] = ()
    params: tuple[Param, ...] = ()
    #: Profile name -> parameter values.
    profiles: dict[str, dict[str, Any]] = {}
    setup: tuple[Code, ...] = ()
    snippets: tuple[Snippet, ...] = ()
    #: Local modules reached: module name -> (path relative to the notebook's folder, sha256 of its source).
    modules: dict[str, tuple[str, str]] = {}
    #: Local module -> a mark per line (`pipeline/marks.py`), to say what changed; not part of the version.
    module_marks: dict[str, str] = {}
    #: Local module -> modules it imports: full names of local ones, top-level names of the others.
    module_imports: dict[str, tuple[str, ...]] = {}
    #: Distributions imported -> version.
    distributions: dict[str, str] = {}
    #: Top-level module -> distributions that provide it.
    provided_by: dict[str, tuple[str, ...]] = {}
    python: str = ""
    kernel: str = "python3"
    language: str = "python"
    warnings: tuple[str, ...] = ()
    mergeable: bool = False


# ---------------------------------------------------------------------------------------------- artifacts


class Artifact(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A value in the store. `digest` is of the value, `objects` are hashes of the bytes that hold it."""

    digest: str
    #: "json", "npy", "arrow", "safetensors", "pickle", ... ; "absent" when the name is not bound.
    format: str
    #: Qualified type name, such as "pandas.DataFrame".
    type: str = ""
    #: Content hashes of the objects holding it; the first is the main one, the rest out-of-band buffers.
    objects: tuple[str, ...] = ()
    size: int = 0
    #: Names stored together with it because they share memory; each such artifact has the same objects.
    group: tuple[str, ...] = ()
    #: Names that lay in the same memory but are stored apart: a frame and an array below it.
    beside: tuple[str, ...] = ()
    #: The target in whose store its objects lie, as that has named and signed them; empty where they lie in the project's.
    on: str = ""
    #: Notebook definitions that must exist before it can be loaded (classes, functions).
    needs: tuple[str, ...] = ()
    #: Short description for people and history: shape, dtype, columns, length.
    summary: dict[str, Any] = {}


class FileState(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A file that a stage read or wrote. `digest` is "" when it did not exist (or was deleted)."""

    path: str
    digest: str
    size: int = 0
    #: Object that holds the bytes, for files a stage wrote; "" for files only read.
    object: str = ""
    #: It got its content only when the kernel ended: in one kernel, a stage below would not have read this.
    late: bool = False


class AmbientState(Value, frozen=True, kw_only=True, omit_defaults=True):
    """One piece of ambient state around a stage."""

    name: str
    #: Digest at the start; "" when it was at its default.
    before: str = ""
    after: str = ""
    #: The result depended on `before` (a draw before any seed; always true for state whose reads cannot be seen).
    read: bool = True
    #: The state at the end, when it differs from the start.
    artifact: Artifact | None = None
    #: Of a local module: digests of its plain globals as this stage's import made them, before `before` was given back.
    made: dict[str, str] = {}


# ---------------------------------------------------------------------------------------------- jobs


class JobSpec(Value, frozen=True, kw_only=True, omit_defaults=True):
    """Everything a job needs; written as `job.json` into the job's folder. Values are data, never code."""

    schema: int = 1
    run: str
    stage: str
    kind: Literal["stage", "check"] = "stage"
    attempt: int = 1
    #: Fencing token: a verdict with another token is not this attempt's.
    token: str
    #: Folder in which the user's code runs: the notebook's folder.
    cwd: str
    #: Observed files are those inside `project` (and data files elsewhere); relative paths are relative to it.
    project: str
    #: The notebook the run was made from, absolute; people may save it while the job runs.
    source: str = ""
    store: str
    params: dict[str, Any] = {}
    #: Params statements, definitions and setup, in the order of execution.
    snippets: tuple[Snippet, ...] = ()
    setup: tuple[Code, ...] = ()
    cells: tuple[Code, ...]
    inputs: dict[str, Artifact] = {}
    ambient: dict[str, Artifact] = {}
    #: Names to store at the end; one that is not bound is stored as "absent".
    outputs: tuple[str, ...] = ()
    #: Names to store as well, where they can be: a notebook's kernel waits for them, and no later stage.
    spare: tuple[str, ...] = ()
    #: exec, globals() and the like are used: store every name bound at the end.
    dynamic: bool = False
    #: Files and patterns that the stage is said to read: they count as read when its cells begin.
    reads: tuple[str, ...] = ()
    #: Files, as in `FileState`, that a stage above leaves open: it must not read them.
    late: tuple[str, ...] = ()
    #: --reads, --writes or --cache says which files its programs touch: starting one does not make the result uncacheable.
    declared: bool = False
    #: Distribution -> version, as in its key: a result that was made with others is not reused.
    distributions: dict[str, str] = {}
    #: Seed for random state that nothing above has set.
    seed: int = 0
    metrics: tuple[str, ...] = ()
    thresholds: tuple[str, ...] = ()
    #: Metrics known so far (from stages above), for thresholds.
    known_metrics: dict[str, float] = {}
    champion: dict[str, float] = {}
    #: What it asked for: devices, cores, bytes; None for what it did not ask for.
    gpus: float | None = None
    cpus: float | None = None
    memory: int | None = None
    #: Of its container, where there are containers; "" for that of the target.
    image: str = ""
    #: Processes that run its cells together, on each of so many nodes; None for the kernel alone.
    nproc: int | None = None
    nodes: int = 1
    #: Files and folders of the project that it is known to read, from `project`; they travel with it to another machine.
    ships: tuple[str, ...] = ()
    #: Place for the checkpoints of its key; "" for none.
    checkpoints: str = ""
    env: dict[str, str] = {}
    #: Names of environment variables whose values are secret: never written anywhere.
    secrets: tuple[str, ...] = ()
    timeout: float | None = None
    kernel: str = "python3"
    #: MLflow run of this stage, set in the kernel's environment when there is one.
    tracking: dict[str, str] = {}
    #: Bytes of output a cell keeps in the notebook; the rest goes to the log only.
    output_limit: int = 1_000_000
    #: Seconds that the kernel waits for whoever mends a cell that fails; bytes that its processes may hold meanwhile, 0 for any.
    keep_failed: float = 0.0
    keep_memory: int = 0
    #: Name of the job on its target whose kernel goes on, with cell number `first` of this stage, counted from 0.
    continues: str = ""
    first: int = 0


class Failure(Value, frozen=True, kw_only=True, omit_defaults=True):
    """Why a stage did not succeed. `traceback` is the user's own, already redacted."""

    code: str
    message: str
    cell: int | None = None
    line: int | None = None
    name: str | None = None
    traceback: str = ""
    fix: str = ""


Status = Literal["succeeded", "failed", "rejected", "timeout", "lost", "cancelled"]


class Outcome(Value, frozen=True, kw_only=True, omit_defaults=True):
    """What came of a job; written as `verdict.json`, after everything it speaks of is durable."""

    schema: int = 1
    stage: str
    attempt: int
    token: str
    status: Status
    failure: Failure | None = None
    #: What was asked for (`JobSpec.outputs`).
    outputs: dict[str, Artifact] = {}
    #: Inputs that changed in place, or now share memory with an output, although the plan did not know.
    observed: dict[str, Artifact] = {}
    #: Names of `JobSpec.spare` that could not be stored -> why.
    unstored: dict[str, str] = {}
    ambient: tuple[AmbientState, ...] = ()
    files_read: tuple[FileState, ...] = ()
    files_written: tuple[FileState, ...] = ()
    #: Folders that it removed with all that was in them, or would have: what else lies there would go, too. Paths as in `FileState`.
    cleared: tuple[str, ...] = ()
    #: Folders that it made, made sure of or removed -> whether each is there in the end. Paths as in `FileState`.
    folders: dict[str, bool] = {}
    #: Folders that were there before it, and that it needed or was told of.
    found: tuple[str, ...] = ()
    #: It may have seen, or written, files that nobody was told of: other programs, native code beside other stages.
    unseen: bool = False
    #: It counts files as its own that another stage may have written, which ran beside it and had not told by then.
    crowded: bool = False
    #: Environment variables that the code read as the process was given them -> a keyed digest, "" for one not set.
    variables: dict[str, str] = {}
    metrics: dict[str, float] = {}
    #: Object with the executed cells: JSON, a list of {"cell": number, "outputs": [...], "execution_count": n}, nbformat 4 outputs.
    #: Beside them "displays" (name -> places among the outputs) and "updates" (name -> the last "data" and "metadata" that the
    #: cell gave a display of another stage), where there are any.
    executed: str = ""
    #: Files and figures that user code logged with mlflow: artifact path -> object.
    logged: dict[str, str] = {}
    #: Local modules loaded while it ran: name -> (path, sha256).
    modules: dict[str, tuple[str, str]] = {}
    #: What some of them printed while its cells imported them, in order: module, stream, text.
    imported: tuple[tuple[str, str, str], ...] = ()
    #: Reasons why this result must not be reused (a subprocess whose files are not known, ...).
    uncacheable: tuple[str, ...] = ()
    #: Stages that went on in the kernel of a failed attempt, of those that this result rests on and itself.
    continued: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    #: Seconds: "total", "kernel", "load", "cells", "store".
    seconds: dict[str, float] = {}
    #: Peak resident memory of the kernel, bytes.
    peak_memory: int = 0


# ---------------------------------------------------------------------------------------------- plan and run


class Trace(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A committed result: the manifest. A hit needs an equal key and every constraint to hold now."""

    schema: int = 1
    key: str
    stage: str
    #: Labelled parts of the key, for reasons: "code", "param:lr", "input:df", "module:helpers", "dist:numpy", ...
    parts: dict[str, str] = {}
    outcome: Outcome
    #: Name of the pipeline it was made for; it serves every pipeline that has the key.
    pipeline: str = ""
    run: str = ""
    created: float = 0.0


class Decision(Value, frozen=True, kw_only=True, omit_defaults=True):
    """What the plan says of one stage."""

    stage: str
    action: Literal["HIT", "RUN"]
    #: One line per reason, such as "`lr` 0.001 → 0.01"; empty for a HIT.
    reasons: tuple[str, ...] = ()
    key: str = ""
    #: Run whose result is reused, and the token of the attempt that made it.
    source: str = ""
    result: str = ""
    #: Seconds it is expected to take; None when unknown.
    expected: float | None = None
    #: Target that the stage itself names; "" for the run's own.
    on: str = ""
    #: RUN only because something above runs: it may turn out to be a HIT.
    tentative: bool = False


class Plan(Value, frozen=True, kw_only=True, omit_defaults=True):
    """Per stage HIT or RUN, and why, in notebook order."""

    pipeline: str
    version: str
    decisions: tuple[Decision, ...]
    warnings: tuple[str, ...] = ()
    #: Where nothing runs: files that are not as the reused stages left them, which a run puts back.
    restores: tuple[str, ...] = ()


class Event(Value, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a run's journal. `seq` counts from 1 without gaps; `time` is seconds since the epoch."""

    seq: int
    time: float
    kind: str
    stage: str = ""
    attempt: int = 0
    data: dict[str, Any] = {}
