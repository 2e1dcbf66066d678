"""What a job takes from the store that its machine shares with the one that sent it, and what it leaves there."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from nbpipe.errors import CorruptObject, StoreError
from nbpipe.job.folder import GIVEN, read_verdict, write_durably

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbpipe.errors import NbpipeError
    from nbpipe.model import JobSpec
    from nbpipe.store.local import LocalObjects


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """`given.json`: what lies in the shared store, and why it was not used where it was not."""

    schema: int = 1
    #: Hash -> bytes of what the job has left there whole.
    objects: dict[str, int] = {}
    #: Objects that do not match their hash there.
    damaged: tuple[str, ...] = ()
    why: str = ""


def take(folder: Path, location: str, names: Iterable[str], objects: LocalObjects) -> None:
    """Have these objects here, as far as the shared store has them; what went wrong is noted. Raises OSError."""
    from nbpipe.store.shared import SharedObjects

    lacking = sorted(name for name in names if not objects.has(name))
    if not lacking:
        return
    shared = SharedObjects(location)
    failed: dict[str, NbpipeError]
    try:
        shared.reach()
    except StoreError as error:
        failed = dict.fromkeys(lacking, error)
    else:
        failed = shared.take(lacking, objects)
    if failed:
        damaged = tuple(name for name, error in failed.items() if isinstance(error, CorruptObject))
        why = next((error.message for name, error in failed.items() if name not in damaged), "")
        write_durably(folder / GIVEN, msgspec.json.encode(Given(damaged=damaged, why=why)))


def give(folder: Path, spec: JobSpec, location: str) -> bool:
    """Leave the results in the shared store, once the verdict is written, and note which are there.

    Whatever goes wrong changes no verdict: the results lie in the store of this machine, and are taken from there.
    Returns whether something of it hangs, and may keep this process from its end.
    """
    from nbpipe.store import open_store
    from nbpipe.store.manifest import objects_of
    from nbpipe.store.shared import LITTLE, SharedObjects

    told = read_verdict(folder, spec.token)
    if told is None:
        return False
    store = open_store(spec.store).objects
    sizes = {name: store.size(name) for name in sorted(objects_of(told)) if store.has(name)}
    if sum(sizes.values()) <= LITTLE:
        return False
    shared = SharedObjects(location)
    given, why = {}, ""
    try:
        shared.reach()
        there = shared.sizes(sizes)
        # What it has is not believed by those who take it; it is only not sent again.
        lacking = {name: store.local_path(name) for name, size in sizes.items() if there.get(name) != size}
        failed = shared.put(lacking)
        why = next((error.message for error in failed.values()), "")
        given = {name: size for name, size in sizes.items() if name not in failed}
    except Exception as error:  # noqa: BLE001 - it is said, and the results travel otherwise
        why = str(getattr(error, "message", error))
    with contextlib.suppress(OSError):
        write_durably(folder / GIVEN, msgspec.json.encode(Given(objects=given, why=why)))
    return shared.hangs
