"""From a folder of submissions to gradebook, tables and feedback pages."""

import os
import re
import shutil
import subprocess
import sys
from datetime import datetime, timezone

import pytest
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI

from helpers import COURSE
from helpers.course import grade
from helpers.course.pages import registry
from helpers.course.pages.terms import Terms
from helpers.course.report import tables
from tests.submissions import RIGHT, TOYS, filled, hand_in

FULL = {"test_double": ("4", "right"), "test_half": ("2", "right"), "q_half": ("", "to be marked")}


@pytest.fixture
def right(toys):
    return filled(toys["01_toy"], RIGHT)


def scores(table, student):
    return {row["question"]: (row["score"], row["verdict"]) for row in table if row["student"] == student}


def test_marks_by_hand_survive_a_second_grading_which_runs_nothing_again(right, grade_class, tmp_path):
    hand_in(right, tmp_path / "class", "ada")
    into = tmp_path / "grading"
    grade_class(tmp_path / "class", into)
    with Gradebook(f"sqlite:///{into}/gradebook.db") as gradebook:
        marked = gradebook.find_grade("q_half", "01_toy", "01_toy", "ada")
        marked.manual_score, marked.needs_manual_grade = 2.5, False  # as formgrader does
        gradebook.db.commit()
    before = {path: path.stat().st_mtime_ns for path in (into / "runs").iterdir()}
    table = grade_class(tmp_path / "class", into)
    assert {path: path.stat().st_mtime_ns for path in (into / "runs").iterdir()} == before
    assert scores(table, "ada") == FULL | {"q_half": ("2.5", "marked")}
    assert tables.total_scores(table) == {("ada", "01_toy"): (8.5, 9.0, 0)}


@pytest.mark.kernel
def test_a_page_outside_solutions_is_found_by_whatever_grades_the_folder_again(tmp_path):
    mine = tmp_path / "01_toy.py"
    shutil.copy(TOYS / "01_toy.py", mine)
    page = registry.read(mine)
    hand_in(filled(page, RIGHT), tmp_path / "class", "ada")
    hand_in(filled(page, RIGHT | {"double": page.mutants("double")[0].source}), tmp_path / "class", "bob")
    into = tmp_path / "grading"
    table = grade.grade(tmp_path / "class", into, workers=1, page_paths=[mine], unsafe=True)
    assert scores(table, "ada") == FULL
    assert scores(table, "bob") == FULL | {"test_double": ("0", "wrong")}

    # As formgrader's button does.
    api = NbGraderAPI(config=grade.nbgrader_config(into))
    shutil.rmtree(into / "autograded")
    assert api.autograde("01_toy", "bob")["success"]
    assert "You squared x." in (into / "autograded" / "bob" / "01_toy" / "01_toy.ipynb").read_text("utf-8")
    # As `make grade SUBMISSIONS=grading/submitted` does.
    assert grade.grade(into / "submitted", into, workers=1, unsafe=True) == table

    mine.unlink()
    outcome = api.autograde("01_toy", "bob")
    assert not outcome["success"] and outcome["log"].count(f"found no page at {mine}; put it back") == 1


def test_a_late_submission_loses_its_share_and_extra_time_gives_it_back(right, grade_class, tmp_path, monkeypatch):
    hand_in(right, tmp_path / "class" / "ada", "01_toy")  # nbgrader's tree, which has timestamps
    (tmp_path / "class" / "ada" / "01_toy" / "timestamp.txt").write_text("2026-03-02 12:00:00 UTC")
    into, plain = tmp_path / "grading", grade.nbgrader_config

    def strict(folder):
        config = plain(folder)
        config.LatePenalty.per_day = 0.5
        return config

    monkeypatch.setattr(grade, "nbgrader_config", strict)
    grade_class(tmp_path / "class", into)
    with Gradebook(f"sqlite:///{into}/gradebook.db") as gradebook:
        gradebook.update_or_create_assignment("01_toy", duedate="2026-03-02 09:00:00 UTC")
    table = grade_class(tmp_path / "class", into)
    assert scores(table, "ada")["late_penalty"] == ("-3", "late")
    assert tables.total_scores(table)["ada", "01_toy"] == (3.0, 9.0, 1)
    assert "ada,01_toy,late_penalty,-3,0,late,handed in 3.0 hours late" in (into / "grades.csv").read_text()
    (into / "extra_time.csv").write_text("student,assignment,hours\nada,01_toy,4\n")
    table = grade_class(tmp_path / "class", into)
    assert tables.total_scores(table)["ada", "01_toy"] == (6.0, 9.0, 1)


