"""Which files count for a stage: not those of Python, of the system, of libraries and of nbpipe itself."""

from __future__ import annotations

import os
import re
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from nbpipe.job.sources import NBPIPE
from nbpipe.pipeline.contents import HIDDEN

_SYSTEM = ("/proc/", "/sys/", "/dev/", "/etc/", "/usr/", "/lib/", "/lib64/", "/bin/", "/sbin/", "/var/", "/run/")
_CODE = (".pyc", ".so", ".pyd", ".pth")
#: Packages that lie there have versions.
_INSTALLED = re.compile(r"/(site|dist)-packages/")


class Counted:
    """Tells them apart by their paths, for one job."""

    def __init__(self, project: Path, job: Path) -> None:
        self._project = project
        here = [job, Path(sys.prefix), Path(sys.base_prefix), Path.home() / ".cache", Path.home() / ".config",
                Path.home() / ".ipython", Path.home() / ".jupyter", Path.home() / ".local", Path.home() / ".matplotlib",
                Path(sysconfig.get_paths()["stdlib"])]  # fmt: skip
        here += [Path(place) for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME") if (place := os.environ.get(name))]
        self.outside = (NBPIPE, *(str(path.resolve()) + os.sep for path in here))
        self._temporary = str(Path(tempfile.gettempdir()).resolve()) + os.sep

    def __call__(self, given: Any) -> str | None:
        """The absolute path, without links, when the file is one that counts."""
        if isinstance(given, bytes):
            given = os.fsdecode(given)
        if not isinstance(given, (str, os.PathLike)):
            return None
        path = os.path.realpath(given)
        inside = path.startswith(str(self._project) + os.sep)
        if path.startswith(self.outside) or path.endswith(".pyc"):
            return None
        if inside:
            relative = Path(path).relative_to(self._project).parts
            return None if HIDDEN & set(relative) or "site-packages" in relative else path
        if (path + os.sep).startswith((*_SYSTEM, self._temporary)) or path.endswith(_CODE) or _INSTALLED.search(path):
            return None
        return path
