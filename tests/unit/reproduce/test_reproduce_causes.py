"""What in the code of a stage cannot be repeated is found without running it."""

from __future__ import annotations

from pathlib import Path

from planned import Book

from nbpipe.pipeline.extract import extract
from nbpipe.reproduce.causes import causes_in


def test_calls_that_cannot_be_repeated_are_named_with_their_place(tmp_path: Path) -> None:
    book = Book(
        tmp_path,
        "%%setup\nimport time, uuid, requests\nimport numpy as np, pandas as pd\nrng = np.random.default_rng(0)",
        "def draw():\n    return np.random.default_rng().random()",
        "%%stage all\nx = draw()\nt = time.time()\nu = uuid.uuid4()\ndf = pd.read_csv('https://example.org/a.csv')\n"
        "page = requests.get('x')\nnow = pd.Timestamp.now()",
        "%%stage none\ny = np.random.default_rng(1).random() + len('time.time()')\ntime.sleep(0)\nprint(y, 'http://a')",
    )
    pipeline = extract(book.path)
    first, second = pipeline.stages
    assert set(causes_in(pipeline, first)) == {
        "np.random.default_rng() is not given a seed (cell 2, line 2)",
        "time.time() reads the clock (cell 3, line 3)",
        "uuid.uuid4() is random and cannot be seeded (cell 3, line 4)",
        "pd.read_csv() asks the network (cell 3, line 5)",
        "requests.get() asks the network (cell 3, line 6)",
        "pd.Timestamp.now() reads the clock (cell 3, line 7)",
    }
    assert causes_in(pipeline, second) == []
