"""Which files a result hangs on beside the package's own: those of the folders that its settings name."""

import pytest

from dialogym.agents import make_agent
from dialogym.agents.files import digest_of
from dialogym.evaluation.digests import changed_files, folder_named_by, other_side_digests


def test_an_opponent_or_partner_that_a_folder_is_named_for_is_known_by_its_files(tmp_path):
    folder = tmp_path / "agent"
    make_agent("rule", "TextDialog-v0").save(folder)
    (tmp_path / "data").mkdir()
    options = {"opponent": str(folder), "noise": 0.15, "data": str(tmp_path / "data")}
    before = other_side_digests(options)
    assert before == {"digests": {str(folder): digest_of(folder)}}
    assert other_side_digests({"partner": f"lm:{folder}?temperature=1"})["digests"] == {
        f"lm:{folder}?temperature=1": digest_of(folder)
    }
    make_agent("do_nothing", "TextDialog-v0").save(folder)
    now = other_side_digests(options)
    assert changed_files(before["digests"], now["digests"]) == f"other files are by now in {folder}"
    assert changed_files(now["digests"], now["digests"]) == ""


@pytest.mark.parametrize("who", ["rule", "self", "http://localhost:8000/v1#tiny", {"model": "tiny"}, print, None])
def test_who_is_named_for_no_folder_has_no_files(who):
    assert folder_named_by(who) is None
    assert other_side_digests({"opponent": who, "partner": who}) == {}
