"""The hand-in check: what it says of notebooks in every state, and the file it writes."""

import copy
import json
import os
import re
import subprocess
import sys
import time
import types
from datetime import datetime, timedelta
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from helpers import COURSE, handin
from helpers.course.intake import repair
from helpers.course.pages import source
from helpers.course.release import handout, notebooks
from helpers.handin import answers, assignment, cells, running
from helpers.handin import report as reports

PAGE = '''
# %% [markdown]
# # A small assignment

# %% setup
import math

# %% [markdown]
# ### Exercise 1.1: twice

# %% exercise="double" minutes=1 difficulty=1
def double(x):
    """Return 2 x."""
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION

# %% check="double" points=4
assert double(3) == 6, f"double(3) is {double(3)}, wanted 6"
### BEGIN HIDDEN TESTS
assert double(4) == 8
### END HIDDEN TESTS

# %% figure="numbers"
drawn = [double(n) for n in range(3)]
drawn

# %% [markdown]
# ### Exercise 1.2: half

# %% exercise="half" minutes=1 difficulty=1
def half(x):
    """Return x / 2."""
    ### BEGIN SOLUTION
    return x / 2
    ### END SOLUTION

# %% check="half" points=2
assert math.isclose(half(double(3)), 3), f"half(6) is {half(6)}, wanted 3"
### BEGIN HIDDEN TESTS
assert half(4) == 2
### END HIDDEN TESTS

# %% [markdown]
# What you made of it so far:

# %%
four = half(double(4))

# %% [markdown]
# ### Question 1: one number
#
# Is every number twice its half?

# %% [markdown] question="q_one" points=2 words=8
# ### BEGIN SOLUTION
# **Model answer.** Yes.
#
# **Rubric.**
#
# - 2 points: yes.
# ### END SOLUTION

# %% [markdown]
# ### Question 2: a picture
#
# What does the map show?

# %% local
from helpers.writeup import saved_figure

# %% local
saved_figure("01_saliency-maps")

# %% [markdown] question="q_two" points=2
# ### BEGIN SOLUTION
# **Model answer.** The object.
#
# **Rubric.**
#
# - 2 points: the object.
# ### END SOLUTION

# %% [markdown]
# ## Recap
#
# Numbers have halves.
'''
NAME = "01_small"
FIGURE = 'saved_figure("01_saliency-maps")'
PNG = new_output("display_data", {"image/png": "iVBORw0KGgo="})
DOUBLE, HALF = "def double(x):\n    return 2 * x", "def half(x):\n    return x / 2"
ONE, TWO = "Yes: half of it, and twice that.", "It shows where the score is steep."


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """Return the small assignment and its notebook as handed out."""
    path = tmp_path_factory.mktemp("page") / "solutions" / f"{NAME}.py"
    path.parent.mkdir()
    path.write_text(PAGE.lstrip(), "utf-8")
    page = source.read(path)
    notebook = notebooks.student_notebook(page)
    return handout.assignment(page, notebook, "A course"), notebook


class Student:
    """A student's notebook in a folder, and the hand-in check run on it."""

    def __init__(self, released, notebook, folder, capsys):
        self.released, self.notebook, self.capsys = released, copy.deepcopy(notebook), capsys
        self.handed_out = notebook
        self.path = folder / f"{NAME}.ipynb"
        for name, answer in {"double": DOUBLE, "half": HALF, "q_one": ONE, "q_two": TWO}.items():
            self.cell(name).source = answer
        self.figure.outputs = [PNG]

    def cell(self, name):
        """Return the first cell with a grade id."""
        return next(c for c in self.notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == name)

    def of(self, text):
        """Return the first cell with a text in it."""
        return next(cell for cell in self.notebook.cells if text in cell.source)

    @property
    def figure(self):
        return self.of(FIGURE)

    def delete(self, cell):
        self.notebook.cells.remove(cell)

    def insert(self, cell, after=None):
        """Put a cell below another, at the top without one."""
        at = 0 if after is None else next(n for n, c in enumerate(self.notebook.cells) if c is after) + 1
        self.notebook.cells.insert(at, cell)

    def copy(self, name, **changes):
        """Paste a copy of a cell with a grade id below it, as JupyterLab does: with its metadata."""
        pasted = copy.deepcopy(self.cell(name)) | {"id": "pasted-cell"} | changes
        self.insert(nbformat.from_dict(pasted), after=self.cell(name))

    def save(self):
        self.path.write_text(json.dumps(self.notebook), "utf-8")

    def hand_in(self, *, run=False):
        """Save the notebook and hand it in; return what is printed."""
        self.save()
        handin.hand_in(NAME, self.path, run=run)
        return self.capsys.readouterr().out

    @property
    def file(self):
        return self.path.parent / "hand-in" / f"{NAME}.ipynb"

    def found(self):
        return answers.find(self.released, self.notebook.cells)


