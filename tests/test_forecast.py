"""What is said before a grading, and that nothing in it is invented."""

from collections import Counter

import pytest

from helpers.course.run.forecast import Forecast


@pytest.fixture
def forecast(tmp_path):
    known = Forecast(tmp_path / "seconds.json")
    for seconds in (9.0, 10.0, 30.0):
        known.note("01_toy", seconds)
    known.note("01_toy, solved", 25.0)
    known.write()
    return Forecast(tmp_path / "seconds.json")


def test_the_time_is_that_of_earlier_runs_of_the_same_kind_shared_by_the_workers(forecast):
    assert forecast.seconds(Counter({"01_toy": 12}), 1) == 120
    assert forecast.seconds(Counter({"01_toy": 12, "01_toy, solved": 1}), 2) == 72.5


def test_nothing_takes_less_than_its_longest_run(forecast):
    assert forecast.seconds(Counter({"01_toy": 1, "01_toy, solved": 1}), 16) == 25


def test_no_time_is_said_where_none_was_measured(forecast):
    assert forecast.seconds(Counter({"02_toy": 1, "01_toy": 1}), 1) is None
    line = forecast.line(2, Counter({"02_toy": 1}), Counter(), 1)
    assert line == "2 notebooks, 1 of them new. How long that takes is not known: nothing like it was run here before."


def test_the_line_counts_what_is_new(forecast):
    none = Counter()
    assert forecast.line(60, none, none, 2) == "60 notebooks, none of them new."
    line = forecast.line(60, Counter({"01_toy": 54}), none, 2)
    assert line == "60 notebooks, 54 of them new: about 4 minutes, as runs took here before."
    line = forecast.line(1, Counter({"01_toy": 1}), Counter({"01_toy, solved": 1}), 2)
    assert line == (
        "1 notebook, 1 of them new, and 1 solved notebook to compare with: about 25 seconds, as runs took here before."
    )


@pytest.mark.parametrize("text", ["", "[]", '{"01_toy": 3}', '{"01_toy": ["x"]}', "{"])
def test_a_file_that_cannot_be_read_tells_nothing(tmp_path, text):
    (tmp_path / "seconds.json").write_text(text)
    assert Forecast(tmp_path / "seconds.json").seconds(Counter({"01_toy": 1}), 1) is None


def test_only_the_last_runs_count(forecast):
    for _ in range(100):
        forecast.note("01_toy", 1.0)
    assert forecast.seconds(Counter({"01_toy": 3}), 1) == 3
