"""A rating session: blind, shuffled, and gone on with where it stopped; at the terminal and over HTTP."""

import http.client
import json
import os
import threading

import pytest
from rich.console import Console
from typer.testing import CliRunner

from dialogym import cli
from dialogym.agents.preference.judgements import Pair, append_judgement, read_judgements, save_pairs
from dialogym.evaluation.rating import terminal as rate_terminal
from dialogym.evaluation.rating.session import RatingSession
from dialogym.evaluation.rating.web import RatingServer

from ...agents.judged import asking, judgement

PAIRS = [Pair(asking(f"question {n} ?"), f"one {n} .", f"two {n} .", ("secret_a", "secret_b")) for n in range(40)]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "runs" / "ratings.jsonl"


def judge_all(session, side_of):
    shown = []
    while (question := session.question()) is not None:
        shown.append(question)
        session.answer(question.pair, side_of(question), 1.0)
    return shown


def test_every_pair_is_asked_once_and_the_choice_follows_the_reply_not_the_side(out):
    session = RatingSession(PAIRS, out, "anna")
    judge_all(session, lambda question: "left" if question.left.startswith("one") else "right")
    judgements = read_judgements(out)
    assert {one.pair for one in judgements} == {pair.pair for pair in PAIRS}
    assert len(judgements) == session.done == session.total == 40
    assert {one.choice for one in judgements} == {"first"}
    assert {one.shown_first for one in judgements} == {"first", "second"}


def test_the_side_that_is_recorded_is_the_side_that_was_shown(out):
    shown = judge_all(RatingSession(PAIRS, out, "anna"), lambda question: "left")
    for question, one in zip(shown, read_judgements(out), strict=True):
        assert one.choice == one.shown_first
        assert question.left == {"first": one.first, "second": one.second}[one.shown_first]


def test_sides_and_order_are_shuffled_by_seed_and_rater(tmp_path):
    sessions = [RatingSession(PAIRS, tmp_path / f"{n}.jsonl", *who) for n, who in enumerate(
        [("anna", 0), ("anna", 0), ("anna", 1), ("ben", 0)]
    )]  # fmt: skip
    shown = [judge_all(session, lambda question: "tie") for session in sessions]
    assert shown[0] == shown[1]
    orders = [[question.pair for question in one] for one in shown]
    lefts = [{question.pair: question.left for question in one} for one in shown]
    for other in (2, 3):
        assert orders[0] != orders[other]
        assert lefts[0] != lefts[other]
    assert orders[0] != [pair.pair for pair in PAIRS]
    assert 8 < sum(left.startswith("one") for left in lefts[0].values()) < 32  # 20 by chance; outside: 1 in 10,000


def test_a_rater_learns_nothing_of_the_agents(out):
    for question in judge_all(RatingSession(PAIRS, out, "anna"), lambda question: "tie"):
        assert "secret" not in repr(question)


def test_a_session_goes_on_where_the_rater_stopped_and_another_rater_begins(out):
    first = RatingSession(PAIRS, out, "anna")
    asked = [first.question()]
    first.answer(asked[0].pair, "tie", 1.0)
    asked.append(first.question())
    again, other = RatingSession(PAIRS, out, "anna"), RatingSession(PAIRS, out, "ben")
    assert (again.done, other.done) == (1, 0)
    assert again.question() == asked[1]
    assert len(judge_all(again, lambda question: "left")) == 39


def test_a_judgement_of_other_content_under_the_same_id_does_not_count_as_judged(out):
    judge_all(RatingSession([Pair((), "one", "two", pair="q1")], out, "anna"), lambda question: "left")
    session = RatingSession([Pair((), "three", "four", pair="q1")], out, "anna")
    assert session.done == 0
    judge_all(session, lambda question: "left")
    assert [one.first for one in read_judgements(out)] == ["one", "three"]


