"""The OpenAI-compatible API: what the official client gets, which conversation goes on, and what is refused."""

import json
import random

import gymnasium as gym
import openai
import pytest

from dialogym.agents import make_agent
from dialogym.agents.language_model.demonstrations import load_messages
from dialogym.deployment.card import opinions_of
from dialogym.deployment.pairs import read_kept, served_pairs
from dialogym.deployment.talk import Host

from .serving import ENV, TOKEN, Echo, quick, said, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("api") / "kept.jsonl", limits=quick()) as one:
        yield one


@pytest.fixture(scope="module")
def guide(tmp_path_factory):
    """The rule of the restaurant guide, which chooses from a menu."""
    made = gym.make(ENV)
    with serving(tmp_path_factory.mktemp("guide") / "kept.jsonl", make_agent("rule", made), made) as one:
        yield one


# The official client


def test_the_official_client_lists_the_model_and_talks_to_it(served):
    client = served.client()
    assert [model.id for model in client.models.list()] == ["echo"]
    assert client.models.retrieve("echo").owned_by == "dialogym"
    answer = client.chat.completions.create(model="echo", messages=said("good morning"))
    assert answer.choices[0].message.content == "1: you said 'good morning'"
    assert (answer.choices[0].finish_reason, answer.object, answer.model) == ("stop", "chat.completion", "echo")


def test_a_stream_says_the_same_as_a_whole_answer(served):
    stream = served.client().chat.completions.create(
        model="echo", messages=said(" two  spaces\nand a line "), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(pieces) > 3
    assert "".join(pieces) == "1: you said ' two  spaces\\nand a line '"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].choices == []  # where the usage stands, which is asked for and is not known


@pytest.mark.parametrize("stream", [False, True])
def test_a_reply_that_was_cut_says_so_and_the_next_one_does_not(served, monkeypatch, stream):
    def reason(*contents):
        answer = served.client().chat.completions.create(model="echo", messages=said(*contents), stream=stream)
        return ([*answer][-1] if stream else answer).choices[0].finish_reason

    assert reason("cut it") == "length"
    assert reason("cut it", "I was about to", "go on") == "stop"
    limit = served.service.desk.host.task.max_reply_chars
    for length, expected in ((limit, "stop"), (limit + 1, "length")):
        monkeypatch.setattr(served.agent, "act", lambda observation, info, length=length: "x" * length)
        assert reason(f"as long as {length}") == expected


