"""Values to artifacts and back, equal in value and type, or an error that names what cannot be stored."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from blake3 import blake3
from msgspec import structs

from nbpipe.errors import NbpipeError, StoreError, Unserializable
from nbpipe.model import Artifact
from nbpipe.store import pickles
from nbpipe.store.digest import Undigestable, digest, digest_and_sharing, digested
from nbpipe.store.formats import choose, formats
from nbpipe.store.reduction import Reducer
from nbpipe.store.sharing import beside, groups, reach
from nbpipe.store.summary import summarize, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nbpipe.store import Store

PICKLE = "pickle"
STATE = "defstate"
ABSENT = "absent"


def save_values(
    store: Store, values: Mapping[str, object], *, stage: str, lost: list[str] | None = None
) -> dict[str, Artifact]:
    """Store values by name; those that share mutable memory as one object each. What stays behind is added to `lost`.

    Raises Unserializable for the first one that would not come back equal in value and type, StoreError if the store
    cannot be written. The digest of an artifact in a group covers the sharing too, so it differs from `digest(value)`.
    """
    reaches = {name: reach(value) for name, value in values.items()}
    together, near = groups(values, reaches), beside(reaches)
    left = [] if lost is None else lost
    grouped = {name for group in together for name in group}
    saved = {name: _save_one(store, name, value, stage, left) for name, value in values.items() if name not in grouped}
    for group in together:
        saved.update(_save_group(store, {name: values[name] for name in group}, stage, left))
    return {name: structs.replace(saved[name], beside=near[name]) if name in near else saved[name] for name in values}


def save_state(store: Store, name: str, state: dict[str, Any], *, stage: str) -> Artifact:
    """Store the attributes of a notebook class or function; loading gives the dict back."""
    found = _pickle(store, state, {name: state}, stage, [])
    return Artifact(digest=_digest(name, state, stage), format=STATE, type=type_name(state), **found)


def load_values(store: Store, artifacts: Mapping[str, Artifact], namespace: dict[str, Any]) -> dict[str, Any]:
    """The values by name, in an order in which what they need comes first; absent ones are left out.

    Definitions of the notebook are looked up in `namespace`, then among the values loaded so far. Everything is
    verified before it is interpreted: CorruptObject, SecurityError. Members of a group share memory again.
    """
    scope = _Scope(namespace)
    loaded: dict[str, Any] = {}
    by_object: dict[tuple[str, ...], Any] = {}
    for name in _in_order(artifacts):
        artifact = artifacts[name]
        if artifact.format == ABSENT:
            continue
        if artifact.format in (PICKLE, STATE):
            if artifact.objects not in by_object or not artifact.group:
                unpickle = partial(pickles.load, artifact.objects[0], store.objects, store.signer, scope.namespace)
                by_object[artifact.objects] = _interpreted(name, artifact, unpickle)
            found = by_object[artifact.objects]
            if artifact.group and name not in found:
                raise StoreError(f"'{name}' is not among the values stored together with it", name=name)
            loaded[name] = found[name] if artifact.group else found
        elif artifact.format in formats():
            load = partial(formats()[artifact.format].load, artifact, store.objects)
            loaded[name] = _interpreted(name, artifact, load)
        else:
            raise StoreError(f"'{name}' is stored as {artifact.format!r}, which is not installed", name=name)
        if artifact.format != STATE:
            scope.add(name, loaded[name])
    return {name: loaded[name] for name in artifacts if name in loaded}


def absent() -> Artifact:
    """Stands for a name that is not bound."""
    return Artifact(digest=blake3(b"absent").hexdigest(), format=ABSENT)


class _Scope:
    """The loader's namespace: the globals of stored functions, so values are bound in it as they are loaded."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace

    def add(self, name: str, value: Any) -> None:
        self.namespace[name] = value


