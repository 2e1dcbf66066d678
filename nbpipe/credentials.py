"""Secrets: values that code asks for by name and that are never written anywhere.

A secret NAME is the environment variable NAME, or else the content of the file that NAME_FILE names (as containers
hand secrets over), without the line break at its end.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from nbpipe.errors import SecretError

#: Set in a job: the names it may ask for, separated by commas.
DECLARED = "NBPIPE_SECRETS"
#: Shorter values cannot be told from ordinary text, so they could not be kept out of outputs.
SHORTEST = 6
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
#: Values that `secret` gave out in this process: what is recorded of it must not hold them.
_given: set[str] = set()


def secret(name: str) -> str:
    """The value of the secret `name`. Write the name as a literal: it is declared by standing in the code.

    Raises SecretError where it is not set, or, in a run, was not declared.
    """
    declared = os.environ.get(DECLARED)
    if declared is not None and name not in declared.split(","):
        raise SecretError(
            f"the secret {name!a} is not declared",
            name=str(name),
            fix='Write its name in the notebook or in a local module: nbpipe.secret("NAME").',
        )
    value = value_of(name, os.environ)
    _given.add(value)
    return value


def is_name(name: object) -> bool:
    """Whether a secret may be called so: it is that of a variable."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def given_out() -> frozenset[str]:
    """Every value that `secret` returned in this process."""
    return frozenset(_given)


def value_of(name: str, environment: Mapping[str, str]) -> str:
    """The value, from the environment or the file it names. Raises SecretError."""
    if not is_name(name):
        raise SecretError(f"{str(name)[:80]!a} is not the name of a secret", fix="Use the name of a variable.")
    value = environment.get(name)
    file = environment.get(f"{name}_FILE")
    if value is None and file:
        try:
            value = Path(file).read_text(encoding="utf-8").removesuffix("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise SecretError(f"the secret {name} cannot be read from {file}: {error}", name=name) from None
    if value is None:
        raise SecretError(f"the secret {name} is not set", name=name, fix=f"Set the environment variable {name}.")
    if len(value) < SHORTEST:
        raise SecretError(
            f"the secret {name} has less than {SHORTEST} characters, too few to be found in outputs",
            name=name,
            fix="Use a longer one, or read it with os.environ if it need not be kept out of outputs.",
        )
    return value


def values_of(names: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """All values by name. Raises SecretError for the first that is missing."""
    return {name: value_of(name, environment) for name in names}