@pytest.fixture
def student(small, tmp_path, capsys, monkeypatch):
    """Return a student who has answered everything."""
    released, notebook = small
    monkeypatch.setattr(handin, "handed_out", {NAME: released}.__getitem__)
    monkeypatch.setenv("PYTHONPATH", str(COURSE))
    monkeypatch.setenv("COURSE_FIGURES", str(tmp_path / "figures"))
    return Student(released, notebook, tmp_path, capsys)


def row(report, name):
    """Return mark and remark of the row of a report that is about `name`."""
    (line,) = [line for line in report.splitlines() if re.match(rf"  \w+ +{re.escape(name)}(  |$)", line)]
    mark, _, remark = line.strip().partition(" ")
    return mark, remark.strip().removeprefix(name).strip()


def flat(report):
    """Return a report as one line."""
    return " ".join(report.split())


def verdict(report):
    """Return the verdict, however many lines it takes."""
    return flat(report.split("\n\n")[0])


def todo(report):
    """Return what is to do, in one line; "" where there is nothing."""
    parts = [part for part in report.split("\n\n") if part.startswith("To do\n")]
    return flat(parts[0]) if parts else ""


# ------------------------------------------------------------------------------------------------ answers


@pytest.mark.kernel
def test_a_whole_notebook_is_ready(student):
    report = student.hand_in(run=True)
    assert verdict(report) == f"{NAME}: Ready to hand in."
    assert todo(report) == ""
    assert row(report, "Exercise 1.1: twice") == ("ok", "its check passes")
    assert row(report, "Exercise 1.2: half") == ("ok", "its check passes")
    assert row(report, "Question 1: one number") == ("ok", "7 of 8 words")
    assert row(report, "Question 2: a picture") == ("ok", "7 words")
    assert row(report, "01_saliency-maps") == ("ok", "shown")
    assert row(report, "cells that count") == ("ok", "none deleted, copied or edited")
    assert report.splitlines()[-1] == f"Hand in: {student.file}"


@pytest.mark.kernel
def test_an_untouched_notebook_is_not_answered_and_has_no_errors_of_its_own(student):
    student.notebook = copy.deepcopy(student.handed_out)
    report = student.hand_in(run=True)
    assert (
        verdict(report) == f"{NAME}: Not ready: 2 exercises not answered; 2 questions not answered; 1 figure missing."
    )
    assert row(report, "Exercise 1.1: twice") == ("missing", "not answered")
    assert "Answer Exercise 1.1, Exercise 1.2." in todo(report)
    assert row(report, "3 cells") == ("waits", "for Exercise 1.1, Exercise 1.2")
    assert "fails" not in report


def test_an_answer_over_the_limit_is_told_with_both_numbers(student):
    student.cell("q_one").source = "one two three four five six seven eight nine"
    report = student.hand_in()
    assert row(report, "Question 1: one number") == ("over", "9 of 8 words")
    assert "1 answer over the word limit" in verdict(report) and "Shorten Question 1." in todo(report)


def test_an_emptied_answer_is_none(student):
    student.cell("q_one").source, student.cell("double").source = " \n", ""
    report = student.hand_in()
    assert row(report, "Question 1: one number") == ("missing", "not answered")
    assert row(report, "Exercise 1.1: twice") == ("missing", "not answered")


