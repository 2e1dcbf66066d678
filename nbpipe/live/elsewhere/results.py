"""What a cell gave that ran elsewhere, put where a cell that ran here would have left it."""

from __future__ import annotations

import ast
import sys
from functools import partial
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

    `sent` are its inputs. `leave` binds names to values that stay there until they are used. Where an earlier one that a
    definition is made with cannot be brought, that is raised and nothing is bound.
    """
    names: dict[str, Any] = shell.user_ns
    given = {**outcome.outputs, **outcome.observed}
    own = [item for item in ground.pipeline.snippets if item.stage == ground.stage.name]
    values = {name: artifact for name, artifact in given.items() if artifact.format not in {_ABSENT, _DEFSTATE}}
    left = {name: values[name] for name in values if values[name].on}
    changed = {name for name in sent if name in given and given[name].digest != sent[name].digest}
    for text in _aliases(names, values, changed & {*outcome.observed, *ground.stage.flow.mutates}):
        say(text)
    _load(leave({}), _needed(own) - values.keys())
    trouble = _bind(store, Definitions(shell, own, {}), names, values, partial(_left_there, left, leave, own))
    for name, artifact in given.items():
        _settle(store, names, name, artifact)
    for name, reason in outcome.unstored.items():
        names.pop(name, None)
        say(f"'{name}' stays there, it cannot be sent: {reason}")
    _take_over(store, outcome)
    # No comprehension here closes over `names`: who holds them gives any of them to anybody, says `used`.
    for name in left:
        if type(names[name]) is RemoteValue:
            say(f"{names[name]!r}")
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
        _load(handles, _needed(own))
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever it is, it is raised once all else is done
        return error
    return None


def _load(handles: Handles, needed: set[str]) -> None:
    """Bring what is among these names, and what functions of the kernel that have such names may read."""
    named: list[ast.stmt] = [ast.Expr(ast.Name(name, ast.Load())) for name in sorted(needed)]
    handles.load_used(ast.fix_missing_locations(ast.Module(named, [])), also=needed)


def _needed(own: Sequence[Snippet]) -> set[str]:
    """What definitions of the cell read when they are made, by those that they call or inherit from, too."""
    found: set[str] = set()
    todo = [name for item in own for name in item.needs]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += [read for item in own if name in item.names for read in (*item.needs, *item.uses)]
    return found


def _bind(
    store: Store,
    definitions: Definitions,
    names: dict[str, Any],
    values: Mapping[str, Artifact],
    leave: Callable[[], BaseException | None],
) -> BaseException | None:
    """Load the values that came home, make the definitions, and bind handles for the others: each as soon as all it needs is there.

    Gives what `leave` does, which binds the handles: what only they could be made with is not bound then.
    """
    from nbpipe.store.values import load_values

    waiting = dict(values)
    left = {name for name, artifact in values.items() if artifact.on}
    lacking: set[str] = set()
    trouble = None
    while waiting:
        _try(partial(definitions.run_ready, waiting={*waiting, *lacking}))
        pending = definitions.pending()
        held = {artifact.objects for artifact in waiting.values() if not pending.isdisjoint(artifact.needs)}
        ready = {name: one for name, one in waiting.items() if name not in left and one.objects not in held}
        if not ready and left:
            trouble = leave()
            ready, lacking, left = {name: waiting[name] for name in left}, left if trouble else set(), set()
        elif not ready and trouble is not None:
            for name in waiting:
                names.pop(name, None)
            break
        elif not ready:
            # Definitions that read what shares memory with what is made of them.
            _try(definitions.run_ready)
            load_values(store, ready := waiting, names)
        else:
            load_values(store, ready, names)
        waiting = {name: one for name, one in waiting.items() if name not in ready}
    if trouble is None:
        _try(definitions.run_rest)
    return trouble


def _try(make: Callable[[], None]) -> None:
    """Make definitions; one that fails keeps no other from being made."""
    while True:
        try:
            return make()
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
