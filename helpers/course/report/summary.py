"""What a feedback page opens with: each question by its title, its points and what to do; and what it leaves out."""

import json
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook, SubmittedNotebook
from nbgrader.preprocessors import NbGraderPreprocessor

from helpers.course.intake.pictures import figure_of
from helpers.course.marks.place import Place
from helpers.course.release import handout
from helpers.course.report.tables import verdict_of

# nbgrader's own list names no question, and counts what waits to be marked as lost.
STYLE = """<style>
  body > .container > .panel > .panel-heading { display: none; }
  .course-summary table { width: 100%; }
  .course-summary td, .course-summary th { padding: .3em .6em; vertical-align: top; }
  .course-summary .points { text-align: right; white-space: nowrap; }
</style>"""


class Line(NamedTuple):
    """A question on the page; `score` is None where it waits to be marked."""

    question: str
    title: str
    score: float | None
    most: float
    verdict: str
    todo: str


class ShowSummary(NbGraderPreprocessor):
    """Puts the student's table on top, and leaves out what is neither the student's nor needed to read it.

    Comes after ShowMarks.
    """

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Add the summary and take cells out, of the page alone."""
        place, about = Place.of(resources), resources["nbgrader"]
        verdicts = json.loads(place.file("verdicts", ".json").read_text("utf-8"))
        titles = handout.titles(place.page, place.release)
        with Gradebook(about["db_url"]) as gradebook:
            notebook = gradebook.find_submission_notebook(place.assignment, place.assignment, place.student)
            lines = list(summary(notebook, {verdict["question"]: verdict for verdict in verdicts}, titles))
            lost, late = notebook.late_submission_penalty or 0.0, notebook.assignment.total_seconds_late
        nb.cells = [shown(place.page.title, lines, lost, late), *kept(nb.cells, place.release.cells)]
        return nb, resources


def summary(notebook: SubmittedNotebook, verdicts: Mapping[str, dict], titles: Mapping[str, str]) -> Iterator[Line]:
    """Yield a line for each graded cell, in the order of the assignment."""
    grades = {grade.name: grade for grade in notebook.grades}
    comments = {comment.name: comment.manual_comment for comment in notebook.comments}
    for question, title in titles.items():
        if (grade := grades.get(question)) is None:
            continue
        verdict, message = verdict_of(grade, verdicts.get(question), comments.get(question))
        waits = grade.needs_manual_grade
        score = None if waits and grade.manual_score is None else grade.score
        yield Line(question, title, score, grade.max_score, verdict, "" if waits else todo(verdict, message))


def todo(verdict: str, message: str) -> str:
    """Return what of a message says what to do: not how many parts are right, which the points say."""
    if verdict in ("right", "not answered"):
        return ""
    lines = [line for line in message.splitlines() if not line.endswith("parts are right.")]
    return lines[0] if lines else ""


def shown(title: str, lines: list[Line], lost: float, seconds_late: float) -> NotebookNode:
    """Return the table as a cell, with its total; every text in it is escaped."""
    marked = [line for line in lines if line.score is not None]
    got, most = sum(line.score or 0.0 for line in marked) - lost, sum(line.most for line in marked)
    waiting = sum(line.most for line in lines) - most
    total = f"{got:g} of {most:g} points" + (f"; {waiting:g} more wait to be marked" if waiting else "")
    rows = [
        f'<tr><td><a href="#{escape(line.question)}">{escape(line.title)}</a></td>'
        f'<td class="points">{"" if line.score is None else f"{line.score:.3g}"} of {line.most:g}</td>'
        f"<td>{escape(line.verdict)}</td><td>{escape(line.todo)}</td></tr>"
        for line in lines
    ]
    head = "<tr><th>Question</th><th>Points</th><th>Verdict</th><th>What to do</th></tr>"
    text = f'{STYLE}\n<div class="course-summary"><h1>{escape(title)}</h1>\n<p><b>{total}.</b></p>\n'
    text += f"<table>{head}{''.join(rows)}</table></div>"
    if seconds_late > 0:
        cost = f"{lost:.3g} points are taken off" if lost else "nothing is taken off"
        text += f"\n\n## Late\n\nHanded in {seconds_late / 3600:.1f} hours after the due date: {cost}."
    return nbformat.v4.new_markdown_cell(text, id="summary")


def kept(cells: Iterable[NotebookNode], release: Iterable[NotebookNode]) -> Iterator[NotebookNode]:
    """Yield the cells of a page: those that count, the student's own, and the prose and figures right above these."""
    given = {cell.id: cell for cell in release}
    above: list[NotebookNode] = []
    for cell in cells:
        tags, released = cell.metadata.get("nbgrader", {}), given.get(cell.id)
        # Prose may differ from what was handed out by its formulas, which are typeset.
        own = not tags and (released is None or (cell.cell_type == "code" and cell.source != released.source))
        if own or tags.get("grade") or tags.get("solution"):
            yield from [*above, cell]
            above = []
        elif cell.cell_type == "markdown":
            above = [nbformat.from_dict(cell | {"source": handout.from_last_heading(cell.source)})]
        elif figure_of(cell):
            above.append(cell)
