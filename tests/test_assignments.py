"""Every grader against everything it must reject and everything it must accept, for every assignment there is.

Three notebooks of each page are run, each once for all tests and by the executor that grading uses: the one that puts
every known answer to the hidden tests, the solved one as it is handed in, and the students' one with every figure.
`tests/test_claims.py` runs the figures of the solved page.
"""

import re
from dataclasses import is_dataclass
from functools import cache

import nbformat
import pytest
import torch
from nbformat.v4 import new_code_cell

from helpers import DATA
from helpers.course.demo import filled
from helpers.course.intake.repair import repair
from helpers.course.marks import compare, reference
from helpers.course.marks.verdicts import judged
from helpers.course.pages import registry
from helpers.course.pages.cells import SKIPPED, without_markers
from helpers.course.pages.names import names, parsed
from helpers.course.release import notebooks
from helpers.course.run import execute, prepare
from helpers.course.run.limits import Limits
from helpers.inside.emit import state_of
from tests.answering import is_quiz
from tests.claims import run

PAGES = registry.pages()
# Several times what they take on two idle cores.
LIMITS = Limits(cell=600, notebook=1800)


def runs_notebooks(test):
    return pytest.mark.kernel(pytest.mark.timeout(1800)(test))


def each_page(pages):
    """The tests of a page stay on one core, where its notebooks are run."""
    params = [pytest.param(page, id=page.name, marks=pytest.mark.xdist_group(page.name)) for page in pages]
    return pytest.mark.parametrize("page", params)


of_each_page = each_page(PAGES.values())
of_each_page_with_exercises = each_page(page for page in PAGES.values() if page.exercises)


# Put at the end of a notebook: torchvision takes seconds to import.
IMPORTED = new_code_cell("print('torchvision' in __import__('sys').modules)")


def ran(notebook):
    return nbformat.reads(execute.run(nbformat.writes(notebook), LIMITS), as_version=4)


@cache
def answers_of(page):
    return reference.answers(page, ran(reference.notebook(page)))


@cache
def run_solved(page, with_examples=False):
    release, solved = notebooks.student_notebook(page), notebooks.solved_notebook(page)
    if with_examples:
        for cell in solved.cells:
            cell.metadata.pop("tags", None)
    handed_in = filled(release, {name: without_markers(cell.source) for name, cell in page.exercises.items()})
    handed_in.cells.append(IMPORTED)
    repaired, notes = repair(handed_in, release)
    assert notes == []
    return prepare.merged(repaired, ran(prepare.prepared(repaired, release, solved)))


@cache
def run_blank(page):
    notebook, all_figures = notebooks.student_notebook(page), nbformat.v4.new_notebook()
    # These two look for the notebook's own file.
    notebook.cells = [cell for cell in notebook.cells if not re.search(r"\b(hand_in|write_pdf)\(", cell.source)]
    notebook.cells.append(IMPORTED)
    solved = notebooks.solved_notebook(page)
    for cell in solved.cells:
        cell.metadata.pop("tags", None)  # and every worked example
    return prepare.merged(notebook, ran(prepare.prepared(notebook, all_figures, solved)))


@pytest.fixture
def answers(page):
    return answers_of(page)


def errors(notebook):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [f"{output.ename}: {output.evalue}" for output in outputs if output.output_type == "error"]


def verdicts(page, run, answers):
    notebook, hidden = run
    checks = [cell for cell in notebook.cells if prepare.is_check(cell)]
    return [judged(cell, hidden[cell.metadata.nbgrader.grade_id], page, answers) for cell in checks]


def graded(page, f, parts, answers):
    known, judge = answers[f], reference.judge_of(page, f)
    return compare.grade(f"test_{f}", page.checks[f].points, parts, known.reference, known.mistakes, judge=judge)


@runs_notebooks
@of_each_page_with_exercises
def test_every_mutant_loses_marks_and_is_told_why(page, answers):
    silent = []
    for f in page.exercises:
        for says, parts in answers[f].mutants:
            verdict = graded(page, f, parts, answers)
            if verdict.score >= verdict.max_score or says not in verdict.message.splitlines():
                silent.append((f, says, verdict))
    assert not silent


@runs_notebooks
@of_each_page_with_exercises
def test_every_mutant_says_something_else(page, answers):
    for f in page.exercises:
        seen = [parts for _, parts in answers[f].mutants]
        for i, mine in enumerate(seen):
            for other in seen[:i]:
                assert len(mine) != len(other) or not all(map(compare.equal, mine, other)), page.mutants(f)[i].says


@runs_notebooks
@of_each_page_with_exercises
def test_every_variant_gets_full_marks(page, answers):
    for f in page.exercises:
        for position, parts in enumerate(answers[f].variants):
            verdict = graded(page, f, parts, answers)
            assert verdict.verdict == "right", (f, page.variants(f)[position].source, verdict.message)


@of_each_page_with_exercises
def test_the_bank_is_large_enough(page):
    first = next(iter(page.exercises), None)
    for f in (f for f in page.exercises if not is_quiz(page, f)):
        most = page.name == "01_saliency" and f == first
        assert len(page.mutants(f)) >= (10 if most else 8) and len(page.variants(f)) >= (6 if most else 4), f


