"""A notebook in, a notebook out: whatever the cells do, every other cell gets its turn."""

from concurrent.futures import ThreadPoolExecutor

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from helpers.course.run import execute
from helpers.course.run.execute import run
from helpers.course.run.finished import key, run_all
from helpers.course.run.limits import Limits, error_output
from helpers.course.run.prepare import merged, prepared
from helpers.inside.emit import MIME, encode

pytestmark = pytest.mark.kernel


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


STUBBORN = "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass"


@pytest.mark.parametrize(
    ("fatal", "name"),
    [
        ("import os; os._exit(1)", "KernelDied"),
        (STUBBORN, "KernelKilled"),
        ("while True:\n    print('x' * 1000)", "TooMuchOutput"),
        ("print('x' * 3_000_000)", "TooMuchOutput"),
    ],
)
def test_a_cell_that_ends_the_kernel_costs_only_itself(fatal, name):
    cells = ran("x = 1\nprint('before')", fatal, "print('after', x)", limits=Limits(2, 60, output=2_000_000))
    assert text(cells[0]) == "before\n" and text(cells[2]) == "after 1\n"
    assert cells[1].outputs[-1].ename == name


KILL = "import os, signal, subprocess, threading, time\n"
LATE = "subprocess.Popen(['sh', '-c', f'sleep 0.5; kill -{} {os.getpid()}'])"


@pytest.mark.parametrize(
    ("before", "how", "who"),
    [
        ("signal.alarm(1)", "of the signal SIGALRM", "an alarm"),
        ("signal.setitimer(signal.ITIMER_REAL, 0.5)", "of the signal SIGALRM", "an alarm"),
        (LATE.replace("{}", "KILL", 1), "of the signal SIGKILL", "something"),
        (LATE.replace("{}", "SEGV", 1), "of the signal SIGSEGV", "something"),
        ("signal.signal(signal.SIGALRM, lambda *_: os._exit(3)); signal.alarm(1)", "with exit status 3", "something"),
    ],
)
@pytest.mark.parametrize("jailed", [True, False])
def test_a_cell_in_which_the_kernel_died_of_an_earlier_ones_doing_is_not_blamed(before, how, who, jailed, monkeypatch):
    if not jailed:
        monkeypatch.setattr("helpers.course.run.sandbox.tier", lambda: "none")
        monkeypatch.setattr("helpers.course.run.sandbox.SUPERVISED", False)
    cells = ran(KILL + before, "for _ in range(30):\n    time.sleep(0.1)", limits=Limits(5, 60, restarts=0))
    assert text(cells[1]) == (
        f"the kernel died while this cell ran, {how}; it may have been ended by this cell, or by {who} that a cell "
        "before it had started"
    )


def test_the_seconds_of_a_notebook_end():
    cells = ran("import time; time.sleep(3)", "print('late')", limits=Limits(5, 2))
    assert [error(cell) for cell in cells] == ["Stopped", "NotRun"] and "2 seconds" in text(cells[1])


def test_a_notebook_that_ends_every_kernel_comes_to_an_end():
    cells = ran(*["import os; os._exit(1)"] * 5, "print('never')", limits=Limits(5, 60, restarts=2))
    assert [error(cell) for cell in cells] == ["KernelDied"] * 3 + ["NotRun"] * 3


def test_the_kernel_sees_one_thread_no_assets_and_an_empty_folder():
    cells = ran("import os; print(os.environ['OMP_NUM_THREADS'], 'COURSE_ASSETS' in os.environ, os.listdir())")
    assert text(cells[0]) == "1 False []\n"


def check_cell(source):
    tags = {"grade_id": "test_f", "grade": True, "solution": False, "locked": True, "points": 2, "schema_version": 3}
    return new_code_cell(source, id="test_f", metadata={"nbgrader": tags})


SOLVED = new_notebook(
    cells=[
        new_code_cell("def f():\n    return 1", id="f"),
        check_cell("assert f() == 1\n### BEGIN HIDDEN TESTS\nfrom helpers.inside.emit import emit; emit('f', f)"),
        new_code_cell("print('drawn')", id="figure", metadata={"tags": ["figure"]}),
    ]
)


def said(outputs):
    """Return the encoded values of each part that was said."""
    return [output.data[MIME].get("values") for output in outputs if MIME in output.get("data", {})]


def values(*numbers):
    """Return integers as they are encoded."""
    return [encode(number) for number in numbers]


