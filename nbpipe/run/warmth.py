"""For how long a process is kept warm after a run, so that the next one starts at once."""

from __future__ import annotations

import os
import sys

from nbpipe.errors import UsageError
from nbpipe.job.libraries import of_pipeline
from nbpipe.model import Pipeline
from nbpipe.notebook.quantities import read_duration, shown
from nbpipe.run.configured import configured
from nbpipe.run.project import Project

#: A duration as `10m`; 0 or `off` for not at all.
VARIABLE = "NBPIPE_KEEP_WARM"
SETTING = "keep_warm"
#: Set for a run that a person has started without a terminal: in the lab, in a notebook.
WAITED_FOR = "NBPIPE_WAITED_FOR"
_DEFAULT = 600.0
#: Whether libraries that stages import are imported ahead: a setting that is true or false, and a variable that is `off`.
LIBRARIES = "warm_libraries"
NO_LIBRARIES = "NBPIPE_WARM_LIBRARIES"


def keep_warm(project: Project, *, waited_for: bool = False) -> float:
    """Seconds: of the variable, else of the project's setting, else ten minutes where somebody sits at a terminal or a lab.

    `waited_for`: somebody waits, whatever that looks like. Elsewhere nothing is left behind: a scheduler or CI waits for all
    that a command starts. Raises UsageError for what is no duration.
    """
    given = os.environ.get(VARIABLE)
    if given is None:
        found = configured(project, SETTING)
        if found is None:
            somebody = waited_for or WAITED_FOR in os.environ or (sys.stdin is not None and sys.stdin.isatty())
            return _DEFAULT if somebody and "CI" not in os.environ else 0.0
        given = "0" if found is False else str(found)
    if given in {"", "0", "off"}:
        return 0.0
    try:
        return read_duration(given)
    except ValueError as error:
        raise UsageError(f"{SETTING}: {error}", name=shown(given), fix=f'Write {SETTING} = "10m", or "off".') from None


def warm_libraries(project: Project, pipeline: Pipeline) -> tuple[str, ...]:
    """Modules that the pipeline imports and that may be imported ahead of its stages; none where that is turned off.

    Raises UsageError for a setting that is neither true nor false.
    """
    given = configured(project, LIBRARIES)
    if given not in (None, True, False):
        raise UsageError(f"{LIBRARIES}: {shown(given)} is neither true nor false", name=LIBRARIES)
    if given is False or os.environ.get(NO_LIBRARIES, "").lower() in {"0", "off", "false"}:
        return ()
    return of_pipeline(pipeline)
