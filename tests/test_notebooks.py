"""Building notebooks: what students get, what instructors get, and that a build is the same every time."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbgrader.converters import GenerateAssignment
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config

from helpers import COURSE, plots
from helpers.course.pages import registry
from helpers.course.pages.cells import without_markers
from helpers.course.pages.names import names, parsed
from helpers.course.pages.source import read
from helpers.course.pages.terms import terms
from helpers.course.release import notebooks
from helpers.handin.assignment import NOT_ANSWERED, handed_out, is_answered

TINY = Path(__file__).parent / "sources" / "01_tiny.py"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(COURSE)}


@pytest.fixture(scope="module")
def page():
    return read(TINY)


@pytest.fixture(scope="module")
def student(page):
    return notebooks.student_notebook(page)


@pytest.fixture(scope="module")
def solved(page):
    return notebooks.solved_notebook(page)


@pytest.fixture
def course(tmp_path):
    """A course of one page; the path of its source."""
    (tmp_path / "solutions").mkdir()
    return Path(shutil.copy(TINY, tmp_path / "solutions"))


def cell_of(notebook, name):
    return next(cell for cell in notebook.cells if cell.id == name)


def figures_of(notebook):
    return [cell for cell in notebook.cells if "figure" in cell.metadata.get("tags", [])]


def executed(notebook, folder, **options):
    client = NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(folder)}}, **options)
    client.execute(env=ENVIRONMENT)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output.ename for output in outputs if output.output_type == "error"], outputs


def test_both_are_valid_notebooks(student, solved):
    for notebook in (student, solved):
        nbformat.validate(notebook)
        assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
        assert notebook.metadata.kernelspec.name == "python3"
        assert "version" not in json.dumps(notebook.metadata)
        assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", cell.id) for cell in notebook.cells)


def test_students_see_no_answer(student, solved):
    text = nbformat.writes(student)
    for secret in ("secret_answer", "model_answer", "emit", "BEGIN", "END"):
        assert secret not in text
        assert secret in nbformat.writes(solved)


def test_mistakes_mutants_variants_and_judges_are_in_neither(student, solved):
    for notebook in (student, solved):
        for hidden in ("squared_mutant", "added_variant", "got == want", "This squares x.", "This triples x."):
            assert hidden not in nbformat.writes(notebook)


def test_the_stub_keeps_signature_docstring_and_comments(student):
    assert cell_of(student, "double").source == (
        'def double(x):\n    """Return twice x."""\n    # One multiplication is enough.\n'
        '    raise NotImplementedError("double: replace this line")'
    )
    assert cell_of(student, "q_linear").source == NOT_ANSWERED
    assert cell_of(student, "test_double").source == ('assert double(legs) == 8, "found another number, 8 was wanted"')


def test_cells_carry_what_nbgrader_must_know(student):
    def flags(name):
        metadata = cell_of(student, name).metadata
        known = metadata.nbgrader
        assert (known.schema_version, known.grade_id, known.task) == (3, name, False)
        kept = (metadata.get("deletable", True), metadata.get("editable", True))
        return (known.grade, known.solution, known.locked, known.get("points")), kept

    assert flags("double") == ((False, True, False, None), (False, True))
    assert flags("test_double") == ((True, False, True, 1), (False, False))
    assert flags("q_linear") == ((True, True, False, 3), (False, True))
    assert flags("setup-0") == flags("setup-1") == ((False, False, True, None), (False, False))
    known = {cell.id for cell in student.cells if "nbgrader" in cell.metadata}
    assert known == {"setup-0", "setup-1", "double", "test_double", "triple", "test_triple", "q_linear", "q_triple"}


def test_the_notebook_opens_with_badge_title_and_a_short_folded_set_up(student, solved):
    for notebook in (student, solved):
        badge, title, set_up = notebook.cells[:3]
        assert "https://colab.research.google.com/github/" in badge.source
        assert "/blob/main/notebooks/01_tiny.ipynb" in badge.source
        assert title.source.startswith("# Twice")
        assert len(set_up.source.splitlines()) <= 4
        assert set_up.metadata.jupyter.source_hidden
        assert set_up.metadata.cellView == "form"
        assert set_up.source.startswith("# @title")


def test_a_course_that_is_not_on_github_has_no_colab_badge(page, monkeypatch):
    elsewhere = replace(terms(), repository="https://git.example.org/course")
    monkeypatch.setattr(notebooks, "terms", lambda: elsewhere)
    assert notebooks.solved_notebook(page).cells[0].source.startswith("# Twice")


@pytest.mark.skipif(not shutil.which("git"), reason="the set-up cell brings the course with git")
def test_the_set_up_cell_brings_the_course_to_a_bare_machine_once(page, tmp_path, monkeypatch):
    remote, machine = tmp_path / "remote" / "the-course", tmp_path / "machine"
    (remote / "helpers").mkdir(parents=True)
    machine.mkdir()
    (remote / "helpers" / "__init__.py").write_text("HERE = 'brought'\n")
    git = ["git", "-C", str(remote), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "--quiet", "--initial-branch", "main"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "course"], check=True)
    here = replace(terms(), repository=remote.as_uri(), branch="main")
    monkeypatch.setattr(notebooks, "terms", lambda: here)
    set_up = cell_of(notebooks.student_notebook(page), "setup-0").source

    def run(machine):  # -I and -S: no helpers from the environment of this test
        code = f"{set_up}\n{set_up}\nimport helpers; print(helpers.HERE)"
        command = [sys.executable, "-I", "-S", "-c", code]
        return subprocess.run(command, cwd=machine, capture_output=True, text=True, env=environment)

    environment = None
    said = f"Bringing the course from {remote.as_uri()}: this may take a minute.\n"
    assert run(machine).stdout == f"{said}brought\n"
    half_made = tmp_path / "half made"
    (half_made / "the-course").mkdir(parents=True)
    (half_made / "the-course" / "README.md").touch()
    assert "delete a folder the-course that an earlier try has left here half made" in run(half_made).stderr
    shutil.rmtree(remote)  # a new kernel on the same machine finds what was brought
    assert run(machine).stdout == "brought\n"
    bare = tmp_path / "bare"
    bare.mkdir()
    assert f"found no course at {remote.as_uri()}: connect to the internet" in run(bare).stderr.splitlines()[-1]
    environment = {"PATH": ""}
    assert "found no git, which brings the course: install it" in run(bare).stderr.splitlines()[-1]


def test_the_line_under_an_exercise_heading_is_made_from_its_tags(student, page):
    texts = [cell.source for cell in student.cells if cell.cell_type == "markdown"]
    first = next(text for text in texts if "Exercise 1.1" in text)
    assert first.startswith(
        "### Exercise 1.1: Double\n\nabout 5 minutes | difficulty 1 of 3 | 1 point\n\nReturn $2x$.\n"
    )
    assert "### Exercise 1.2: Triple\n\nabout 1 minute | difficulty 3 of 3 | 4 points" in texts
    rest = page.cells[2].source.partition("\n")[2]
    assert first.endswith(rest)  # LaTeX and <details> as they were


def test_below_each_figure_students_find_the_expected_picture(student, solved):
    figure, expected = figures_of(student)[:2]
    assert student.cells.index(expected) == student.cells.index(figure) + 1
    assert expected.source.splitlines()[-1] == 'expected_picture("01_tiny-legs")'
    assert expected.metadata.tags == ["figure", "expected"]
    assert (expected.metadata.editable, expected.metadata.deletable) == (False, False)
    assert [cell.metadata.course for cell in figures_of(solved)] == [{"figure": "legs"}]


def test_where_the_prose_asks_for_a_prediction_there_is_a_place_to_write_it(course, student, solved):
    text = course.read_text("utf-8")
    ask = "# %% [markdown]\n# **Predict first:** how many legs?\n\n"
    figure = text[text.index('# %% figure="legs"') :]
    prose = "# %% [markdown]\n# Prose between question and figure.\n\n"
    between = "# %% example\nshoes = 2\n\n"
    for asking, is_asked in ((ask, True), (ask + between, True), (ask + prose, False)):
        course.write_text(text.replace(figure, asking + figure), "utf-8")
        built = notebooks.student_notebook(read(course))
        places = [cell for cell in built.cells if "prediction" in cell.metadata.get("tags", [])]
        assert bool(places) == is_asked
        assert not any("my_prediction" in cell.source for cell in notebooks.solved_notebook(read(course)).cells)
        if is_asked:
            [place] = places
            before = built.cells[built.cells.index(place) - 1]
            assert "**Predict first:**" in before.source
            assert place.source.splitlines()[-1] == 'note_prediction("01_tiny-legs", my_prediction)'
            # A form in Colab; in no way locked, and left out in grading and in the run before handing in.
            assert place.metadata == {"tags": ["figure", "prediction"], "cellView": "form"}
    assert not any("my_prediction" in cell.source for cell in (*student.cells, *solved.cells))


@pytest.mark.parametrize("name", registry.pages())
def test_the_place_for_a_prediction_takes_no_name_of_the_page(name):
    """`predict` is a function of page 03: a cell that imports another one by this name spoils all that follows."""
    page = registry.page_of(name)
    own = {bound for cell in page.cells if not cell.is_markdown for bound in names(parsed(cell.source)[1]).bound}
    places = [c for c in notebooks.student_notebook(page).cells if "prediction" in c.metadata.get("tags", [])]
    assert bool(places) == any("**Predict first:**" in cell.source for cell in page.cells)
    assert not own & {bound for cell in places for bound in names(parsed(cell.source)[1]).bound}


def test_the_expected_picture_is_to_be_seen_before_anything_is_run(page, tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "DATA", tmp_path)
    assert [cell.outputs for cell in figures_of(notebooks.student_notebook(page))[:2]] == [[], []], "none is drawn yet"
    (tmp_path / "expected").mkdir()
    png = plots.lines([1, 2], {"legs": [4, 8]}, xlabel="cats", ylabel="legs")._repr_png_()
    (tmp_path / "expected" / "01_tiny-legs.png").write_bytes(png)
    figure, expected = figures_of(notebooks.student_notebook(page))[:2]
    assert figure.outputs == []
    (output,) = expected.outputs
    assert base64.b64decode(output.data["image/png"]) == png
    assert output.metadata["image/png"]["alt"] == "Lines of legs against cats. legs: 4 at 1, 8 at 2."


def test_a_question_says_how_many_words_it_may_have(student, page):
    texts = [cell.source for cell in student.cells if cell.cell_type == "markdown"]
    assert next(text for text in texts if "Question 1.3" in text).endswith(
        'since $3x$ is a line."\n\n*At most 20 words, 1 point.*'
    )
    assert "Is doubling a number linear?" in texts  # no limit, no line


def test_local_cells_are_the_students_alone_and_tagged_as_what_grading_leaves_out(student, solved):
    local = [cell for cell in figures_of(student) if not {"course", "deletable"} & cell.metadata.keys()]
    _, collected, afterwards = local
    assert collected.metadata == {"tags": ["figure", "collected"]}
    assert afterwards.metadata == {"tags": ["figure"], **notebooks.FOLDED}  # it has a title
    assert not any("saved_figure" in cell.source or "Afterwards" in cell.source for cell in solved.cells)


def test_students_do_not_see_which_cells_are_worked_examples(course, student, solved):
    text = course.read_text("utf-8")
    course.write_text(text.replace("# %%\nprint(double(legs))", "# %% example\nprint(double(legs))"), "utf-8")
    page = read(course)
    assert nbformat.writes(notebooks.student_notebook(page)) == nbformat.writes(student)
    (example,) = [cell for cell in notebooks.solved_notebook(page).cells if cell.metadata.get("tags") == ["example"]]
    assert example.source == "print(double(legs))"
    del example.metadata["tags"]
    assert example == cell_of(solved, example.id)


def test_the_last_cell_is_the_hand_in_check_of_this_assignment(student, solved):
    last = student.cells[-1]
    assert last.source.splitlines()[-1] == 'hand_in("01_tiny")'
    assert last.metadata == {"tags": ["figure", "hand-in"], "deletable": False, "editable": False}
    assert not any("hand_in" in cell.source for cell in solved.cells)


def test_what_was_handed_out_is_kept_as_data(course, student, monkeypatch):
    notebooks.write(read(course))
    monkeypatch.setattr("helpers.handin.assignment.DATA", course.parent.parent / "data")
    handed = handed_out("01_tiny")
    assert (handed.name, handed.title, handed.course) == ("01_tiny", "Twice", "Looking inside convolutional networks")
    locked = [cell for cell in student.cells if "nbgrader" in cell.metadata]
    assert [(item.id, item.source) for item in handed.items] == [
        (cell.metadata.nbgrader.grade_id, cell.source) for cell in locked
    ]
    assert [item.title for item in handed.exercises] == ["Exercise 1.1: Double", "Exercise 1.2: Triple"]
    first, second = handed.questions
    assert (first.title, first.points, first.words, first.figures) == ("q_linear", 3, None, ())
    assert (second.title, second.points, second.words) == ("Question 1.3: Is tripling linear?", 1, 20)
    assert second.figures == ("01_tiny-legs",)
    assert second.text.startswith("### Question 1.3") and second.text.endswith("*At most 20 words, 1 point.*")
    assert not any(is_answered(item, item.source) for item in (*handed.exercises, *handed.questions))
    with pytest.raises(ValueError, match="found no assignment '02_tiny'; known are 01_tiny"):
        handed_out("02_tiny")


@pytest.mark.kernel
def test_the_students_notebook_runs_with_not_implemented_errors_only(page, tmp_path):
    student = notebooks.student_notebook(page)
    student.cells.pop()  # the hand-in check, which would run all of it once more
    errors, _ = executed(student, tmp_path, allow_error_names=["NotImplementedError"])
    assert errors == ["NotImplementedError"] * 4  # two checks, the figure and the line that uses the answer


@pytest.mark.kernel
def test_the_solved_notebook_runs(page, tmp_path):
    errors, outputs = executed(notebooks.solved_notebook(page), tmp_path)
    assert errors == []
    assert "[8]\n" in [output.get("text") for output in outputs]


def _is_for_students_alone(cell):
    tags = set(cell.metadata.get("tags", []))
    return tags & {"expected", "hand-in"} or (tags and "course" not in cell.metadata) or cell.id == "before-you-hand-in"


@pytest.mark.slow
def test_nbgrader_releases_the_same_cells(solved, student, tmp_path, monkeypatch):
    """`nbgrader generate_assignment` on the solved notebook gives the students', without what is for students alone."""
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)  # nbgrader calls alembic
    (tmp_path / "source" / "01_tiny").mkdir(parents=True)
    nbformat.write(solved, tmp_path / "source" / "01_tiny" / "01_tiny.ipynb")
    config = Config()
    config.CourseDirectory.root = str(tmp_path)
    config.CourseDirectory.assignment_id = "01_tiny"
    config.GenerateAssignment.preprocessors = notebooks.RELEASE_PREPROCESSORS
    GenerateAssignment(coursedir=CourseDirectory(config=config), config=config).start()
    released = nbformat.read(tmp_path / "release" / "01_tiny" / "01_tiny.ipynb", as_version=4)
    assert released.cells == [cell for cell in student.cells if not _is_for_students_alone(cell)]


