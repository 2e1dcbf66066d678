"""What an exporter is given, what it gives back, and what it says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import msgspec

from nbpipe.model import Param, Pipeline, Stage


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline, and what was asked for its life on a scheduler."""

    pipeline: Pipeline
    #: Stage -> stages it waits for; those that another of them waits for already are left out. In notebook order.
    order: dict[str, tuple[str, ...]]
    #: Parameters that may be set when a run is triggered; `default` is the value of this deployment.
    params: tuple[Param, ...] = ()
    #: Values that differ from the notebook's own.
    given: dict[str, Any] = {}
    #: A cron expression of five fields; None for runs that people or programs trigger.
    schedule: str | None = None
    #: Container image that the stages run in.
    image: str | None = None
    #: Folder or URL of the store; "" for the project's own.
    store: str = ""
    #: Relative path from the exported folder to the project; None where stages get an empty folder of their own.
    project: str | None = None
    #: Path of the exported folder from the project; absolute where it lies elsewhere.
    folder: str = "."
    #: Names of the secrets that the code asks for.
    secrets: tuple[str, ...] = ()
    #: Parameter that each run gets its date by, as YYYY-MM-DD; "" for none.
    logical_date: str = ""
    #: Files of the project whose change starts a run: paths from its folder, in which `*` and `**` are patterns.
    trigger_files: tuple[str, ...] = ()
    #: Datasets whose change starts a run, by the name that the scheduler knows them by.
    trigger_datasets: tuple[str, ...] = ()
    #: Path of the notebook from the project's folder.
    notebook: str = ""
    #: A workflow for pull requests is wanted, too.
    ci: bool = False
    #: Variable -> qualified name of the type that it had in the latest run, where one is known.
    types: dict[str, str] = {}

    @property
    def stages(self) -> tuple[Stage, ...]:
        """In notebook order."""
        return self.pipeline.stages

    @property
    def starts_itself(self) -> bool:
        """Runs start without anybody who could set a parameter."""
        return self.schedule is not None or bool(self.trigger_files or self.trigger_datasets)

    @property
    def default_date(self) -> str | None:
        """What the parameter for the date is where nobody has set it; None where it is required."""
        found = (param for param in self.params if param.name == self.logical_date and not param.required)
        return next((param.default for param in found), None)

    @property
    def stages_last(self) -> tuple[str, ...]:
        """Stages that no other waits for."""
        awaited = {name for names in self.order.values() for name in names}
        return tuple(name for name in self.order if name not in awaited)


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """What an exporter writes."""

    #: Path of the file that the scheduler is given; one of `files`.
    main: str
    #: Path inside the exported folder -> text.
    files: dict[str, str]
    #: What to do and the shell command for it, in order: the two or three steps to deploy it.
    steps: tuple[tuple[str, str], ...] = ()
    #: What a person should know.
    notes: tuple[str, ...] = ()
    #: The local modules that the notebook imports are written beside `main`'s folder, for the definition to import.
    modules: bool = False


class Exporter(Protocol):
    """Writes the definition of one scheduler. It makes text: it neither imports the scheduler nor starts anything."""

    #: What `--to` names.
    name: str
    #: What people call it.
    title: str
    #: "executed": `make test-engines` runs its exports on the scheduler. "validated": they are only checked for form.
    proof: Literal["executed", "validated"]
    #: Option (see `options.py`) -> how the definition says it. What is neither here nor done by the job is refused.
    carries: Mapping[str, str]
    #: Option that it cannot express -> what to do instead, a sentence.
    instead: Mapping[str, str]
    #: Its stages run on machines that share no disk: a store with a URL is needed, the project's folder is not there.
    remote: bool

    def definition(self, deployment: Deployment) -> Definition:
        """The files. Raises UnsupportedError for what the scheduler cannot express."""


def json_type(param: Param) -> dict[str, Any]:
    """The JSON schema of a parameter's values."""
    if param.choices is not None:
        return {"enum": [*param.choices, *([None] if param.optional and None not in param.choices else [])]}
    known = {
        "int": "integer",
        "float": "number",
        "str": "string",
        "bool": "boolean",
        "list": "array",
        "dict": "object",
        "none": "null",
    }
    kind = known.get(param.type)
    if kind is None:
        return {}
    return {"type": [kind, "null"] if param.optional and kind != "null" else kind}
