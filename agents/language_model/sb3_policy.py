"""A language model as the policy of stable-baselines3's PPO and A2C and of sb3-contrib's MaskablePPO, token by token.

The environment is one of ours with ``interface="tokens"``: a step is a token, as in RL4LMs (Ramamurthy et al., 2023,
section 3, https://arxiv.org/abs/2210.01241). The algorithms are the library's own, unchanged. What their usual policies
do with observations does not fit token ids, so here:

- Nothing is made of floats, one-hot vectors or a features extractor: the features of an observation are the model's
  last hidden state at its last token, and the actor is the model's own output layer. Padding is never read
  (``observations.py``).
- Weights are not drawn anew (no orthogonal initialisation), and dropout is off, in updates too: the ratio of PPO
  compares the probability of a token before and after an update, not under two different masks.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from sb3_contrib.common.maskable.distributions import MaskableCategoricalDistribution
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor, nn

from .agent import LanguageModelAgent
from .critic import ValueHead
from .model import LanguageModel, ModelConfig
from .observations import ObservationReader

NOT_OF_THE_POLICY = {
    "max_reply_tokens": "replies are limited by the environment: gym.make(..., interface='tokens', max_reply_tokens=N)",
    "temperature": "it samples at temperature 1, or takes the likeliest token: predict(..., deterministic=True)",
}
"""Fields of :class:`ModelConfig` that mean something to agents only."""


class LMActorCriticPolicy(MaskableActorCriticPolicy, ActorCriticPolicy):
    """A causal language model that says the next token, with a value of what was said so far.

    ``PPO(LMActorCriticPolicy, gym.make(ID, interface="tokens", tokenizer=FOLDER), policy_kwargs={"model": FOLDER})``;
    A2C and MaskablePPO take it alike. Markers that only the chat format writes are never said, with or without masks;
    MaskablePPO leaves out what the environment's ``action_masks`` leaves out besides.

    Args:
        observation_space: (T,) token ids, the latest at the right, padded on the left: that of the tokens interface.
        action_space: the next token, in [0, V).
        lr_schedule: learning rate by the share of the training that is left.
        use_sde: as PPO and A2C pass it on; must be False.
        model: a name or folder for ``from_pretrained``; None is a small Llama with random weights, which follow the
            algorithm's ``seed``. ``PPO.load`` needs it too, for the shape of the model and its tokenizer.
        value_gradients: the value loss trains the language model too; by default it trains the value head alone, so
            that a poor critic cannot spoil the words.
        optimizer_class: of torch; over the trainable weights of the model and the value head.
        optimizer_kwargs: for it, without the learning rate; Adam's ``eps`` is 1e-5 by default, as in
            stable-baselines3.
        **model_options: further fields of :class:`ModelConfig`: ``tokenizer``, ``hidden_size``, ``num_layers`` ...

    Attributes:
        lm: the model and its tokenizer; ``policy.lm.save(folder)`` writes a folder that transformers loads.
        value_net: the value head, linear on the hidden state of the last token; 0 everywhere at first.

    Raises:
        ValueError: for spaces that are not those of the tokens interface, a vocabulary that is not the model's, a
            context longer than the model's, or ``use_sde``.
        TypeError: for an option that no language model has, such as ``net_arch``.
        OSError: if there is no model of that name or in that folder.
    """

    def __init__(
        self,
        observation_space: gym.spaces.Space[Any],
        action_space: gym.spaces.Space[Any],
        lr_schedule: Schedule,
        use_sde: bool = False,
        model: str | Path | None = None,
        value_gradients: bool = False,
        optimizer_class: type[torch.optim.Optimizer] = torch.optim.Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
        **model_options: Any,
    ):
        if use_sde:
            raise ValueError("state-dependent exploration is for continuous actions: use_sde must be False, got True")
        if not isinstance(value_gradients, bool):
            raise TypeError(f"value_gradients must be True or False, got {value_gradients!r}")
        num_tokens = check_spaces(observation_space, action_space)
        if optimizer_kwargs is None:
            optimizer_kwargs = {"eps": 1e-5} if optimizer_class is torch.optim.Adam else {}
        BasePolicy.__init__(
            self, observation_space, action_space, optimizer_class=optimizer_class, optimizer_kwargs=optimizer_kwargs
        )
        self.model_name = None if model is None else str(model)
        self.model_options, self.value_gradients = model_options, value_gradients
        self.lm = load_model(self.model_name, model_options)
        check_vocabulary(self.lm, self.model_name, action_space, num_tokens)
        check_context(self.lm, observation_space)
        self.reader = ObservationReader(self.lm)
        self.transformer = self.lm.model  # a module, so that its weights are the policy's
        head: Any = self.transformer.get_output_embeddings()
        self.features_dim = int(head.weight.shape[1])
        self.value_net = nn.Linear(self.features_dim, 1)
        nn.init.zeros_(self.value_net.weight)
        nn.init.zeros_(self.value_net.bias)
        self.action_dist = MaskableCategoricalDistribution(num_tokens)
        self.share_features_extractor = True
        trained = [weights for weights in self.parameters() if weights.requires_grad]
        self.optimizer = optimizer_class(trained, lr=lr_schedule(1), **optimizer_kwargs)  # type: ignore[call-arg]
        self.train(False)

    def train(self, mode: bool = True) -> LMActorCriticPolicy:
        """Training mode but for the model's dropout, which stays off."""
        super().train(mode)
        self.transformer.eval()
        if mode:
            self.reader.forget()
        return self

    def hand_to(self, agent: LanguageModelAgent) -> LanguageModelAgent:
        """Gives an agent this model as it is now, and its value of a conversation; they are copies.

        The agent then says what this policy says, is scored and saved as any other, and is asked how sure it is. It
        keeps its own settings: make it with the ``max_reply_tokens`` that the environment had, and with this policy's
        ``model``, by which its next training finds its settings.

        Args:
            agent: one that speaks with a language model, such as ``make_agent("ppo", env, model=FOLDER)``.

        Returns:
            That agent.

        Raises:
            TypeError: for another agent.
        """
        if not isinstance(agent, LanguageModelAgent):
            raise TypeError(f"expected an agent that speaks with a language model, got {agent!r:.80}")
        lm = copy.deepcopy(self.lm)
        critic = ValueHead(self.features_dim).to(self.value_net.weight)
        critic.linear.load_state_dict(self.value_net.state_dict())
        agent.take_over(lm, critic.float())
        return agent

    # What the algorithms call

    def forward(
        self, obs: Tensor, deterministic: bool = False, action_masks: Any = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Next tokens (B,), values (B, 1) and log-probabilities (B,), in nats, for observations (B, T).

        Args:
            obs: token ids.
            deterministic: the likeliest token instead of a sampled one.
            action_masks: (B, V) bool, False on tokens that may not be said; None allows all but the markers.
        """
        logits, features = self._look(obs, on=not torch.is_grad_enabled())
        distribution = self._distribution(logits, action_masks)
        actions = distribution.get_actions(deterministic=deterministic)
        return actions, self._values(features), distribution.log_prob(actions)

    def evaluate_actions(  # type: ignore[override]
        self, obs: Tensor, actions: Tensor, action_masks: Any = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Values (B, 1), log-probabilities (B,) of actions (B,) and entropies (B,), in nats; with gradients."""
        logits, features = self._look(obs)
        distribution = self._distribution(logits, action_masks)
        return self._values(features), distribution.log_prob(actions), distribution.entropy()

    def get_distribution(self, obs: Tensor, action_masks: Any = None) -> MaskableCategoricalDistribution:  # type: ignore[override]
        """That of the next token after observations (B, T)."""
        return self._distribution(self._look(obs)[0], action_masks)

    def predict_values(self, obs: Tensor) -> Tensor:  # type: ignore[override]
        """(B, 1) values of observations (B, T)."""
        return self._values(self.extract_features(obs))

    def extract_features(self, obs: Tensor, features_extractor: Any = None) -> Tensor:  # type: ignore[override]
        """(B, D) last hidden states of the model at the last token of each observation (B, T)."""
        del features_extractor
        return self._look(obs)[1]

    def _predict(self, observation: Tensor, deterministic: bool = False, action_masks: Any = None) -> Tensor:  # type: ignore[override]
        return self(observation, deterministic, action_masks)[0]

    def _look(self, obs: Tensor, on: bool = False) -> tuple[Tensor, Tensor]:
        """(B, V) logits of the next token and (B, D) features; ``on`` goes on from what it looked at before."""
        sequences = self.reader.sequences(obs)
        return self.reader.read_on(sequences) if on else self.reader.read(sequences)

    def _distribution(self, logits: Tensor, action_masks: Any) -> MaskableCategoricalDistribution:
        distribution = self.action_dist.proba_distribution(action_logits=logits[:, : self.action_dist.action_dim])
        if action_masks is not None:
            distribution.apply_masking(action_masks)
        return distribution

    def _values(self, features: Tensor) -> Tensor:
        features = features if self.value_gradients else features.detach()
        return self.value_net(features.to(self.value_net.weight.dtype))

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "lr_schedule": self._dummy_schedule,
            "model": self.model_name,
            "value_gradients": self.value_gradients,
            "optimizer_class": self.optimizer_class,
            "optimizer_kwargs": self.optimizer_kwargs,
            **self.model_options,
        }