def test_a_figure_counts_where_its_cell_shows_a_picture(student, tmp_path):
    student.figure.outputs = [new_output("display_data", {"text/html": "not made yet", "text/plain": "not made yet"})]
    report = student.hand_in()
    assert row(report, "01_saliency-maps")[0] == "missing" and "you make it in 01_saliency" in flat(report)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "01_saliency-maps.png").touch()
    report = student.hand_in()
    assert row(report, "01_saliency-maps")[1] == "no picture below its cell; it is saved"
    assert "Run the cells here that show them" in todo(report)
    student.delete(student.figure)
    assert row(student.hand_in(), "01_saliency-maps")[1].startswith("its cell was deleted")


@pytest.mark.kernel
def test_a_wrong_answer_shows_what_its_check_says(student):
    student.cell("double").source = "def double(x):\n    return x + 1"
    report = student.hand_in(run=True)
    assert row(report, "Exercise 1.1: twice") == ("fails", "AssertionError: double(3) is 4, wanted 6")
    assert "Mend Exercise 1.1, Exercise 1.2" in todo(report)


@pytest.mark.kernel
def test_an_answer_that_needs_an_unanswered_one_waits(student):
    student.cell("double").source = student.found()["double"].item.source
    report = student.hand_in(run=True)
    assert row(report, "Exercise 1.1: twice")[0] == "missing"
    assert row(report, "Exercise 1.2: half") == ("waits", "its check needs Exercise 1.1")
    assert verdict(report) == f"{NAME}: Not ready: 1 exercise not answered."


@pytest.mark.kernel
def test_a_syntax_error_is_told_at_its_exercise(student):
    student.cell("double").source = "def double(x)\n    return 2 * x"
    mark, remark = row(student.hand_in(run=True), "Exercise 1.1: twice")
    assert mark == "fails" and remark.startswith("SyntaxError")


# ------------------------------------------------------------------------------------------------ damaged notebooks


@pytest.mark.parametrize(
    ("name", "called"), [("test_double", "check of Exercise 1.1"), ("setup-1", "set-up (Imports and data)")]
)
def test_a_locked_cell_that_is_gone_or_edited_is_put_back_in_grading(student, name, called):
    student.cell(name).source = "pass"
    assert row(student.hand_in(), called) == ("edited", "grading runs it as it was handed out")
    student.delete(student.cell(name))
    report = student.hand_in()
    assert row(report, called) == ("deleted", "grading puts it back")
    assert verdict(report) == f"{NAME}: Ready to hand in."


@pytest.mark.kernel
def test_an_edited_check_is_named_where_it_passes(student):
    student.cell("test_double").source = "assert True"
    report = student.hand_in(run=True)
    assert row(report, "Exercise 1.1: twice") == ("ok", "its edited check passes")


@pytest.mark.kernel
def test_a_deleted_set_up_is_named_where_its_names_are_missing(student):
    student.delete(student.cell("setup-1"))
    report = student.hand_in(run=True)
    assert todo(report).startswith("To do 1. Put the cell of the set-up (Imports and data) back")
    # What lacks its names is not the student's to mend.
    assert row(report, "Exercise 1.2: half") == ("waits", "its check needs set-up (Imports and data)")
    assert "Mend" not in todo(report)


@pytest.mark.kernel
def test_an_answer_that_became_code_counts_and_is_told(student):
    student.cell("q_one").update(nbformat.v4.new_code_cell("Yes.", metadata=student.cell("q_one").metadata))
    report = student.hand_in(run=True)
    assert row(report, "Question 1: one number") == ("ok", "1 of 8 words")
    assert row(report, "Question 1") == ("code", "the answer stands in a code cell; grading makes it text again")
    assert "SyntaxError" not in report and "NameError" not in report


def test_an_answer_that_shows_nothing_is_missing(student):
    student.cell("q_one").source = "<!-- to do -->"
    assert row(student.hand_in(), "Question 1: one number") == ("missing", "not answered")


