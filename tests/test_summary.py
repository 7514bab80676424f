"""What a feedback page opens with, and which cells it leaves out."""

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell

from helpers.course.report.summary import Line, kept, shown, todo
from tests.handed_out import RELEASE


def test_a_waiting_answer_counts_in_no_total_and_lateness_has_a_heading():
    lines = [
        Line("test_f", "Twice", 3.0, 4, "partly right", "Add."),
        Line("q", "Why <i>?", None, 2, "to be marked", ""),
    ]
    text = shown("A title", lines, 1.5, 3 * 3600).source
    assert "1.5 of 4 points; 2 more wait to be marked" in text
    assert "Why &lt;i&gt;?" in text and "## Late" in text and "3.0 hours after the due date: 1.5 points" in text
    assert "## Late" not in shown("A title", lines, 0, 0).source


@pytest.mark.parametrize(
    ("verdict", "message", "says"),
    [
        ("right", "All 9 parts are right.", ""),
        ("partly right", "2 of 9 parts are right.\nYou took the mean.\nOther: differs", "You took the mean."),
        ("wrong", "shape: found (2,), wanted (3,)", "shape: found (2,), wanted (3,)"),
        ("not answered", "Not answered.", ""),
        ("stopped", "", ""),
    ],
)
def test_what_to_do_is_the_first_thing_that_was_found(verdict, message, says):
    assert todo(verdict, message) == says


def test_what_counts_is_shown_with_its_prose_and_what_is_the_students_own():
    cells = [new_code_cell("mine = 1", id="mine"), *RELEASE.cells, new_markdown_cell("my thoughts", id="thoughts")]
    found = [cell.id for cell in kept(cells, RELEASE.cells)]
    assert found == ["mine", "twice", "f", "test_f", "half", "g", "test_g", "why", "q_why", "thoughts"]
    assert "title" not in found and "setup-1" not in found and "figure" not in found


def test_a_worked_example_that_was_changed_is_the_students_own():
    example = new_code_cell("draw(f)", id="example")
    assert list(kept([example], [example])) == []
    changed = new_code_cell("draw(g)", id="example")
    assert list(kept([changed], [example])) == [changed]


def test_of_prose_only_what_stands_below_its_last_heading_is_shown():
    prose = new_markdown_cell("## Long\n\nmuch\n\n### Exercise\n\ndo", id="prose")
    question = RELEASE.cells[9]
    (first, _) = kept([prose, question], [prose, question])
    assert first.source == "### Exercise\n\ndo" and prose.source.startswith("## Long")