def _save_one(store: Store, name: str, value: object, stage: str, lost: list[str]) -> Artifact:
    chosen = choose(value)
    kind, summary = type_name(value), summarize(value)
    if chosen is None:
        token = _digest(name, value, stage)
        found = _pickle(store, value, {name: value}, stage, lost)
        return Artifact(digest=token, format=PICKLE, type=kind, summary=summary, **found)
    objects, token_or_none = chosen.save(value, store.objects)
    token = token_or_none or _digest(name, value, stage)
    size = sum(map(store.objects.size, objects))
    return Artifact(digest=token, format=chosen.name, type=kind, objects=objects, size=size, summary=summary)


def _save_group(store: Store, values: dict[str, Any], stage: str, lost: list[str]) -> dict[str, Artifact]:
    tokens = {name: _digest(name, value, stage) for name, value in values.items()}
    structure = digest_and_sharing(values)[1]
    found = _pickle(store, values, values, stage, lost)
    return {
        name: Artifact(
            digest=blake3(f"shared {tokens[name]} {structure}".encode()).hexdigest(),
            format=PICKLE,
            type=type_name(value),
            group=tuple(values),
            summary=summarize(value),
            **found,
        )
        for name, value in values.items()
    }


def _pickle(store: Store, value: Any, named: Mapping[str, Any], stage: str, lost: list[str]) -> dict[str, Any]:
    by_value = frozenset(map(id, named.values()))
    reducer = Reducer(value, by_value=by_value)
    try:
        objects, size = pickles.save(value, store.objects, store.signer, reducer)
        back = pickles.comes_back(value, store.signer, Reducer(value, by_value=by_value))
        seen = None if back is None else (digested(value), digested(back))
    except NbpipeError:
        raise
    except Exception as error:
        name, reason = _culprit(named, error)
        raise Unserializable(name, type_name(named[name]), stage, reason=reason) from error
    if seen is not None and seen[0].hexdigest() != seen[1].hexdigest():
        name = next(iter(named))
        raise Unserializable(name, type_name(named[name]), stage, reason="it comes back different")
    if seen is not None and (seen[0].orders != seen[1].orders or b"" in seen[0].orders):
        lost.append(f"the order of a set in '{', '.join(named)}' is not kept: use sorted() where the order counts")
    lost += [
        f"{what} in '{', '.join(named)}' is not kept: later stages see it without" for what in sorted(reducer.lost)
    ]
    return {"objects": objects, "size": size, "needs": tuple(sorted(reducer.needs))}


def _culprit(named: Mapping[str, Any], error: Exception) -> tuple[str, str]:
    """The first name that fails by itself, and why; the group's own error if each is fine alone."""
    from nbpipe.store.pickles import failure

    for name, value in named.items():
        alone = failure(value)
        if alone is not None:
            return name, str(alone)
    return next(iter(named)), str(error)


def _digest(name: str, value: object, stage: str) -> str:
    try:
        return digest(value)
    except Undigestable as error:
        raise Unserializable(name, type_name(value), stage, reason=str(error)) from error


def _interpreted(name: str, artifact: Artifact, load: Callable[[], Any]) -> Any:
    """What `load` gives. Raises StoreError for whatever goes wrong: a library that is not installed here, for one."""
    try:
        return load()
    except NbpipeError:
        raise
    except Exception as error:
        raise StoreError(
            f"'{name}' ({artifact.type}) cannot be loaded: {type(error).__name__}: {error}",
            name=name,
            fix="A definition or the environment differs from when it was stored. Give definitions that differ different names.",
        ) from error


def _in_order(artifacts: Mapping[str, Artifact]) -> list[str]:
    """Names so that each comes after those it needs, where that is possible."""
    ordered: dict[str, None] = {}

    def visit(name: str, path: frozenset[str]) -> None:
        if name in ordered or name in path:
            return
        for need in artifacts[name].needs:
            if need in artifacts:
                visit(need, path | {name})
        ordered[name] = None

    for name in artifacts:
        visit(name, frozenset())
    return list(ordered)
