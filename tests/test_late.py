"""Late penalties through nbgrader's plugin, with extra time for those who have it."""

import pytest
from nbgrader.preprocessors import AssignLatePenalties

from helpers.course.marks.late import DAY, LatePenalty, extra_hours


@pytest.fixture
def plugin(tmp_path):
    preprocessor = AssignLatePenalties()
    preprocessor.db_url, preprocessor.assignment_id = f"sqlite:///{tmp_path}/gradebook.db", "01"
    return LatePenalty(parent=preprocessor, per_day=0.25, grace_minutes=30)


@pytest.mark.parametrize(
    ("seconds", "penalty"),
    [(60, None), (30 * 60, None), (30 * 60 + 1, 2), (DAY, 2), (DAY + 31 * 60, 4), (3.5 * DAY, 8), (40 * DAY, 8)],
)
def test_each_day_begun_costs_its_share_and_never_more_than_the_score(plugin, seconds, penalty):
    assert plugin.late_submission_penalty("ada", 8.0, seconds) == penalty


def test_extra_time_is_for_one_student_and_one_assignment(plugin, tmp_path):
    (tmp_path / "extra_time.csv").write_text("student,assignment,hours\nada,01,48\nbob,02,48\n")
    assert plugin.late_submission_penalty("ada", 8.0, 2 * DAY) is None
    assert plugin.late_submission_penalty("bob", 8.0, 2 * DAY) == 4.0


@pytest.mark.parametrize("text", ["student,hours\nada,3\n", "student,assignment,hours\nada,01,many\n"])
def test_a_wrong_table_says_what_was_wanted(tmp_path, text):
    (tmp_path / "extra_time.csv").write_text(text)
    with pytest.raises(ValueError, match="wanted the columns student, assignment and hours"):
        extra_hours(tmp_path / "extra_time.csv")