@pytest.mark.parametrize("name", ["double", "q_one"])
def test_a_deleted_answer_is_missing(student, name):
    title = student.found()[name].item.title
    student.delete(student.cell(name))
    report = student.hand_in()
    assert row(report, title) == ("missing", "its cell was deleted")
    assert f"Put the deleted cell of {title.partition(':')[0]} back" in todo(report)


@pytest.mark.kernel
def test_a_deleted_hand_in_cell_changes_nothing(student):
    student.delete(student.of("hand_in("))
    assert verdict(student.hand_in(run=True)) == f"{NAME}: Ready to hand in."


def test_equal_copies_need_no_attention(student):
    student.copy("double")
    report = student.hand_in()
    assert row(report, "Exercise 1.1") == ("copied", "2 copies; it counts once")
    assert todo(report) == ""


def test_of_different_copies_the_last_changed_one_counts(student):
    student.copy("q_one", source="nine words are one too many for the limit")
    report = student.hand_in()
    assert row(report, "Question 1: one number") == ("over", "9 of 8 words")
    assert "Delete the copies of the cell of Question 1 that are not your answer." in todo(report)


@pytest.mark.kernel
def test_an_untouched_copy_does_not_undo_an_answer(student):
    student.copy("double", source=student.found()["double"].item.source)
    report = student.hand_in(run=True)
    assert row(report, "Exercise 1.1: twice")[0] == "ok"
    assert "Delete the copies of the cell of Exercise 1.1" in todo(report)


@pytest.mark.kernel
def test_an_answer_in_another_cell_is_found_as_grading_finds_it(student):
    stub = student.found()["double"].item.source
    student.cell("double").source = stub
    student.insert(new_code_cell(DOUBLE), after=student.cell("double"))
    report = student.hand_in(run=True)
    assert row(report, "Exercise 1.1: twice") == ("ok", "its check passes")
    assert row(report, "Exercise 1.1")[0] == "moved"
    student.cell("double").source = stub + "\n# still mine"  # a changed cell of its own comes first
    report = flat(student.hand_in())
    assert "missing Exercise 1.1: twice not answered; the cell under 'Exercise 1.1: twice'" in report
    assert "does not count" in report


def test_a_text_in_a_new_cell_below_its_question_is_found(student):
    student.delete(student.cell("q_one"))
    student.insert(new_markdown_cell(ONE), after=student.of("Is every number"))
    report = student.hand_in()
    assert row(report, "Question 1: one number") == ("ok", "7 of 8 words")
    assert row(report, "Question 1")[0] == "moved"


def test_lost_grading_data_are_told_once_and_the_answers_found(student):
    for cell in student.notebook.cells:
        cell.metadata, cell.id = nbformat.NotebookNode(), f"new-{id(cell)}"
    report = student.hand_in()
    assert row(report, "grading data of all cells")[0] == "lost"
    assert verdict(report) == f"{NAME}: Ready to hand in."
    assert row(report, "Question 2: a picture") == ("ok", "7 words")


def _swapped(student):
    one, two = student.cell("double"), student.cell("half")
    one.source, two.source = two.source, one.source


