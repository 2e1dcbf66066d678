"""Files of the project that changed while a stage ran and no hook saw who wrote them: the stage's own, or others'."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from nbpipe.job.folder import UNDO
from nbpipe.job.holders import Beside, written_elsewhere
from nbpipe.job.readers import NATIVE
from nbpipe.job.scan import scan
from nbpipe.job.sources import is_local

#: People save these while a job runs; native code does not write them.
_EDITED = (".ipynb", ".py", ".pyi")
#: Packages that write files through Python's own `open`, which a hook sees; Arrow is looked at apart.
_SEEN = set(
    """_csparsetools _cyutility _distutils_hack _moduleTNC _ni_label _yaml bottleneck certifi charset_normalizer cloudpickle
    colorama contourpy cycler dateutil defusedxml et_xmlfile fontTools idna IPython jinja2 joblib kiwisolver
    markupsafe matplotlib matplotlib_inline mpl_toolkits mpmath narwhals nbpipe networkx numexpr numpy openpyxl
    packaging pandas patsy PIL psutil pyarrow pylab pyparsing pytz requests rich scipy seaborn setuptools simplejson
    six sklearn statsmodels sympy tabulate tenacity threadpoolctl tqdm typing_extensions tzdata tzlocal urllib3
    wcwidth xlsxwriter yaml""".split()  # noqa: SIM905
)
#: Of those, and of Python itself, what writes where no hook sees it.
_UNSEEN = ("_dbm", "_gdbm", "scipy.odr")
#: pandas loads Arrow, and leaves these of it to those who use them.
_ARROW = tuple(f"pyarrow.{name}" for name in ("csv", "dataset", "feather", "flight", "orc", "parquet", "substrait"))
_CTYPES = (f"{os.sep}ctypes{os.sep}__init__.py", f"{os.sep}ctypes{os.sep}util.py")


class Came:
    """What came into the project, or changed there, behind the back of the hooks.

    Responsibilities: says which of it this process may have written.
    Must not: take a file for somebody else's that may be the stage's, for then it would not be kept with its result.
    """

    def __init__(self, project: Path, job: Path) -> None:
        self._project = project
        self._job = job
        self.before: dict[str, tuple[int, int, int]] = {}
        #: Packages of the kernel itself.
        self._own: set[str] = set()
        #: A program was started, or something called that writes in native code.
        self.may = False
        #: Other stages ran meanwhile that may have written it just as well.
        self.crowded = False

    def start(self) -> None:
        """Look at the project, and at what is loaded."""
        self.before = scan(self._project)
        (self._job / UNDO / "scan.json").write_text(json.dumps(self.before))
        self._own = {name.partition(".")[0] for name in list(sys.modules)} - {
            "cffi",
            *(name.partition(".")[0] for name in NATIVE),
        }

    def loads(self) -> None:
        """A native library is loaded through ctypes: told by the hook."""
        frame: Any = sys._getframe(3)  # noqa: SLF001
        while frame is not None and frame.f_code.co_filename.endswith(_CTYPES):
            frame = frame.f_back
        file = frame.f_code.co_filename if frame is not None else ""
        self.may = self.may or f"{os.sep}ipykernel_" in file or is_local(file, str(self._project))

    def changed(self, but: Callable[[str], bool]) -> list[str]:
        """Files that are not as they were, without notebooks and modules; `but`: what need not be told."""
        return [
            path
            for path, stamp in scan(self._project).items()
            if self.before.get(path) != stamp and not path.endswith(_EDITED) and not but(path)
        ]

    def unclaimed(self, changed: Collection[str]) -> list[str]:
        """Those of them that no other stage was seen to write, and no other program holds open."""
        if not changed:
            return []
        beside = Beside(self._job)
        elsewhere = written_elsewhere(changed) | beside.written
        found = [path for path in changed if path not in elsewhere]
        self.crowded = beside.may_have_written(found)
        return found

    def may_write(self, cells: Iterable[str]) -> bool:
        """Whether this process, which runs these cells, may have written where no hook sees it."""
        if self.may or any(name in sys.modules for name in (*_UNSEEN, *_ARROW)):
            return True
        packages = _packages()
        local = {name for name, files in packages.items() if any(is_local(f, str(self._project)) for f in files)}
        if packages.keys() - local - self._own - _SEEN - sys.stdlib_module_names:
            return True
        own = [file for name in local for file in packages[name]]
        return any(not file.endswith(".py") for file in own) or _names_arrow([*cells, *map(_text, own)])


def read_by(reads: Mapping[str, str], paths: Iterable[str]) -> list[str]:
    """Those of the paths that the stage went by: it read them, or the names beside them."""
    return [path for path in paths if path in reads or f"{Path(path).parent}{os.sep}" in reads]


def _packages() -> dict[str, list[str]]:
    """What is loaded, by its first name, with the files it is of."""
    found: dict[str, list[str]] = {}
    for name, module in list(sys.modules.items()):
        # Not asked for: some modules load others when they are.
        file = getattr(module, "__dict__", {}).get("__file__")
        if isinstance(file, str):
            found.setdefault(name.partition(".")[0], []).append(file)
    return found


def _names_arrow(texts: Iterable[str]) -> bool:
    return any("pyarrow" in text for text in texts)


def _text(file: str) -> str:
    try:
        return Path(file).read_text(errors="replace")
    except OSError:
        return "pyarrow"
