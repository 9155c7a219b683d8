"""The report: one page, offline, escaped, and it says what the numbers say."""

import copy
import html.parser
import re

import pytest

from dialogym.evaluation.report.page import answers, html_report, markdown_report, notes, write_reports
from dialogym.evaluation.report.results import DIFFER, NO_DIFFERENCE, NOTHING_SHOWN, WORSE
from dialogym.evaluation.statistics import MODELS

from ..fake_results import NASTY, fake_results

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")
VOID = {"meta", "br", "input", "hr", "img", "link", "path", "use", "rect"}


class Page(html.parser.HTMLParser):
    """Collects tags and text, and notices tags that are closed in the wrong order."""

    def __init__(self, source):
        super().__init__()
        self.open, self.tags, self.words, self.links = [], [], [], []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href") and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module", params=[1, 3], ids=["one seed", "three seeds"])
def results(request):
    return fake_results(seeds=request.param)


@pytest.fixture(scope="module")
def page(results):
    return Page(html_report(results))


def test_results_of_several_versions_of_the_code_say_so():
    results = fake_results()
    assert not any("same code" in note for note in notes(results))
    results["provenance"]["arm_commits"] = ["0123abc", "4567def"]
    assert any("trained and scored by the same code, but at 0123abc, 4567def" in note for note in notes(results))


def test_supervised_agents_that_were_still_learning_are_told_with_their_losses():
    results = fake_results(seeds=3)
    runs = results["agents"]["sft"]["per_seed"]
    for run, losses in zip(runs, ((2.0, 1.0), (1.0, 0.5), (0.5, 0.49)), strict=True):
        run["learning_curve"] = [{"env_turns": 9, "validation_loss": loss, "validation": 0.1} for loss in losses]
    told = [note for note in notes(results) if "still learning" in note]
    assert len(told) == 1
    assert told[0].startswith("SFT was still learning when it ended: in 2 of 3 training runs the last epoch took")
    assert "from 1.50 to 0.75" in told[0]
    assert told[0] in markdown_report(results)
    runs[0]["learning_curve"] = runs[1]["learning_curve"] = []
    assert not any("still learning" in note for note in notes(results))


def test_the_page_is_well_formed_and_needs_nothing_from_outside(page):
    assert page.open == []
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert all(link.startswith("#") for link in page.links)
    assert page.tags.count("svg") == 4


def test_the_page_imports_no_style_from_outside(results):
    source = html_report(results)
    assert "@import" not in source
    assert "http://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", re.sub(r"<!DOCTYPE svg[^>]*>", "", source))


def test_what_people_said_is_escaped_and_shown(results, page):
    assert NASTY in "".join(page.words)
    assert "<script>" not in html_report(results)


def test_every_agent_has_a_row_a_bubble_and_a_dot(results, page):
    words = " ".join(page.words)
    for name in ("do nothing", "Q-learning", "SFT → RL", "RL from scratch"):
        assert words.count(name) >= 4
    assert "2 found : caffe uno , zizzi" in words
    assert "(says nothing)" in words
    for aim in results["aims"]:
        assert aim["aim"] in words


def test_every_seed_is_shown_where_there_are_several(results, page):
    words = " ".join(page.words)
    seeds = len(results["agents"]["sft"]["per_seed"])
    assert ("Every training seed" in words) == (seeds > 1)
    assert ("seed 2" in words) == (seeds > 2)
    assert "KL 0.100" in words


def test_a_seed_that_failed_leaves_a_gap():
    results = fake_results(seeds=3)
    del results["agents"]["rl"]["per_seed"][1]
    assert Page(html_report(results)).open == []


def test_the_answers_say_what_the_numbers_say(results):
    far, adds, real = answers(results)
    agents = results["agents"]
    assert far["figure"] == f"{100 * agents['sft']['success']['mean']:.1f}%"
    assert adds["figure"].startswith("+4")
    assert real["figure"] == "yes"
    assert "(+0%)" in real["text"]
    assert any("one training run" in note for note in notes(results)) == (len(agents["sft"]["per_seed"]) == 1)


