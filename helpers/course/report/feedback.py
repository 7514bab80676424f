"""What a graded notebook shows of its grading, to students and markers alike: verdicts, and which figures are missing.

Three preprocessors that nbgrader_config.py names. Those that add come after NoScript, which would take it away.
"""

from html import escape

import nbformat
from nbformat import NotebookNode
from nbgrader.preprocessors import ClearHiddenTests, NbGraderPreprocessor

from helpers.course.intake import pictures
from helpers.course.marks.compare import Verdict
from helpers.course.marks.place import Place
from helpers.course.run.prepare import is_check

COLOURS = {"right": "success", "partly right": "warning", "not answered": "info"}


class ShowVerdicts(NbGraderPreprocessor):
    """Writes the verdict on every check below its visible half."""

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Go through the check cells; after CompareWithReference."""
        for cell in nb.cells:
            if is_check(cell):
                cell.outputs.append(shown(resources["verdicts"][cell.metadata.nbgrader.grade_id]))
        return nb, resources


def shown(verdict: Verdict) -> NotebookNode:
    """Return a verdict as a notebook output; every text in it is escaped."""
    head = f"{verdict.verdict}: {verdict.score:.4g} of {verdict.max_score:g} points"
    lines = verdict.message.splitlines()
    colour = COLOURS.get(verdict.verdict, "danger")
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return nbformat.v4.new_output(
        "display_data",
        data={
            "text/plain": "\n".join([head, *lines]),
            "text/html": f'<div class="alert alert-{colour}"><b>{escape(head)}</b><ul>{items}</ul></div>',
        },
    )


class ClearHiddenHalves(ClearHiddenTests):
    """nbgrader's, for the checks only: its words in a cell of a student's are the student's own text."""

    def preprocess_cell(self, cell: NotebookNode, resources: dict, cell_index: int) -> tuple[NotebookNode, dict]:
        """Remove the hidden half of a check."""
        return super().preprocess_cell(cell, resources, cell_index) if is_check(cell) else (cell, resources)


class ShowFigures(NbGraderPreprocessor):
    """Says where the picture of a collected figure is missing, below its cell or in its place before the question."""

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Go through the collected figures of the release."""
        release = Place.of(resources).release
        figures = pictures.figures(release)
        for cell in nb.cells:
            if (figure := pictures.figure_of(cell)) in figures:
                cell.outputs = cell.outputs or [missing(figure)]
                for output in cell.outputs:
                    output.metadata = {kind: {"alt": figure} for kind in output.data}
        there = set(map(pictures.figure_of, nb.cells))
        for position, cell in enumerate(release.cells):
            if (figure := pictures.figure_of(cell)) in figures - there:
                after = next((c.id for c in release.cells[position:] if "nbgrader" in c.metadata), None)
                at = next((n for n, c in enumerate(nb.cells) if c.id == after), len(nb.cells))
                nb.cells.insert(at, nbformat.v4.new_code_cell(cell.source, id=cell.id, outputs=[missing(figure)]))
        return nb, resources


def missing(figure: str) -> NotebookNode:
    """Return the line about a missing figure as a notebook output."""
    text = f"Missing figure: the notebook as handed in holds no picture of {figure}."
    html = f'<div class="alert alert-warning"><b>Missing figure:</b>{escape(text.partition(":")[2])}</div>'
    return nbformat.v4.new_output("display_data", data={"text/plain": text, "text/html": html})
