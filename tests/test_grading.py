"""From a folder of submissions to gradebook, tables and feedback pages."""

import os
import shutil
import subprocess
import sys

import pytest
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI

from helpers import COURSE
from helpers.course import grade
from helpers.course.pages import registry
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
    mine = shutil.copy(TOYS / "01_toy.py", tmp_path)
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


def test_a_missing_folder_ends_with_one_sentence():
    done = subprocess.run(
        [sys.executable, "-m", "helpers.course", "grade", "no/such/folder"],
        cwd=COURSE,
        env=os.environ | {"PYTHONPATH": str(COURSE)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and done.stderr.strip().startswith("found no folder no/such/folder; wanted")
