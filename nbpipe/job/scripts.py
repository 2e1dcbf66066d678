"""`%%bash` and its like start their program in a thread of IPython's, where nobody sees whose it is."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import MethodType
from typing import Any

_MARK = "_nbpipe_told"


def watch_scripts(shell: Any, tell: Callable[[str], None]) -> None:
    """Have `tell` hear of each program that a script magic starts, by its name, before it runs."""
    from IPython.core.magics.script import ScriptMagics

    run = getattr(ScriptMagics.shebang, _MARK, ScriptMagics.shebang)

    @functools.wraps(run)
    def told(self: Any, line: str, cell: str) -> Any:
        tell((line.split() or ["a script"])[0])
        return run(self, line, cell)

    setattr(told, _MARK, run)
    ScriptMagics.shebang = told
    # Some versions of IPython have bound it as they started.
    magics = shell.magics_manager.magics["cell"]
    bound = magics.get("script")
    if isinstance(bound, MethodType) and isinstance(bound.__self__, ScriptMagics):
        magics["script"] = bound.__self__.shebang
