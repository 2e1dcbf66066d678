"""What lies on the other machine in a state that nobody wished for keeps no agent from its work."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbpipe.executors.ssh.there import facts, keeper, objects
from nbpipe.executors.ssh.there.agent import Agent


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    made = Agent(keeper, facts, objects)
    made.do_root(str(tmp_path))
    return made


def test_a_job_that_is_collected_while_it_is_looked_at_is_no_reason_to_refuse_a_connection(
    agent: Agent, tmp_path: Path
) -> None:
    # As a folder is that goes away between the list of names and the look at each.
    (tmp_path / "work" / "gone-0").symlink_to(tmp_path / "nowhere")
    assert agent.do_root(str(tmp_path)) == str(tmp_path)


def test_the_rounds_of_an_attempt_are_found_among_folders_that_an_agent_died_making(
    agent: Agent, tmp_path: Path
) -> None:
    for name in ("a1-0", "a1-10", "a1-2", "a1-3.4711", "a12-0"):
        (tmp_path / "work" / name).mkdir()
    assert agent.do_find("a1") == ["a1-0", "a1-2", "a1-10"]


@pytest.mark.parametrize("job", ["../x", "a/b", "", ".", "a\0"])
def test_a_job_is_named_by_its_token(agent: Agent, job: str) -> None:
    with pytest.raises(ValueError, match="not the name of a job"):
        agent.do_drop(job)