def test_a_due_date_of_the_course_counts_in_the_gradebook(right, grade_class, tmp_path, monkeypatch):
    hand_in(right, tmp_path / "class" / "ada", "01_toy")
    (tmp_path / "class" / "ada" / "01_toy" / "timestamp.txt").write_text("2026-03-02 12:00:00 UTC")
    due = {"01_toy": datetime(2026, 3, 2, 9, tzinfo=timezone.utc)}
    monkeypatch.setattr(grade, "terms", lambda: Terms("A course", "https://example.org", "main", due=due))
    grade_class(tmp_path / "class", tmp_path / "grading")
    with Gradebook(f"sqlite:///{tmp_path}/grading/gradebook.db") as gradebook:
        assert gradebook.find_submission("01_toy", "ada").total_seconds_late == 3 * 3600


@pytest.mark.slow
def test_a_missing_folder_ends_with_one_sentence():
    done = subprocess.run(
        [sys.executable, "-m", "helpers.course", "grade", "no/such/folder"],
        cwd=COURSE,
        env=os.environ | {"PYTHONPATH": str(COURSE)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and done.stderr.strip().startswith("found no folder no/such/folder; wanted")


@pytest.fixture
def recorded(monkeypatch):
    """The students that were recorded, in order."""
    students, plain = [], grade.record

    def record(submission, *rest):
        students.append(submission.student)
        plain(submission, *rest)

    monkeypatch.setattr(grade, "record", record)
    return students


@pytest.mark.slow
def test_a_line_before_the_run_says_how_much_is_new(right, tmp_path, capsys):
    hand_in(right, tmp_path / "class", "ada")
    into, paths = tmp_path / "grading", [TOYS / "01_toy.py"]

    def said():
        grade.grade(tmp_path / "class", into, workers=1, page_paths=paths, unsafe=True)
        return capsys.readouterr().err.splitlines()[0]

    assert said().startswith("1 notebook, 1 of them new, and 1 solved notebook to compare with. How long that takes")
    assert said() == "1 notebook, none of them new."
    hand_in(filled(registry.read(paths[0]), RIGHT | {"half": "def half(x):\n    return x"}), tmp_path / "class", "ada")
    hand_in(right, tmp_path / "class", "bob")  # as ada's was
    assert re.fullmatch(r"2 notebooks, 1 of them new: about \d+ seconds?, as runs took here before\.", said())


def test_only_what_changed_is_recorded_again(toys, right, grade_class, tmp_path, recorded):
    page, into = toys["01_toy"], tmp_path / "grading"
    for student in ("ada", "bob", "eve"):
        hand_in(right, tmp_path / "class", student)

    def again():
        recorded.clear()
        return grade_class(tmp_path / "class", into)

    table = again()
    assert recorded == ["ada", "bob", "eve"]
    assert again() == table and recorded == []

    with Gradebook(f"sqlite:///{into}/gradebook.db") as gradebook:
        marked = gradebook.find_grade("q_half", "01_toy", "01_toy", "bob")
        marked.manual_score, marked.needs_manual_grade = 2.5, False  # as formgrader does
        gradebook.db.commit()
    table = again()
    assert recorded == ["bob"] and scores(table, "bob")["q_half"] == ("2.5", "marked")
    assert again() == table and recorded == []

    with Gradebook(f"sqlite:///{into}/gradebook.db") as gradebook:
        found = gradebook.find_comment("q_half", "01_toy", "01_toy", "bob")
        found.manual_comment = "Well said."
        gradebook.db.commit()
    again()
    assert recorded == ["bob"]
    assert "Well said." in (into / "feedback" / "bob" / "01_toy" / "01_toy.html").read_text("utf-8")

    hand_in(filled(page, RIGHT | {"double": page.mutants("double")[0].source}), tmp_path / "class", "eve")
    assert scores(again(), "eve")["test_double"] == ("0", "wrong")
    assert recorded == ["eve"]

    (into / "extra_time.csv").write_text("student,assignment,hours\nada,01_toy,4\n")
    again()
    assert recorded == ["ada"]

    (into / "feedback" / "eve" / "01_toy" / "01_toy.html").unlink()
    again()
    assert recorded == ["eve"]


@pytest.mark.slow
def test_a_changed_page_or_late_rule_is_recorded_for_all_it_concerns(right, tmp_path, recorded, monkeypatch):
    mine = tmp_path / "01_toy.py"
    shutil.copy(TOYS / "01_toy.py", mine)
    hand_in(right, tmp_path / "class", "ada")
    hand_in(right, tmp_path / "class", "bob")

    def again():
        recorded.clear()
        grade.grade(tmp_path / "class", tmp_path / "grading", workers=1, page_paths=[mine], unsafe=True)
        return recorded

    assert again() == ["ada", "bob"] and again() == []
    mine.write_text(mine.read_text("utf-8").replace("You squared x.", "You took the square of x."), "utf-8")
    assert again() == ["ada", "bob"] and again() == []
    plain = grade.nbgrader_config

    def strict(folder):
        config = plain(folder)
        config.LatePenalty.per_day = 0.5
        return config

    monkeypatch.setattr(grade, "nbgrader_config", strict)
    assert again() == ["ada", "bob"] and again() == []
