"""What CONTRIBUTING.md shows an author: its page to copy is graded, its quiz asked, its drawing is of this house."""

import re
import subprocess
import sys

import nbformat
import pytest

from helpers import COURSE
from helpers.course.marks import compare, reference
from helpers.course.pages import source
from helpers.course.pages.cells import NAMELESS, OPTIONS, cut, without_markers
from helpers.course.release import notebooks
from helpers.course.run import execute
from helpers.course.run.limits import Limits
from helpers.widgets import questions
from tests.answering import executed, parts_of

TEXT = (COURSE / "CONTRIBUTING.md").read_text("utf-8")
BEFORE, _, AFTER = TEXT.partition("## Add a quiz")
# The page to copy, and what may be added to it.
PAGE = "\n\n".join(re.findall(r"```python\n(.*?)```", BEFORE, re.DOTALL))
# The head and the title of that page, and the quiz that counts.
[CELLS] = re.findall(r"```python\n(.*?)```", AFTER, re.DOTALL)
QUIZ = PAGE[: PAGE.index("# %% setup")] + CELLS


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("solutions") / "09_maps.py"
    path.write_text(PAGE, "utf-8")
    return source.read(path)


@pytest.fixture(scope="module")
def answers(page):
    limits = Limits(cell=60, notebook=300)
    ran = execute.run(nbformat.writes(reference.notebook(page)), limits)
    return reference.answers(page, nbformat.reads(ran, as_version=4))["stretched"]


def test_page_has_every_tag_there_is():
    explained = re.findall(r"^\| `# %%(?: \[markdown\])?(?: (\w+))?", TEXT, re.MULTILINE)
    assert set(explained) == {"", *OPTIONS, *NAMELESS}
    shown = re.findall(r"^# %%(?: \[markdown\])?(?: (\w+))?", PAGE, re.MULTILINE)
    assert set(shown) == set(explained) - {"local"}


@pytest.mark.parametrize("page", [PAGE, QUIZ], ids=["page", "quiz"])
@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=" ".join)
def test_page_has_the_style_of_the_others(command, page):
    name = str(COURSE / "solutions" / "09_maps.py")
    ruff = [sys.executable, "-m", "ruff", *command, "--stdin-filename", name, "-"]
    subprocess.run(ruff, input=page, text=True, check=True, cwd=COURSE)


def test_page_builds_both_notebooks(page):
    student, solved = (
        nbformat.writes(notebooks.student_notebook(page)),
        nbformat.writes(notebooks.solved_notebook(page)),
    )
    assert "stretched: replace this line" in student and "keepdim=True).values" not in student
    assert "low = maps.amin(" in solved and "low = maps.amin(" not in student


def test_visible_check_passes_right_answers_and_names_wrong_ones(page):
    def check(answer):
        namespace = {}
        for cell in (*(cell for cell in page.cells if cell.kind == "setup"), answer):
            exec(without_markers(cell.source), namespace)
        exec(cut(page.checks["stretched"].source, "HIDDEN TESTS"), namespace)

    for right in (page.exercises["stretched"], *page.variants("stretched")):
        check(right)
    assert len(page.mutants("stretched")) == 3
    for wrong in page.mutants("stretched"):
        with pytest.raises(AssertionError, match=re.escape(wrong.visible)):
            check(wrong)


@pytest.mark.kernel
def test_grader_accepts_right_answers_and_names_wrong_ones(page, answers):
    judge = reference.judge_of(page, "stretched")

    def graded(parts):
        return compare.grade("test_stretched", 4, parts, answers.reference, answers.mutants, judge=judge)

    assert [graded(parts).verdict for parts in (answers.reference, *answers.variants)] == ["right", "right"]
    for says, parts in answers.mutants:
        assert graded(parts).score < 4 and says in graded(parts).message


def test_quiz_can_be_asked(tmp_path):
    [shown] = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "09_maps.toml").write_text(shown, "utf-8")
    [question] = questions.read_questions(tmp_path / "09_maps.toml")
    assert question.right == "4"


# The quiz that counts


def quizzed(folder, key=None):
    """Return the page with the quiz, with its own key or with another."""
    [own] = re.findall(r"    return (.*)", QUIZ)
    path = folder / "solutions" / "09_maps.py"
    path.parent.mkdir(parents=True)
    path.write_text(QUIZ.replace(f"return {own}", f"return {key or own}"), "utf-8")
    return source.read(path)


def test_students_get_the_same_whatever_the_key(tmp_path):
    mine, other = tmp_path / "mine", tmp_path / "other"
    notebooks.write(quizzed(mine))
    notebooks.write(quizzed(other, '{1: "c", 2: "b"}'))
    built = {path.relative_to(mine) for path in mine.rglob("*.*") if (other / path.relative_to(mine)).is_file()}
    differ = {path.as_posix() for path in built if (mine / path).read_bytes() != (other / path).read_bytes()}
    assert differ == {"solutions/09_maps.py", "solutions/09_maps.ipynb"}
    assert {"notebooks/09_maps.ipynb", "data/released/09_maps.json"} <= {path.as_posix() for path in built - differ}


@pytest.mark.kernel
def test_the_quiz_is_graded_question_by_question(tmp_path):
    page = quizzed(tmp_path)
    ran = execute.run(nbformat.writes(reference.notebook(page)), Limits(cell=60, notebook=300))
    known = reference.answers(page, nbformat.reads(ran, as_version=4))["greys_answers"]
    namespace = executed({}, *(cell for cell in page.cells if cell.kind == "setup"))

    def graded(answers):
        parts = parts_of(page, "greys_answers", namespace | {"greys_answers": lambda: answers})
        return compare.grade("test_greys_answers", 2, parts, known.reference, known.mistakes)

    right = [{1: "b", 2: "a"}, {2: " A ", 1: "B)"}, {1: "0.25", 2: "A map of  NaN"}]
    assert [graded(answers).score for answers in right] == [2, 2, 2]
    one, two = graded({1: "c", 2: "a"}), graded({1: "b", 2: "b"})
    assert (one.score, one.message) == (1, "1 of 2 parts are right.\nquestion 1: not as it must be: your answer")
    assert (two.score, two.message) == (1, "1 of 2 parts are right.\nquestion 2: not as it must be: your answer")
    assert graded({1: "b", 2: "c"}).message.endswith(
        "0 / 0 for 0. Stretching divides by the largest value less the least."
    )
    assert [graded(wrong).score for wrong in ({1: "a", 2: "c"}, {}, {1: "z", 2: None}, None, "ba")] == [0] * 5
    assert [graded(half).score for half in ({1: "b"}, {1: "b", 2: "d"}, {2: "a", 1: 2})] == [1] * 3
    assert graded({1: "b", 2: "a", 3: "a"}).score == 2


def test_drawing_is_of_this_house():
    [drawing] = re.findall(r"## The house\n\n```\n(.*?)```", TEXT, re.DOTALL)
    drawn, above = set(), []
    for indent, name in re.findall(r"^( *)(\S+) ", drawing, re.MULTILINE):
        above = [*above[: len(indent) // 2], name]
        drawn.add("".join(above))
    for folder in ("helpers/", "helpers/course/"):
        modules = [path for path in (COURSE / folder).iterdir() if path.stem not in ("__init__", "__pycache__")]
        there = {f"{folder}{path.name}{'/' * path.is_dir()}" for path in modules}
        assert {name for name in drawn if re.fullmatch(rf"{folder}[^/]+/?", name)} == there
    assert all((COURSE / name).exists() for name in drawn)