def load_model(model: str | None, options: Mapping[str, Any]) -> LanguageModel:
    """The language model of a policy; random weights follow torch's global generator, which algorithms seed."""
    fields = {field.name for field in dataclasses.fields(ModelConfig)} - {"model"}
    for name in options:
        if name in NOT_OF_THE_POLICY:
            raise TypeError(f"LMActorCriticPolicy takes no {name!r}: {NOT_OF_THE_POLICY[name]}")
        if name not in fields:
            taken = ", ".join(sorted(fields - set(NOT_OF_THE_POLICY)))
            raise TypeError(
                f"LMActorCriticPolicy takes no {name!r}: expected model, value_gradients, optimizer_class, "
                f"optimizer_kwargs, {taken}"
            )
    seed = int(torch.randint(2**31, ()))
    try:
        return LanguageModel.make(ModelConfig(model=model, **options), seed)
    except OSError as e:
        raise OSError(
            f"cannot read the language model {model!r} ({e}); to load a policy whose folder has moved, pass "
            "custom_objects={'policy_kwargs': {'model': FOLDER, ...}} to the algorithm's load, with all else that was "
            "in policy_kwargs: they take the place of what was saved"
        ) from e


def check_spaces(observation_space: gym.spaces.Space[Any], action_space: gym.spaces.Space[Any]) -> int:
    """V of the tokens interface; ValueError where the spaces are not its."""
    if isinstance(observation_space, gym.spaces.MultiDiscrete) and isinstance(action_space, gym.spaces.Discrete):
        sizes, num_tokens = observation_space.nvec, int(action_space.n)
        if sizes.ndim == 1 and bool((sizes == num_tokens).all()):
            return num_tokens
    raise ValueError(
        "LMActorCriticPolicy reads and says token ids: expected an environment made with interface='tokens', got "
        f"observations in {observation_space!s:.80} and actions in {action_space!s:.80}"
    )


