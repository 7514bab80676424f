"""Every grader against everything it must reject and everything it must accept, for every assignment there is."""

import os
import re
from concurrent.futures import ThreadPoolExecutor

import nbformat
import pytest
from nbclient import NotebookClient

from helpers import DATA
from helpers.course.demo import filled
from helpers.course.intake.repair import repair
from helpers.course.marks import compare, reference
from helpers.course.marks.verdicts import judged
from helpers.course.pages import registry
from helpers.course.pages.cells import without_markers
from helpers.course.release import notebooks
from helpers.course.run import execute, finished, prepare
from helpers.course.run.limits import Limits

PAGES = registry.pages()


@pytest.fixture(scope="session", params=PAGES)
def page(request):
    return PAGES[request.param]


@pytest.fixture(scope="session")
def answers(page, runs):
    return reference.answers(page, runs[finished.key(reference.notebook(page))])


def submissions(page):
    """The blank notebook and the solved one, as students would hand them in."""
    release = notebooks.student_notebook(page)
    solved = filled(release, {name: without_markers(cell.source) for name, cell in page.exercises.items()})
    for name, notebook in (("blank", release), ("solved", solved)):
        yield name, repair(notebook, release)[0]


def prepared(page, notebook):
    return prepare.prepared(notebook, notebooks.student_notebook(page), notebooks.solved_notebook(page))


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    todo = []
    for page in PAGES.values():
        todo += [reference.notebook(page), *(prepared(page, notebook) for _, notebook in submissions(page))]
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        return dict(finished.run_all(todo, tmp_path_factory.mktemp("runs"), executor, Limits(60, 600)))


def verdicts(page, notebook, runs, answers):
    executed, hidden = prepare.merged(notebook, runs[finished.key(prepared(page, notebook))])
    checks = [cell for cell in executed.cells if prepare.is_check(cell)]
    return [judged(cell, hidden[cell.metadata.nbgrader.grade_id], page, answers) for cell in checks]


def graded(page, f, parts, answers):
    known, judge = answers[f], reference.judge_of(page, f)
    return compare.grade(f"test_{f}", page.checks[f].points, parts, known.reference, known.mutants, judge=judge)


def test_every_mutant_loses_marks_and_is_told_why(page, answers):
    silent = []
    for f in page.exercises:
        for says, parts in answers[f].mutants:
            verdict = graded(page, f, parts, answers)
            if verdict.score >= verdict.max_score or says not in verdict.message.splitlines():
                silent.append((f, says, verdict))
    assert not silent


def test_every_mutant_says_something_else(page, answers):
    for f in page.exercises:
        seen = [parts for _, parts in answers[f].mutants]
        for i, mine in enumerate(seen):
            for other in seen[:i]:
                assert len(mine) != len(other) or not all(map(compare.equal, mine, other)), page.mutants(f)[i].says


def test_every_variant_gets_full_marks(page, answers):
    for f in page.exercises:
        for position, parts in enumerate(answers[f].variants):
            verdict = graded(page, f, parts, answers)
            assert verdict.verdict == "right", (f, page.variants(f)[position].source, verdict.message)


def test_the_bank_is_large_enough(page):
    first = next(iter(page.exercises), None)
    for f in page.exercises:
        most = page.name == "01_saliency" and f == first
        assert len(page.mutants(f)) >= (10 if most else 8) and len(page.variants(f)) >= (6 if most else 4), f


def test_the_solved_notebook_gets_all_and_the_blank_one_nothing(page, runs, answers):
    handed_in = dict(submissions(page))
    solved = verdicts(page, handed_in["solved"], runs, answers)
    assert [(verdict.verdict, verdict.score) for verdict in solved] == [
        ("right", cell.points) for cell in page.checks.values()
    ]
    blank = verdicts(page, handed_in["blank"], runs, answers)
    assert [(verdict.verdict, verdict.score) for verdict in blank] == [("not answered", 0)] * len(page.exercises)


def test_the_students_notebook_runs_from_top_to_bottom_with_stubs_only(page, tmp_path):
    notebook = notebooks.student_notebook(page)
    # These two look for the notebook's own file.
    notebook.cells = [cell for cell in notebook.cells if not re.search(r"\b(hand_in|write_pdf)\(", cell.source)]
    client = NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        allow_error_names=["NotImplementedError"],
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute(env=execute.environment())
    raised = {
        output.evalue for cell in notebook.cells for output in cell.get("outputs", []) if output.output_type == "error"
    }
    assert raised == {f"{f}: replace this line" for f in page.exercises}


def test_committed_notebooks_are_what_the_source_says(page):
    assert notebooks.differences(page) == ""


def test_every_figure_has_its_expected_picture(page):
    assert [name for name in page.figures if not (DATA / "expected" / f"{page.name}-{name}.png").exists()] == []


def test_every_figure_that_is_collected_is_saved_by_the_notebook_that_makes_it(page):
    for name in (cell.collects for cell in page.cells if cell.collects):
        origin, _, figure = name.partition("-")
        assert f'save_figure(figure, "{name}")' in PAGES[origin].figures[figure].source


def test_every_figure_that_is_saved_is_collected(page):
    collected = {cell.collects for other in PAGES.values() for cell in other.cells}
    saved = [name for cell in page.cells for name in re.findall(r'save_figure\(figure, "(.*?)"\)', cell.source)]
    assert set(saved) <= collected


def test_no_answer_stands_in_the_students_notebook(page):
    text = nbformat.writes(notebooks.student_notebook(page))
    for marker in ("BEGIN SOLUTION", "BEGIN HIDDEN TESTS", "emit(", "**Rubric", "**Model answer"):
        assert marker not in text


@pytest.mark.skipif("COURSE_ASSETS" not in os.environ, reason="COURSE_ASSETS is not set")
def test_the_solved_notebook_runs_on_imagenet(page, tmp_path):
    notebook = notebooks.solved_notebook(page)
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    environment = execute.environment() | {
        "COURSE_MODEL": "squeezenet1_1",
        "COURSE_ASSETS": os.environ["COURSE_ASSETS"],
        "OMP_NUM_THREADS": str(os.cpu_count()),  # nothing else runs beside it
    }
    client.execute(env=environment)
    drawn = [cell for cell in notebook.cells if "course" in cell.metadata]
    assert len(drawn) == len(page.figures)
    for cell in drawn:
        assert any("image/png" in output.get("data", {}) for output in cell.outputs), cell.metadata.course.figure