@runs_notebooks
@of_each_page_with_exercises
def test_the_solved_notebook_gets_all_and_the_blank_one_nothing(page, answers):
    assert [(verdict.verdict, verdict.score) for verdict in verdicts(page, run_solved(page), answers)] == [
        ("right", cell.points) for cell in page.checks.values()
    ]
    assert [(verdict.verdict, verdict.score) for verdict in verdicts(page, run_blank(page), answers)] == [
        ("not answered", 0)
    ] * len(page.exercises)


@runs_notebooks
@of_each_page
def test_the_solved_notebook_runs_from_top_to_bottom(page):
    notebook, _ = run_solved(page)
    assert errors(notebook) == []


@runs_notebooks
@of_each_page
def test_the_students_notebook_runs_from_top_to_bottom_with_stubs_only(page):
    notebook, _ = run_blank(page)
    assert set(errors(notebook)) == {f"NotImplementedError: {f}: replace this line" for f in page.exercises}


@runs_notebooks
@of_each_page_with_exercises
def test_worked_examples_change_no_value_of_a_hidden_half(page):
    with_examples, without = run_solved(page, with_examples=True), run_solved(page)
    example = next(cell.source for cell in page.cells if cell.kind == "example" and "print(" in cell.source)
    shown = [cell.outputs != [] for run in (with_examples, without) for cell in run[0].cells if cell.source == example]
    assert shown == [True, False]
    assert with_examples[1] == without[1]


@of_each_page_with_exercises
@pytest.mark.slow
def test_worked_examples_leave_what_other_cells_have_made_as_it_was(page):
    """So nothing that is run without them can find another thing than with them."""
    skipped = {name for cell in page.cells if cell.kind in SKIPPED for name in names(parsed(cell.source)[1]).bound}
    before, examples = {}, 0
    for cell, _, found in run(page.name, (), "picturebook"):
        after = {name: state(value) for name, value in found.items() if name not in skipped}
        if cell.kind == "example":
            examples += 1
            assert {name: value for name, value in after.items() if before.get(name) != value} == {}, cell.source
            assert torch.is_grad_enabled() and torch.get_default_dtype() == torch.float32
        before = after
    assert examples


def state(value):
    """Return what can be seen of a thing from outside: a copy that is equal as long as nobody changes the thing."""
    match value:
        case torch.Tensor():
            return value.dtype, value.requires_grad, value.detach().tolist(), state(value.grad)
        case torch.nn.Module():
            return [array.tolist() for array in state_of(value).values()]
        case dict():
            return [(str(key), state(each)) for key, each in value.items()]
        case list() | tuple():
            return list(map(state, value))
    return state(vars(value)) if is_dataclass(value) and not isinstance(value, type) else id(value)


@runs_notebooks
@of_each_page_with_exercises
def test_no_kernel_imports_torchvision_for_the_picture_book(page):
    """Neither the answers and hidden halves nor the figures do."""
    for notebook, _ in (run_solved(page), run_blank(page)):
        assert [output.text for output in notebook.cells[-1].outputs] == ["False\n"]


@of_each_page_with_exercises
def test_a_check_before_the_set_up_or_the_answer_fails_with_one_line(page):
    for f in page.exercises:
        cells = notebooks.student_notebook(page).cells
        (source,) = [cell.source for cell in cells if cell.metadata.get("nbgrader", {}).get("grade_id") == f"test_{f}"]
        for there, lacks in (({}, "checks"), ({"checks": None}, f)):
            with pytest.raises(NameError) as failure:
                exec(source, dict(there))
            # As the hand-in check reads it, and as a notebook shows it.
            assert failure.type.__name__ == "NameError"
            assert str(failure.value).startswith(f"name '{lacks}' is not defined; run the set-up cells")
            assert failure.value._render_traceback_() == [f"Not yet: {failure.value}."]


@of_each_page
def test_committed_notebooks_are_what_the_source_says(page):
    assert notebooks.differences(page) == ""


@of_each_page
def test_every_figure_has_its_expected_picture(page):
    assert [name for name in page.figures if not (DATA / "expected" / f"{page.name}-{name}.png").exists()] == []


@of_each_page
def test_every_figure_that_is_collected_is_saved_by_the_notebook_that_makes_it(page):
    for name in (cell.collects for cell in page.cells if cell.collects):
        saving = f'save_figure(figure, "{name}")'
        origin, _, figure = name.partition("-")
        cells = PAGES[origin].cells
        assert any(saving in cell.source for cell in cells if cell.kind == "local" or cell.name == figure)


@of_each_page
def test_every_figure_that_is_saved_is_collected(page):
    collected = {cell.collects for other in PAGES.values() for cell in other.cells}
    saved = [name for cell in page.cells for name in re.findall(r'save_figure\(figure, "(.*?)"\)', cell.source)]
    assert set(saved) <= collected


@of_each_page
def test_no_answer_stands_in_the_students_notebook(page):
    text = nbformat.writes(notebooks.student_notebook(page))
    for marker in ("BEGIN SOLUTION", "BEGIN HIDDEN TESTS", "emit(", "**Rubric", "**Model answer"):
        assert marker not in text
