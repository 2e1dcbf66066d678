"""`nbpipe run --smoke-first`: the quick pass, then the full one; and how long both are expected to take."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from runs import Site

from nbpipe.cli.expected import expected_text

PARAMS = "%%params\nepochs: int = 5\nlr: float = 0.1"
SMOKE = "%%params smoke\nepochs = 1"
TRAIN = "%%stage train --metrics acc\nNOTE(f'epochs-{epochs}-{lr:g}')\nacc = lr * epochs"


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("smoke"))
    yield site
    site.end_all()


def test_the_smoke_profile_runs_first_then_the_full_run(smoke: Site) -> None:
    smoke.write(PARAMS, SMOKE, TRAIN)
    done = smoke.run("--smoke-first", "-p", "lr=0.5", "-p", "epochs=3")
    assert done.code == 0, done.err
    assert smoke.noted.read_text().split() == ["epochs-1-0.5", "epochs-3-0.5"]
    assert len(done.out.splitlines()) == 1
    assert done.json["metrics"] == {"acc": 1.5}
    assert smoke.detail(done.json["run"]).summary.params["epochs"] == 3


def test_what_a_run_is_expected_to_take_is_said_before(smoke: Site) -> None:
    smoke.write(PARAMS, SMOKE, TRAIN, "%%stage more --metrics b\nb = acc + 1")
    plan = smoke.command("plan", "n.ipynb", "--json", "-p", "lr=2").json
    assert plan["expected"]["unknown"] == ["more"]
    assert plan["expected"]["known"] == 1
    assert plan["expected"]["seconds"] > 0
    done = smoke.command("run", "n.ipynb", "-p", "lr=2")
    assert "one after the other without more, which has not run before" in done.out.splitlines()[0]


def test_a_smoke_run_that_fails_is_the_last_word(smoke: Site) -> None:
    smoke.write(PARAMS, SMOKE, "%%stage train\nNOTE('tried')\nassert epochs > 1")
    done = smoke.run("--smoke-first")
    assert done.code == 1
    assert smoke.ran("tried") == 1
    assert done.json["status"] == "failed"
    assert "the full run was not started" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [((), "no profile 'smoke'"), (("--profile", "smoke"), "does not go with --profile"), (("--detach",), "--detach")],
)
def test_what_cannot_be_is_refused(smoke: Site, words: tuple[str, ...], said: str) -> None:
    smoke.write(PARAMS, "%%stage train\nx = epochs")
    done = smoke.run("--smoke-first", *words)
    assert done.code == 2
    assert said in done.err


def test_the_sum_says_what_is_not_known() -> None:
    assert expected_text({"a": 60.0, "b": 12.0}) == "about 1:12 one after the other"
    assert expected_text({"a": None}) == ""
    many = {"a": 1.0, **{f"s{n}": None for n in range(5)}}
    assert expected_text(many) == "about 1.0 s one after the other without 5 other stages, which have not run before"
