"""What code says plainly of files and ambient state, and the edges that follow before anything has run."""

from __future__ import annotations

import ast

import pytest
from flows import data_edges

from nbpipe.dataflow.hints import OWNERS, ambient, files
from nbpipe.job.ambient import TABLE


@pytest.mark.parametrize(
    ("code", "reads", "writes"),
    [
        ("pd.read_csv('a.csv')", {"a.csv"}, set()),
        ("df.to_csv('b.csv')", set(), {"b.csv"}),
        ("open('a')", {"a"}, set()),
        ("open('a', 'w')", set(), {"a"}),
        ("open('a', mode='rb')", {"a"}, set()),
        ("Path('a').read_text()", {"a"}, set()),
        ("Path('a').write_bytes(b'')", set(), {"a"}),
        ("np.save('x.npy', x)", set(), {"x.npy"}),
        ("torch.save(net, 'net.pt')", set(), {"net.pt"}),
        ("plt.savefig('f.png')", set(), {"f.png"}),
        ("pd.read_csv('https://example.org/a.csv')", set(), set()),
        ("pd.read_csv(name)", set(), set()),
        # The name of a file that is no text.
        ("open('d\\udcff.txt')", set(), set()),
    ],
)
def test_paths_that_calls_name(code: str, reads: set[str], writes: set[str]) -> None:
    assert files([ast.parse(code)]) == (reads, writes)


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("random.seed(1)", "@random"),
        ("np.random.seed(1)", "@numpy.random"),
        ("torch.manual_seed(1)", "@torch.random"),
        ("os.chdir('x')", "@cwd"),
        ("os.environ['A'] = '1'", "@environ"),
        ("del os.environ['A']", "@environ"),
        ("sys.path.insert(0, 'lib')", "@sys.path"),
        ("pd.set_option('display.width', 5)", "@pandas.options"),
        ("pd.options.display.max_rows = 5", "@pandas.options"),
        ("np.set_printoptions(precision=2)", "@numpy.options"),
        ("plt.rcParams['figure.dpi'] = 5", "@matplotlib.rcParams"),
        ("mpl.rcParams.update({})", "@matplotlib.rcParams"),
        ("plt.style.use('ggplot')", "@matplotlib.rcParams"),
        ("sns.set_theme()", "@matplotlib.rcParams"),
        ("warnings.filterwarnings('ignore')", "@warnings"),
        ("decimal.getcontext().prec = 5", "@decimal"),
        ("torch.set_default_dtype(x)", "@torch.defaults"),
    ],
)
def test_state_that_code_sets(code: str, state: str) -> None:
    assert ambient([ast.parse(code)])[0] == {state}


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("random.random()", {"@random"}),
        ("random.Random(3)", set()),
        ("np.random.rand(3)", {"@numpy.random"}),
        ("np.random.default_rng(3)", set()),
        ("train_test_split(X)", {"@numpy.random"}),
        ("train_test_split(X, random_state=1)", set()),
        ("torch.randn(3)", {"@torch.random"}),
    ],
)
def test_state_that_code_draws_from(code: str, state: set[str]) -> None:
    assert ambient([ast.parse(code)])[1] == state


def test_every_state_is_one_that_a_job_carries() -> None:
    assert set(OWNERS) <= {entry.name for entry in TABLE}


def test_options_come_before_the_stages_that_import_the_library() -> None:
    cells = ("import pandas as pd", "%%stage a\npd.set_option('display.width', 5)", "%%stage b\npd.DataFrame()")
    assert data_edges(*cells, "%%stage c\nprint(1)", kind="ambient") == {("a", "b", ("@pandas.options",))}


def test_a_seed_comes_before_all_draws_and_draws_in_their_order() -> None:
    cells = ("import random", "%%stage a\nrandom.seed(1)", "%%stage b\nrandom.random()", "%%stage c\nrandom.random()")
    assert data_edges(*cells, kind="ambient") == {("a", "b", ("@random",)), ("b", "c", ("@random",))}


def test_a_file_comes_before_the_stage_that_reads_it() -> None:
    cells = ("%%stage a\nopen('t.txt', 'w').write('1')", "%%stage b\nopen('./t.txt').read()")
    assert data_edges(*cells, kind="file") == {("a", "b", ("t.txt",))}