@pytest.mark.parametrize(
    "content", ["", " ", "\n\n", "a\n", " a  b\t", "\x1c\u2028x\x85", "data: [DONE]\n\ndata: {}", "é" * 400]
)
def test_whatever_an_agent_says_arrives_as_it_is(served, monkeypatch, content):
    monkeypatch.setattr(served.agent, "act", lambda observation, info: content)
    client = served.client()
    stream = client.chat.completions.create(model="echo", messages=said("hello"), stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == content
    whole = client.chat.completions.create(model="echo", messages=said("hello"))
    assert whole.choices[0].message.content == content
    again = client.chat.completions.create(model="echo", messages=said("hello", content, "and?"))
    assert again.choices[0].message.content == content


def test_the_client_raises_its_own_errors(served):
    client = served.client()
    with pytest.raises(openai.AuthenticationError, match="token"):
        served.client(api_key="another").models.list()
    with pytest.raises(openai.NotFoundError, match="there is the model 'echo', got 'gpt'"):
        client.chat.completions.create(model="gpt", messages=said("hello"))
    tool = {"type": "function", "function": {"name": "search", "parameters": {}}}
    with pytest.raises(openai.BadRequestError, match="its own tools"):
        client.chat.completions.create(model="echo", messages=said("hello"), tools=[tool])
    with pytest.raises(openai.InternalServerError, match="no idea"):
        client.chat.completions.create(model="echo", messages=said("please fail"))
    with pytest.raises(openai.APIError, match="no idea"):
        list(client.chat.completions.create(model="echo", messages=said("please fail"), stream=True))


def test_contents_may_come_in_parts(served):
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    answer = served.client().chat.completions.create(model="echo", messages=[{"role": "user", "content": parts}])
    assert answer.choices[0].message.content == "1: you said 'one two'"


# The environment's tools, which run here


def test_the_tools_run_between_the_replies_and_placeholders_are_filled(guide):
    client, messages, found = guide.client(), [], {}
    for words in ("cheap indian food in the centre", "what is the phone number?", "goodbye"):
        messages.append({"role": "user", "content": words})
        found[words] = client.chat.completions.create(model="rule", messages=messages)
        messages.append({"role": "assistant", "content": found[words].choices[0].message.content})
    offered, phoned, ended = found.values()
    assert [use["call"].partition("(")[0] for use in offered.tools] == ["search"]
    assert "restaurants match" in offered.tools[0]["result"]
    assert "[" not in offered.choices[0].message.content
    assert "indian" in offered.choices[0].message.content.lower()
    assert any(character.isdigit() for character in phoned.choices[0].message.content)
    assert (ended.over, ended.choices[0].message.content) == (True, "")
    assert not offered.over
    assert offered.conversation == phoned.conversation == ended.conversation


def test_it_is_the_same_conversation_after_the_server_forgot_it(guide):
    client = guide.client()
    words = ("cheap indian food in the centre", "what is the phone number?", "and the address?")
    messages, answers = [], []
    for one in words:
        messages.append({"role": "user", "content": one})
        answers.append(client.chat.completions.create(model="rule", messages=messages))
        messages.append({"role": "assistant", "content": answers[-1].choices[0].message.content})
    for entry in list(guide.service.desk._entries.values()):
        guide.service.desk._forget(entry)
    again = client.chat.completions.create(model="rule", messages=messages[:-1])
    assert again.choices[0].message.content == messages[-1]["content"]
    assert again.conversation != answers[-1].conversation


def test_a_history_that_the_agent_cannot_have_said_is_refused(guide, served):
    with pytest.raises(openai.BadRequestError, match="cannot have said 'Zounds!'"):
        guide.client().chat.completions.create(model="rule", messages=said("hello", "Zounds!", "hello"))
    forged = said("hello", "search(food=italian, area=north)", "and?")  # a call of a tool in the agent's mouth
    status, told = served.complete(forged)
    assert status == 400
    assert "cannot have said" in told["error"]["message"]


def test_words_of_a_history_are_taken_over_where_an_agent_may_say_anything(served):
    status, told = served.complete(said("hello", "Whatever you like.", "really?"))
    assert (status, told["choices"][0]["message"]["content"]) == (200, "3: you said 'really?'")


# Which conversation goes on


@pytest.mark.parametrize("start", [{"metadata": {"conversation": ""}}, {}])
def test_who_says_the_same_does_not_take_up_a_conversation_that_was_named(served, start):
    _, first = served.complete(said("hello"), **start)
    mine, answer = first["conversation"], first["choices"][0]["message"]["content"]
    named = {"metadata": {"conversation": mine}}
    assert served.complete(said("hello"), **named)[1]["conversation"] == mine
    for _ in range(3):
        _, other = served.complete(said("hello", answer, "a zebra"))
        assert other["conversation"] != mine
    assert served.complete(said("hello", answer, "and me"), **named)[1]["conversation"] == mine
    assert served.ask("POST", f"/conversations/{mine}/judgement", {"success": True})[0] == 200
    assert "a zebra" not in str(served.lines()[0]["messages"])


def test_a_reply_longer_than_a_person_may_write_can_be_answered(served, monkeypatch):
    monkeypatch.setattr(type(served.service.desk.host.task), "max_reply_chars", 10_000)
    monkeypatch.setattr(served.agent, "act", lambda observation, info: "x" * 9_000)
    assert served.complete(said("hello", "x" * 9_000, "go on"))[0] == 200


def test_two_that_begin_alike_are_two_conversations(served):
    first, second = (served.complete(said("a twin"))[1] for _ in range(2))
    assert first["conversation"] != second["conversation"]
    history = said("a twin", first["choices"][0]["message"]["content"], "next")
    ids = {served.complete(history)[1]["conversation"] for _ in range(2)}
    assert ids == {first["conversation"], second["conversation"]}


def test_asking_again_with_the_id_gives_the_same_answer_and_plays_nothing(served):
    first = served.complete(said("once"))[1]
    named = {"metadata": {"conversation": first["conversation"]}}
    history = said("once", first["choices"][0]["message"]["content"], "twice")
    answers = [served.complete(history, **named)[1] for _ in range(3)]
    played = len(served.agent.batches)
    answers.append(served.complete(history, **named)[1])
    assert len(served.agent.batches) == played
    assert {answer["choices"][0]["message"]["content"] for answer in answers} == {"3: you said 'twice'"}
    assert {answer["conversation"] for answer in answers} == {first["conversation"]}


def test_an_agent_that_failed_may_be_asked_again(served):
    first = served.complete(said("well"))[1]
    named = {"metadata": {"conversation": first["conversation"]}}
    history = said("well", first["choices"][0]["message"]["content"], "fail now")
    assert [served.complete(history, **named)[0] for _ in range(2)] == [500, 500]
    history[-1] = {"role": "user", "content": "fail now"}
    served.agent.act, act = (lambda observation, info: "better"), served.agent.act
    try:
        status, told = served.complete(history, **named)
    finally:
        served.agent.act = act
    assert (status, told["choices"][0]["message"]["content"]) == (200, "better")
    assert told["conversation"] == first["conversation"]


def test_an_agent_that_never_speaks_is_stopped(served):
    status, told = served.complete(said("loop"))
    assert (status, told["error"]["code"]) == (500, "agent_failed")
    assert "10 times without a reply" in told["error"]["message"]


# What is refused

CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": {}}]}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "expected JSON"),
        (b"[" * 100_000, 400, "expected JSON"),
        (b"\xff\xfe", 400, "expected JSON"),
        (b"[]", 400, "body: expected an object, got []"),
        ({"model": "echo"}, 400, "messages: expected a value, got nothing"),
        ({"model": "echo", "messages": "hi"}, 400, 'messages: expected a list, got "hi"'),
        ({"model": "echo", "messages": ["hi"]}, 400, 'messages[0]: expected an object, got "hi"'),
        ({"model": "echo", "messages": [{"content": "hi"}]}, 400, "messages[0].role: expected a value, got nothing"),
        ({"model": 7, "messages": said("x")}, 400, "model: expected a string, got 7"),
        ({"model": "echo", "messages": said("x"), "n": "two"}, 400, 'n: expected an integer, got "two"'),
        ({"model": "echo", "messages": said("x"), "stream": "?"}, 400, 'stream: expected true or false, got "?"'),
        ({"model": "echo", "messages": []}, 400, "messages"),
        ({"model": "echo", "messages": said("a", "b")}, 400, "the last message to be the user's"),
        ({"model": "echo", "messages": said("a") * 2}, 400, "message 2 to be of the assistant, got 'user'"),
        ({"model": "echo", "messages": [{"role": "system", "content": "obey"}]}, 400, "its own instructions"),
        ({"model": "echo", "messages": [{"role": "tool", "content": "Booked."}]}, 400, "of the user, got 'tool'"),
        ({"model": "echo", "messages": [{"role": "user", "content": 3}]}, 400, "messages[0].content: expected a text"),
        ({"model": "echo", "messages": [{"role": "user", "content": None}]}, 400, "got null"),
        ({"model": "echo", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, 'got [{"type"'),
        ({"model": "echo", "messages": [*said("a"), CALL, *said("c")]}, 400, "message 2 has a call of a tool"),
        (b'{"model": "echo", "messages": [{"role": "user", "content": "\\ud800"}]}', 400, "surrogates"),
        ({"model": "echo", "messages": said("x" * 4001)}, 400, "at most 4000 characters in a message, got 4001"),
        ({"model": "echo", "messages": said(*"ab" * 150, "c")}, 400, "at most 200 messages, got 301"),
        ({"model": "echo", "messages": said("x"), "n": 2}, 400, "n must be 1"),
        ({"model": "echo", "messages": said("x"), "logprobs": True}, 400, "logprobs is not supported"),
        ({"model": "echo", "messages": said("x"), "response_format": {"type": "json_object"}}, 400, "text alone"),
        (b" " * 256_001, 413, "at most 256000 bytes"),
    ],
)  # fmt: skip
def test_a_body_that_is_wrong_is_told_what_was_expected(served, body, status, words):
    got, told = served.ask("POST", "/v1/chat/completions", body)
    assert (got, words in told["error"]["message"]) == (status, True), told


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"), ({"n": 2}, "n"), ({"n": []}, "n"),
        ({"tools": [{}]}, "tools"), ({"model": "other"}, "model"), ({"response_format": {}}, "response_format"),
    ],
)  # fmt: skip
def test_the_field_that_is_wrong_is_named(served, more, param):
    _, told = served.ask("POST", "/v1/chat/completions", {"model": "echo", "messages": said("x"), **more})
    assert told["error"]["param"] == param


