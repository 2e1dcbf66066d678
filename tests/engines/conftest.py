"""What tests of several engines ask for by name."""

from __future__ import annotations

import functools
from collections.abc import Callable

import engines
import pytest
from engines import PROFILES, Site


@pytest.fixture(scope="session")
def natives(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Site]:
    """A project whose notebook ran natively: once, whatever number of schedulers it is compared with."""

    @functools.cache
    def ran(notebook: str) -> Site:
        site = engines.made(tmp_path_factory.mktemp("native"), notebook)
        site.run_natively(*PROFILES.get(notebook, ()))
        return site

    return ran
