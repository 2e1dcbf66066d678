"""State that no variable names goes from stage to stage; what nobody touched is not reported."""

from __future__ import annotations

from pathlib import Path

import pytest
from jobs import Bench, ambient


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


#: What a stage does, and what shows it in the next.
STATES = [
    (
        "import random; random.seed(3)",
        "import random; print(random.random())",
    ),
    (
        "import numpy as np; np.random.seed(3); np.random.rand()",
        "import numpy as np; print(np.random.rand())",
    ),
    (
        "import torch; torch.manual_seed(3)",
        "import torch; print(torch.rand(1).item())",
    ),
    (
        "import os; os.makedirs('sub'); os.chdir('sub')",
        "import os; print(os.path.basename(os.getcwd()))",
    ),
    (
        "import os; os.environ['X_Y'] = '1'; del os.environ['HOME']",
        "import os; print(os.environ['X_Y'], 'HOME' in os.environ)",
    ),
    (
        "import sys; sys.path.append('lib')",
        "import sys; print(sys.path[-1])",
    ),
    (
        "import pandas as pd; pd.set_option('display.max_rows', 7)",
        "import pandas as pd; print(pd.get_option('display.max_rows'))",
    ),
    (
        "import numpy as np; np.set_printoptions(precision=2); np.seterr(all='ignore')",
        "import numpy as np; print(np.array([1.23456]), np.geterr())",
    ),
    (
        "import matplotlib as m; m.rcParams['lines.linewidth'] = 9",
        "import matplotlib as m; print(m.rcParams['lines.linewidth'])",
    ),
    (
        """from matplotlib import colormaps, colors, rcParams
colormaps.register(colors.ListedColormap(['red', 'blue']), name='mine')
rcParams['image.cmap'] = 'mine'""",
        "import matplotlib as m; print(m.colormaps[m.rcParams['image.cmap']](range(2)))",
    ),
    (
        "import warnings; warnings.simplefilter('ignore', FutureWarning)",
        "import warnings; print(warnings.filters[0])",
    ),
    (
        "import logging; logging.getLogger('a').setLevel(10); logging.root.setLevel(40)",
        "import logging; print(logging.getLogger('a').level, logging.root.level)",
    ),
    (
        "import decimal; decimal.getcontext().prec = 5",
        "import decimal; print(decimal.Decimal(1) / 3)",
    ),
    (
        "import csv; csv.field_size_limit(99); csv.register_dialect('semi', delimiter=';')",
        "import csv; print(csv.field_size_limit(), next(csv.reader(['a;b'], 'semi')))",
    ),
    (
        "import socket; socket.setdefaulttimeout(3)",
        "import socket; print(socket.getdefaulttimeout())",
    ),
    (
        "import gc, os, sys; gc.disable(); os.umask(0o027); sys.setswitchinterval(0.25)",
        "import gc, os, sys; print(gc.isenabled(), oct(os.umask(0o027)), sys.getswitchinterval())",
    ),
    pytest.param(
        "import torch; torch.set_default_dtype(torch.float64)",
        "import torch; print(torch.zeros(1).dtype)",
        marks=pytest.mark.long,
    ),
    pytest.param(
        "import torch; torch.set_printoptions(precision=1)",
        "import torch; print(torch.tensor([1.23456]))",
        marks=pytest.mark.long,
    ),
    (
        "import pandas as pd; pd.options.display.float_format = '{:.2f}'.format",
        "import pandas as pd; print(pd.Series([1.23456]))",
    ),
    (
        "import numpy as np; np.set_printoptions(formatter={'float': '<{:.1f}>'.format})",
        "import numpy as np; print(np.array([1.23456]))",
    ),
    (
        "import sklearn; sklearn.set_config(transform_output='pandas')",
        "import sklearn; print(sklearn.get_config()['transform_output'])",
    ),
    (
        "import polars as pl; pl.Config.set_float_precision(1)",
        "import polars as pl; print(pl.DataFrame({'a': [1.23456]}))",
    ),
    (
        "import os, time; os.environ['TZ'] = 'Asia/Tokyo'; time.tzset()",
        "import time; print(time.localtime(0).tm_hour)",
    ),
    (
        "import helper; helper.seen.append(1); helper.count = 5",
        "import helper; print(helper.seen, helper.count)",
    ),
]


@pytest.mark.parametrize(("change", "show"), STATES)
def test_state_set_in_one_stage_is_there_in_the_next(bench: Bench, change: str, show: str) -> None:
    (bench.project / "helper.py").write_text("seen = []\ncount = 0\n")
    first = bench.run(change)
    together = bench.run(change.replace("os.makedirs('sub'); ", ""), show)
    expected = bench.printed()
    assert together.status == "succeeded", together.failure
    second = bench.run(show, ambient=ambient(first))
    assert second.status == "succeeded", second.failure
    assert bench.printed() == expected
    assert len(ambient(first)) == 1


@pytest.mark.parametrize("library", ["numpy", "pandas", "torch", "matplotlib.pyplot", "sklearn.linear_model"])
def test_importing_a_library_is_not_a_change_of_state(bench: Bench, library: str) -> None:
    outcome = bench.run(f"import {library}")
    assert ambient(outcome) == {}
    assert all(state.before == state.after == "" for state in outcome.ambient)


def test_unseeded_draws_repeat_with_the_job_s_seed_and_are_not_carried(bench: Bench) -> None:
    draw = "import random, numpy as np\nprint(random.random(), np.random.rand())"
    assert ambient(bench.run(draw, seed=5)) == {}
    first = bench.printed()
    bench.run(draw, seed=5)
    assert bench.printed() == first
    bench.run(draw, seed=6)
    assert bench.printed() != first


def test_seeding_first_does_not_read_the_state_above_and_drawing_does(bench: Bench) -> None:
    given = ambient(bench.run("import random; random.seed(1)"))
    seeds = bench.run("import random; random.seed(2); random.random()", ambient=given)
    draws = bench.run("import random; random.random(); random.seed(2)", ambient=given)
    neither = bench.run("import random", ambient=given)
    found = [{state.name: state.read for state in stage.ambient}["@random"] for stage in (seeds, draws, neither)]
    assert found == [False, True, False]


def test_state_of_a_library_that_is_not_imported_is_not_read(bench: Bench) -> None:
    given = ambient(bench.run("import pandas as pd; pd.set_option('display.max_rows', 7)"))
    outcome = bench.run("import sys; print('pandas' in sys.modules)", ambient=given)
    assert bench.printed() == "False\n"
    assert "@pandas.options" not in {state.name for state in outcome.ambient}
