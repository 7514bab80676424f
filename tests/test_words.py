"""Counts and shortened texts read as a person would write them."""

import pytest

from helpers.words import counted, first_line, shortened


@pytest.mark.parametrize(("number", "said"), [(0, "0 words"), (1, "1 word"), (2, "2 words")])
def test_a_count_has_its_noun(number, said):
    assert counted(number, "word") == said


def test_a_long_text_is_cut_to_its_width_and_a_short_one_is_not():
    assert shortened("a  map of\nscores", 15) == "a map of scores"
    assert shortened("a map of the scores", 12) == "a map of..."
    assert len(shortened("x" * 99, 40)) == 40


def test_the_first_line_is_one_with_text():
    assert first_line("\n  \n  first \nsecond") == "first"
    assert first_line(" \n") == ""