def checked(submission, solved=SOLVED):
    """Run a submission; return the notebook and what its hidden halves said."""
    notebook = prepared(submission, solved, solved)
    return merged(submission, nbformat.reads(run(nbformat.writes(notebook), Limits(5, 60)), as_version=4))


def test_a_failed_visible_check_hides_no_result_and_figures_are_skipped():
    submission = nbformat.from_dict(SOLVED)
    submission.cells[0].source = "def f():\n    return 2"
    submission.cells[1].source = "assert f() == 1"
    submission.cells.append(new_markdown_cell("A note.", id="note"))
    assert [cell.id for cell in prepared(submission, SOLVED, SOLVED).cells] == [
        "f",
        "test_f-visible",
        "test_f-hidden",
    ]
    notebook, hidden = checked(submission)
    assert [output.ename for output in notebook.cells[1].outputs] == ["AssertionError"]
    assert said(hidden["test_f"]) == [values(2)]


def test_a_figure_tag_on_own_code_does_not_hide_it_from_grading():
    submission = nbformat.from_dict(SOLVED)
    submission.cells[0].metadata.tags = ["figure"]
    submission.cells[0].source = "def f():\n    return 3"
    assert prepared(submission, SOLVED, SOLVED).cells[0].source == submission.cells[0].source


EXAMPLE = "scenes = [1, 2]\n\n\ndef overlap(a, b):\n    return a & b"
PAGE_WITH_EXAMPLE = new_notebook(
    cells=[
        new_code_cell("import math\nscale = 3", id="setup"),
        new_code_cell(EXAMPLE, id="example", metadata={"tags": ["example"]}),
        new_code_cell("print(scenes)", id="another", metadata={"tags": ["example"]}),
        *SOLVED.cells,
    ]
)


def run_with_example(answer="def f():\n    return scale", own="", example=EXAMPLE):
    """Return the ids of the cells that are run of a submission with an answer, a cell of its own, and the example."""
    submission = nbformat.from_dict(PAGE_WITH_EXAMPLE)
    for cell in submission.cells[1:3]:
        del cell.metadata["tags"]  # students know nothing of examples
    submission.cells[3].source = answer
    submission.cells[1].source = example
    submission.cells.insert(3, new_code_cell(own, id="own"))
    return [cell.id for cell in prepared(submission, PAGE_WITH_EXAMPLE, PAGE_WITH_EXAMPLE).cells]


@pytest.mark.parametrize(
    ("answer", "own"),
    [
        ("def f():\n    return scale", ""),
        ("def f(scenes=2):\n    return scenes", "import math\nx = math.pi"),
        ("def f():\n    overlap = 3\n    return [overlap for scenes in range(3)]", "scenes = 4\nprint(scenes)"),
    ],
)
def test_worked_examples_are_left_out(answer, own):
    assert run_with_example(answer, own) == ["setup", "own", "f", "test_f-visible", "test_f-hidden"]


@pytest.mark.parametrize(
    ("answer", "own"),
    [
        ("def f():\n    return overlap(1, 2)", ""),
        ("def f():\n    return (lambda: [len(scenes) for _ in '12'])()", ""),
        ("class A:\n    best = scenes[0]\n\n\ndef f():\n    return A.best", ""),
        ("def f():\n    return 1", "del scenes"),
        ("def f():\n    return 1", "scenes += [3]"),
        ("def f():\n    return globals()['scenes']", ""),
        ("def f():\n    return 1", "%who"),
        ("def f():\n    return 1", "!ls"),
        ("def f():\n    return 1", "%%time\nscenes"),
        ("def f():\n    import __main__\n    return __main__.scenes", ""),
        ("def f():\n    return 1", "from sys import modules as m"),
        ("def f(:\n    return scenes", ""),
    ],
)
def test_worked_examples_are_run_where_a_students_code_may_need_them(answer, own):
    assert run_with_example(answer, own)[:4] == ["setup", "example", "another", "own"]


def test_an_example_that_a_student_has_changed_is_run_and_so_is_what_it_needs():
    ids = run_with_example(example="total = 4")
    assert ids == ["setup", "example", "own", "f", "test_f-visible", "test_f-hidden"]
    assert run_with_example(example="overlap(scenes, scenes)")[:3] == ["setup", "example", "another"]


