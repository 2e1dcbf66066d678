"""Before a cell runs: values that stayed elsewhere, and that it may use, are brought; where that fails, it does not run."""

from __future__ import annotations

import ast
import copy
from typing import TYPE_CHECKING

from IPython.core.error import InputRejected

from nbpipe.live.elsewhere.call import CODE

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbpipe.live.elsewhere.handles import Handles

_ELSEWHERE = ast.dump(ast.parse(CODE))


class Guard:
    """IPython shows it the tree of each cell, and of each statement that a magic such as `%time` runs."""

    def __init__(self, handles: Handles, loaded: Callable[[], None]) -> None:
        self._handles = handles
        self._loaded = loaded

    def visit(self, tree: ast.Module) -> ast.Module:
        """The same tree. Raises InputRejected, which keeps the cell from running."""
        # A cell that runs elsewhere knows by itself what it reads, and what of that is there already.
        if ast.dump(tree) == _ELSEWHERE:
            return tree
        try:
            # A copy: analysed trees are remembered, and this one may still be changed.
            if self._handles.load_used(copy.deepcopy(tree)):
                self._loaded()
        except KeyboardInterrupt:
            raise _rejected("KeyboardInterrupt", "the cell did not run; what it uses is where it was") from None
        except Exception as error:  # noqa: BLE001 - a full disk, for one: the cell must not run with a handle
            raise _rejected(type(error).__name__, f"{error}\nThe cell did not run.") from None
        return tree


def _rejected(name: str, text: str) -> InputRejected:
    """Named as what went wrong, and shown without a traceback through nbpipe."""
    kind = type(name, (InputRejected,), {"__module__": "builtins"})
    made: InputRejected = kind(text)
    vars(made)["_render_traceback_"] = lambda: [f"nbpipe: {text}"]
    return made
