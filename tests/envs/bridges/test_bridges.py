"""Other projects' tasks, as environments of ours."""

import importlib.util
import json
import pickle
import subprocess
import sys

import gymnasium as gym
import pytest

from dialogym.envs import bridged_ids, remake, shipped_ids, task_class
from dialogym.envs.bridges import REASONING_GYM
from dialogym.rewards import RewardError

from ..bridged_page import checked_page

INSTALLED = importlib.util.find_spec("reasoning_gym") is not None
needs_it = pytest.mark.skipif(not INSTALLED, reason='needs reasoning-gym: pip install "dialogym[reasoning-gym]"')


def make(name, **options):
    return gym.make(f"dialogym:reasoning_gym/{name}-v0", **{"interface": "text", **options})


def play(env, goal_id, reply):
    env.reset(seed=0, options={"goal_id": goal_id})
    return env.step(reply)


def test_the_ids_are_registered_and_none_of_our_own_is_among_them():
    assert len(bridged_ids("reasoning_gym")) == len(REASONING_GYM) == len({*REASONING_GYM}) == 106
    assert "reasoning_gym/chain_sum-v0" in bridged_ids()
    assert not {*bridged_ids()} & {*shipped_ids()}
    with pytest.raises(ValueError, match="family must be one of reasoning_gym, textarena, textworld, got 'chess'"):
        bridged_ids("chess")