def check_vocabulary(lm: LanguageModel, name: str | None, action_space: Any, num_tokens: int) -> None:
    """ValueError unless the environment's tokens are the model's."""
    known = getattr(action_space, "vocabulary", None)  # a space from elsewhere tells its size only
    if num_tokens == len(lm.tokenizer) and known in (None, lm.tokenizer.fingerprint):
        return
    theirs, ours = f"{num_tokens:,} tokens", f"{len(lm.tokenizer):,}"
    if num_tokens == len(lm.tokenizer):
        theirs, ours = f"{theirs} of one vocabulary", "as many of another"
    if name is None:
        whose, advice = "the small model", "policy_kwargs={'tokenizer': FOLDER} with the folder of the environment's"
    else:
        whose, advice = f"the model {name!r}", f"gym.make(..., interface='tokens', tokenizer={name!r})"
    raise ValueError(f"the environment speaks {theirs} and {whose} {ours}: pass {advice}")


def check_context(lm: LanguageModel, observation_space: Any) -> None:
    """ValueError if observations are longer than what the model can read."""
    length = int(observation_space.shape[0])
    if length > lm.max_context:
        raise ValueError(
            f"the model reads at most {lm.max_context} tokens, the environment shows {length}: "
            f"pass context_length={lm.max_context} or less to gym.make"
        )
