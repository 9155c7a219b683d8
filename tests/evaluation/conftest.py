"""What the jobs of comparisons import is imported once for all tests of a process."""

import pytest

from dialogym.evaluation.compare.scheduler import Job, run_jobs


def nothing(report):
    pass


@pytest.fixture(scope="session", autouse=True)
def imported_ahead():
    agents = "dialogym.agents"
    modules = ("dialogym.evaluation.compare.arms", f"{agents}.language_model.sft", f"{agents}.sb3", f"{agents}.bert")
    run_jobs([Job("nothing", nothing, imports=modules)])
