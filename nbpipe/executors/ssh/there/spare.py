"""A runner that waits for the next job on the other machine, with all that it needs imported, as long as somebody is connected."""

from __future__ import annotations

import json
import os
import sys
from typing import Any


class Spare:
    """At most one such runner, and the way in which jobs are started: in it, or in a new one.

    It waits at a pipe whose other end is this process's: it ends with it.
    """

    def __init__(self, keeper: Any, root: str) -> None:
        self._keeper = keeper
        self._root = root
        #: The pipe to the keeper that waits with it, and what it is started with.
        self._orders = -1
        self._environment: dict[str, str] | None = None
        self._python = ""

    def have(self, environment: dict[str, str], python: str) -> None:
        """Have one of this Python from now on."""
        if self._python != python and self._orders >= 0:
            os.close(self._orders)
            self._orders = -1
        self._environment, self._python = environment, python
        self.fill()

    def fill(self) -> None:
        """Start one where there should be one and is none."""
        if self._orders >= 0 or self._environment is None:
            return
        given = {**os.environ, **self._environment}
        there, self._orders = os.pipe()
        argv = runner(self._python)
        self._keeper.detach(lambda: self._keeper.wait_for_order(there, argv, given, self._root), open_end=there)
        os.close(there)

    def begin(self, order: dict[str, Any], python: str) -> None:
        """Give a job to the keeper that waits; to a new one where none does."""
        orders = -1
        if python == self._python:
            orders, self._orders = self._orders, -1
        if orders >= 0:
            try:
                with os.fdopen(orders, "w") as file:
                    file.write(json.dumps(order) + "\n")
                return
            except OSError:
                pass
        self._keeper.detach(lambda: self._keeper.keep(argv=runner(python), **order))


def runner(python: str) -> list[str]:
    """What runs jobs with this Python, or with the agent's own."""
    return [python or sys.executable, "-m", "nbpipe.job.elsewhere"]
