"""Texts of formats that are no Python: YAML through its dumper, and words for a shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Any


def yaml_text(data: Any, *, head: str = "") -> str:
    """YAML of plain data in the given order; `head` are comment lines, whose text is ours."""
    import yaml  # type: ignore[import-untyped]

    class Plain(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc] # the one in C, where there is one
        """No anchors: people read this, and some schedulers do not know them."""

        def ignore_aliases(self, _data: Any) -> bool:
            return True

    text: str = yaml.dump(data, Dumper=Plain, sort_keys=False, allow_unicode=False, width=110, default_flow_style=False)
    return "".join(f"# {line}\n" for line in head.splitlines()) + text


def words(parts: Iterable[str]) -> str:
    """One line of shell."""
    return shlex.join(parts)
