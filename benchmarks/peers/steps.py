"""The pipelines, as steps that every tool's definition is written from."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Step:
    """One step: reads the values of the steps in `needs`, binds its own `name` as a variable."""

    name: str
    body: str
    needs: tuple[str, ...] = ()
    type: str = "int"
    #: Whether it reads the parameter `k`.
    parameter: bool = False


Steps = tuple[Step, ...]

FIVE: Steps = (
    Step("a", "a = 1"),
    Step("b", "b = a + 1", ("a",)),
    Step("c", "c = b + k", ("b",), parameter=True),
    Step("d", "d = c + 1", ("c",)),
    Step("e", "e = d + 1\nprint(e)", ("d",)),
)
_MAKE = """import numpy as np
import pandas as pd
frame = pd.DataFrame(np.random.default_rng(0).random((1_250_000, 10)), columns=list('abcdefghij'))"""
#: A frame of 100 MB goes to two steps, whose numbers meet again.
DIAMOND: Steps = (
    Step("frame", _MAKE, type="pd.DataFrame"),
    Step("left", "left = float(frame['a'].mean()) * k", ("frame",), "float", parameter=True),
    Step("right", "right = float(frame['b'].max())", ("frame",), "float"),
    Step("last", "last = left + right\nprint(last)", ("left", "right"), "float"),
)
#: The same around an array of 1 GB.
ARRAY: Steps = (
    Step("frame", "import numpy as np\nframe = np.ones(125_000_000)", type="np.ndarray"),
    Step("left", "left = float(frame[0]) * k", ("frame",), "float", parameter=True),
    Step("right", "right = float(frame[-1])", ("frame",), "float"),
    Step("last", "last = left + right\nprint(last)", ("left", "right"), "float"),
)


def heavy(number: int) -> Steps:
    """That many steps in a row, each of which imports torch and pandas for next to nothing."""
    imports = "import pandas\nimport torch\n"
    first = Step("h0", f"{imports}h0 = len(torch.ones(2)) + k", parameter=True)
    more = (Step(f"h{n}", f"{imports}h{n} = h{n - 1} + len(torch.ones(2))", (f"h{n - 1}",)) for n in range(1, number))
    return (first, *more)


def wide(number: int) -> Steps:
    """That many steps beside each other, and one that needs them all."""
    names = [f"w{n}" for n in range(number)]
    first = tuple(Step(name, f"{name} = {n}") for n, name in enumerate(names))
    return (*first, Step("total", "total = k + " + " + ".join(names), tuple(names), parameter=True))


def changed(steps: Steps, name: str, line: str) -> Steps:
    """With one more line in one step."""
    return tuple(replace(step, body=f"{step.body}\n{line}") if step.name == name else step for step in steps)


def levels(steps: Steps) -> list[list[Step]]:
    """Steps that need nothing of each other, after all that they need."""
    depth: dict[str, int] = {}
    for step in steps:
        depth[step.name] = 1 + max((depth[name] for name in step.needs), default=-1)
    return [[step for step in steps if depth[step.name] == n] for n in range(max(depth.values()) + 1)]


def indented(text: str, by: int = 4) -> str:
    """Each line moved to the right."""
    return "\n".join(" " * by + line for line in text.split("\n"))