def test_a_crash_in_the_middle_of_a_line_loses_that_one_judgement_only(out):
    judge_all(RatingSession(PAIRS[:3], out, "anna"), lambda question: "left")
    whole = out.read_bytes()
    out.write_bytes(whole[:-20])
    session = RatingSession(PAIRS[:3], out, "anna")
    assert session.mended
    assert session.done == 2
    judge_all(session, lambda question: "left")
    assert out.read_bytes() == whole


def test_a_pair_is_judged_once_even_from_two_windows(out):
    session = RatingSession(PAIRS, out, "anna")
    pair = session.question().pair
    assert session.answer(pair, "left", 1.0)
    assert not session.answer(pair, "right", 1.0)
    assert len(read_judgements(out)) == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (("nothing", "left", 1.0), "expected the id of a pair of this session, got 'nothing'"),
        ((PAIRS[0].pair, "first", 1.0), "must be one of left, right, tie, got 'first'"),
        ((PAIRS[0].pair, "left", float("nan")), "seconds must be a number of at least 0, got nan"),
        ((PAIRS[0].pair, "left", True), "seconds must be a number of at least 0, got True"),
    ],
)
def test_a_wrong_answer_is_told_and_not_written(out, answer, message):
    with pytest.raises(ValueError, match=message):
        RatingSession(PAIRS, out, "anna").answer(*answer)
    assert not out.exists()


def test_a_session_needs_a_name_and_pairs(out):
    with pytest.raises(ValueError, match="rater must be a name"):
        RatingSession(PAIRS, out, " ")
    for pairs in ([], [Pair(asking("open ?"), "yes .", "yes .")]):
        with pytest.raises(ValueError, match=f"at least one pair of different replies to rate, got {len(pairs)}"):
            RatingSession(pairs, out, "anna")
    assert RatingSession([PAIRS[0], Pair(asking("open ?"), "yes .", "yes .")], out, "anna").total == 1
    with pytest.raises(ValueError, match=r"ends in \.jsonl for the judgements, got 'ratings\.txt'"):
        RatingSession(PAIRS, "ratings.txt", "anna")


# At the terminal

runner = CliRunner()


@pytest.fixture
def kept(tmp_path):
    path = tmp_path / "pairs.jsonl"
    save_pairs(path, PAIRS[:4])
    return path


def typed(keys, *arguments):
    done = runner.invoke(cli.app, ["rate", *map(str, arguments)], input="\n".join(keys) + "\n")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.output


def test_a_person_rates_at_the_terminal_stops_and_goes_on(kept, out):
    arguments = ("--pairs", kept, "--rater", "anna", "--out", out)
    said = typed(["1", "x", "2", "q"], *arguments)
    assert "expected 1, 2, t or q" in said
    assert "2 of 4 judged" in said
    assert "secret" not in said
    sides = [one.choice == one.shown_first for one in read_judgements(out)]
    assert sides == [True, False]
    said = typed(["t", "T"], *arguments)
    assert "3 of 4" in said
    assert "4 of 4 judged" in said
    assert [one.choice for one in read_judgements(out)[2:]] == ["tie", "tie"]


def test_nothing_more_to_read_ends_the_session(kept, out):
    assert "0 of 4 judged" in typed([], "--pairs", kept, "--rater", "anna", "--out", out)


def test_an_interrupted_session_says_how_far_the_rater_came(tmp_path, monkeypatch):
    console = Console(record=True, width=100)

    def interrupted(prompt):
        raise KeyboardInterrupt

    monkeypatch.setattr(console, "input", interrupted)
    rate_terminal.rate(RatingSession(PAIRS[:2], tmp_path / "out.jsonl", "anna"), console)
    assert "0 of 2 judged" in console.export_text()