@pytest.mark.slow
def test_a_build_is_the_same_in_every_process(course):
    code = (
        "import sys; from helpers.course.pages import source; from helpers.course.release import notebooks; "
        "notebooks.write(source.read(sys.argv[1]))"
    )
    builds = []
    for seed in ("1", "2"):
        environment = ENVIRONMENT | {"PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", code, str(course)], env=environment, check=True)
        builds.append([path.read_bytes() for path in sorted(course.parent.parent.rglob("*.ipynb"))])
    assert len(builds[0]) == 2
    assert builds[0] == builds[1]


def test_notebooks_are_written_as_jupyter_writes_them(course):
    written = notebooks.write(read(course))
    places = [path.relative_to(course.parent.parent).as_posix() for path in written]
    assert places == ["notebooks/01_tiny.ipynb", "solutions/01_tiny.ipynb", "data/released/01_tiny.json"]
    for path in written[:2]:
        notebook = nbformat.read(path, as_version=4)
        assert all(cell.execution_count is None and cell.outputs == [] for cell in notebook.cells if "outputs" in cell)
        nbformat.write(notebook, path.with_suffix(".again"))
        assert path.with_suffix(".again").read_bytes() == path.read_bytes()


def test_a_written_notebook_does_not_differ(course):
    notebooks.write(read(course))
    assert notebooks.differences(read(course)) == ""


