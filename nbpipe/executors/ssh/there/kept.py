"""Kernels of failed jobs that wait on the other machine: which there are, that one goes on, that they end."""

from __future__ import annotations

import glob
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Kernels:
    """Those of one agent, whose `root` all lies in; `end` of it ends what runs of a job, and removes its folder.

    Nothing is ended because nobody could say how it is: a scheduler that does not answer raises RuntimeError.
    """

    def __init__(self, root: str, keeper: Any, batch: Any, end: Callable[[str], None]) -> None:
        self._work = root + "/work/"
        self._keeper = keeper
        self._batch = batch
        self._end = end

    def names(self) -> list[str]:
        """Jobs whose kernels wait, as far as is known: those that are known to have ended are not among them."""
        kinds = ("", "[0-9]*/")
        said = [path for kind in kinds for path in glob.glob(f"{glob.escape(self._work)}*/{kind}job/kept.json")]
        jobs = sorted({path[len(self._work) :].partition("/")[0] for path in said})
        return [job for job in jobs if self._waits(job)]

    def _waits(self, job: str) -> bool:
        try:
            gone = self._gone(job)
        except RuntimeError:
            gone = ""
        return not gone and os.path.exists(self._ran(job) + "/job/kept.json")

    def release(self, job: str) -> list[str]:
        """End this one, which waits or goes on; without a name, all that wait. Which there were."""
        found = [name for name in ([job] if job else self.names()) if os.path.isdir(self._work + name)]
        # Another run may go on in one that waited a moment ago.
        found = [name for name in found if job or self._let_go(name)]
        for name in found:
            self._end(name)
        return found

    def _let_go(self, job: str) -> bool:
        try:
            return bool(self._keeper.released(self._ran(job), lambda: self._known_to_be_gone(job)))
        except FileNotFoundError:  # somebody else has just removed it
            return False

    def resume(self, job: str, spec: dict[str, Any]) -> str:
        """Have a kernel go on as this `spec` says, once; why it does not, "" where it does.

        Raises RuntimeError where nobody can say: it may wait still, and is left as it is.
        """
        work, ran = self._work + job, self._ran(job)
        if self._keeper.read(ran + "/job/job.json").get("token") == spec["token"]:
            return self._goes_on(work, spec)
        why = self._gone(job)
        if why or not os.path.exists(ran + "/job/kept.json"):
            if os.path.exists(ran + "/rc.json"):
                self._end(job)
            return why or "the kernel was not kept so long"
        try:
            os.utime(work + "/asked")
            if self._keeper.ordered(ran, spec, lambda: self._known_to_be_gone(job)):
                return self._goes_on(work, spec)
        except RuntimeError as error:
            # It is another's now: nothing of it is ended.
            return str(error)
        except FileNotFoundError:
            return "its kernel was released meanwhile"
        why = self._gone(job) or "the kernel did not take the mended cell"
        self._end(job)
        return why

    def _goes_on(self, work: str, spec: dict[str, Any]) -> str:
        # Not before it has taken the order: another may have been first.
        if self._batch is not None:
            self._batch.anew(work, spec)
        return ""

    def _known_to_be_gone(self, job: str) -> str:
        try:
            return self._gone(job, fresh=False)
        except RuntimeError:
            return ""

    def _gone(self, job: str, *, fresh: bool = True) -> str:
        """Why there can be no kernel of this job any more; "" while there can. Raises RuntimeError where nobody says."""
        if self._batch is not None:
            return str(self._batch.gone_by(self._work + job, fresh=fresh))
        return (
            ""
            if self._keeper.alive(self._keeper.read(self._work + job + "/keeper.json"))
            else "the kernel was not kept so long"
        )

    def _ran(self, job: str) -> str:
        work = self._work + job
        return str(self._batch.start_of(work)[1]) if self._batch is not None else work
