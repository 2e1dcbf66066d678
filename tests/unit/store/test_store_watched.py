"""What hangs is told from what is slow by whether anything moves."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from nbpipe.store import watched
from nbpipe.store.watched import Watch, for_each

#: Seconds of a clock that tests turn.
LIMIT = 100.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    turned = SimpleNamespace(now=0.0)
    monkeypatch.setattr(watched, "time", SimpleNamespace(monotonic=lambda: turned.now))
    monkeypatch.setattr(watched, "_PAUSE", 0.01)
    return turned


def test_what_is_slow_is_waited_for(clock: SimpleNamespace) -> None:
    done = []

    def act(name: str, watch: Watch) -> None:
        for _ in range(5):
            clock.now += 0.9 * LIMIT
            watch.moved()
        done.append(name)

    for_each(["a", "b"], act, at_once=1, silence=LIMIT)
    assert done == ["a", "b"]


def test_what_tells_nothing_of_itself_is_looked_at(clock: SimpleNamespace) -> None:
    seen, written = threading.Event(), [0]

    def act(_: str, watch: Watch) -> None:
        def ask() -> int:
            seen.set()
            return sum(written)

        with watch.growing(ask):
            for _part in range(5):
                written.append(1)
                clock.now += 0.9 * LIMIT
                while watch.silent():
                    seen.wait(0.01)

    for_each(["a"], act, at_once=1, silence=LIMIT)
    assert seen.is_set()


def test_what_does_not_move_is_left_to_itself_and_does_no_more(clock: SimpleNamespace) -> None:
    go_on, woken, begun = threading.Event(), [], []

    def act(name: str, watch: Watch) -> None:
        begun.append(name)
        clock.now += 2 * LIMIT
        go_on.wait()
        try:
            watch.moved()
        except TimeoutError as error:
            woken.append(error)
            raise

    with pytest.raises(TimeoutError):
        for_each(["a", "b", "c"], act, at_once=1, silence=LIMIT)
    go_on.set()
    for thread in threading.enumerate():
        if thread.daemon and thread.name.endswith("(work)"):
            thread.join(60)
    assert (begun, len(woken)) == (["a"], 1)
