"""The benchmark of others' agents: its PPO's arithmetic, its table, and where the table goes."""

from pathlib import Path

import pytest

from .scripts import load

torch = pytest.importorskip("torch")
pytest.importorskip("sb3_contrib")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def benchmark():
    return load(ROOT / "benchmarks" / "off_the_shelf.py")


def test_advantages_stop_where_a_conversation_begins(benchmark):
    def column(*numbers):
        return torch.tensor(numbers)[:, None]

    nothing = torch.zeros(3, 1)
    rollout = benchmark.Rollout(
        nothing, nothing, nothing, column(0.5, 0.5, 0.5), column(1.0, 0.0, 2.0), column(0.0, 0.0, 1.0)
    )
    # the second step ends a conversation: 0 - 0.5; the first sees it coming: 1 + 0.5 - 0.5 - 0.5; the third goes on
    found = benchmark.gae(rollout, torch.tensor([1.0]), torch.tensor([0.0]), gamma=1.0, lam=1.0)
    assert found[:, 0].tolist() == [0.5, -0.5, 2.5]


def test_its_own_ppo_is_the_same_for_the_same_seed_and_turns(benchmark):
    def weights(seed, env_turns):
        policy = benchmark.cleanrl_ppo("TextDialog-v0", seed=seed, env_turns=env_turns, num_envs=2, num_steps=16)
        return torch.cat([parameter.detach().flatten() for parameter in policy.parameters()])

    first = weights(0, 64)
    assert torch.equal(first, weights(0, 64))
    assert not torch.equal(first, weights(1, 64))
    assert not torch.equal(first, weights(0, 32))  # one update fewer


def record(agent, seed, success):
    return {"env_id": "TextDialog-v0", "agent": agent, "seed": seed, "success": success, "return": 0.5, "turns": 7.0}


def test_the_table_has_every_seed_and_goes_between_the_comments_of_the_readme(benchmark, tmp_path):
    records = [record("random", 0, 0.01), record("rule", 0, 1.0), record("PPO", 0, 0.9), record("PPO", 1, 1.0)]
    readme = tmp_path / "README.md"
    readme.write_text(f"above\n{benchmark.BEGIN}old\n{benchmark.END}below\n", encoding="utf-8")
    for _ in range(2):
        benchmark.publish(records, tmp_path / "docs", readme)
    row = "| TextDialog-v0 | PPO | 0.90, 1.00 | 0.95 | 0.50 | 7.0 | 0.01 | 1.00 |"
    text = readme.read_text(encoding="utf-8")
    assert text.count(row) == 1
    assert (text.startswith("above\n"), text.endswith("below\n"), "old" in text) == (True, True, False)
    assert row in (tmp_path / "docs" / "off_the_shelf.md").read_text(encoding="utf-8")
    readme.write_text("no place for it", encoding="utf-8")
    with pytest.raises(ValueError, match="between which the table stands"):
        benchmark.publish(records, tmp_path / "docs", readme)


def test_the_readme_has_the_place(benchmark):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.index(benchmark.BEGIN) < text.index(benchmark.END) < text.index("docs/images/report_success.png")
