"""What the jobs of comparisons import is imported once for all tests of a process."""

import pytest

from dialogym.agents.registry import agent_module
from dialogym.evaluation.compare.scheduler import Job, run_jobs


def nothing(report):
    pass


@pytest.fixture(scope="session", autouse=True)
def imported_ahead():
    run_jobs([Job("nothing", nothing, imports=tuple(map(agent_module, ("sft", "sb3_ppo", "bert"))))])