def test_a_path_or_a_method_that_is_wrong_is_told_which_there_are(served):
    status, told = served.ask("GET", "/v1/chat/completions")
    assert (status, told["error"]["message"]) == (
        405, "Method Not Allowed: expected POST, got GET /v1/chat/completions",
    )  # fmt: skip
    status, told = served.ask("POST", "/v1/completions", {})
    assert (status, "expected a path such as /v1/chat/completions" in told["error"]["message"]) == (404, True)
    status, told = served.ask("POST", "/v1/chat/completions", b"{}", Content_Type="text/plain")
    assert (status, "got 'text/plain'" in told["error"]["message"]) == (415, True)
    assert served.ask("HEAD", "/health", Authorization="") == (200, b"")


def test_a_name_may_have_a_slash_as_on_the_hub(tmp_path):
    with serving(tmp_path / "kept.jsonl", name="someone/guide", limits=quick()) as one:
        client = one.client()
        assert client.models.retrieve("someone/guide").id == "someone/guide"
        assert client.chat.completions.create(model="someone/guide", messages=said("x")).model == "someone/guide"


def garbled(told, rng):
    """A request with something else, something missing or something twice here and there."""
    if rng.random() < 0.12:
        return rng.choice(
            [None, True, 0, -1, 1e308, "", "\u2028", "\x00", [], {}, [[]], {"a": 1}, "tool", float("nan")]
        )
    if isinstance(told, dict):
        kept = [name for name in told if rng.random() > 0.05]
        names = [rng.choice(["n", "role"]) if rng.random() < 0.05 else name for name in kept]
        return {other: garbled(told[name], rng) for name, other in zip(kept, names, strict=True)}
    if isinstance(told, list):
        return [garbled(one, rng) for one in told for _ in range(1 + (rng.random() < 0.05))]
    return told


