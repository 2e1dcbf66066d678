"""What an environment on another machine is built of: the packages of the stages, those that run them, nbpipe itself."""

from __future__ import annotations

import base64
import hashlib
import io
import math
import threading
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from nbpipe import __version__
from nbpipe.errors import TargetError
from nbpipe.executors.ssh.link import Link
from nbpipe.pipeline.environment import TOOLS, python_minor

#: A moment for every entry: the same files are the same bytes.
_ALWAYS = (1980, 1, 1, 0, 0, 0)
#: Seconds between two questions what uv prints.
_TELLING = 2.0
_PACKAGE = Path(__file__).parents[2]
#: What fsspec needs for a protocol.
_DRIVERS = {
    **dict.fromkeys(("s3", "s3a"), ("s3fs",)),
    **dict.fromkeys(("gs", "gcs"), ("gcsfs",)),
    **dict.fromkeys(("abfs", "abfss", "az"), ("adlfs",)),
    **dict.fromkeys(("http", "https"), ("aiohttp",)),
    "sftp": ("paramiko",),
}


@dataclass(frozen=True, slots=True)
class Packages:
    """A set of pinned packages; `name` is the same for the same set, on any machine."""

    name: str
    python: str
    requirements: tuple[str, ...]
    #: nbpipe, a zip in base64: no index has the version that is at work here.
    package: str


class Environment:
    """An environment that is built there while inputs travel. Safe to use from several threads."""

    def __init__(self, link: Link, packages: Packages) -> None:
        self.packages = packages
        #: The interpreter, once it is known.
        self.python = ""
        self._link = link
        self._lock = threading.Lock()
        self._said, self._heard = "", -math.inf
        #: On which connection the package itself was sent.
        self._told = 0
        #: On which connection a runner of it was asked for.
        self._warmed = 0
        #: Why it cannot be built: jobs that wait for it fail by the same, without another try for each.
        self.failure: TargetError | None = None

    def again(self) -> None:
        """Have the next `ask` look whether it is still there: what nobody uses for long is removed."""
        with self._lock:
            self.python = ""

    def ask(self) -> str:
        """The interpreter, "" while it is built; begins to build it. Raises TargetError with uv's words, or LinkDown."""
        with self._lock:
            if self.failure is not None:
                raise self.failure
            if self.python:
                return self.python
            self._link.connect()
            first, self._told = self._told != self._link.generation, self._link.generation
            asked: dict[str, Any] = {"minor": self.packages.python, "requirements": self.packages.requirements}
            try:
                package = self.packages.package if first else ""
                self.python = self._link.call("build", name=self.packages.name, package=package, **asked)
            except TargetError as error:
                self.failure = error
                raise
            return self.python

    def warm(self, variables: Mapping[str, str]) -> None:
        """Have a runner of it, with these variables, wait there for jobs; asked once on a connection. Raises LinkDown."""
        with self._lock:
            generation = self._link.generation
            if self.python and self._warmed != generation:
                self._link.call("warm", environment=dict(variables), python=self.python)
                self._warmed = generation

    def said(self) -> str:
        """What is waited for, with what uv printed last; asked for now and then. Raises LinkDown."""
        with self._lock:
            if time.monotonic() - self._heard > _TELLING:
                line = self._link.call("building", name=self.packages.name)
                self._said = f"waits for the packages, which uv installs on {self._link.target.name}"
                self._said += f": {line}" if line else ""
                self._heard = time.monotonic()
            return self._said


def packages_of(distributions: Mapping[str, str], store: str = "") -> Packages:
    """Those of stages that import these distributions, in the versions that are installed here; that of a `store`'s URL."""
    needed = (*TOOLS, *_DRIVERS.get(store.partition("://")[0], ()))
    pinned = {name: version for name in needed if (version := _installed(name))} | dict(distributions)
    pinned.pop("nbpipe", None)
    # What stands behind a `+` names a build, such as one without CUDA, and is the other machine's to choose.
    lines = tuple(sorted(f"{name}=={version.partition('+')[0]}" for name, version in pinned.items()))
    package = _zipped()
    digest = hashlib.sha256("\n".join([python_minor(), *lines]).encode() + package).hexdigest()
    return Packages(digest[:32], python_minor(), lines, base64.b64encode(package).decode())


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _zipped() -> bytes:
    """The package as it is installed here, its sources alone, with enough of metadata to be found by name."""
    made = io.BytesIO()
    files = {f"nbpipe/{path.relative_to(_PACKAGE).as_posix()}": path.read_bytes() for path in _PACKAGE.rglob("*.py")}
    files["nbpipe/py.typed"] = b""
    about = f"Metadata-Version: 2.1\nName: nbpipe\nVersion: {__version__}\n"
    files[f"nbpipe-{__version__}.dist-info/METADATA"] = about.encode()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, _ALWAYS), files[name], zipfile.ZIP_DEFLATED)
    return made.getvalue()
