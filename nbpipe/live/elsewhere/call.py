"""What a cell that runs elsewhere becomes in its own kernel: one call, with nothing of the cell's text in it."""

from __future__ import annotations

import sys
from typing import Any

from nbpipe.live.elsewhere.raised import number_of

#: The code that the kernel runs in place of the cell.
CODE = "__import__('nbpipe.live.elsewhere.call', fromlist=['call']).call()\n"


def call() -> None:
    """Run the cell that this is called in where it says."""
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    file = sys._getframe(1).f_code.co_filename  # noqa: SLF001 - the cell's own name says its number
    shell.nbpipe_session.run_elsewhere(number_of(shell, file) or shell.execution_count)
