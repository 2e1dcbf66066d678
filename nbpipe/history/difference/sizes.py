"""Sizes as people read them."""

from __future__ import annotations


def size_text(size: float) -> str:
    """`512 B`, `1.5 MB`; decimal units."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:  # noqa: PLR2004 - rounds to 1000
            return f"{size:.0f} {unit}" if unit == "B" or size >= 99.5 else f"{size:.1f} {unit}"  # noqa: PLR2004
        size /= 1000
    return f"{size:.1f} TB"


class Look:
    """How much may still be read for one diff."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, size: int) -> bool:
        """Whether so many bytes more may be read."""
        if size > self.left:
            return False
        self.left -= size
        return True
