"""What an instructor sets in course.toml, and what is said where it is wrong."""

from datetime import datetime, timezone

import pytest

from helpers.course.pages import terms as module
from helpers.course.pages.terms import MalformedTerms, terms

GOOD = 'name = "A course"\nrepository = "https://example.org/course"\nbranch = "main"\n'


def read(tmp_path, text):
    path = tmp_path / "course.toml"
    path.write_text(text, "utf-8")
    return terms(path)


def test_the_file_of_the_course_is_well_formed():
    assert terms().name and 0 <= terms().per_day <= 1


def test_due_times_are_kept_in_utc_and_what_is_left_out_costs_nothing(tmp_path):
    found = read(tmp_path, GOOD + "[due]\n01_saliency = 2027-03-01T23:59:00+01:00\n")
    assert found.due == {"01_saliency": datetime(2027, 3, 1, 22, 59, tzinfo=timezone.utc)}
    assert (found.per_day, found.grace_minutes, found.is_placed) == (0, 0, True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = ", "course.toml"),
        ('name = "A course"', "there is no repository"),
        (GOOD + "brunch = 1", "brunch: unknown"),
        (GOOD.replace('"A course"', "3"), "name: found 3; wanted a text"),
        (GOOD + "late = 3", "late: found 3; wanted a table"),
        (GOOD + "[late]\nper_day = 10", "late.per_day: found 10; wanted a number from 0 to 1"),
        (GOOD + "[late]\nper_day = true", "late.per_day: found True"),
        (GOOD + "[late]\ngrace_minutes = -1", "late.grace_minutes: found -1; wanted a number from 0"),
        (GOOD + "[late]\nper_week = 1", "late.per_week: unknown"),
        (GOOD + "[due]\n01_salency = 2027-03-01T23:59:00+01:00", "due.01_salency: unknown; wanted one of 01_saliency"),
        (GOOD + "[due]\n01_saliency = 2027-03-01T23:59:00", "wanted a time with its zone"),
        (GOOD + "[due]\n01_saliency = 2027-03-01", "wanted a time with its zone"),
        (GOOD + '[due]\n01_saliency = "1 March"', "found '1 March'; wanted a time with its zone"),
        (GOOD + '[gradescope]\nshow_scores = "later"', "found 'later'; wanted one of visible, after_due_date"),
        (GOOD + "[gradescope]\nshow = 1", "gradescope.show: unknown"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, says):
    with pytest.raises(MalformedTerms) as found:
        read(tmp_path, text)
    assert says in str(found.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MalformedTerms, match=r"nowhere\.toml"):
        terms(tmp_path / "nowhere.toml")


def test_the_address_it_comes_with_is_a_placeholder():
    assert module.PLACEHOLDER in "https://github.com/your-organisation/looking-inside-cnns"