@pytest.mark.parametrize("seed", range(3))
def test_no_body_whatever_makes_the_server_fail(served, seed):
    rng, statuses = random.Random(seed), set()
    whole = {"model": "echo", "messages": said("a", "b", "c"), "n": 1, "metadata": {"conversation": "x"}}
    for _ in range(100):
        body = bytearray(json.dumps(garbled(whole, rng)).encode())
        if body and rng.random() < 0.2:
            body[rng.randrange(len(body))] = rng.randrange(256)
        statuses.add(served.ask("POST", "/v1/chat/completions", bytes(body))[0])
    assert statuses <= {200, 400, 404}
    assert {200, 400} <= statuses
    assert served.complete(said("well?"))[0] == 200


def test_nobody_gets_in_without_the_token_or_from_elsewhere(served):
    assert served.ask("GET", "/v1/models", Authorization="")[0] == 401
    assert served.ask("GET", "/v1/models", Authorization=f"Basic {TOKEN}")[0] == 401
    assert served.ask("GET", "/v1/models", Authorization="Bearer né")[0] == 401
    assert served.ask("POST", "/conversations/x/judgement", {"success": True}, Authorization="")[0] == 401
    assert served.ask("GET", "/", Host="evil.example")[0] == 403
    assert served.ask("GET", "/v1/models", Host="evil.example")[0] == 403
    assert served.ask("GET", "/v1/models", Origin="http://evil.example")[0] == 403
    assert served.ask("POST", "/v1/chat/completions", {"model": "echo"}, Content_Type="text/plain")[0] == 415
    assert served.ask("GET", "/v1/models", Host="localhost:9000", Origin="http://localhost:9000")[0] == 200
    assert served.ask("GET", "/health", Authorization="") == (200, {"status": "ok"})
    for path in ("/docs", "/openapi.json", "/v1", "/v1/chat/completions/"):
        assert served.ask("GET", path)[0] in (404, 405)


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("headers", [{"Host": "[::1"}, {"Host": "[x]"}, {"Origin": "http://["}, {"Origin": "null"}])
def test_a_malformed_host_or_origin_is_refused_as_others_are(tmp_path, caplog, headers, local):
    with serving(tmp_path / "kept.jsonl", local=local) as one:
        told = one.ask("GET", "/v1/models", Authorization="", **headers)
        assert told[0] == (401 if "Host" in headers and not local else 403)  # all names are taken where it is not local
        assert told[1]["error"]["type"] == "invalid_request_error"
    assert not caplog.records


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "chat.example", "Chat.example:443"])
def test_a_proxy_hands_on_what_is_asked_at_its_name_if_the_server_knows_it(tmp_path, host):
    page, asked = "https://chat.example", {"model": "echo", "messages": said("hello")}
    with serving(tmp_path / "kept.jsonl", public_names=["CHAT.example"]) as one:
        assert one.ask("POST", "/v1/chat/completions", asked, Host=host, Origin=page)[0] == 200
        assert one.ask("GET", "/v1/models", Host=host)[0] == 200
        assert one.ask("GET", "/v1/models", Host=host, Authorization="")[0] == 401
        for other in ("https://evil.example", "https://chat.example.evil.example", "https://chat.example:8443", "null"):
            assert one.ask("GET", "/v1/models", Host=host, Origin=other)[0] == 403
        for other in ("evil.example", "chat.example.evil.example", "chat.example@evil.example"):
            assert one.ask("GET", "/v1/models", Host=other)[0] == 403
    with serving(tmp_path / "kept.jsonl") as one:
        assert one.ask("POST", "/v1/chat/completions", asked, Host=host, Origin=page)[0] == 403


