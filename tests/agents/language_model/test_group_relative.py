"""GRPO and RLOO: their losses against numbers worked by hand and against TRL's, their settings, and that they learn."""

import importlib
import random

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from dialogym.agents import make_agent
from dialogym.agents.language_model.advantages import leave_one_out
from dialogym.agents.language_model.grpo import GRPOConfig, grpo_loss
from dialogym.agents.language_model.memory import TokenBudget
from dialogym.agents.language_model.rloo import RLOOConfig, rloo_loss
from dialogym.agents.language_model.rollout import collect_with_spread
from dialogym.agents.language_model.surrogate import clipped_surrogate, drawn_at, kl_k3, sums, truncated_weights
from dialogym.envs import remake_vec

from ..tiny_lm import echo_env, tiny_model, tiny_tokenizer


def tensor(values, **options):
    return torch.tensor(values, dtype=torch.float64, **options)


# Two conversations: two tokens of advantage 2, and one of advantage -1; the ratios are 1.5, 0.9 and 0.5
OLD = tensor([0.4, 0.5, 0.5]).log()
NEW = tensor([0.6, 0.45, 0.25]).log()
ADVANTAGES, ROWS = tensor([2.0, 2.0, -1.0]), torch.tensor([0, 0, 1])


def gradient_of(loss_of):
    logprobs = NEW.clone().requires_grad_()
    loss = loss_of(logprobs)
    loss.backward()
    return loss.item(), logprobs.grad.tolist()


@pytest.mark.parametrize(
    ("average", "parts"),
    [("token", (1 / 3, 1 / 3, 1 / 3)), ("sequence", (1 / 4, 1 / 4, 1 / 2)), ("constant", (1 / 20, 1 / 20, 1 / 20))],
)
def test_the_grpo_loss_and_its_gradient_worked_by_hand(average, parts):
    loss, gradient = gradient_of(
        lambda x: grpo_loss(x, OLD, ADVANTAGES, ROWS, clip_low=0.2, clip_high=0.4, average=average, max_tokens=10)
    )
    # 2 * 1.5 is clipped to 2 * 1.4, 2 * 0.9 is not; -1 * 0.5 is clipped to -1 * 0.8: of the clipped no gradient
    terms = (2 * 1.4, 2 * 0.9, -0.8)
    assert loss == pytest.approx(-sum(part * term for part, term in zip(parts, terms, strict=True)))
    assert gradient == pytest.approx([0.0, -parts[1] * 2 * 0.9, 0.0])


def test_importance_weights_multiply_the_surrogate_and_not_the_kl():
    weights, kl = tensor([0.5, 2.0, 1.0]), tensor([0.1, 0.2, 0.3])
    loss = grpo_loss(NEW, OLD, ADVANTAGES, ROWS, 0.2, 0.4, weights=weights, kl=kl, kl_weight=0.5)
    expected = -(0.5 * 2.8 + 2.0 * 1.8 - 0.8) / 3 + 0.5 * 0.2
    assert loss.item() == pytest.approx(expected)


def test_the_rloo_loss_and_its_gradient_worked_by_hand():
    # the first conversation's ratio is 1.5 * 0.9 = 1.35: clipped to 1.2, or within 1.4; the second's 0.5 is clipped
    loss, gradient = gradient_of(lambda x: rloo_loss(x, OLD, ADVANTAGES, ROWS, ROWS, 0.2, 0.2))
    assert loss == pytest.approx(-(2 * 1.2 - 0.8) / 2)
    assert gradient == pytest.approx([0.0, 0.0, 0.0])
    loss, gradient = gradient_of(lambda x: rloo_loss(x, OLD, ADVANTAGES, ROWS, ROWS, 0.2, 0.4))
    assert loss == pytest.approx(-(2 * 1.35 - 0.8) / 2)
    assert gradient == pytest.approx([-1.35, -1.35, 0.0])  # both tokens raise the ratio of the whole


