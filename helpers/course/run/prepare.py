"""From a submission to the notebook that is run, and back: hidden halves in, what they said out."""

import copy
from functools import lru_cache
from typing import Any

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

from helpers.course.pages.names import Names, names, parsed

HIDDEN_BEGIN = "### BEGIN HIDDEN TESTS"
# By these a cell gets at names that it does not say.
BY_NAME = {"globals", "locals", "vars", "dir", "eval", "exec", "get_ipython", "In", "Out", "sys", "inspect", "__main__"}


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


def examples_left_out(submission: NotebookNode, release: NotebookNode, solved: NotebookNode) -> set[str]:
    """Return the texts of the worked examples that need not be run: none where a student's own code may need one.

    What is graded as it was released needs none (`helpers.course.pages.rules`). Checks are run as released, whatever
    their text is: nbgrader puts their hidden tests in before it asks again.
    """
    examples = {cell.source for cell in solved.cells if "example" in cell.metadata.get("tags", [])}
    bound = set().union(*(names_of(source).bound for source in examples))
    released = {cell.source for cell in release.cells}
    for cell in submission.cells:
        if cell.cell_type == "code" and not is_check(cell) and cell.source not in released:
            own = names_of(cell.source)
            if own.needed & (bound | BY_NAME) or own.imported & BY_NAME:
                return set()
    return examples


@lru_cache(1000)  # most cells of a class are the same
def names_of(source: str) -> Names:
    """Return the names of a cell, which may hold magics; of what is no Python, that it needs any name there is."""
    found = parsed(TransformerManager().transform_cell(source))
    return Names(needed=set(BY_NAME)) if isinstance(found, SyntaxError) else names(found[1])


def prepared(submission: NotebookNode, release: NotebookNode, solved: NotebookNode) -> NotebookNode:
    """Return the notebook to run: code cells only, no figures, checks as released with their hidden halves.

    Args:
        submission: a repaired notebook (`helpers.course.intake.repair`).
        release: the students' notebook, whose figures are left out.
        solved: the solved notebook, whose check cells hold the hidden tests, and whose worked examples are left out.
    """
    checks = {cell.metadata.nbgrader.grade_id: cell for cell in solved.cells if is_check(cell)}
    # By text as well as by tag: a student's own code is run, whatever tag it carries.
    drawn = {cell.source for cell in release.cells if is_figure(cell)}
    examples = examples_left_out(submission, release, solved)
    cells = []
    for cell in submission.cells:
        if is_check(cell):
            cells += halves(checks[cell.metadata.nbgrader.grade_id])
        elif cell.cell_type == "code" and cell.source not in (drawn if is_figure(cell) else set()) | examples:
            cells.append(code_cell(cell.id, cell.source))
    return nbformat.v4.new_notebook(cells=cells)


def code_cell(name: str, source: str, **metadata: Any) -> NotebookNode:
    """Return a cell to run; nbformat's own function validates each that it makes, which takes longer than the rest."""
    cell = {"id": name, "cell_type": "code", "metadata": metadata, "source": source}
    return nbformat.from_dict({**cell, "execution_count": None, "outputs": []})


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
