"""The Python and the packages of a run: how they differ from those at hand, and the same ones built anew with uv.

Environments lie in `~/.cache/nbpipe/environments` (or in `XDG_CACHE_HOME`), one per set of packages. Losing them costs
time only.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.errors import UnsupportedError
from nbpipe.pipeline.environment import TOOLS
from nbpipe.pipeline.providers import canonical
from nbpipe.run.earlier import BUNDLE

_LAST_LINES = 8
#: Used as it is now, whatever a notebook imports.
_OWN = "nbpipe"


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """Python's version and the pinned packages that a run had."""

    python: str
    packages: dict[str, str]

    @property
    def minor(self) -> str:
        """Such as `3.11`."""
        return ".".join(self.python.split(".")[:2])

    @property
    def requirements(self) -> list[str]:
        """`NAME==VERSION`, sorted; a local label (`+cpu`) names a build that an index may not have."""
        return [f"{canonical(name)}=={_public(version)}" for name, version in sorted(self.packages.items())]


def environment_of(run: Path) -> Environment:
    """What the folder of a run says: `environment.json`, else the bundle's requirements, with no Python named."""
    try:
        found = msgspec.json.decode((run / "environment.json").read_bytes(), type=dict[str, Any])
        packages = {name: version for name, version in found.get("packages", {}).items() if canonical(name) != _OWN}
        return Environment(python=str(found.get("python", "")), packages=packages)
    except (OSError, msgspec.MsgspecError):
        pass
    lines = (run / BUNDLE / "requirements.txt").read_text().splitlines()
    return Environment(
        python="", packages=dict(line.split("==", 1) for line in lines if not line.startswith(f"{_OWN}=="))
    )


def differences(then: Environment) -> list[str]:
    """What is not the same here: `Python 3.10 → 3.11`, `numpy 1.26.4 → 2.1.0`. Patches of Python count as the same."""
    now = platform.python_version()
    found = []
    if then.minor and then.minor != ".".join(now.split(".")[:2]):
        found.append(f"Python {then.python} → {now}")
    for name, version in sorted(then.packages.items()):
        try:
            here = metadata.version(name)
        except metadata.PackageNotFoundError:
            here = "not installed"
        if _public(here) != _public(version):
            found.append(f"{name} {version} → {here}")
    return found


def built(then: Environment) -> Path:
    """The interpreter of an environment with the packages of then and nbpipe as it is now; built if it is not there.

    Raises UnsupportedError where uv is not installed, or says that it cannot be done.
    """
    lines = [*then.requirements, *_tools()]
    place = _place(then, lines)
    if not is_built(then):
        _build(_uv(), place, _minor(then), lines)
    _link_nbpipe(place)
    return place / "bin" / "python"


def is_built(then: Environment) -> bool:
    """Whether it is there."""
    return (_place(then, [*then.requirements, *_tools()]) / "pyvenv.cfg").is_file()


def _minor(then: Environment) -> str:
    return then.minor or platform.python_version().rpartition(".")[0]


def _place(then: Environment, lines: list[str]) -> Path:
    words = [_minor(then), sysconfig.get_platform(), *lines]
    return _cache() / hashlib.sha256("\n".join(words).encode()).hexdigest()[:32]


def process_environment(python: Path, given: Mapping[str, str]) -> dict[str, str]:
    """What a process with the interpreter of a built environment is started with."""
    more = {"VIRTUAL_ENV": str(python.parent.parent), "PATH": f"{python.parent}{os.pathsep}{given.get('PATH', '')}"}
    return {name: value for name, value in given.items() if name != "PYTHONHOME"} | more


def _build(uv: str, place: Path, minor: str, lines: list[str]) -> None:
    """Beside its place, then renamed: it is there as a whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = place.with_name(f".{place.name}.{os.getpid()}")
    # An interpreter at hand is taken; uv finds or fetches another minor version.
    same = minor == ".".join(platform.python_version().split(".")[:2])
    try:
        _call(uv, "venv", "--quiet", "--relocatable", "--python", sys.executable if same else minor, str(scratch))
        wanted = scratch / "nbpipe-requirements.txt"
        wanted.write_text("".join(f"{line}\n" for line in lines))
        interpreter = str(scratch / "bin" / "python")
        _call(uv, "pip", "install", "--quiet", "--python", interpreter, "--requirements", str(wanted))
        try:
            scratch.rename(place)
        except OSError:
            # Another process was faster.
            if not (place / "pyvenv.cfg").is_file():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _call(*words: str) -> None:
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join(done.stderr.split("\n")[-_LAST_LINES:]).strip() or f"it ended with {done.returncode}"
        raise UnsupportedError(
            f"the environment of then cannot be built: {said}", name="uv", fix="--no-env uses the one at hand."
        )


def _uv() -> str:
    """The program. Raises UnsupportedError where there is none."""
    beside = Path(sys.executable).with_name("uv")
    found = shutil.which("uv") or (str(beside) if beside.is_file() else None)
    if found is None:
        raise UnsupportedError(
            "the environment is not that of then, and uv, which would build it, is not installed",
            name="uv",
            fix="pip install uv. Or use the environment at hand: --no-env.",
        )
    return found


def _tools() -> list[str]:
    """Requirements of nbpipe that running takes, with its own bounds where it is installed with its metadata."""
    try:
        known = {canonical(_name(line)): line for line in metadata.requires(_OWN) or () if "extra ==" not in line}
    except metadata.PackageNotFoundError:
        known = {}
    return [known.get(name, name) for name in TOOLS]


def _name(requirement: str) -> str:
    end = next((n for n, letter in enumerate(requirement) if not (letter.isalnum() or letter in "-_.")), None)
    return requirement[:end]


def _link_nbpipe(place: Path) -> None:
    """Put nbpipe itself in, from where it is now; its folder may have moved since the environment was built."""
    package = Path(__file__).resolve().parents[1]
    for folder in (place / "lib").glob("python*/site-packages"):
        link = folder / package.name
        if link.is_symlink() and link.resolve() == package:
            continue
        scratch = folder / f".{package.name}.{os.getpid()}"
        scratch.unlink(missing_ok=True)
        scratch.symlink_to(package, target_is_directory=True)
        scratch.replace(link)


def _public(version: str) -> str:
    return version.partition("+")[0]


def _cache() -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "nbpipe" / "environments"
