"""What a cell gave that ran elsewhere, put where a cell that ran here would have left it."""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING, Any

from nbpipe.job.ambient import BY_NAME
from nbpipe.job.definitions import Definitions, apply_state
from nbpipe.live.elsewhere.inputs import CARRIED
from nbpipe.live.elsewhere.remote import RemoteValue
from nbpipe.live.elsewhere.stream import say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nbpipe.live.elsewhere.ground import Ground
    from nbpipe.live.elsewhere.handles import Handles
    from nbpipe.model import Artifact, Outcome, Snippet
    from nbpipe.store import Store

_DEFSTATE = "defstate"
_ABSENT = "absent"
_FLAT = (int, float, complex, bool, str, bytes, tuple, frozenset, type(None))


def bring(
    shell: Any,
    store: Store,
    ground: Ground,
    sent: Mapping[str, Artifact],
    outcome: Outcome,
    leave: Callable[[dict[str, Artifact]], Handles],
) -> None:
    """Bind what the cell gave, make its definitions, and say what stays away or is not as it would be here.

    `sent` are its inputs. `leave` binds names to values that stay there until they are used.
    """
    from nbpipe.store.values import load_values

    names: dict[str, Any] = shell.user_ns
    given = {**outcome.outputs, **outcome.observed}
    own = [item for item in ground.pipeline.snippets if item.stage == ground.stage.name]
    definitions = Definitions(shell, own, {})
    _try(definitions, "run_ready")
    values = {name: artifact for name, artifact in given.items() if artifact.format not in {_ABSENT, _DEFSTATE}}
    left = {name: values[name] for name in values if values[name].on}
    changed = {name for name in sent if name in given and given[name].digest != sent[name].digest}
    for text in _aliases(names, values, changed & {*outcome.observed, *ground.stage.flow.mutates}):
        say(text)
    load_values(store, {name: artifact for name, artifact in values.items() if name not in left}, names)
    trouble = _left_there(left, leave, own) if left else None
    if trouble is None:
        _try(definitions, "run_rest")
    for name, artifact in given.items():
        _settle(store, names, name, artifact)
    for name, reason in outcome.unstored.items():
        names.pop(name, None)
        say(f"'{name}' stays there, it cannot be sent: {reason}")
    _take_over(store, outcome)
    for handle in [names[name] for name in left if type(names[name]) is RemoteValue]:
        say(f"{handle!r}")
    if trouble is not None:
        raise trouble


def _left_there(
    left: dict[str, Artifact], leave: Callable[[dict[str, Artifact]], Handles], own: Sequence[Snippet]
) -> BaseException | None:
    """Bind handles; bring what definitions of the cell are made with, or what may be used before any other cell runs.

    Why that was not possible is returned: all else of the cell comes first.
    """
    handles = leave(left)
    try:
        handles.load_used(ast.Module([], []), also={need for item in own for need in item.needs})
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever it is, it is raised once all else is done
        return error
    return None


def _try(definitions: Definitions, name: str) -> None:
    try:
        getattr(definitions, name)()
    except Exception as error:  # noqa: BLE001 - a library that is only there, for one; the values are here all the same
        say(f"a definition of the cell cannot be made here: {type(error).__name__}: {error}")


def _settle(store: Store, names: dict[str, Any], name: str, artifact: Artifact) -> None:
    from nbpipe.store.values import load_values

    if artifact.format == _ABSENT:
        names.pop(name, None)
    elif artifact.format == _DEFSTATE and name in names:
        apply_state(names[name], load_values(store, {name: artifact}, names)[name])


def _aliases(names: Mapping[str, Any], loaded: Mapping[str, Artifact], changed: set[str]) -> list[str]:
    """Other names of objects that were changed in place there: here they keep what they had."""
    said = []
    for name in sorted(changed):
        old = names.get(name)
        if old is None or isinstance(old, _FLAT):
            continue
        others = [other for other, value in names.items() if value is old and other not in loaded and other[0] != "_"]
        if others:
            said.append(f"'{name}' was changed in place there; {', '.join(others)} keeps what it was here")
    return said


def _take_over(store: Store, outcome: Outcome) -> None:
    """Ambient state that the cell changed."""
    from nbpipe.store.values import load_values

    for state in outcome.ambient:
        entry = BY_NAME.get(state.name)
        if state.artifact is None:
            continue
        if entry is None or state.name not in CARRIED:
            say(f"the cell changed {state.name.removeprefix('@')} there; here it is as it was")
        elif entry.owner in sys.modules:
            entry.set(load_values(store, {state.name: state.artifact}, {})[state.name])
