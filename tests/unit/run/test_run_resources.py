"""How many jobs fit at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbpipe.executors.base import Capacity
from nbpipe.model import Options
from nbpipe.run.resources import Slots


def _filled(capacity: Capacity, *wishes: Options, jobs: int | None = None) -> int:
    """How many of these fit, one after the other."""
    slots = Slots(capacity, jobs)
    for number, options in enumerate(wishes):
        if not slots.fits(options):
            return number
        slots.take(str(number), options)
    return len(wishes)


@pytest.mark.parametrize(
    ("capacity", "options", "fit"),
    [
        (Capacity(cpus=3), Options(), 3),
        (Capacity(cpus=3), Options(cpus=2), 1),
        (Capacity(cpus=3), Options(cpus=1.5), 2),
        (Capacity(cpus=0.5), Options(), 1),
        (Capacity(cpus=8), Options(gpus=1), 1),
        (Capacity(cpus=8, gpus=2), Options(gpus=1), 2),
        (Capacity(cpus=8, gpus=2), Options(gpus=0.5), 4),
        (Capacity(cpus=8, gpus=2), Options(gpus=16), 1),
        (Capacity(cpus=8, memory=100), Options(memory=40), 2),
        (Capacity(cpus=8, memory=100), Options(memory=1000), 1),
        (Capacity(cpus=8), Options(memory=1000), 8),
    ],
)
def test_jobs_fit_until_something_they_ask_for_is_used_up(capacity: Capacity, options: Options, fit: int) -> None:
    assert _filled(capacity, *[options] * 8) == fit


def test_jobs_says_how_many_whatever_the_machine_has() -> None:
    assert _filled(Capacity(cpus=2), *[Options()] * 8, jobs=5) == 5
    assert _filled(Capacity(cpus=8), *[Options()] * 8, jobs=1) == 1


def test_what_nobody_asks_for_holds_nobody_up() -> None:
    assert _filled(Capacity(cpus=8, gpus=1, memory=10), Options(gpus=1, memory=10), Options(), Options(cpus=2)) == 3


def test_room_comes_back() -> None:
    slots = Slots(Capacity(cpus=1), None)
    slots.take("a", Options())
    assert not slots.fits(Options())
    slots.give_back("a")
    slots.give_back("never taken")
    assert slots.fits(Options())


_WISHES = st.builds(
    Options,
    cpus=st.none() | st.floats(0.1, 100),
    gpus=st.none() | st.floats(0, 100),
    memory=st.none() | st.integers(0, 10**15),
)


@given(st.floats(0.5, 64), st.floats(0, 8), st.none() | st.integers(1, 10**13), st.none() | st.integers(1, 64), _WISHES)
def test_any_job_fits_on_an_empty_machine(
    cpus: float, gpus: float, memory: int | None, jobs: int | None, options: Options
) -> None:
    assert Slots(Capacity(cpus=cpus, gpus=gpus, memory=memory), jobs).fits(options)
