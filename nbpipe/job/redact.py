"""Secret values never leave the job: they are replaced wherever the job writes text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_MASK = "[secret]"


class Redactor:
    """Replaces the exact values of secrets in text and in JSON-like data.

    Values shorter than four characters are left alone: replacing them would garble everything and hide nothing.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = sorted({value for value in secrets if len(value) >= 4}, key=len, reverse=True)  # noqa: PLR2004

    @classmethod
    def of(cls, names: Sequence[str], environment: Mapping[str, str]) -> Redactor:
        """A redactor for the secrets that the environment holds under `names`."""
        return cls([environment[name] for name in names if name in environment])

    def text(self, text: str) -> str:
        """`text` without the secrets."""
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        return text

    def data(self, data: Any) -> Any:
        """Lists, tuples, dicts and text, without the secrets; anything else as it is."""
        if not self._secrets:
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
        for secret in self._secrets:
            for size in range(min(len(secret) - 1, len(text)), longest, -1):
                if text.endswith(secret[:size]):
                    longest = size
                    break
        return longest
