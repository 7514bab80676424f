"""What a rubric becomes on a page: tick boxes for the marker, what earned points for the student.

Two preprocessors that nbgrader_config.py names. Neither changes a notebook on disk.
"""

from collections.abc import Iterator, Sequence
from html import escape, unescape
from logging import Logger
from pathlib import Path

import nbformat
from nbconvert.filters import markdown2html_mistune
from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import NbGraderPreprocessor

from helpers.course.marks.place import Place
from helpers.course.pages import rubric
from helpers.course.pages.cells import Cell
from helpers.course.pages.rubric import Rubric
from helpers.course.report import formulas
from helpers.handin.assignment import NOT_ANSWERED
from helpers.words import counted
from helpers.writeup.words import count_words


class ShowRubrics(Preprocessor):
    """Puts the model answer and the rubric, with a box to tick for each criterion, below every answer in formgrader.

    A tick counts into nbgrader's score field and is kept as a line in nbgrader's comment, so that both are saved and
    restored by nbgrader itself.
    """

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Add the cells to what formgrader shows; nbgrader's other pages go through here too and stay as they are."""
        if "submission_id" not in resources:
            return nb, resources
        place = Place(Path(CourseDirectory(parent=self).root), resources["student"], resources["assignment_id"])
        cells = []
        for cell, question in with_questions(nb, place, self.log):
            cells.append(cell)
            if question:
                cells.append(marker_cell(question, cell.source))
        formulas.typeset(cells)
        if len(cells) > len(nb.cells):
            cells += [own("style", ".css"), own("script", ".js")]
        nb.cells = cells
        return nb, resources


class ShowMarks(NbGraderPreprocessor):
    """Puts what earned points and the model answer below every marked answer on a feedback page.

    Below an answer that waits to be marked it says so, and nothing of the rubric. Comes after nbgrader's GetGrades.
    """

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Add the cells; from the comments, take the lines about ticks."""
        about, cells = resources["nbgrader"], []
        with Gradebook(about["db_url"]) as gradebook:
            for cell, question in with_questions(nb, Place.of(resources), self.log):
                cells.append(cell)
                if question:
                    found = rubric.of(question)
                    grade = gradebook.find_grade(
                        question.name, about["notebook"], about["assignment"], about["student"]
                    )
                    cell.metadata.nbgrader["comment"], ticks = found.read(cell.metadata.nbgrader["comment"])
                    if grade.needs_manual_grade:
                        cells.append(waiting_cell(marked_before=grade.manual_score is not None))
                    elif grade.manual_score is not None:
                        cells.append(marked_cell(found, ticks))
        formulas.typeset(cells)
        nb.cells = [*cells, own("style", ".css")]
        return nb, resources


def own(tag: str, suffix: str) -> NotebookNode:
    """Return the cell with our style or script for a page. No blank line may stand in it: Markdown would end it."""
    return nbformat.v4.new_markdown_cell(f"<{tag}>\n{Path(__file__).with_suffix(suffix).read_text('utf-8')}</{tag}>")


def with_questions(nb: NotebookNode, place: Place, log: Logger) -> Iterator[tuple[NotebookNode, Cell | None]]:
    """Yield each cell of a notebook with the question of the page that it answers, or None."""
    try:
        questions = place.page.questions
    except (OSError, ValueError) as error:
        # An assignment that was not built from a page is marked without one.
        log.warning("no rubrics for %s: %s", place.assignment, error)
        questions = {}
    for cell in nb.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        yield cell, questions.get(name) if cell.cell_type == "markdown" else None


def length(answer: str, limit: int | None) -> tuple[str, bool]:
    """Return how long an answer is against its limit in words, and whether it is longer."""
    words = 0 if answer.strip() == NOT_ANSWERED else count_words(unescape(answer))
    said = counted(words, "word") if words else "Not answered"
    if limit is None:
        return said, False
    return f"{said}; the limit is {limit}", words > limit


def marker_cell(question: Cell, answer: str) -> NotebookNode:
    """Return the cell below an answer in formgrader."""
    found = rubric.of(question)
    text, over = length(answer, question.words)
    boxes = [
        f'<label><input type="checkbox" class="tabbable" disabled data-points="{criterion.points}" '
        f'data-tick="{_attribute(criterion.tick)}">{markdown2html_mistune(str(criterion))}</label>'
        for criterion in found.criteria
    ]
    lines = [
        f'<div class="rubric" data-question="{question.name}">',
        f'<p class="length{" over" * over}">{text}</p>',
        '<p class="review">This answer has changed since it was marked. Look at it again, then press Resolve or give '
        "another score.</p>",
        '<p><b>Rubric</b> <span class="count"></span></p>',
        *boxes,
        f"<details><summary>Model answer</summary>\n\n{found.model_answer}\n\n</details>",
        "</div>",
    ]
    return nbformat.v4.new_markdown_cell("\n".join(lines))


def _attribute(text: str) -> str:
    """Return text for an HTML attribute, in which no formula is seen."""
    return escape(text).replace("$", "&#36;")


def marked_cell(found: Rubric, ticks: Sequence[bool]) -> NotebookNode:
    """Return the cell below a marked answer on a feedback page; without ticks, the marker gave the score as a whole."""
    head, signs = "What earns points", ["\N{BULLET}"] * len(ticks)
    if any(ticks):
        head, signs = "What earned points", ["\N{CHECK MARK}" if tick else "\N{EN DASH}" for tick in ticks]
    criteria = [
        f'<div style="display: flex; gap: 8px"><span>{sign}</span>{markdown2html_mistune(str(criterion))}</div>'
        for sign, criterion in zip(signs, found.criteria, strict=True)
    ]
    text = f"<p><b>Model answer</b></p>\n\n{found.model_answer}\n\n</div>"
    return nbformat.v4.new_markdown_cell("\n".join([f'<div class="well"><p><b>{head}</b></p>', *criteria, text]))


def waiting_cell(*, marked_before: bool) -> NotebookNode:
    """Return the cell below an answer that waits, on a feedback page."""
    said = "has changed since it was marked and waits to be marked again" if marked_before else "waits to be marked"
    text = f"This answer {said}." + ("" if marked_before else " Its points are not in the score yet.")
    return nbformat.v4.new_markdown_cell(f'<div class="alert alert-info">{text}</div>')
