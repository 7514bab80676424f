"""Tables that last: whatever one run is about, they show the whole course folder."""

import csv
import re
from datetime import datetime

import nbformat
import pytest

from helpers.course.intake.owners import NOBODY
from helpers.course.report import changes, tables
from tests.piles import pile
from tests.submissions import RIGHT, filled


@pytest.fixture
def notebook(toys):
    def notebook(page, answers):
        return nbformat.writes(filled(toys[page], answers))

    return notebook


def totals(into):
    with (into / "totals.csv").open(encoding="utf-8", newline="") as file:
        return {(row["student"], row["assignment"]): row["score"] for row in csv.DictReader(file)}


def test_a_later_run_keeps_everybody_elses_marks_and_an_untouched_copy_takes_none(notebook, grade_class, tmp_path):
    into = tmp_path / "grading"
    week_1 = {
        "ada/course/notebooks/01_toy.ipynb": notebook("01_toy", RIGHT),
        "bob/01_toy.ipynb": notebook("01_toy", {}),
        "gus/01_toy.ipynb": "{",
        "hal/essay.pdf": "%PDF",
        "ivy.pdf": "%PDF",
    }
    grade_class(pile(tmp_path / "week 1", week_1), into)
    before = totals(into)
    assert before == {
        ("ada", "01_toy"): "6.0",
        ("bob", "01_toy"): "0.0",
        ("gus", "01_toy"): "",
        ("hal", ""): "",
        (NOBODY, "ivy.pdf"): "",
    }
    (into / "roster.csv").write_bytes("\ufeffStudent;Name\nada;Ada L\nbob;\nzed;Zoë Z\n".encode())
    # Downloaded anew, with a second page in it, and handed in as a whole.
    week_2 = {
        "ada/course/notebooks/01_toy.ipynb": (notebook("01_toy", {}), datetime(2030, 1, 1)),
        "ada/course/notebooks/02_toy.ipynb": notebook("02_toy", RIGHT),
        "bob/01_toy.ipynb": notebook("01_toy", {"double": RIGHT["double"]}),
        "hal/01_toy.ipynb": notebook("01_toy", RIGHT),
    }
    table = grade_class(pile(tmp_path / "week 2", week_2), into)
    after = totals(into)
    assert after.pop(("ada", "02_toy")) != ""
    assert after == {
        ("ada", "01_toy"): "6.0",
        ("bob", "01_toy"): "4.0",
        ("gus", "01_toy"): "",
        ("hal", "01_toy"): "6.0",
        ("bob", "02_toy"): "",
        ("zed", "01_toy"): "",
        ("zed", "02_toy"): "",
    }
    assert {row["verdict"] for row in table if row["student"] == "zed"} == {"nothing handed in"}
    changed = changes.printed(into / "changed.csv")
    assert re.search(r"bob 01_toy: 0\+? -> 4\+?$", changed, re.MULTILINE) and "ada 01_toy" not in changed
    said = [row["message"] for row in table if (row["student"], row["assignment"]) == ("ada", "01_toy")]
    assert "an untouched copy is no submission" in said[0]
    assert "refused" in tables.printed(table)


def test_alone_an_untouched_copy_takes_no_mark_that_was_earned_before(notebook, grade_class, tmp_path):
    into = tmp_path / "grading"
    ada, bob = {"ada/01_toy.ipynb": notebook("01_toy", RIGHT)}, {"bob/01_toy.ipynb": notebook("01_toy", RIGHT)}
    grade_class(pile(tmp_path / "first", ada | bob), into)
    blank = {"ada/01_toy.ipynb": notebook("01_toy", {}), "bob/notes.txt": "x"}
    table = grade_class(pile(tmp_path / "second", blank), into)
    assert totals(into) == {("ada", "01_toy"): "6.0", ("bob", ""): "", ("bob", "01_toy"): "6.0"}
    assert any("nothing in it is answered; what was handed in before counts" in row["message"] for row in table)
    assert tables.total_scores(table)["ada", "01_toy"] == (6.0, 9.0, 1)