def test_markup_in_a_reply_is_shown_as_it_is(tmp_path, monkeypatch):
    console = Console(record=True, width=100)
    monkeypatch.setattr(console, "input", lambda prompt: "q")
    pair = Pair(asking("[bold]hi[/bold]"), "[red]one[/red]", "")
    rate_terminal.rate(RatingSession([pair], tmp_path / "out.jsonl", "anna"), console)
    said = console.export_text()
    assert "[bold]hi[/bold]" in said
    assert "[red]one[/red]" in said
    assert "(says nothing)" in said


def test_pairs_are_sampled_once_and_the_next_rater_gets_the_same(tmp_path):
    out = tmp_path / "ratings.jsonl"
    arguments = ("rule", "random", "--out", out, "--num-pairs", 3, "--env", "TextDialog-v0")
    assert "3 pairs, kept in" in typed(["1", "1", "1"], *arguments, "--rater", "anna")
    before = (tmp_path / "ratings.pairs.jsonl").read_text()
    assert "3 pairs, kept in" in typed(["2", "2", "2"], *arguments, "--rater", "ben", "--seed", 5, "--num-pairs", 9)
    assert (tmp_path / "ratings.pairs.jsonl").read_text() == before
    assert "3 of 3 judged" in typed(
        [], "rule/", "random/", "--out", out, "--rater", "ben"
    )  # as a shell completes names
    judgements = read_judgements(out)
    assert len(judgements) == 6
    assert {one.agents for one in judgements} == {("rule", "random")}
    done = runner.invoke(cli.app, ["rate", "rule", "do_nothing", "--out", str(out), "--rater", "anna"])
    assert "holds pairs of random, rule, not of rule and do_nothing" in str(done.exception)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rule", "random"), "give --rater NAME"),
        (("rule", "--rater", "anna"), "expected two agents to compare, or --pairs FILE"),
        (("--pairs", "none.jsonl", "--rater", "anna"), "none.jsonl"),
        (("rule", "random", "--rater", "anna", "--out", "ratings.txt"), "ends in .jsonl for the judgements"),
    ],
)
def test_what_is_missing_is_told(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    done = runner.invoke(cli.app, ["rate", *arguments])
    assert message in str(done.exception)
    assert not list(tmp_path.iterdir())  # before any pair is sampled


def test_the_summary_counts_judgements_and_rates_nothing(out):
    out.parent.mkdir()
    for rater, choices in (("anna", ("first", "first", "tie")), ("ben", ("first", "second", "tie"))):
        for pair, choice in enumerate(choices):
            append_judgement(out, judgement(choice, str(pair), rater, seconds=2.0))
    said = typed([], "--summary", out)
    # Pair means for a: 1, 0.5 and 0.5, so 2 of 3; kappa: 2 of 3 equal, 1/3 expected by chance, hence 0.5.
    for cell in ("0.667", "0.500", "anna and ben", "2.0", "a tie counts half"):
        assert cell in said


# Over HTTP


@pytest.fixture
def server(out):
    with RatingServer(RatingSession(PAIRS[:2], out, "anna")) as one:
        thread = threading.Thread(target=one.serve_forever, args=(0.01,))
        thread.start()
        yield one
        one.shutdown()
        thread.join()


def ask(server, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body=body, headers=given)
    answer = connection.getresponse()
    content = answer.read().decode()
    connection.close()
    return answer, json.loads(content) if answer.getheader("Content-Type") == "application/json" else content


def test_the_command_says_where_the_page_is_and_how_far_the_rater_came(kept, out, monkeypatch):
    def interrupted(self):
        self.session.answer(self.session.question().pair, "left", 1.0)
        raise KeyboardInterrupt

    monkeypatch.setattr(RatingServer, "serve_forever", interrupted)
    said = typed([], "--pairs", kept, "--rater", "anna", "--out", out, "--web", "--port", 0)
    assert "Rate at http://127.0.0.1:" in said
    assert "1 of 4 judged" in said


def test_a_port_that_is_taken_is_told(server, kept, out):
    arguments = ["--pairs", kept, "--rater", "ben", "--out", out, "--web", "--port", server.server_port]
    done = runner.invoke(cli.app, ["rate", *map(str, arguments)])
    assert "--port 0 takes a free one" in str(done.exception)


def test_the_server_listens_to_this_machine_alone(server):
    assert server.server_address[0] == "127.0.0.1"
    assert server.url == f"http://127.0.0.1:{server.server_port}/"


def test_a_question_is_answered_over_http_and_says_nothing_of_the_agents(server, out):
    _, told = ask(server, "GET", "/question")
    assert (told["done"], told["total"], told["rater"]) == (0, 2, "anna")
    assert set(told["question"]) == {"pair", "messages", "left", "right"}
    body = json.dumps({"pair": told["question"]["pair"], "side": "left", "seconds": 3.21})
    answer, after = ask(server, "POST", "/answer", body, Content_Type="application/json")
    assert answer.status == 200
    assert after["done"] == 1
    assert after["question"]["pair"] != told["question"]["pair"]
    (one,) = read_judgements(out)
    assert one.seconds == 3.2
    assert "secret" not in json.dumps([told, after])


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "evil.example:{port}", "127.0.0.1.evil.example:{port}"])
def test_a_request_that_names_another_host_is_refused(server, host):
    answer, told = ask(server, "GET", "/question", Host=host.format(port=server.server_port))
    assert answer.status == 403
    assert "question" not in told