def test_with_an_action_per_turn_each_has_its_own_ratio():
    loss, gradient = gradient_of(lambda x: rloo_loss(x, OLD, ADVANTAGES, ROWS, torch.tensor([0, 1, 2]), 0.2, 0.4))
    assert loss == pytest.approx(-(2 * 1.4 + 2 * 0.9 - 0.8) / 2)
    assert gradient == pytest.approx([0.0, -0.9, 0.0])


def test_at_the_old_policy_the_gradient_of_rloo_is_that_of_reinforce_on_whole_conversations():
    logprobs = OLD.clone().requires_grad_()
    rloo_loss(logprobs, OLD, ADVANTAGES, ROWS, ROWS).backward()
    assert logprobs.grad.tolist() == pytest.approx((-ADVANTAGES / 2).tolist())


def test_the_kl_estimate_is_right_on_average_and_never_negative():
    policy, reference = torch.softmax(tensor([0.0, 1.0, -1.0]), 0), torch.softmax(tensor([0.5, 0.2, 0.0]), 0)
    estimates = kl_k3(policy.log(), reference.log())
    assert estimates.min() >= 0
    assert (policy * estimates).sum().item() == pytest.approx((policy * (policy / reference).log()).sum().item())
    assert kl_k3(policy.log(), policy.log()).tolist() == [0.0] * 3


def test_times_the_ratio_the_estimate_has_the_gradient_of_the_kl():
    logits, reference = tensor([0.0, 1.0, -1.0], requires_grad=True), torch.log_softmax(tensor([0.5, 0.2, 0.0]), 0)
    policy = torch.log_softmax(logits, 0)
    (right,) = torch.autograd.grad((policy.exp() * (policy - reference)).sum(), logits, retain_graph=True)
    old = policy.detach()
    (found,) = torch.autograd.grad((old.exp() * (policy - old).exp() * kl_k3(policy, reference)).sum(), logits)
    assert torch.allclose(found, right)


@pytest.mark.parametrize("cap", [None, 1.2, 100.0])
def test_it_has_also_where_another_than_the_policy_drew_the_tokens(cap):
    logits, reference = tensor([0.0, 1.0, -1.0], requires_grad=True), torch.log_softmax(tensor([0.5, 0.2, 0.0]), 0)
    policy, old = torch.log_softmax(logits, 0), torch.log_softmax(tensor([0.1, 0.8, -0.9]), 0)
    sampler = torch.log_softmax(tensor([0.6, 0.1, 0.0]), 0) if cap else old
    kl = (policy.exp() * (policy - reference)).sum()
    (right,) = torch.autograd.grad(kl, logits, retain_graph=True)
    drawn = drawn_at(old, sampler, cap)
    estimate = (sampler.exp() * kl_k3(policy, reference, drawn)).sum()
    (found,) = torch.autograd.grad(estimate, logits)
    assert (old - drawn).exp().max() <= (cap or 1) + 1e-9
    assert torch.allclose(found, right) == (cap != 1.2)  # a cap that cuts costs a bias
    assert (estimate.item() == pytest.approx(kl.item())) == (cap != 1.2)


@pytest.mark.parametrize("name", ["grpo", "rloo"])
def test_the_kl_of_a_training_counts_tokens_by_who_drew_them(name, folder, monkeypatch):
    kind, drawn = importlib.import_module(f"dialogym.agents.language_model.{name}"), []
    monkeypatch.setattr(kind, "logprobs_under", lambda lm, batch, *rest: batch.sampled_logprobs + 0.1)
    monkeypatch.setattr(kind, "kl_k3", lambda new, reference, at: drawn.append(new - at) or kl_k3(new, reference, at))
    trained(name, folder, env_turns=1, kl_weight=0.1, kl_estimate="k3_unbiased", importance_cap=2.0)
    assert drawn[0].abs().max() < 1e-4  # sampled by itself: not by what was looked up