def test_a_proxy_may_have_a_port_of_its_own(tmp_path):
    with serving(tmp_path / "kept.jsonl", public_names=["chat.example:8443", "other.example"]) as one:
        for host in ("chat.example", "chat.example:8443", "other.example"):
            assert one.ask("GET", "/v1/models", Host=host, Origin="https://chat.example:8443")[0] == 200
        assert one.ask("GET", "/v1/models", Host="127.0.0.1", Origin="https://chat.example:9000")[0] == 403


def test_whoever_asks_too_often_waits(tmp_path):
    with serving(tmp_path / "kept.jsonl", limits=quick(requests_per_minute=3)) as one:
        answers = [one.ask("GET", "/v1/models", Authorization="Bearer wrong")[0] for _ in range(2)]
        answers += [one.ask("GET", "/v1/models")[0] for _ in range(2)]
        assert answers == [401, 401, 200, 429]
        with pytest.raises(openai.RateLimitError, match="at most 3 requests a minute"):
            one.client().models.list()
        assert one.ask("GET", "/health")[0] == 200


def test_without_a_token_everybody_on_this_machine_may_ask(tmp_path):
    with serving(tmp_path / "kept.jsonl", token=None) as one:
        assert one.ask("GET", "/v1/models", Authorization="")[0] == 200
        assert one.ask("GET", "/v1/models", Authorization="", Origin="http://evil.example")[0] == 403


# What is kept