DAMAGES = {
    "none": lambda s: None,
    "all stubs": lambda s: s.notebook.update(cells=copy.deepcopy(s.handed_out.cells)),
    "copied exercise": lambda s: s.copy("double", source="def double(x):\n    return x + x"),
    "copied stub": lambda s: s.copy("double", source=s.found()["double"].item.source),
    "copied check": lambda s: s.copy("test_double"),
    "copied question": lambda s: s.copy("q_one", source="Another answer."),
    "copied placeholder": lambda s: s.copy("q_one", source=assignment.NOT_ANSWERED),
    "emptied copy": lambda s: s.copy("q_one", source=""),
    "deleted exercise": lambda s: s.delete(s.cell("half")),
    "deleted question": lambda s: s.delete(s.cell("q_two")),
    "deleted check": lambda s: s.delete(s.cell("test_half")),
    "edited check": lambda s: s.cell("test_half").update(source="assert True"),
    "in a new cell": lambda s: (s.delete(s.cell("half")), s.insert(new_code_cell(HALF), s.cell("test_double"))),
    "in a new cell, stub kept": lambda s: (
        s.cell("half").update(source=s.handed_out.cells[0].source),
        s.insert(new_code_cell(HALF), s.cell("test_half")),
    ),
    "in the cell of another": lambda s: (
        s.cell("double").update(source=f"{DOUBLE}\n\n\n{HALF}"),
        s.delete(s.cell("half")),
    ),
    "text in a new cell": lambda s: (s.delete(s.cell("q_one")), s.insert(new_markdown_cell(ONE), s.of("Is every"))),
    "text below a placeholder": lambda s: (
        s.cell("q_one").update(source=assignment.NOT_ANSWERED),
        s.insert(new_markdown_cell(ONE), s.cell("q_one")),
    ),
    "text in the question": lambda s: (
        s.delete(s.cell("q_one")),
        s.of("Is every").update(source=s.of("Is every").source + "\n\nYes."),
    ),
    "text in the question of a figure": lambda s: (
        s.delete(s.cell("q_two")),
        s.of("What does the map show").update(source=s.of("What does the map show").source + "\n\nThe object."),
    ),
    "swapped answers": _swapped,
    "a check in an answer's cell": lambda s: s.cell("double").update(source=s.cell("test_double").source),
    "no grading data": lambda s: [cell.metadata.pop("nbgrader", None) for cell in s.notebook.cells],
    "no data, no ids": lambda s: [
        cell.update(metadata=nbformat.NotebookNode(), id=f"new-{n}") for n, cell in enumerate(s.notebook.cells)
    ],
}


def _is_looked_for(cell):
    flags = {key: cell.tags[key] for key in ("grade", "solution", "locked")} if cell.tags else {}
    return cell.kind, cell.source, cell.id, cell.name, flags, cell.is_drawn


def test_the_hand_in_check_looks_for_the_cells_that_grading_looks_for():
    for path in sorted((COURSE / "notebooks").glob("*.ipynb")):
        released = cells.outline(nbformat.read(path, as_version=4).cells)
        handed_out = assignment.handed_out(path.stem).outline
        assert list(map(_is_looked_for, handed_out)) == list(map(_is_looked_for, released))


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_counts_is_what_grading_takes(student, damage):
    damage(student)
    found = student.found()
    repaired, _ = repair.repair(copy.deepcopy(student.notebook), student.handed_out)
    taken = {cell.metadata.nbgrader.grade_id: cell.source for cell in repaired.cells if "nbgrader" in cell.metadata}
    for item in [*student.released.exercises, *student.released.questions]:
        place = found[item.id]
        graded = assignment.is_answered(item, taken[item.id]) and "was deleted." not in taken[item.id]
        assert place.is_answered == graded, item.id
        if graded and "stands in another cell" not in taken[item.id]:
            assert place.source == taken[item.id]


# ------------------------------------------------------------------------------------------------ the run


@pytest.mark.kernel
def test_a_name_of_a_deleted_cell_is_told_with_the_heading(student):
    student.of("four = half").source = "four = half(eight)"
    report = flat(student.hand_in(run=True))
    assert "it does not run from top to bottom" in report
    assert "under 'Exercise 1.2: half' that begins 'four = half(eight)': NameError" in report
    assert "NameError: name 'eight' is not defined; no cell makes it" in report


@pytest.mark.kernel
def test_cells_that_work_in_another_order_alone_are_told(student):
    student.insert(new_code_cell("print(four)"), after=student.cell("setup-1"))
    report = flat(student.hand_in(run=True))
    assert "NameError: name 'four' is not defined; a cell further down makes it" in report


@pytest.mark.kernel
def test_a_name_of_a_figure_is_told_as_such(student):
    student.insert(new_code_cell("len(drawn)"), after=student.of("four = half"))
    report = flat(student.hand_in(run=True))
    assert "NameError: name 'drawn' is not defined; a figure cell makes it" in report