def test_nothing_of_theirs_is_imported_before_one_of_their_tasks_is_made():
    code = (
        "import sys, dialogym, gymnasium as gym\n"
        "gym.make('TextArithmetic-v0', interface='text')\n"
        "print([name for name in sys.modules if name.startswith(('reasoning_gym', 'sympy'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_their_package_an_id_says_which_extra_brings_it():
    code = (
        "import sys; sys.modules['reasoning_gym'] = None\n"
        "import gymnasium as gym\n"
        "try: gym.make('dialogym:reasoning_gym/gcd-v0')\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "dialogym[reasoning-gym]"' in done.stdout


@needs_it
def test_the_list_is_that_of_the_installed_version_and_no_setting_hides_an_option_of_ours():
    from reasoning_gym.factory import DATASETS

    from dialogym.envs.core.make import COMMON, TOKENS_ONLY, VECTOR_ONLY

    assert {*REASONING_GYM} == {*DATASETS}
    for name, (_, config) in DATASETS.items():
        settings = {*config.__dataclass_fields__}
        assert not settings & {*COMMON, *TOKENS_ONLY, *VECTOR_ONLY, "task", "level", "accept", "trust_replies"}, name


@needs_it
def test_a_question_is_answered_in_tags_or_bare_and_nothing_less_than_the_key_will_do():
    env = make("chain_sum")
    _, info = env.reset(seed=0)
    key, goal_id = env.unwrapped.transcript.goal["answer"], info["goal_id"]
    assert "<answer>" in info["messages"][0]["content"]
    for reply in (
        key,
        f" {key}\n",
        f"<answer>{key}</answer>",
        f"1 + 1? <answer>7</answer> No. <answer> {key} </answer>",
    ):
        assert play(env, goal_id, reply)[1:3] == (1.0, True), reply
    for reply in (
        "",
        f"The answer is {key}",
        f"<answer>{key} or 7</answer>",
        f"<answer>{key}</answer> <answer>7</answer>",
    ):
        assert play(env, goal_id, reply)[1:3] == (0.0, True), reply


@needs_it
def test_their_own_score_is_a_reward_with_its_part_marks():
    env = make("gcd", reward="reasoning_gym")
    _, info = env.reset(seed=0)
    key, goal_id = env.unwrapped.transcript.goal["answer"], info["goal_id"]
    _, reward, _, _, info = play(env, goal_id, f"<answer>{key}, surely</answer>")
    assert reward == info["reward_terms"]["reasoning_gym"] == len(key) / len(f"{key}, surely")
    assert not info["success"]
    assert play(env, goal_id, key)[1] == 1.0
    env = gym.make("TextArithmetic-v0", interface="text", reward="reasoning_gym")
    env.reset(seed=0)
    with pytest.raises(RewardError, match="is for the ids reasoning_gym/"):
        env.step("7")


@needs_it
def test_seeds_42_and_43_have_nothing_in_common_and_each_gives_the_same_again():
    def questions(seed):
        env = make("chain_sum", min_digits=4)
        env.reset(seed=seed)
        found = []
        for _ in range(100):
            env.reset()
            found.append(env.unwrapped.transcript.goal["question"])
        return found

    first = questions(42)
    assert first == questions(42)
    assert len({*first}) == 100
    assert not {*first} & {*questions(43)}


@needs_it
def test_a_split_without_a_question_is_an_error_and_no_endless_search():
    task = make("ab", length=1).unwrapped.task
    (split,) = {task.split_of(task.goal(str(number))) for number in range(5)}
    (other, _) = (name for name in ("train", "validation", "test") if name != split)
    assert task.sample_goal(0, split)
    with pytest.raises(ValueError, match=f"into the split '{other}' .*these settings have too few questions"):
        task.sample_goal(0, other)


@needs_it
def test_the_same_question_is_in_the_same_split_whatever_the_settings():
    splits = {}
    for level in (None, 0, 1):
        task = make("gcd", level=level).unwrapped.task
        for split in ("train", "validation", "test"):
            for goal_id in task.goal_ids(split, 15):
                assert splits.setdefault(task.goal(goal_id)["question"], split) == split
    assert {*splits.values()} == {"train", "validation", "test"}


@needs_it
def test_all_variants_of_an_arc_task_are_in_one_split():
    task = make("rearc").unwrapped.task
    splits = {}
    for number in range(40):
        goal = task._goal(number)
        splits.setdefault(goal["entry"]["metadata"]["task_id"], set()).add(task.split_of(goal))
    assert all(len(found) == 1 for found in splits.values())
    assert {split for found in splits.values() for split in found} > {"train"}


@needs_it
def test_settings_and_levels_make_other_questions():
    def digits(**options):
        task = make("chain_sum", **options).unwrapped.task
        return max(len(word) for n in range(30) for word in task._goal(n)["question"].split() if word.isdigit())

    assert digits(min_digits=7, max_digits=7) == 7
    assert digits(level=0) < digits(level=5)
    assert digits(level=5, min_digits=1, max_digits=1) == 1


@needs_it
@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("chain_sum", {"min_terms": -1}, "refuses its settings .*min_terms must be positive"),
        ("chain_sum", {"level": 99}, r"level must be an int in \[0, \d+\], got 99"),
        ("acre", {"level": 1}, "has no curriculum, so level must be None, got 1"),
        ("chain_sum", {"accept": "any"}, "accept must be one of key, score or None, got 'any'"),
        ("graph_color", {"accept": "key"}, "has no answer keys"),
        ("composite", {}, "mixes other generators: give datasets="),
        ("composite", {"datasets": ["gcd"]}, "datasets must be a list of parts such as"),
        ("composite", {"datasets": [{"name": "chess"}]}, "does not have: 'chess'"),
        ("countdown", {"accept": "score"}, "runs what the agent writes"),
    ],
)
def test_wrong_settings_say_what_was_expected(name, options, message):
    with pytest.raises(ValueError, match=message):
        make(name, **options)


@needs_it
def test_a_misspelt_setting_is_an_error_that_names_the_right_one():
    with pytest.raises(TypeError, match="did you mean 'min_terms'"):
        make("chain_sum", min_trems=2)


@needs_it
def test_a_scorer_that_runs_replies_is_not_called_unless_they_are_trusted(tmp_path):
    spy = tmp_path / "ran"
    attack = f"[__import__('pathlib').Path({str(spy)!r}).touch()]"
    for options in ({}, {"reward": "reasoning_gym"}):
        env = make("n_queens", **options)
        _, info = env.reset(seed=0)
        if options:
            with pytest.raises(RewardError, match="trust_replies=True"):
                env.step(attack)
        else:
            assert env.step(attack)[1] == 0.0
        assert not spy.exists()
    env = make("n_queens", reward="reasoning_gym", trust_replies=True)
    assert play(env, info["goal_id"], env.unwrapped.task.reference(None, info))[1] == 1.0
    env.reset(seed=0)
    env.step(attack)
    assert spy.exists()  # so the test would see it


