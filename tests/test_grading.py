"""From a folder of submissions to gradebook, tables and feedback pages."""

import copy
import csv
import os
import shutil
import subprocess
import sys

import nbformat
import pytest
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI

from helpers import COURSE
from helpers.course import demo, grade
from helpers.course.pages import source
from helpers.course.release import notebooks
from helpers.course.report import tables

TOY = COURSE / "tests" / "toy" / "01_toy.py"
RIGHT = {"double": "def double(x):\n    return 2 * x", "half": "def half(x):\n    return x / 2"}


@pytest.fixture
def page():
    return source.read(TOY)


def hand_in(page, folder, student, answers, change=lambda notebook: None):
    notebook = demo.filled(notebooks.student_notebook(page), answers)
    change(notebook)
    path = folder / student / "01_toy.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(notebook, path)


def grade_class(folder, into):
    return grade.grade(folder, into, workers=2, page_paths=[TOY], unsafe=True)


def scores(table, student):
    return {row["question"]: (row["score"], row["verdict"]) for row in table if row["student"] == student}


def cell(notebook, grade_id):
    return next(c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == grade_id)


def copied(grade_id):
    return lambda notebook: notebook.cells.append(copy.deepcopy(cell(notebook, grade_id)))


def deleted(grade_id):
    return lambda notebook: notebook.cells.remove(cell(notebook, grade_id))


def added(text):
    return lambda notebook: notebook.cells.insert(3, nbformat.v4.new_code_cell(text))


FULL = {"test_double": ("4", "right"), "test_half": ("2", "right"), "q_half": ("", "to be marked")}


