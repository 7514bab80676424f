"""From a submission to the notebook that is run, and back: hidden halves in, what they said out."""

import copy

import nbformat
from nbformat import NotebookNode

HIDDEN_BEGIN = "### BEGIN HIDDEN TESTS"


def is_hidden(cell: NotebookNode) -> bool:
    """Tell whether `cell` is the hidden half of a check in a prepared notebook."""
    return bool(cell.metadata.get("course", {}).get("half") == "hidden")


def halves(cell: NotebookNode) -> list[NotebookNode]:
    """Split a check cell in its visible and its hidden half, so that a failed visible check hides no result."""
    visible, marker, hidden = cell.source.partition(HIDDEN_BEGIN)
    result = []
    for half, source in (("visible", visible), ("hidden", marker + hidden)):
        part = copy.deepcopy(cell)
        part.id = f"{cell.metadata.nbgrader.grade_id[:55]}-{half}"
        part.source = source
        part.metadata = nbformat.from_dict({"course": {"half": half}})
        result.append(part)
    return result


def is_check(cell: NotebookNode) -> bool:
    """Tell whether `cell` is an autograded test cell."""
    tags = cell.metadata.get("nbgrader", {})
    return cell.cell_type == "code" and bool(tags.get("grade")) and not tags.get("solution")


def is_figure(cell: NotebookNode) -> bool:
    """Tell whether `cell` only draws."""
    return "figure" in cell.metadata.get("tags", [])


def prepared(submission: NotebookNode, release: NotebookNode, solved: NotebookNode) -> NotebookNode:
    """Return the notebook to run: code cells only, no figures, checks as released with their hidden halves.

    Args:
        submission: a repaired notebook (`helpers.course.intake.repair`).
        release: the students' notebook, whose figures are left out.
        solved: the solved notebook, whose check cells hold the hidden tests.
    """
    checks = {cell.metadata.nbgrader.grade_id: cell for cell in solved.cells if is_check(cell)}
    # By text as well as by tag: a student's own code is run, whatever tag it carries.
    drawn = {cell.source for cell in release.cells if is_figure(cell)}
    cells = []
    for cell in submission.cells:
        if is_check(cell):
            cells += halves(checks[cell.metadata.nbgrader.grade_id])
        elif cell.cell_type == "code" and not (is_figure(cell) and cell.source in drawn):
            cells.append(nbformat.v4.new_code_cell(cell.source, id=cell.id))
    return nbformat.v4.new_notebook(cells=cells)


def merged(submission: NotebookNode, executed: NotebookNode) -> tuple[NotebookNode, dict[str, list[NotebookNode]]]:
    """Return a copy of `submission` with outputs, and what the hidden halves said.

    Returns:
        The notebook, whose check cells carry the outputs of their visible halves only, and
        {grade id: outputs of the hidden half}, which no student gets to see.
    """
    result, said = copy.deepcopy(submission), {}
    outputs = {cell.id: cell.outputs for cell in executed.cells}
    for cell in result.cells:
        if cell.cell_type != "code":
            continue
        cell.execution_count = None
        if is_check(cell):
            visible, hidden = halves(cell)
            cell.outputs = outputs[visible.id]
            said[cell.metadata.nbgrader.grade_id] = outputs[hidden.id]
        else:
            cell.outputs = outputs.get(cell.id, [])
    return result, said
