"""Environment variables that a stage reads from outside, and those that it sets."""

from __future__ import annotations

import os
import sys
from collections.abc import Container
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbpipe.job.sources import is_local

if TYPE_CHECKING:
    Environ = os._Environ[str]  # noqa: SLF001 - the class of os.environ has no public name
else:
    Environ = os._Environ  # noqa: SLF001 - likewise

#: Modules that read a variable because their caller asks for it: who called them is looked at instead.
_ASKED = frozenset(
    {
        *("os", "collections.abc", "posixpath", "ntpath", "genericpath", "pathlib", "string", __name__),
        *("IPython.core.magics.osm", "IPython.core.interactiveshell", "IPython.core.magic", "decorator"),
    }
)
#: Libraries made to read settings from the environment.
_SETTINGS = frozenset({"dotenv", "decouple", "environs", "environ", "pydantic_settings", "starlette", "dynaconf"})
#: What nbpipe and Jupyter set for a kernel.
_OWN = ("NBPIPE_", "JPY_", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID")


class Variables:
    """Watches `os.environ` for one job.

    Responsibilities: which variables the code of the project asked for and found as the process was born with; which
    ones anybody assigned. Must not: keep a value longer than the job, or change what user code sees.
    """

    def __init__(self, project: Path, *, known: Container[str] = ()) -> None:
        self._project = str(project.resolve())
        self._known = known
        self._born = dict(os.environ)
        self._on = False
        #: Variable -> its value when the process was born, None where it was not set.
        self.read: dict[str, str | None] = {}
        self.read_all = False

    def start(self) -> None:
        """Watch from now on, until the process ends."""
        os.environ.__class__ = _watched(self)
        self._on = True

    def stop(self) -> None:
        """What is read from now on is no deed of the stage."""
        self._on = False

    def asked(self, name: str) -> None:
        """Somebody asks for the variable `name`."""
        if not self._on or name in self.read or name in self._known or name.startswith(_OWN):
            return
        now = os.environ._data.get(os.environ.encodekey(name))  # type: ignore[attr-defined]  # noqa: SLF001
        value = None if now is None else os.fsdecode(now)
        if value == self._born.get(name) and self._from_user(sys._getframe(2)):  # noqa: SLF001
            self.read[name] = value

    def asked_for_all(self) -> None:
        """Somebody goes through all variables."""
        if self._on and not self.read_all and self._from_user(sys._getframe(2)):  # noqa: SLF001
            self.read_all = True

    def _from_user(self, frame: Any) -> bool:
        """Whether a cell or a local module asks, by itself or through what is made for asking."""
        while frame is not None:
            module = str(frame.f_globals.get("__name__", ""))
            if module not in _ASKED and module.split(".", maxsplit=1)[0] not in _SETTINGS:
                file = frame.f_code.co_filename
                cell = f"{os.sep}ipykernel_" in file and file.endswith(".py")
                return cell or is_local(file, self._project)
            frame = frame.f_back
        return False


def assigned() -> list[str]:
    """Variables that anybody assigned or deleted since this process watches, whether or not they changed."""
    return sorted(os.environ.__dict__.get("_assigned", ()))


def _watched(variables: Variables) -> type[Environ]:
    class Watched(Environ):
        def __getitem__(self, key: str) -> str:
            if isinstance(key, str):
                variables.asked(key)
            return super().__getitem__(key)

        def __iter__(self) -> Any:
            variables.asked_for_all()
            return super().__iter__()

        def __setitem__(self, key: str, value: str) -> None:
            super().__setitem__(key, value)
            self.__dict__.setdefault("_assigned", set()).add(key)

        def __delitem__(self, key: str) -> None:
            super().__delitem__(key)
            self.__dict__.setdefault("_assigned", set()).add(key)

    Watched.__name__ = Watched.__qualname__ = os._Environ.__name__  # noqa: SLF001
    Watched.__module__ = "os"
    return Watched
