"""From a folder of submissions to repaired notebooks, with a line for everything that was put right or refused."""

import copy

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from helpers.course.intake import collect, repair


def tagged(cell, grade_id, *, grade=False, solution=False, locked=False, points=None):
    tags = {
        "grade_id": grade_id,
        "grade": grade,
        "solution": solution,
        "locked": locked,
        "schema_version": 3,
        "task": False,
    }
    cell.metadata.nbgrader = tags if points is None else tags | {"points": points}
    cell.id = grade_id
    return cell


RELEASE = new_notebook(
    cells=[
        new_markdown_cell("# Title", id="title"),
        tagged(new_code_cell("import torch"), "setup-1", locked=True),
        tagged(new_code_cell("def f(x):\n    raise NotImplementedError"), "f", solution=True),
        tagged(new_code_cell("check(f)"), "test_f", grade=True, locked=True, points=4),
        new_markdown_cell("Why?", id="why"),
        tagged(new_markdown_cell("*Your answer here.*"), "q_why", grade=True, solution=True, points=2),
    ]
)
ANSWER = "def f(x):\n    return 2 * x"


@pytest.fixture
def submission():
    notebook = copy.deepcopy(RELEASE)
    notebook.cells[2].source = ANSWER
    notebook.cells[5].source = "Because."
    return notebook


def graded(notebook):
    return [cell.metadata.nbgrader.grade_id for cell in notebook.cells if "nbgrader" in cell.metadata]


def by_id(notebook, grade_id):
    return next(cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == grade_id)


ALL = ["setup-1", "f", "test_f", "q_why"]


def test_an_untouched_submission_needs_no_repair(submission):
    repaired, notes = repair(submission, RELEASE)
    assert notes == [] and repaired.cells == submission.cells


def test_repairing_twice_is_repairing_once(submission):
    submission.cells += copy.deepcopy(submission.cells[2:4])
    del submission.cells[1]
    once, _ = repair(submission, RELEASE)
    twice, notes = repair(once, RELEASE)
    assert notes == [] and twice == once


def test_a_copied_test_cell_counts_once(submission):
    submission.cells.insert(2, copy.deepcopy(submission.cells[3]))
    repaired, notes = repair(submission, RELEASE)
    assert graded(repaired) == ALL
    assert len(notes) == 1 and "test_f: 2 copies" in notes[0]
    assert len({cell.id for cell in repaired.cells}) == len(repaired.cells)


def test_of_copied_answers_the_changed_one_counts_even_below_the_stub(submission):
    stub = copy.deepcopy(RELEASE.cells[2])
    submission.cells.insert(3, stub)
    repaired, _ = repair(submission, RELEASE)
    assert by_id(repaired, "f").source == ANSWER
    answer, blank = copy.deepcopy(submission.cells[-1]), copy.deepcopy(RELEASE.cells[5])
    submission.cells[-1:] = [answer, blank]
    repaired, _ = repair(submission, RELEASE)
    assert by_id(repaired, "q_why").source == "Because." and graded(repaired) == ALL


def test_a_deleted_test_cell_comes_back_after_its_answer(submission):
    del submission.cells[3]
    repaired, notes = repair(submission, RELEASE)
    assert graded(repaired) == ALL and notes == ["test_f: the cell was deleted; put back as released"]
    assert repaired.cells[3].source == "check(f)"


def test_a_deleted_answer_is_not_replaced_by_a_stub_that_would_undo_what_stands_elsewhere(submission):
    submission.cells[1].source = "import torch"
    submission.cells[2] = new_code_cell("def f(x):\n    return 2 * x\n\ndef g(x):\n    return f(x)")
    repaired, notes = repair(submission, RELEASE)
    assert by_id(repaired, "f").source.startswith(ANSWER) and "found again by its content" in notes[0]
    del submission.cells[2]
    repaired, notes = repair(submission, RELEASE)
    assert graded(repaired) == ["setup-1", "test_f", "q_why"] and notes == ["f: the cell was deleted"]


def test_lost_grading_data_is_found_again_by_content(submission):
    for cell in submission.cells:
        cell.metadata.pop("nbgrader", None)
        del cell["id"]
    repaired, notes = repair(submission, RELEASE)
    assert by_id(repaired, "f").source == ANSWER and by_id(repaired, "test_f").source == "check(f)"
    assert by_id(repaired, "q_why").source == "Because."
    assert {note.split(":")[0] for note in notes} == set(ALL)