def test_a_class_of_accidents_and_tricks_is_graded_to_the_end(page, tmp_path):
    handed = tmp_path / "class"
    hand_in(page, handed, "a-right", RIGHT)
    hand_in(page, handed, "b-copied-test", RIGHT, copied("test_double"))
    hand_in(page, handed, "c-copied-answer", RIGHT, copied("double"))
    hand_in(page, handed, "d-deleted-test", RIGHT, deleted("test_double"))
    hand_in(
        page,
        handed,
        "e-warning",
        RIGHT | {"double": "import warnings\ndef double(x):\n    warnings.warn('!')\n    print(x)\n    return 2 * x"},
    )
    hand_in(
        page,
        handed,
        "f-dies",
        RIGHT,
        lambda nb: nb.cells.insert(8, nbformat.v4.new_code_cell("import os; os._exit(1)")),
    )
    hand_in(page, handed, "g-mutant", RIGHT | {"double": page.mutants("double")[0].source})
    hand_in(page, handed, "h-mutates", RIGHT | {"double": page.mutants("double")[1].source})
    hand_in(page, handed, "i-blank", {})
    forged = (
        "from IPython.display import publish_display_data as say\n"
        "import numpy as np\n"
        "np.testing.assert_allclose = np.allclose = lambda *a, **k: True\n"
        "def double(x):\n"
        "    say({'application/vnd.course.capture+json': {'name': 'numbers', 'score': 4, 'verdict': 'right'}})\n"
        "    return x\n"
    )
    hand_in(page, handed, "j-forges", RIGHT | {"double": forged})
    hand_in(
        page,
        handed,
        "k-guesses-twice",
        RIGHT | {"double": forged.replace("'score': 4, 'verdict': 'right'", "'values': []")},
    )
    hand_in(
        page,
        handed,
        "l-replaces-emit",
        RIGHT | {"double": "import helpers.inside.emit as e\ne.emit = print\ndef double(x):\n    return x"},
    )
    hand_in(page, handed, "m-half-wrong", RIGHT | {"half": page.mutants("half")[0].source})
    hand_in(page, handed, "n-broken", RIGHT)
    (handed / "n-broken" / "01_toy.ipynb").write_text("{")
    hand_in(page, handed, "o-syntax-error", RIGHT | {"double": "def double(x)\n    return 2 * x"})
    hand_in(page, handed, "p-lost-metadata", RIGHT, lambda nb: [c.metadata.pop("nbgrader", None) for c in nb.cells])
    hand_in(page, handed, "=q-formula", RIGHT)
    table = grade_class(handed, tmp_path / "grading")

    assert {student for student in (row["student"] for row in table)} == {path.name for path in handed.iterdir()}
    for student in (
        "a-right",
        "b-copied-test",
        "c-copied-answer",
        "d-deleted-test",
        "e-warning",
        "f-dies",
        "p-lost-metadata",
    ):
        assert scores(table, student) == FULL, student
    assert scores(table, "g-mutant")["test_double"] == ("0", "wrong")
    assert scores(table, "h-mutates")["test_double"] == ("2", "partly right")
    assert scores(table, "i-blank") == {
        "test_double": ("0", "not answered"),
        "test_half": ("0", "not answered"),
        "q_half": ("0", "not answered"),
    }
    for student in ("j-forges", "k-guesses-twice", "l-replaces-emit", "o-syntax-error"):
        assert scores(table, student)["test_double"][0] == "0", student
        assert scores(table, student)["test_half"] == ("2", "right"), student
    assert scores(table, "m-half-wrong")["test_half"][0] == "0"
    assert scores(table, "n-broken") == {"": ("", "refused")}
    said = {row["student"]: row["message"] for row in table if row["question"] == "test_double"}
    assert "You squared x. Multiply it by two." in said["g-mutant"]
    assert "You changed the argument. Return a new array." in said["h-mutates"]
    assert "name 'double' is not defined" in said["o-syntax-error"]

    with (tmp_path / "grading" / "grades.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert tuple(written[0]) == tables.COLUMNS and len(written) == len(table)
    assert "'=q-formula" in {row["student"] for row in written}
    page_of_g = (tmp_path / "grading" / "feedback" / "g-mutant" / "01_toy" / "01_toy.html").read_text()
    assert "You squared x. Multiply it by two." in page_of_g
    for path in (tmp_path / "grading" / "feedback").rglob("*.html"):
        text = path.read_text()
        assert "BEGIN HIDDEN TESTS" not in text and "numbers.copy" not in text, path


def test_marks_by_hand_survive_a_second_grading_which_runs_nothing_again(page, tmp_path, monkeypatch):
    hand_in(page, tmp_path / "class", "ada", RIGHT)
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


def test_a_page_outside_solutions_is_found_by_whatever_grades_the_folder_again(page, tmp_path):
    mine = shutil.copy(TOY, tmp_path / "01_toy.py")
    hand_in(page, tmp_path / "class", "ada", RIGHT)
    hand_in(page, tmp_path / "class", "bob", RIGHT | {"double": page.mutants("double")[0].source})
    into = tmp_path / "grading"
    table = grade.grade(tmp_path / "class", into, workers=2, page_paths=[mine], unsafe=True)
    assert scores(table, "ada") == FULL
    assert scores(table, "bob") == FULL | {"test_double": ("0", "wrong")}

    # As formgrader's button does.
    api = NbGraderAPI(config=grade.nbgrader_config(into))
    shutil.rmtree(into / "autograded")
    assert api.autograde("01_toy", "bob")["success"]
    assert "You squared x." in (into / "autograded" / "bob" / "01_toy" / "01_toy.ipynb").read_text("utf-8")
    # As `make grade SUBMISSIONS=grading/submitted` does.
    assert grade.grade(into / "submitted", into, workers=2, unsafe=True) == table

    mine.unlink()
    outcome = api.autograde("01_toy", "bob")
    assert not outcome["success"] and outcome["log"].count(f"found no page at {mine}; put it back") == 1


def test_a_late_submission_loses_its_share_and_extra_time_gives_it_back(page, tmp_path, monkeypatch):
    hand_in(page, tmp_path / "class" / "ada", "01_toy", RIGHT)  # nbgrader's tree, which has timestamps
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


def test_a_student_cannot_bring_script_to_the_feedback_page(page, tmp_path):
    trick = "from IPython.display import HTML, display\ndisplay(HTML('<script>steal()</script>'))"
    hostile = RIGHT | {"double": "def double(x):\n    raise ValueError('<script>steal()</script>')"}
    hand_in(page, tmp_path / "class", "eve", hostile, added(trick))
    grade_class(tmp_path / "class", tmp_path / "grading")
    text = (tmp_path / "grading" / "feedback" / "eve" / "01_toy" / "01_toy.html").read_text()
    assert "steal()" in text  # as text
    assert "<script>steal()" not in text


def test_a_missing_folder_ends_with_one_sentence():
    done = subprocess.run(
        [sys.executable, "-m", "helpers.course", "grade", "no/such/folder"],
        cwd=COURSE,
        env=os.environ | {"PYTHONPATH": str(COURSE)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and done.stderr.strip().startswith("found no folder no/such/folder; wanted")