def test_a_notebook_is_run_once_whether_its_checks_have_their_hidden_tests_or_not():
    solved = nbformat.from_dict(PAGE_WITH_EXAMPLE)
    check = solved.cells[4]
    check.source = f'assert "f" in globals()\n{check.source}'
    release = nbformat.from_dict(solved)
    release.cells[4].source = 'assert "f" in globals()'
    once, again = prepared(release, release, solved).cells, prepared(solved, release, solved).cells
    assert [cell.id for cell in once] == ["setup", "f", "test_f-visible", "test_f-hidden"]
    assert [(cell.id, cell.source) for cell in once] == [(cell.id, cell.source) for cell in again]


SPY = """
from IPython.display import display
handle = display("before", display_id=True)

def f():
    import inspect
    frames = [str(frame.f_locals) for frame in map(lambda info: info.frame, inspect.stack())]
    handle.update(str(In) + str(frames))
    print(In)
    return 1
"""


def test_no_output_a_student_gets_holds_a_line_of_a_hidden_half():
    submission = nbformat.from_dict(SOLVED)
    submission.cells[0].source = SPY
    submission.cells.append(new_code_cell("print(In, globals())", id="later"))
    notebook, hidden = checked(submission)
    assert "BEGIN HIDDEN" not in str([cell.get("outputs") for cell in notebook.cells])
    assert "BEGIN HIDDEN" not in str(hidden["test_f"]) and said(hidden["test_f"]) == [values(1)]


def test_a_hidden_half_that_ends_the_kernel_leaves_the_others_their_turn():
    tags = {"grade_id": "test_g", "grade": True, "solution": False, "locked": True, "points": 2, "schema_version": 3}
    second = new_code_cell(
        "pass\n### BEGIN HIDDEN TESTS\nfrom helpers.inside.emit import emit; emit('', 2)",
        id="b",
        metadata={"nbgrader": tags},
    )
    solved = new_notebook(cells=[check_cell("pass\n### BEGIN HIDDEN TESTS\nimport os; os._exit(1)"), second])
    _, hidden = checked(solved, solved)
    assert hidden["test_f"][-1].ename == "KernelDied" and said(hidden["test_g"]) == [values(2)]


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


def test_a_run_that_was_stopped_for_time_is_nobodys_final_word(tmp_path, monkeypatch):
    slow = new_notebook(cells=[new_code_cell("import time; time.sleep(12); print('done')", id="a")])
    calls, run = [], execute.run

    def counted(text, limits):
        calls.append(limits.cell)
        return run(text, limits)

    monkeypatch.setattr(execute, "run", counted)

    def outputs(seconds, **options):
        with ThreadPoolExecutor(1) as executor:
            ((_, done),) = run_all([slow], tmp_path, executor, Limits(seconds, 300), **options)
        return [output.get("ename", output.get("text")) for output in done.cells[0].outputs]

    assert outputs(2) == ["Stopped"] and calls == [2, 4]  # at once, then with twice the time
    assert outputs(2, again=False) == ["Stopped"] and calls == [2, 4]  # recorded as it is
    assert outputs(1) == ["Stopped"] and calls == [2, 4, 1, 2]  # tried again by the next grading
    assert outputs(100, again=False) == ["done\n"] and calls == [2, 4, 1, 2, 100]  # with more time at any rate
    assert outputs(2) == ["done\n"] and len(calls) == 5 and len(list(tmp_path.iterdir())) == 1


def test_what_was_stopped_is_tried_again_after_all_others(tmp_path, monkeypatch):
    started = []

    def run(text, limits):
        notebook = nbformat.reads(text, as_version=4)
        started.append((notebook.cells[0].source, limits.cell))
        stopped = notebook.cells[0].source == "slow" and limits.cell == 10
        notebook.cells[0].outputs = [error_output("Stopped", "")] if stopped else []
        return nbformat.writes(notebook)

    monkeypatch.setattr(execute, "run", run)
    notebooks = [new_notebook(cells=[new_code_cell(name, id="a")]) for name in ("slow", "one", "two")]
    with ThreadPoolExecutor(1) as executor:
        done = [notebook.cells[0].source for _, notebook in run_all(notebooks, tmp_path, executor, Limits(10, 60))]
    assert started == [("slow", 10), ("one", 10), ("two", 10), ("slow", 20)] and done == ["one", "two", "slow"]
    assert len(list(tmp_path.glob("*.ipynb"))) == 3
