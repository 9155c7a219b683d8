"""The pages say what the docstrings, the registrations, the rules and the configurations of agents say today."""

import dataclasses
import json
import pathlib
import re

import pytest

from dialogym.agents.registry import agent_class, agent_names
from dialogym.envs import shipped_ids

from .scripts import load

ROOT = pathlib.Path(__file__).resolve().parents[1]
make_pages = load(ROOT / "docs" / "make_pages.py")


def test_there_are_environments_to_document():
    assert "TextDialog-v0" in shipped_ids()


@pytest.mark.parametrize("env_id", shipped_ids())
def test_the_page_is_up_to_date(env_id):
    path = ROOT / "docs" / "environments" / f"{env_id}.md"
    assert path.is_file(), "run python docs/make_pages.py"
    assert path.read_text(encoding="utf-8") == make_pages.page(env_id), "run python docs/make_pages.py"


def test_a_keyword_is_documented_with_its_default():
    assert "- `noise=0.0`: semantic error rate" in make_pages.page("TextDialog-v0")


@pytest.mark.parametrize(("runs", "said"), [(1, "one training run of each (intervals"), (5, "5 training runs of each")])
def test_the_baselines_say_how_many_training_runs_they_are_of(runs, said, monkeypatch, tmp_path):
    results = json.loads(make_pages.SUITE.read_text(encoding="utf-8"))
    results["environments"]["TextDialog-v0"]["runs"] = runs
    (tmp_path / "suite.json").write_text(json.dumps(results), encoding="utf-8")
    monkeypatch.setattr(make_pages, "SUITE", tmp_path / "suite.json")
    assert said in make_pages.baselines("TextDialog-v0")


def test_the_settings_of_agents_are_up_to_date():
    assert make_pages.AGENTS.read_text(encoding="utf-8") == make_pages.agents_page(), "run python docs/make_pages.py"


def test_what_agents_log_is_up_to_date():
    page = make_pages.metrics_page()
    assert "| `return` | `rollout/return` | their mean sum of rewards, neither scaled nor discounted |" in page
    assert make_pages.METRICS_PAGE.read_text(encoding="utf-8") == page, "run python docs/make_pages.py"


def test_every_setting_of_every_agent_has_its_own_default_and_a_meaning():
    section = {part.split("\n")[0]: part for part in make_pages.agents_page().split("## ")}
    assert "| `learning_rate` | `None` | of the policy, with AdamW without decay; after" in section["`ppo`"]
    assert "| `clip` | `0.2` | epsilon, how far the ratio of new to old probability counts. |" in section["`ppo`"]
    assert "| `value_learning_rate` | `0.003` | of the critic. |" in section["`a2c`"]
    for name in agent_names():
        fields = dataclasses.fields(agent_class(name).Config)
        (part,) = (part for title, part in section.items() if f"`{name}`" in (title if fields else part))
        for field in fields:
            assert re.search(rf"^\|[^|]*`{field.name}`[^|]*\| `.+` \| .+ \|$", part, re.MULTILINE), field.name


@pytest.mark.parametrize(("share", "said"), [(0.98, "98 %"), (0.07, "7 %"), (0.594, "59.4 %"), (1.0, "100 %")])
def test_a_share_is_said_in_percent_with_all_its_digits(share, said):
    assert make_pages.percent(share) == said