@needs_it
@pytest.mark.parametrize("answer", ["1e999999999", "<answer>-2.5E+1_000_000_000</answer>", "1/1", "1e99,999,999"])
def test_a_number_with_an_endless_row_of_digits_is_wrong_without_being_written_out(answer, monkeypatch):
    env, read = make("coin_flip", reward="reasoning_gym"), []
    env.reset(seed=0)
    monkeypatch.setattr(env.unwrapped.task.items.dataset, "score_answer", lambda said, entry: read.append(said) or 1.0)
    reward = env.step(answer)[1]
    assert (reward, read) == ((1.0, ["1/1"]) if answer == "1/1" else (0.0, []))


@needs_it
def test_a_number_with_a_small_exponent_is_read_as_their_scorer_reads_it():
    task = make("coin_flip", reward="reasoning_gym").unwrapped.task
    goal = {"entry": {"answer": "0.5", "metadata": {"question": ""}}}
    scorer = task.items.dataset.score_answer
    for answer in ("5e-1", "50e-2", "0.5", "7e-1", "1/2"):
        assert task.marks(goal, answer) == scorer(answer, goal["entry"])


@needs_it
def test_where_many_answers_are_right_full_marks_are_the_success():
    env = make("graph_color", num_colors=3)
    _, info = env.reset(seed=0)
    colours = env.unwrapped.transcript.goal["entry"]["metadata"]["possible_answer"]
    other = {vertex: colour % 3 + 1 for vertex, colour in colours.items()}
    assert play(env, info["goal_id"], json.dumps(other))[4]["success"]
    assert not play(env, info["goal_id"], json.dumps(dict.fromkeys(colours, 1)))[4]["success"]


@needs_it
def test_a_mixture_plays_its_parts_and_survives_pickling():
    env = make("composite", datasets=[{"name": "gcd"}, {"name": "count_bits", "weight": 2}])
    task = pickle.loads(pickle.dumps(env)).unwrapped.task
    sources = {task._goal(number)["entry"]["metadata"]["source_dataset"] for number in range(20)}
    assert sources == {"gcd", "count_bits"}
    assert task.references(task.goal("5")) == env.unwrapped.task.references(env.unwrapped.task.goal("5"))
    assert remake(env, interface="tokens").unwrapped.task.made_with == task.made_with


@needs_it
def test_a_generator_that_fails_at_an_item_gives_the_next_one_and_goes_on():
    from dialogym.envs.bridges.reasoning_gym import _Items

    class Failing:
        size = 10

        def __getitem__(self, number):
            if number >= self.size or number % 3 == 0:
                self.size = number
                raise IndexError("exhausted")
            return {"number": number}

    items = _Items("failing", Failing(), frozenset(), 10)
    assert [items[number]["number"] for number in range(10)] == [1, 1, 2, 4, 4, 5, 7, 7, 8, 1]


@needs_it
def test_the_task_of_an_id_is_a_class_of_its_own_with_the_settings_of_its_generator():
    import inspect

    assert task_class("reasoning_gym/gcd-v0") is task_class("reasoning_gym/gcd-v0")
    assert [*inspect.signature(task_class("reasoning_gym/gcd-v0")).parameters][:4] == [
        "level", "accept", "trust_replies", "min_numbers",
    ]  # fmt: skip


@needs_it
def test_the_page_of_all_ids_is_what_was_found():
    bridged_tasks, results = checked_page("reasoning_gym")
    loose = bridged_tasks.row_of("reasoning_gym/acre-v0", results["ids"]["reasoning_gym/acre-v0"])
    assert "| failed | loose floor: random" in loose
    checks = [["determinism", "fail", "a | b"], ["floor: random", "pass", "0.000 [0, 1]"]]
    row = {"goals": 3, "answers": "key", "their_score": None, "checks": checks}
    assert bridged_tasks.row_of("x/y-v0", row) == (
        "| `y-v0` | key | 3 | failed | determinism: a \\| b | 0.00 | – | – | – |"
    )
