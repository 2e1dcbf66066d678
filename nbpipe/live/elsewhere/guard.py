"""Before a cell runs: values that stayed elsewhere, and that it may use, are brought; where that fails, it does not run."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from IPython.core.error import InputRejected

from nbpipe.dataflow.nodes import nodes_of
from nbpipe.live.elsewhere.call import CODE

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbpipe.live.elsewhere.handles import Handles

_CALL = ast.parse(CODE)
_ELSEWHERE, _LENGTH = ast.dump(_CALL), len(nodes_of(_CALL))


class Guard:
    """IPython shows it the tree of each cell, and of each statement that a magic such as `%time` runs."""

    def __init__(self, handles: Handles, loaded: Callable[[], None]) -> None:
        self._handles = handles
        self._loaded = loaded

    def visit(self, tree: ast.Module) -> ast.Module:
        """The same tree. Raises InputRejected, which keeps the cell from running: any other error makes IPython drop the guard."""
        try:
            # A cell that runs elsewhere knows by itself what it reads, and what of that is there already.
            if not _runs_elsewhere(tree) and self._handles.load_used(tree):
                self._loaded()
        except KeyboardInterrupt:
            raise _rejected("KeyboardInterrupt", "the cell did not run; what it uses is where it was") from None
        except Exception as error:  # noqa: BLE001 - a full disk, for one: the cell must not run with a handle
            raise _rejected(type(error).__name__, f"{_said(error)}\nThe cell did not run.") from None
        return tree


def _runs_elsewhere(tree: ast.Module) -> bool:
    """Whether it is the call that a cell for a target becomes. A tree of any depth can be counted, but not be dumped."""
    return len(nodes_of(tree)) == _LENGTH and ast.dump(tree) == _ELSEWHERE


def _said(error: Exception) -> str:
    """What an error says, of whichever class it is."""
    try:
        return str(error) or type(error).__name__
    except Exception:  # noqa: BLE001 - the class may be anybody's
        return type(error).__name__


def _rejected(name: str, text: str) -> InputRejected:
    """Named as what went wrong, and shown without a traceback through nbpipe."""
    kind = type(name, (InputRejected,), {"__module__": "builtins"})
    made: InputRejected = kind(text)
    vars(made)["_render_traceback_"] = lambda: [f"nbpipe: {text}"]
    return made