def test_an_edited_sentence_is_shown_with_its_file(course, monkeypatch):
    monkeypatch.chdir(course.parent.parent)
    notebooks.write(read(course))
    course.write_text(course.read_text("utf-8").replace("A list times 2 is", "A list times two is"))
    found = notebooks.differences(read(course)).splitlines()
    for place in ("notebooks", "solutions"):
        assert f"--- {place}/01_tiny.ipynb (committed)" in found
    assert found.count("-A list times 2 is the list twice.") == 2
    assert found.count("+A list times two is the list twice.") == 2


def test_a_missing_and_a_broken_notebook_are_reported(course, monkeypatch):
    monkeypatch.chdir(course.parent.parent)
    students, solved, released = notebooks.write(read(course))
    students.unlink()
    solved.write_text("<<<<<<< HEAD")
    released.write_text(released.read_text("utf-8").replace('"points": 4', '"points": 5'))
    first, second, *rest = notebooks.differences(read(course)).splitlines()
    assert first.startswith("notebooks/01_tiny.ipynb: missing")
    assert second.startswith("solutions/01_tiny.ipynb: not a notebook")
    assert '-   "points": 5' in rest and '+   "points": 4' in rest


def test_any_other_byte_is_a_difference_too(course):
    _, solved, _ = notebooks.write(read(course))
    data = solved.read_bytes()
    solved.write_bytes(data.replace(b'"execution_count": null', b'"execution_count": 7', 1))
    assert '-   "execution_count": 7,' in notebooks.differences(read(course)).splitlines()
    solved.write_bytes(data.replace(b"\n", b"\r\n"))
    assert "line ends" in notebooks.differences(read(course))


def test_an_answer_without_its_markers_is_what_a_student_hands_in(page):
    answer = without_markers(page.exercises["double"].source)
    assert answer.endswith("enough.\n    secret_answer = 2\n    return secret_answer * x")
