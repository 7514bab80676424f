"""A notebook in, a notebook out: whatever the cells do, every other cell gets its turn."""

from concurrent.futures import ThreadPoolExecutor

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from helpers.course import execute
from helpers.course.execute import Limits, key, merged, prepared, run, run_all


def ran(*sources, limits=None):
    notebook = new_notebook(cells=[new_code_cell(source, id=f"c{i}") for i, source in enumerate(sources)])
    return nbformat.reads(run(nbformat.writes(notebook), limits or Limits(5, 60)), as_version=4).cells


def text(cell):
    return "".join(output.get("text", output.get("evalue", "")) for output in cell.outputs)


def error(cell):
    return next((output.ename for output in cell.outputs if output.output_type == "error"), None)


def test_an_error_stays_in_its_cell():
    cells = ran("x = 1", "1 / 0", "print(x)", "this is no Python", "print(x + 1)")
    assert [error(cell) for cell in cells] == [None, "ZeroDivisionError", None, "SyntaxError", None]
    assert (text(cells[2]), text(cells[4])) == ("1\n", "2\n")


def test_an_endless_loop_is_interrupted_and_later_cells_run():
    cells = ran("while True:\n    pass", "print('still here')", limits=Limits(2, 60))
    assert error(cells[0]) == "Stopped" and "2 seconds" in text(cells[0])
    assert text(cells[1]) == "still here\n"


def test_a_loop_that_cannot_be_interrupted_ends_with_the_notebook_budget():
    stubborn = "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass"
    cells = ran("print('before')", stubborn, *["print('after')"] * 9, limits=Limits(2, 6))
    assert text(cells[0]) == "before\n"
    assert error(cells[1]) == "Stopped"
    assert error(cells[-1]) == "NotRun" and "6 seconds" in text(cells[-1])


def test_a_dead_kernel_keeps_what_was_said_before():
    cells = ran("print('earned')", "import os; os._exit(1)", "print('lost')")
    assert text(cells[0]) == "earned\n"
    assert [error(cell) for cell in cells[1:]] == ["KernelDied", "NotRun"]


def test_the_kernel_sees_one_thread_no_assets_and_an_empty_folder():
    cells = ran("import os; print(os.environ['OMP_NUM_THREADS'], 'COURSE_ASSETS' in os.environ, os.listdir())")
    assert text(cells[0]) == "1 False []\n"


def check_cell(source):
    tags = {"grade_id": "test_f", "grade": True, "solution": False, "locked": True, "points": 2, "schema_version": 3}
    return new_code_cell(source, id="test_f", metadata={"nbgrader": tags})


SOLVED = new_notebook(
    cells=[
        new_code_cell("def f():\n    return 1", id="f"),
        check_cell("assert f() == 1\n### BEGIN HIDDEN TESTS\nprint(f())\n### END HIDDEN TESTS"),
        new_code_cell("print('drawn')", id="figure", metadata={"tags": ["figure"]}),
    ]
)


def test_a_failed_visible_check_hides_no_result_and_figures_are_skipped():
    submission = nbformat.from_dict(SOLVED)
    submission.cells[0].source = "def f():\n    return 2"
    submission.cells[1].source = "assert f() == 1"
    submission.cells.append(new_markdown_cell("A note.", id="note"))
    notebook = prepared(submission, SOLVED, SOLVED)
    assert [cell.id for cell in notebook.cells] == ["f", "test_f-visible", "test_f-hidden"]
    executed = nbformat.reads(run(nbformat.writes(notebook), Limits()), as_version=4)
    outputs = merged(submission, executed).cells[1].outputs
    assert [output.output_type for output in outputs] == ["error", "stream"]
    assert outputs[0].ename == "AssertionError" and outputs[1].text == "2\n"


def test_a_figure_tag_on_own_code_does_not_hide_it_from_grading():
    submission = nbformat.from_dict(SOLVED)
    submission.cells[0].metadata.tags = ["figure"]
    submission.cells[0].source = "def f():\n    return 3"
    assert prepared(submission, SOLVED, SOLVED).cells[0].source == submission.cells[0].source


def test_an_error_in_a_hidden_half_shows_no_hidden_line():
    solved = new_notebook(
        cells=[check_cell("pass\n### BEGIN HIDDEN TESTS\nsecret = 5\nassert secret == f()\n### END HIDDEN TESTS")]
    )
    executed = nbformat.reads(run(nbformat.writes(prepared(solved, solved, solved)), Limits()), as_version=4)
    (failure,) = merged(solved, executed).cells[0].outputs
    assert failure.ename == "NameError" and "secret" not in "".join(failure.traceback)


def test_a_student_cannot_mark_an_output_as_hidden():
    forged = (
        "from IPython.display import publish_display_data\npublish_display_data({'text/plain': ''}, {'hidden': True})"
    )
    solved = new_notebook(cells=[check_cell(f"{forged}\n### BEGIN HIDDEN TESTS\n{forged}\n### END HIDDEN TESTS")])
    executed = nbformat.reads(run(nbformat.writes(prepared(solved, solved, solved)), Limits()), as_version=4)
    assert [output.metadata.hidden for output in merged(solved, executed).cells[0].outputs] == [False, True]


def test_what_ran_once_is_kept_by_content(tmp_path, monkeypatch):
    one, two = (new_notebook(cells=[new_code_cell(f"print({i})", id="a")]) for i in (1, 2))
    with ThreadPoolExecutor(2) as executor:
        first = dict(run_all([one, two, one], tmp_path, executor, Limits()))
        assert set(first) == {key(one), key(two)} and key(one) != key(two)
        monkeypatch.setattr(execute, "run", lambda *_: pytest.fail("ran again"))
        again = dict(run_all([one, two], tmp_path, executor, Limits()))
    assert {name: notebook.cells[0].outputs for name, notebook in again.items()} == {
        name: notebook.cells[0].outputs for name, notebook in first.items()
    }