@pytest.mark.kernel
def test_figures_pdf_and_the_check_itself_are_not_run(student):
    student.of("drawn =").source = "open('drawn', 'w')\n"
    student.insert(new_code_cell("open('written', 'w'), write_pdf('x')"), after=student.cell("test_half"))
    untagged = new_code_cell(f"open('checked', 'w')\nhand_in('{NAME}')")
    student.insert(untagged, after=student.cell("test_half"))
    student.insert(new_code_cell("open('ran', 'w').close()"), after=student.cell("test_half"))
    student.hand_in(run=True)
    made = {path.name for path in student.path.parent.iterdir()}
    assert made == {"ran", "hand-in", f"{NAME}.ipynb"}  # in the folder of the notebook, whatever the working folder


@pytest.mark.kernel
def test_in_a_run_the_check_does_nothing_under_whatever_name(student):
    quiet = (
        "import contextlib, io\nfrom helpers import handin\nagain = handin.hand_in\n"
        "with contextlib.redirect_stdout(io.StringIO()) as said:\n"
        f"    again({NAME!r}, run=False)\nassert not said.getvalue()"
    )
    student.insert(new_code_cell(quiet), after=student.cell("setup-1"))
    assert verdict(student.hand_in(run=True)) == f"{NAME}: Ready to hand in."


@pytest.mark.kernel
def test_an_endless_loop_is_stopped_and_told(student, monkeypatch):
    monkeypatch.setattr(running, "CELL_SECONDS", 3)
    student.insert(new_code_cell("while True: pass"), after=student.cell("test_double"))
    report = student.hand_in(run=True)
    assert "the run stopped before its end" in verdict(report)
    assert "that begins 'while True: pass': it took longer than 3 seconds" in flat(report)
    assert row(report, "Exercise 1.1: twice") == ("ok", "its check passes")
    assert row(report, "Exercise 1.2: half") == ("ok", "answered")  # its check was not reached
    assert student.file.exists()


@pytest.mark.parametrize(("name", "locked"), [("setup-1", True), ("test_double", True), ("double", False)])
@pytest.mark.parametrize("ended", [running.INTERRUPTED, "it took longer than 3 seconds"])
def test_nobody_is_told_to_mend_a_locked_cell(student, monkeypatch, name, locked, ended):
    at = next(n for n, cell in enumerate(student.notebook.cells) if cell is student.cell(name))
    monkeypatch.setattr(handin, "run_notebook", lambda now: running.Run(at=at, ended=ended))
    report = flat(student.hand_in(run=True))
    assert ("ask for help with the cell" in report.lower()) == locked
    assert ("mend the cell" in report.lower()) != locked


@pytest.mark.kernel
def test_a_kernel_that_dies_is_told(student):
    student.insert(new_code_cell("import os\nos._exit(1)"), after=student.cell("test_double"))
    assert "that begins 'import os': the kernel died in it" in flat(student.hand_in(run=True))


@pytest.mark.kernel
def test_floods_of_output_harm_nothing(student):
    student.insert(new_code_cell("for _ in range(100): print('x' * 1_000_000)"), after=student.cell("setup-1"))
    assert verdict(student.hand_in(run=True)) == f"{NAME}: Ready to hand in."


@pytest.mark.kernel
def test_an_interrupt_stops_the_run_and_the_report_still_comes(student):
    """Run it in a process of its own, as the interrupt button does, and look for processes left behind."""
    pids = student.path.parent / "pids"
    long = f"import os, pathlib, time\npathlib.Path({str(pids)!r}).write_text(str(os.getpid()))\ntime.sleep(300)"
    student.insert(new_code_cell(long), after=student.cell("test_double"))
    student.save()
    (student.path.parent / f"{NAME}.json").write_text(student.released.as_json(), "utf-8")
    code = (
        "import pathlib, sys; from helpers import handin; from helpers.handin import assignment\n"
        "assignment.DATA = pathlib.Path('.'); pathlib.Path('released').symlink_to('.')\n"
        f"handin.hand_in({NAME!r})"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=student.path.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"JPY_SESSION_NAME": str(student.path)},
    )
    while not (pids.exists() and pids.read_text()) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(2)
    report, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and "Traceback" not in errors, errors
    assert "you stopped the run" in flat(report) and "the run stopped before its end" in verdict(report)
    assert row(report, "Exercise 1.1: twice") == ("ok", "its check passes")
    assert student.file.read_bytes() == student.path.read_bytes()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pids.read_text()), 0)