def test_weights_are_cut_off_at_the_cap_and_sums_go_by_index():
    assert truncated_weights(tensor([0.5, 2.0, 4.0]).log(), cap=2.0).tolist() == pytest.approx([0.5, 2.0, 2.0])
    assert sums(tensor([1.0, 2.0, 4.0]), torch.tensor([1, 0, 1])).tolist() == [2.0, 5.0]
    assert clipped_surrogate(tensor([1.5]), tensor([1.0]), 0.2, 0.28).item() == pytest.approx(1.28)


# Variance: what each tool takes off that of the gradient, by simulation. A policy over eight words, of which one pays;
# goals differ in how well they pay; the gradient in the logits is taken 4,000 times from eight samples of one goal.


def simulated(advantages_of, weights_of=None, tilt=0.0, pays=5):
    """Variance and mean of the gradient; the sampler's logits are the policy's with a slope of ``tilt`` taken off."""
    generator, numbers = torch.Generator().manual_seed(0), torch.arange(4000)
    slope = torch.linspace(-1, 1, 8, dtype=torch.float64)
    log_policy, log_sampler = torch.log_softmax(slope, 0), torch.log_softmax(slope - tilt * slope, 0)
    words = torch.multinomial(log_sampler.exp().expand(4000, 8), 8, replacement=True, generator=generator)
    returns = 3 * torch.rand(4000, 1, generator=generator, dtype=torch.float64) + (words == pays)
    advantages = advantages_of(returns.flatten(), numbers.repeat_interleave(8)).reshape(4000, 8)
    weights = torch.ones_like(advantages) if weights_of is None else weights_of((log_policy - log_sampler)[words])
    scores = torch.nn.functional.one_hot(words, 8) - log_policy.exp()
    gradients = -((weights * advantages)[:, :, None] * scores).mean(1)
    return gradients.var(0).sum().item(), gradients.mean(0)


def test_the_leave_one_out_baseline_takes_most_of_the_variance_and_leaves_the_mean():
    raw, raw_mean = simulated(lambda returns, group: returns)
    compared, compared_mean = simulated(leave_one_out)
    assert raw == pytest.approx(0.378, abs=0.01)
    assert compared == pytest.approx(0.0135, abs=0.001)  # a 28th
    assert torch.allclose(raw_mean, compared_mean, atol=0.02)


def test_truncated_importance_weights_vary_less_than_raw_ones_and_err_less_than_none():
    _, right = simulated(leave_one_out, pays=6)
    found = {}
    for name, weights_of in (("raw", torch.exp), ("truncated", lambda x: truncated_weights(x, 2.0)), ("none", None)):
        variance, mean = simulated(leave_one_out, weights_of, tilt=2.0, pays=6)
        found[name] = variance, (mean - right).norm().item()
    assert found["raw"] == pytest.approx((0.0753, 0.0), abs=0.01)
    assert found["truncated"] == pytest.approx((0.0179, 0.093), abs=0.01)  # less than a quarter of the variance
    assert found["none"] == pytest.approx((0.0068, 0.135), abs=0.01)


# Settings and training


@pytest.fixture
def folder(tmp_path):
    tiny_model(tiny_tokenizer(), initializer_range=0.02).save(tmp_path / "tiny")
    return str(tmp_path / "tiny")


def trained(name, folder, **changed):
    rows = []
    settings = {"env_turns": 48, "batch_conversations": 8, "group_size": 4, "max_reply_tokens": 3, "num_reports": 1}
    agent = make_agent(name, echo_env(), init=folder, **{**settings, "learning_rate": 1e-2, **changed})
    agent.learn(echo_env(), log=rows.append)
    return agent, rows