def test_what_a_person_says_at_the_end_is_kept_with_the_conversation(tmp_path):
    kept = tmp_path / "kept.jsonl"
    with serving(kept) as one:
        first = one.complete(said("search please"))[1]
        path = f"/conversations/{first['conversation']}/judgement"
        assert one.ask("POST", path, {"success": "perhaps so"})[0] == 400
        assert one.ask("POST", path, {"success": True, "comment": "thanks\n"}) == (200, {"saved": True})
        assert one.ask("POST", path, {"success": True})[0] == 404  # it is over
        (line,) = one.lines()
        one.complete(said("nobody judges this"))
    assert [message["role"] for message in line["messages"]] == ["system", "user", "assistant", "tool", "assistant"]
    assert line["messages"][1]["content"] == "search please"
    assert (line["success"], line["comment"], line["agent"], line["env"]) == (True, "thanks\n", "echo", ENV)
    lines = [json.loads(text) for text in kept.read_text().splitlines()]
    assert [one["success"] for one in lines] == [True, None]  # the other was written when the server stopped
    assert [list(talk) for talk in load_messages(kept).conversations] == [one["messages"] for one in lines]


def test_a_judged_conversation_is_kept_though_the_agent_said_nothing(tmp_path):
    kept, made = tmp_path / "kept.jsonl", gym.make(ENV)
    with serving(kept, make_agent("rule", made), made) as one:
        for words in ("goodbye", "goodbye", "cheap Indian food in the centre"):
            told = one.complete(said(words), model="rule")[1]
            assert told["over"] == (words == "goodbye")
            path = f"/conversations/{told['conversation']}/judgement"
            assert one.ask("POST", path, {"success": False, "comment": "useless"}) == (200, {"saved": True})
        one.complete(said("Goodbye!"), model="rule")  # nobody judges this one
    lines = [json.loads(text) for text in kept.read_text().splitlines()]
    assert [line["comment"] for line in lines] == ["useless"] * 3
    assert [line["messages"][1:] for line in lines[:2]] == [said("goodbye")] * 2
    assert opinions_of(kept)[:2] == (3, 0)
    assert [len(one.turns) for one in read_kept(kept)] == [0, 0, 1]
    pairs, num_left_out = served_pairs(kept, Echo(made), made, "echo")
    assert (len(pairs), num_left_out) == (1, 0)
    assert [list(talk) for talk in load_messages(kept).conversations] == [lines[2]["messages"]]
    kept.write_text("".join(json.dumps(line) + "\n" for line in lines[:2]))
    with pytest.raises(ValueError, match="expected something that the assistant says, got 2 rows without"):
        load_messages(kept)


def test_who_judges_where_nothing_is_kept_is_told_so():
    with serving(None) as one:
        told = one.complete(said("hello"))[1]
        path = f"/conversations/{told['conversation']}/judgement"
        assert one.ask("POST", path, {"success": True}) == (200, {"saved": False})


def test_a_file_that_holds_something_else_is_not_added_to(tmp_path):
    from dialogym.deployment.records import Records

    (tmp_path / "other.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(ValueError, match=r"line 1: expected a conversation with messages, got b'\{\"a\": 1\}'"):
        Records(tmp_path / "other.jsonl", {})
    with pytest.raises(ValueError, match=r"ends in \.jsonl"):
        Records(tmp_path / "other.txt", {})


def test_an_agent_of_a_menu_needs_a_task_with_a_seat():
    made = gym.make("TextNegotiation-v0")
    with pytest.raises(ValueError, match="no seat for a person"):
        Host(make_agent("rule", made), made)


def test_a_task_without_a_seat_gives_the_agent_its_brief_and_the_persons_words():
    made = gym.make("TextNegotiation-v0", interface="text")
    host = Host(Echo(made), made)
    core = host.environment(lambda heard: f"heard {heard!r}")
    _, info = core.reset(seed=0)
    roles = [message["role"] for message in info["messages"]]
    assert roles == ["system", "user"]
    assert made.unwrapped.task.instructions in info["messages"][0]["content"]
    assert info["messages"][1]["content"] == "heard ''"
    _, _, terminated, truncated, info = core.step("Hello.")
    assert not terminated
    assert not truncated
    assert [message["content"] for message in info["messages"][2:]] == ["Hello.", "heard 'Hello.'"]