@pytest.mark.parametrize("last", ["", "while True: pass"])
@pytest.mark.kernel
def test_the_run_leaves_no_kernel(student, monkeypatch, last):
    monkeypatch.setattr(running, "CELL_SECONDS", 2)
    student.insert(new_code_cell(f"import os\nopen('pid', 'w').write(str(os.getpid()))\n{last}"))
    student.hand_in(run=True)
    with pytest.raises(ProcessLookupError):
        os.kill(int((student.path.parent / "pid").read_text()), 0)


@pytest.mark.kernel
def test_the_run_changes_neither_notebook_nor_file(student):
    student.insert(new_code_cell(f"open({NAME!r} + '.txt', 'w').close()"), after=student.cell("setup-1"))
    student.save()
    before = student.path.read_bytes()
    student.hand_in(run=True)
    assert student.path.read_bytes() == before == student.file.read_bytes()


# ------------------------------------------------------------------------------------------------ the file


def test_the_file_is_the_notebook_byte_for_byte_and_is_written_anew_each_time(student):
    student.hand_in()
    student.path.write_bytes(student.path.read_bytes() + b"\n\n")
    for _ in range(2):
        handin.hand_in(NAME, student.path, run=False)
        assert student.file.read_bytes() == student.path.read_bytes()
    assert [path.name for path in student.file.parent.iterdir()] == [f"{NAME}.ipynb"]


def test_a_copy_under_another_name_is_handed_in_under_the_right_one(student):
    student.path = student.path.with_name(f"Copy of {NAME} (1).ipynb")
    assert str(student.path) in student.hand_in()
    assert student.file.read_bytes() == student.path.read_bytes()


def test_who_works_in_the_copy_gets_no_copy_of_the_copy(student):
    student.hand_in()
    handin.hand_in(NAME, student.file, run=False)
    assert student.capsys.readouterr().out.splitlines()[-1] == f"Hand in: {student.file}"
    assert [path.name for path in student.file.parent.iterdir()] == [f"{NAME}.ipynb"]


def test_an_old_file_asks_to_be_saved(student):
    student.save()
    old = (datetime.now() - timedelta(minutes=4)).timestamp()
    os.utime(student.path, (old, old))
    handin.hand_in(NAME, student.path, run=False)
    report = student.capsys.readouterr().out
    assert verdict(report) == f"{NAME}: Ready to hand in, if you changed nothing in the last 4 minutes."
    assert todo(report).startswith("To do 1. Save the notebook")


def test_the_run_does_not_make_the_file_older(student, monkeypatch):
    monkeypatch.setattr(reports, "SAVED_SECONDS", 1)
    monkeypatch.setattr(handin, "run_notebook", lambda now: time.sleep(1.5) or running.Run())
    assert verdict(student.hand_in(run=True)) == f"{NAME}: Ready to hand in."