@pytest.mark.parametrize("name", ["grpo", "rloo"])
@pytest.mark.parametrize(
    "changed",
    [
        {"credit": "turn"},
        {"kl_weight": 0.1},
        {"kl_weight": 0.1, "kl_estimate": "exact"},
        {"kl_weight": 0.1, "kl_estimate": "k3_unbiased"},
        {"importance_cap": 2.0},
        {"num_epochs": 2, "num_minibatches": 3},
    ],
)
def test_every_setting_trains(name, changed, folder):
    _, rows = trained(name, folder, **changed)
    assert [row["env_turns"] for row in rows] == [16, 32, 48]
    rows = [row for row in rows if row["conversations_learned"]]
    assert rows
    assert all(row["entropy"] > 0 and row["grad_norm"] >= 0 for row in rows)
    if "kl_weight" in changed:
        assert len(rows) == 3
        assert rows[0]["kl"] == pytest.approx(0.0, abs=1e-6)
        assert rows[-1]["kl"] > 1e-6
    if "importance_cap" in changed:  # the sampler is the policy, but for rounding
        assert all(row["importance_weight"] == pytest.approx(1.0, abs=1e-4) for row in rows)


@pytest.mark.parametrize(
    ("name", "changed"),
    [("rloo", {}), *[("grpo", {"average": average}) for average in ("token", "sequence", "constant")]],
)
def test_an_update_is_the_same_however_much_passes_at_once(name, changed, folder, monkeypatch):
    changed = {**changed, "env_turns": 1, "entropy_weight": 0.5, "kl_weight": 0.1, "kl_estimate": "exact"}
    _, (whole,) = trained(name, folder, **changed)
    kind = importlib.import_module(f"dialogym.agents.language_model.{name}")
    monkeypatch.setattr(kind, "TokenBudget", lambda: TokenBudget(1))
    _, (parts,) = trained(name, folder, **changed)
    for column in ("loss", "grad_norm", "entropy", "kl"):
        assert parts[column] == pytest.approx(whole[column], rel=1e-3, abs=1e-6)


def test_both_kl_estimates_hold_the_policy_to_where_it_started(folder):
    for estimate in ("k3", "exact"):
        options = {"env_turns": 160, "kl_estimate": estimate}
        free, held = (trained("grpo", folder, kl_weight=weight, **options)[1][-1]["kl"] for weight in (1e-9, 10.0))
        assert held < 0.3 * free


def test_groups_without_spread_are_replaced_as_often_as_is_allowed(folder):
    agent = make_agent("grpo", echo_env(), init=folder, batch_conversations=8, group_size=4, max_reply_tokens=3)
    envs = remake_vec(echo_env(), 8, interface="text", autoreset_mode="Disabled")
    kept, played = collect_with_spread(agent.lm, envs, agent.config, 0, random.Random(0))
    assert kept == played
    for refills in (1, 20):
        kept, played = collect_with_spread(agent.lm, envs, agent.config, refills, random.Random(0))
        groups = {episode.group for episode in kept}
        assert all(len({one.total_reward for one in kept if one.group == group}) > 1 for group in groups)
        assert all(sum(episode.group == group for episode in kept) == 4 for group in groups)
        assert len(played) <= 8 * (1 + refills)
    assert len(kept) == 8


def always_one(transcript):
    return 1.0


@pytest.mark.parametrize("name", ["grpo", "rloo"])
@pytest.mark.parametrize("refills", [2, 0])
def test_where_nothing_differs_nothing_is_learned_and_what_was_played_is_counted(name, refills, folder):
    env, rows = echo_env(reward=always_one), []
    agent = make_agent(name, env, init=folder, env_turns=60, batch_conversations=8, refills=refills, max_reply_tokens=3)
    before = torch.cat([weights.flatten() for weights in agent.lm.model.parameters()])
    agent.learn(env, log=rows.append)
    assert torch.equal(before, torch.cat([weights.flatten() for weights in agent.lm.model.parameters()]))
    assert [row["env_turns"] for row in rows] == ([48, 96] if refills else [16, 32, 48, 64])
    assert rows[0]["conversations_played"] == 8 * (1 + refills)
    assert rows[0]["conversations_learned"] == 0
    assert "loss" not in rows[0]