def test_localhost_is_this_machine_too(server):
    assert ask(server, "GET", "/", Host=f"localhost:{server.server_port}")[0].status == 200


@pytest.mark.parametrize(
    "headers", [{"Content_Type": "text/plain"}, {"Content_Type": "application/json", "Origin": "https://evil.example"}]
)
def test_an_answer_that_another_page_sends_is_refused(server, out, headers):
    body = json.dumps({"pair": PAIRS[0].pair, "side": "left", "seconds": 1})
    assert ask(server, "POST", "/answer", body, **headers)[0].status == 403
    assert not out.exists()


@pytest.mark.parametrize(
    "body", ["", "{", "[]", '{"pair": "p"}', '{"pair": ["p"], "side": "left", "seconds": 1}',
             '{"pair": "p", "side": "left", "seconds": 1}', '{"pair": "p", "side": "left", "seconds": 1e999}'],
)  # fmt: skip
def test_a_broken_answer_is_told_and_the_server_goes_on(server, out, body):
    answer, told = ask(server, "POST", "/answer", body, Content_Type="application/json")
    assert answer.status == 400
    assert told["error"]
    assert ask(server, "GET", "/question")[0].status == 200
    assert not out.exists()


def test_an_answer_that_nests_too_deep_is_told(server, capfd):
    answer, _ = ask(server, "POST", "/answer", "[" * 9000, Content_Type="application/json")
    assert answer.status == 400
    assert capfd.readouterr().err == ""


def test_an_answer_that_a_full_disk_cannot_take_is_told_and_the_next_one_is_whole(server, out, monkeypatch, capfd):
    pair, write = server.session.question().pair, os.write
    body = json.dumps({"pair": pair, "side": "left", "seconds": 1})
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda file, line: write(file, line[:20]))
        answer, told = ask(server, "POST", "/answer", body, Content_Type="application/json")
    assert answer.status == 500
    assert "wrote 20" in told["error"]
    assert out.read_bytes() == b""
    assert ask(server, "POST", "/answer", body, Content_Type="application/json")[0].status == 200
    assert [one.pair for one in read_judgements(out)] == [pair]
    assert capfd.readouterr().err == ""


def test_an_unknown_address_is_not_found_and_nothing_may_come_from_elsewhere(server):
    assert ask(server, "GET", "/../pyproject.toml")[0].status == 404
    assert ask(server, "POST", "/question", "{}", Content_Type="application/json")[0].status == 404
    answer, page = ask(server, "GET", "/")
    assert "default-src 'none'" in answer.getheader("Content-Security-Policy")
    assert "http://" not in page
    assert "https://" not in page
