"""Secret values never leave the job: they are replaced wherever the job writes text."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from nbpipe.credentials import values_of

MASK = "[secret]"


def spellings(secret: str) -> set[str]:
    """The value as it stands, and as it shows in a `repr`, in JSON, in HTML and in an address."""
    return {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], html.escape(secret), quote(secret, safe="")}


class Redactor:
    """Replaces the values of secrets in text and in JSON-like data."""

    def __init__(self, secrets: Iterable[str]) -> None:
        #: What is looked for, the longest first.
        self.spelled = sorted({text for value in secrets for text in spellings(value)}, key=len, reverse=True)

    @classmethod
    def of(cls, names: Sequence[str], environment: Mapping[str, str]) -> Redactor:
        """A redactor for these secrets. Raises SecretError for one that is not set."""
        return cls(values_of(names, environment).values())

    @property
    def active(self) -> bool:
        """There is something to hide."""
        return bool(self.spelled)

    def text(self, text: str) -> str:
        """`text` without the secrets."""
        for secret in self.spelled:
            text = text.replace(secret, MASK)
        return text

    def data(self, data: Any) -> Any:
        """Lists, tuples, dicts and text, without the secrets; anything else as it is."""
        if not self.spelled:
            return data
        if isinstance(data, str):
            return self.text(data)
        if isinstance(data, dict):
            return {self.data(key): self.data(value) for key, value in data.items()}
        if isinstance(data, (list, tuple)):
            return [self.data(value) for value in data]
        return data

    def held_back(self, text: str) -> int:
        """Number of characters at the end of `text` that may be the beginning of a secret."""
        longest = 0
        for secret in self.spelled:
            for size in range(min(len(secret) - 1, len(text)), longest, -1):
                if text.endswith(secret[:size]):
                    longest = size
                    break
        return longest
