"""What badges cost while people type, in a notebook of 500 cells half of which are stages.

`python benchmarks/keystrokes.py` starts a JupyterLab and a Chromium, and prints the median time that one inserted letter
takes in the shared model with everything that listens to it: in a stage's code, in its first line, and in a Markdown
cell, which nbpipe does not look at.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from lab import running_browser, running_lab

CELLS = 500
_TYPE = """() => {
  const { model } = window.jupyterapp.shell.currentWidget.content;
  const stage = model.cells.get(251).sharedModel;
  const other = model.sharedModel.insertCell(0, { cell_type: 'markdown', source: 'text' });
  const median = (shared, at) => {
    const times = [];
    for (let n = 0; n < 400; n += 1) {
      const started = performance.now();
      shared.updateSource(at(), at(), 'x');
      times.push(performance.now() - started);
    }
    return times.sort((a, b) => a - b)[200];
  };
  return {
    'in a stage': median(stage, () => stage.getSource().length),
    'in its first line': median(stage, () => '%%stage s251'.length),
    'in a Markdown cell': median(other, () => other.getSource().length),
  };
}"""


def main() -> None:
    """Print the medians, in milliseconds a letter."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        given = {"NBPIPE_TRACKING": "off", "XDG_CONFIG_HOME": str(root / "own"), "XDG_CACHE_HOME": str(root / "cache")}
        with running_lab(root, given) as lab, running_browser() as browser:
            (lab.folder / "nbpipe.toml").touch()
            lab.write("long.ipynb", *(f"%%stage s{n}\nx{n} = {n}" if n % 2 else f"y{n} = {n}" for n in range(CELLS)))
            page = browser.new_page()
            lab.open(page, "long.ipynb")
            page.wait_for_selector(".nbp-CellBadge")
            for where, milliseconds in page.evaluate(_TYPE).items():
                print(f"{where:<20} {milliseconds:.2f} ms a letter ({CELLS} cells)")


if __name__ == "__main__":
    main()
