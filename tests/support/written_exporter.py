"""The exporter that the documentation writes, as a package that is installed."""

from __future__ import annotations

import re
from pathlib import Path

_PAGE = Path(__file__).parents[2] / "docs" / "reference" / "export.md"


def documented(folder: Path) -> str:
    """A folder for the import path that holds the package of the page, with its entry point."""
    page = _PAGE.read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (declared,) = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    group, name, place = re.findall(r'^\[project\.entry-points\."(.+)"\]\n(\w+) = "(.+)"$', declared, re.MULTILINE)[0]
    module = place.partition(":")[0]
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / f"{module}.py").write_text(code)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {place}\n")
    return str(folder)