def first_red(transcript):
    return float(transcript.ended and transcript.replies[0].startswith("red"))


@pytest.mark.parametrize("name", ["grpo", "rloo"])
@pytest.mark.parametrize("changed", [{}, {"num_minibatches": 4, "num_epochs": 2}, {"credit": "turn"}])
def test_groups_without_spread_do_not_pass_and_the_weights_are_those_that_passing_them_gives(
    name, changed, folder, monkeypatch
):
    def weights(**more):
        env, rows = echo_env(reward=first_red), []
        settings = {"env_turns": 16, "batch_conversations": 32, "group_size": 2, "max_reply_tokens": 3, "gamma": 0.9}
        agent = make_agent(name, env, seed=3, init=folder, **settings, **{**changed, **more})
        agent.learn(env, log=rows.append)
        return rows[0], torch.cat([one.flatten() for one in agent.lm.model.parameters()])

    fewer, learned = weights()
    assert 0 < fewer["conversations_learned"] < fewer["conversations_played"] == 32
    assert weights(entropy_weight=1e-9)[0]["conversations_learned"] == 32
    assert weights(kl_weight=1e-9)[0]["conversations_learned"] == 32
    kind = importlib.import_module(f"dialogym.agents.language_model.{name}")
    monkeypatch.setattr(kind, "places_with_spread", lambda episodes, *_: set(range(len(episodes))))
    every, learned_from_all = weights()
    assert every["conversations_learned"] == 32
    assert fewer["loss"] == pytest.approx(every["loss"], abs=1e-6)
    assert fewer["grad_norm"] == pytest.approx(every["grad_norm"], rel=1e-4)
    assert torch.allclose(learned, learned_from_all, atol=1e-6)


def one_now_or_later(transcript):
    """1 for a first reply that begins with "red", and else for the last reply: 1 in all."""
    now = transcript.replies[0].startswith("red")
    return float(transcript.turn == 1 if now else transcript.ended)


@pytest.mark.parametrize("name", ["grpo", "rloo"])
@pytest.mark.parametrize(("changed", "learned"), [({}, 0), ({"credit": "turn"}, 8), ({"gamma": 0.5}, 8)])
def test_groups_are_kept_for_when_they_were_paid_where_that_is_learned_from(name, changed, learned, folder):
    env, rows = echo_env(reward=one_now_or_later), []
    settings = {"env_turns": 16, "batch_conversations": 8, "group_size": 8, "refills": 9, "max_reply_tokens": 3}
    make_agent(name, env, init=folder, **settings, **changed).learn(env, log=rows.append)
    assert rows[0]["return"] == 1.0
    assert rows[0]["conversations_learned"] == learned
    assert ("loss" in rows[0]) == bool(learned)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"group_size": 1}, "group_size must be at least 2, got 1"),
        ({"credit": "token"}, "credit must be one of conversation, turn, got 'token'"),
        ({"kl_estimate": "k1"}, "kl_estimate must be one of k3, k3_unbiased, exact, got 'k1'"),
        ({"refills": -1}, "refills must be at least 0, got -1"),
        ({"clip_high": -0.1}, "clip_high must be at least 0, got -0.1"),
        ({"importance_cap": 0.0}, "importance_cap must be above 0, got 0.0"),
        ({"num_minibatches": 0}, "num_minibatches must be at least 1, got 0"),
    ],
)
@pytest.mark.parametrize("config", [GRPOConfig, RLOOConfig])
def test_a_wrong_setting_is_named(config, changed, message):
    with pytest.raises(ValueError, match=message):
        config(**changed)


def test_an_unknown_average_is_named():
    with pytest.raises(ValueError, match="average must be one of token, sequence, constant, got 'mean'"):
        GRPOConfig(average="mean")