def test_one_training_run_is_never_said_to_show_what_rl_adds():
    results = fake_results(seeds=1)
    for report in (" ".join(Page(html_report(results)).words), markdown_report(results)):
        assert "These two models differ: " in report
        assert "Do these two models differ?" in report
        assert "whether RL adds anything takes several" in report
        assert not re.search(r"(what|What) (does )?(RL|reinforcement learning) add|gain real", report)


def test_several_training_runs_answer_what_rl_adds():
    results = fake_results(seeds=3)
    for report in (" ".join(Page(html_report(results)).words), markdown_report(results)):
        assert "What does RL add?" in report
        assert "Over 3 training runs, each against the run of SFT that it began from" in report
        assert "models differ" not in report
        assert "McNemar" not in report.replace(results["methods"]["tests"], "")


def test_a_gain_that_is_none_is_not_called_real(results):
    results = copy.deepcopy(results)
    test = next(test for test in results["tests"] if (test["first"], test["second"]) == ("sft_rl", "sft"))
    one = test["speaks_of"] == MODELS
    test.update(significant=False, p_holm=0.4, verdict=NO_DIFFERENCE if one else NOTHING_SHOWN)
    assert answers(results)[2]["figure"] == "not shown"
    assert ("No difference shown between these two models: " in answers(results)[2]["text"]) == one
    loss = {"mean": -0.2, "low": -0.3, "high": -0.1}
    test.update(significant=True, difference=loss, verdict=DIFFER if one else WORSE)
    assert answers(results)[2]["figure"] == ("yes" if one else "it is a loss")
    assert answers(results)[1]["figure"].startswith("−20.0")


def test_a_figure_that_missed_its_aim_is_flagged_with_its_number():
    results = fake_results()
    assert all(aim["met"] for aim in results["aims"])
    assert "Figures that missed" not in html_report(results)
    results["aims"][0].update(met=False, found=0.123)
    for report in (html_report(results), markdown_report(results)):
        assert "issed" in report
        assert "0.123" in report


@pytest.mark.parametrize(
    "missing", [("rl",), ("sft",), ("sft", "sft_rl"), ("rule", "sft_100", "sft_200"), ("do_nothing", "random")]
)
def test_a_report_without_some_agents_still_renders(missing):
    results = fake_results(without=missing)
    words = " ".join(Page(html_report(results)).words)
    assert "Left out" in words
    assert "it failed" in markdown_report(results)


def test_markdown_has_a_row_for_each_agent_and_escapes(results):
    text = markdown_report(results)
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count(" | ") for line in table[: len(results["agents"]) + 2] if "---" not in line}) == 1
    assert "| SFT → RL |" in text


def test_the_files_are_written(results, tmp_path):
    write_reports(results, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "learning.png", "report.html", "report.md", "success.png"
    ]  # fmt: skip
    for picture in ("learning.png", "success.png"):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")
        assert f"({picture})" in (tmp_path / "report.md").read_text()


def test_equal_results_make_equal_pages(results):
    assert html_report(results) == html_report(results)


@pytest.mark.parametrize(
    ("agents", "titles"),
    [
        (["rule", "sft", "sft_rl", "q_learning"], ["language models", "menu agents"]),
        (["rule", "q_learning"], ["menu agents"]),
        (["rule", "sft", "sft_rl"], ["language models"]),
        (["rule", "random"], ["nobody learned by acting"]),
    ],
)
def test_learning_curves_have_no_panel_without_a_curve(agents, titles):
    from dialogym.evaluation.report.charts import learning_figure

    results = fake_results()
    results["agents"] = {name: results["agents"][name] for name in agents}
    with learning_figure(results) as figure:
        assert [panel.get_title(loc="right") for panel in figure.axes] == titles
        assert [panel for panel in figure.axes if panel.get_lines()] == (
            figure.axes if len(agents) > 2 or "q_learning" in agents else []
        )
        assert figure.axes[0].get_ylabel() == "success on validation goals"
