"""Local modules that another stage's import made otherwise: in one kernel there is one import, and all stages see it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nbpipe.model import Outcome


def differing(stages: Iterable[str], outcomes: Mapping[str, Outcome]) -> list[str]:
    """What is said of plain globals of local modules that an import made otherwise than the first one above.

    `stages` are names in notebook order; those without an outcome are passed by.
    """
    first: dict[str, tuple[str, dict[str, str]]] = {}
    found = []
    for stage in stages:
        for state in outcomes[stage].ambient if stage in outcomes else ():
            if not state.made:
                continue
            giver, made = first.setdefault(state.name, (stage, state.made))
            # What stages above had left in the module took the place of what its import made.
            names = {*made, *state.made} if not state.before else ()
            module = state.name.partition(":")[2]
            found += [
                f"stage '{stage}': {module}.{name} is not what it is in stage '{giver}': each stage imports {module} anew, "
                "and what it reads meanwhile (the time, a variable, a file) has changed. Compute it in a stage"
                for name in sorted(names)
                if made.get(name) != state.made.get(name)
            ]
    return found