@pytest.mark.skipif(os.name == "nt", reason="folders are made read-only another way")
def test_a_folder_that_cannot_be_written_is_told_and_the_notebook_named(student, monkeypatch):
    def refuse(self, *args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    report = student.hand_in()
    assert "the file could not be written" in verdict(report) and "Permission denied" in report
    assert report.splitlines()[-1] == f"Hand in: {student.path}"


def test_a_notebook_in_an_old_format_is_checked(student):
    student.notebook.nbformat_minor = 0
    for cell in student.notebook.cells:
        cell.metadata["id"] = cell.pop("id")
    assert verdict(student.hand_in()) == f"{NAME}: Ready to hand in."
    old = nbformat.v3.new_notebook(worksheets=[nbformat.v3.new_worksheet(cells=[nbformat.v3.new_code_cell(DOUBLE)])])
    student.path.write_text(nbformat.v3.writes_json(old), "utf-8")
    handin.hand_in(NAME, student.path, run=False)
    report = student.capsys.readouterr().out
    assert row(report, "Exercise 1.1: twice") == ("ok", "answered")
    assert row(report, "Exercise 1.2: half") == ("missing", "its cell was deleted")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[1]", b'{"cells": 1}'])
def test_a_file_that_is_no_notebook_is_told_and_handed_on(student, content):
    student.path.write_bytes(content)
    handin.hand_in(NAME, student.path)
    report = student.capsys.readouterr().out
    assert report.startswith(f"{NAME}: cannot be checked.") and student.path.name in report
    assert student.file.read_bytes() == content


@pytest.mark.parametrize("metadata", [{"nbgrader": None}, {"nbgrader": {"grade_id": []}}, {"tags": None}])
def test_strange_metadata_stop_nothing(student, metadata):
    student.of("drawn =").metadata = metadata
    assert verdict(student.hand_in()) == f"{NAME}: Ready to hand in."


@pytest.mark.kernel
def test_another_notebook_is_told(student):
    student.notebook.cells = [new_markdown_cell("My diary"), new_code_cell("1")]
    report = student.hand_in(run=True)
    assert f"this notebook holds no cell of {NAME}" in verdict(report)
    assert student.file.exists()


def test_an_unknown_assignment_is_told(capsys, tmp_path):
    handin.hand_in("00_nothing", tmp_path / "x.ipynb")
    assert "00_nothing" in capsys.readouterr().out


@pytest.mark.kernel
def test_colab_hands_in_what_is_in_the_browser(student, monkeypatch, tmp_path):
    offered = []
    colab = types.ModuleType("google.colab")
    colab._message = types.SimpleNamespace(blocking_request=lambda *args, **options: {"ipynb": student.notebook})
    colab.files = types.SimpleNamespace(download=offered.append)
    for name, module in {"google": types.ModuleType("google"), "google.colab": colab}.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.chdir(tmp_path)
    student.insert(new_code_cell("from google.colab import drive\ndrive.mount('/content/drive')"))
    student.notebook.cells[0].source = "drive.mount('/content/drive')"  # asks in the browser: not in the run
    handin.hand_in(NAME)
    report = student.capsys.readouterr().out
    assert verdict(report) == f"{NAME}: Ready to hand in."
    assert report.splitlines()[-1] == f"Hand in: hand-in/{NAME}.ipynb"
    assert offered == [str(student.file)]
    assert nbformat.read(student.file, as_version=4) == student.notebook


def test_a_large_file_names_its_largest_output(student, monkeypatch):
    monkeypatch.setattr(reports, "LARGE", 100_000)
    student.of("drawn =").outputs = [new_output("stream", text="x" * 200_000)]
    report = flat(student.hand_in())
    assert "If the upload refuses" in report and "that begins 'drawn =" in report


# ------------------------------------------------------------------------------------------------ the course's own


def test_the_released_notebooks_are_understood(capsys, tmp_path):
    for path in sorted((COURSE / "notebooks").glob("*.ipynb")):
        place = tmp_path / path.name
        place.write_bytes(path.read_bytes())
        handin.hand_in(path.stem, place, run=False)
        report = capsys.readouterr().out
        assert row(report, "cells that count")[0] == "ok"
        released = assignment.handed_out(path.stem)
        for kind, items in {"exercises": released.exercises, "questions": released.questions}.items():
            assert not items or f"{len(items)} {kind} not answered" in verdict(report)


@pytest.mark.slow
def test_nothing_is_needed_beside_what_students_have():
    """`helpers.course` and nbgrader are the instructors'."""
    code = "import sys, helpers.handin; print([m for m in sys.modules if m.startswith(('helpers.course', 'nbgrader'))])"
    done = subprocess.run([sys.executable, "-c", code], cwd=COURSE, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
