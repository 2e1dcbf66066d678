"""The one door for pickles, and the key that opens it.

Nothing is unpickled that this key did not sign: the signature covers the pickle, the hashes of its buffers and their
flags, and is checked before a single byte is interpreted. No other module imports `pickle`.
"""

from __future__ import annotations

import hmac
import os
import pickle
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from blake3 import blake3

from nbpipe.errors import SecurityError, StoreError
from nbpipe.store.identity import nan_of, nan_owner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PicklingError = pickle.PicklingError
PickleBuffer = pickle.PickleBuffer
#: The opcode of a float, and the quiet NaN.
_NAN = pickle.BINFLOAT + bytes.fromhex("7ff8000000000000")
_KEY_BYTES = 32
_SHORTEST_TEAM_KEY = 16


class Reduction(Protocol):
    """How values are taken apart beyond what pickle does by itself, and put together again."""

    def reduce(self, value: Any) -> Any:
        """A reduce tuple, or NotImplemented."""


class Signer:
    """Signs bytes with one key. Signatures are bound to a purpose: one cannot be passed off as another."""

    def __init__(self, secret: bytes) -> None:
        self._key = blake3(secret, derive_key_context="nbpipe 2026 store signatures").digest()

    def sign(self, purpose: str, parts: Iterable[bytes | memoryview]) -> str:
        """Signature, hex."""
        hasher = blake3(key=self._key, max_threads=blake3.AUTO)
        hasher.update(f"{purpose}\n".encode())
        for part in parts:
            hasher.update(len(part).to_bytes(8, "little"))
            hasher.update(part)
        return hasher.hexdigest()

    def check(self, purpose: str, parts: Iterable[bytes | memoryview], signature: str) -> bool:
        """Whether `signature` is ours, compared in constant time."""
        return hmac.compare_digest(self.sign(purpose, parts).encode(), signature.encode())


def default_signer() -> Signer:
    """The team's key from NBPIPE_STORE_KEY, else this user's, made on first use in `~/.config/nbpipe/key` (mode 0600).

    Raises SecurityError if the team's key is shorter than 16 characters, or if others can read or replace the file.
    """
    # An empty one is what CI systems make of a secret that nobody has set.
    team = os.environ.get("NBPIPE_STORE_KEY")
    if team:
        if len(team) < _SHORTEST_TEAM_KEY:
            raise SecurityError("NBPIPE_STORE_KEY is shorter than 16 characters", fix="Use a long random key.")
        return Signer(team.encode())
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return Signer(_user_key(base / "nbpipe" / "key"))


def _user_key(path: Path) -> bytes:
    try:
        if not path.exists():
            _create_key(path)
        status = path.stat()
        if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
            raise SecurityError(f"others can read or replace the key {path}", fix=f"Run `chmod 600 {path}`.")
        key = path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        fix = "Let XDG_CONFIG_HOME name a folder that you may write to, or set NBPIPE_STORE_KEY."
        raise StoreError(f"the key {path} cannot be read or made: {reason}", name=str(path), fix=fix) from error
    if len(key) < _KEY_BYTES:
        raise SecurityError(f"the key {path} is damaged", fix="Remove it; results signed with it are computed again.")
    return key


def _create_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".key-{os.getpid()}-{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        # A link, not a rename: of two processes that start at once, the second keeps the first one's key.
        os.link(temporary, path)
    except FileExistsError:
        return
    finally:
        temporary.unlink(missing_ok=True)


class _Pickler(pickle.Pickler):
    def __init__(self, file: BinaryIO, reduction: Reduction, buffers: Callable[[PickleBuffer], Any] | None) -> None:
        super().__init__(file, protocol=5, buffer_callback=buffers)
        self._reduction = reduction

    def reducer_override(self, value: Any) -> Any:
        return self._reduction.reduce(value)


class _NamingPickler(_Pickler):
    """Slower, for it is asked about every object: numbers that must stay the very object they are go by name."""

    def persistent_id(self, value: Any) -> str | None:
        return (nan_owner(value) or None) if type(value) is float else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, buffers: Iterable[Any], bound: dict[tuple[str, str], Any]) -> None:
        super().__init__(file, buffers=buffers)
        self._bound = bound

    def find_class(self, module: str, name: str) -> Any:
        found = self._bound.get((module, name))
        return super().find_class(module, name) if found is None else found

    def persistent_load(self, name: str) -> float:
        return nan_of(name)


def dump(
    value: object,
    file: BinaryIO,
    reduction: Reduction,
    buffers: Callable[[PickleBuffer], Any] | None = None,
    *,
    naming: bool = False,
) -> None:
    """Pickle `value` into `file`; `naming` keeps NaNs of libraries the objects that they are (see `may_hold_nan`).

    Raises whatever the value's own reduction raises.
    """
    (_NamingPickler if naming else _Pickler)(file, reduction, buffers).dump(value)


def may_hold_nan(pickled: bytes) -> bool:
    """Whether a pickle may hold the NaN that libraries hand out, as a number of Python's."""
    return _NAN in pickled


def load_signed(
    file: BinaryIO,
    *,
    signer: Signer,
    purpose: str,
    signed: Iterable[bytes | memoryview],
    signature: str,
    buffers: Iterable[Any] = (),
    bound: dict[tuple[str, str], Any] | None = None,
) -> Any:
    """Unpickle `file`, whose bytes are among `signed`, once the signature was checked; SecurityError otherwise.

    `bound` replaces what global names in the pickle resolve to.
    """
    if not signer.check(purpose, signed, signature):
        raise SecurityError(
            "a stored pickle was not signed with this user's or team's key, so it is not loaded",
            fix="Run the stage that made it again, or set NBPIPE_STORE_KEY to the team's key.",
        )
    return _Unpickler(file, buffers, bound or {}).load()