def test_changed_points_types_tests_and_schema_are_put_back(submission):
    submission.cells[3].metadata.nbgrader.points = 400
    submission.cells[3].source = "pass"
    submission.cells[3].cell_type = "markdown"
    submission.cells[2].metadata.nbgrader.schema_version = 99
    submission.cells[2].metadata.nbgrader.grade = True
    repaired, notes = repair(submission, RELEASE)
    test = by_id(repaired, "test_f")
    assert (test.cell_type, test.source, test.metadata.nbgrader.points) == ("code", "check(f)", 4)
    assert by_id(repaired, "f").metadata == RELEASE.cells[2].metadata
    assert len(notes) == 2
    nbformat.validate(repaired)


def test_unknown_and_broken_grading_data_is_dropped(submission):
    submission.cells.append(tagged(new_code_cell("1"), "bonus", grade=True, points=50))
    submission.cells.append(new_code_cell("2", metadata={"nbgrader": {}}))
    submission.cells.append(new_code_cell("3", metadata={"nbgrader": {"points": "many"}}))
    submission.metadata.widgets = {"application/vnd.jupyter.widget-state+json": {}}
    repaired, _ = repair(submission, RELEASE)
    assert graded(repaired) == ALL and "widgets" not in repaired.metadata


def test_missing_and_repeated_cell_ids_are_renewed(submission):
    for cell in submission.cells[:4]:
        cell.id = "same"
    del submission.cells[5]["id"]
    repaired, _ = repair(submission, RELEASE)
    assert len({cell.id for cell in repaired.cells}) == 6
    nbformat.validate(repaired)


def hand_in(folder, text):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "01_saliency.ipynb"
    path.write_text(text if isinstance(text, str) else nbformat.writes(text), "utf-8")
    return path


@pytest.mark.parametrize("layout", ["{}", "{}/01_saliency", "submitted/{}/01_saliency"])
def test_both_layouts_are_found(tmp_path, submission, layout):
    for student in ("ada", "bob with space"):
        hand_in(tmp_path / layout.format(student), submission)
    found = collect(tmp_path, {"01_saliency": RELEASE})
    assert [(item.student, item.assignment, item.refused) for item in found] == [
        ("ada", "01_saliency", ""),
        ("bob with space", "01_saliency", ""),
    ]


@pytest.mark.parametrize(
    "text",
    ["", "not json", "[1, 2]", "{}", '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', "\x00\x01"],
)
def test_what_is_no_notebook_is_refused_with_a_reason_and_stops_nobody(tmp_path, submission, text):
    hand_in(tmp_path / "ada", submission)
    hand_in(tmp_path / "broken", text)
    ada, broken = collect(tmp_path, {"01_saliency": RELEASE})
    assert not ada.refused and ada.notebook is not None
    assert broken.refused.startswith("01_saliency.ipynb cannot be read as a notebook: ") and broken.notebook is None


def test_other_things_in_the_folder_get_a_clear_line(tmp_path, submission):
    hand_in(tmp_path / "ada", submission).rename(tmp_path / "ada" / "homework.ipynb")
    (tmp_path / "bob").mkdir()
    hand_in(tmp_path / "carl", "x").unlink()
    (tmp_path / "carl" / "01_saliency.ipynb").mkdir()
    original = hand_in(tmp_path / "dora", submission)
    (tmp_path / "eve").mkdir()
    (tmp_path / "eve" / "01_saliency.ipynb").symlink_to(original)
    hand_in(tmp_path / "fay", submission).write_bytes(b"\xff\xfe not utf-8")
    found = {item.student: item.refused for item in collect(tmp_path, {"01_saliency": RELEASE})}
    assert "homework.ipynb is the notebook of no assignment; known are 01_saliency" in found["ada"]
    assert found["bob"] == "there is no notebook in this folder"
    assert "not a plain file" in found["carl"] and "not a plain file" in found["eve"]
    assert found["dora"] == ""
    assert "cannot be read" in found["fay"]


def test_old_formats_are_read(tmp_path, submission):
    old = nbformat.convert(copy.deepcopy(submission), 3)
    hand_in(tmp_path / "ada", nbformat.v3.nbjson.writes(old))
    (ada,) = collect(tmp_path, {"01_saliency": RELEASE})
    assert graded(ada.notebook) == ALL


@pytest.mark.parametrize("make", [lambda p: p / "nowhere", lambda p: p])
def test_a_wrong_folder_is_an_error_that_says_what_was_wanted(tmp_path, make):
    with pytest.raises(FileNotFoundError, match="wanted"):
        collect(make(tmp_path), {})
