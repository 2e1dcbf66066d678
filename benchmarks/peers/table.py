"""One table for all tools: a row each, with the ratio to nbpipe for the very same operation."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.measure import Figure


@dataclass
class Row:
    """What one tool took; `problem` says why there is no more."""

    name: str
    note: str
    figures: dict[str, Figure] = field(default_factory=dict)
    peak: int = 0
    problem: str = ""

    def took(self, operation: str, seconds: float) -> None:
        """One more measurement."""
        self.figures.setdefault(operation, Figure(operation)).seconds.append(seconds)


def table(rows: list[Row], operations: tuple[str, ...]) -> str:
    """Markdown; the first row is what the others are compared with."""
    base = rows[0].figures if rows else {}
    lines = [f"| tool | {' | '.join(operations)} | peak memory, GiB | |", f"|---|{'---|' * (len(operations) + 2)}"]
    for row in rows:
        cells = [_cell(row.figures.get(operation), base.get(operation)) for operation in operations]
        peak = f"{row.peak / 2**30:.2f}" if row.peak else ""
        lines.append(f"| {row.name} | {' | '.join(cells)} | {peak} | {_plain('; '.join(filter(None, _words(row))))} |")
    return "\n".join(lines)


def _words(row: Row) -> tuple[str, str]:
    return row.note, f"**{row.problem}**" if row.problem else ""


def _plain(text: str) -> str:
    return " ".join(text.replace("|", "/").split())


def _cell(figure: Figure | None, base: Figure | None) -> str:
    if figure is None:
        return "–"
    spread = f" ({figure.fastest:.2f} to {figure.slowest:.2f})" if len(figure.seconds) > 1 else ""
    ratio = f", ×{figure.median / base.median:.1f}" if base is not None and base is not figure else ""
    return f"{figure.median:.2f}{spread}{ratio}"
