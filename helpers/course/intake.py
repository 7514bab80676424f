"""From what was handed in to submissions that can be run: which student, which assignment, which repairs.

Nothing in here runs code of a student.
"""

import ast
import copy
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

LARGEST = 20_000_000  # bytes of one notebook


@dataclass
class Submission:
    """One notebook of one student, repaired, with a line for each repair; or the reason why it cannot be graded."""

    student: str
    assignment: str
    source: Path
    notebook: nbformat.NotebookNode | None = None
    repairs: list = field(default_factory=list)
    refused: str = ""


def collect(folder, releases):
    """Find the submissions in `folder`.

    Args:
        folder: holds `<student>/<notebook>.ipynb`, or nbgrader's `<student>/<assignment>/<notebook>.ipynb`, at its top
            or below `submitted/`.
        releases: {assignment: the notebook that was released}.

    Returns:
        A list of Submission, by student and assignment. Whatever cannot be graded is in it too, with a reason.

    Raises:
        FileNotFoundError: there is no such folder, or nobody's folder in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"found no folder {folder}; wanted a folder that holds <student>/<notebook>.ipynb")
    if (folder / "submitted").is_dir():
        folder = folder / "submitted"
    students = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not students:
        raise FileNotFoundError(f"{folder} holds no folders; wanted one folder per student with the notebook in it")
    found = []
    for student in students:
        paths = sorted(path for path in student.rglob("*.ipynb") if not _hidden(path.relative_to(student)))
        submissions = [_read(student.name, path, releases) for path in paths]
        if not submissions:
            submissions = [Submission(student.name, "", student, refused="there is no notebook in this folder")]
        found += submissions
    return found


def _hidden(path):
    return any(part.startswith(".") for part in path.parts)


def _read(student, path, releases):
    assignment = assignment_of(path, releases)
    submission = Submission(student, assignment or path.stem, path)
    if assignment is None:
        submission.refused = f"{path.name} is the notebook of no assignment; known are {', '.join(releases)}"
    elif path.is_symlink() or not path.is_file():
        submission.refused = f"{path.name} is not a plain file"
    elif path.stat().st_size > LARGEST:
        submission.refused = f"{path.name} is larger than {LARGEST // 1_000_000} MB; clear its outputs"
    else:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # missing and repeated ids, which repair mends
                notebook = nbformat.reads(path.read_text("utf-8"), as_version=4)
            submission.notebook, submission.repairs = repair(notebook, releases[assignment])
        except Exception as error:
            # nbformat raises many types for what is not a notebook; none may stop the class.
            reason = str(error).splitlines()[0][:200] if str(error) else ""
            submission.refused = f"{path.name} cannot be read as a notebook: {type(error).__name__}: {reason}"
    return submission


def assignment_of(path, releases):
    """Return the assignment a file belongs to, by its name or its folder's, or None."""
    for name in (path.stem, path.parent.name):
        if name in releases:
            return name
    return None


def repair(notebook, release):
    """Return a copy of `notebook` that has every graded cell of `release` exactly once, and a line for each repair.

    The cell's text is the student's, where it is theirs to write; everything else comes from the release. Copies
    stay in the notebook as ordinary cells. Repairing twice is repairing once.
    """
    notebook, notes = copy.deepcopy(notebook), []
    if not isinstance(notebook.get("cells"), list) or not notebook.cells:
        raise ValueError("it has no cells")
    notebook.metadata.pop("widgets", None)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    wanted = {cell.metadata.nbgrader.grade_id: cell for cell in release.cells if "nbgrader" in cell.metadata}
    chosen = {}
    for grade_id, original in wanted.items():
        copies = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == grade_id]
        if len(copies) > 1:
            notes.append(f"{grade_id}: {len(copies)} copies of this cell; the one that counts is the last one changed")
        if not copies:
            copies = _unmarked(notebook, release, original)
            if copies:
                notes.append(f"{grade_id}: the cell had lost its grading data; found again by its content")
        if copies:
            own = [] if original.metadata.nbgrader.locked else copies
            changed = [cell for cell in own if cell.source.strip() != original.source.strip()]
            chosen[grade_id] = (changed or copies)[-1]
    for cell in notebook.cells:
        if cell.metadata.pop("nbgrader", None) and not any(cell is other for other in chosen.values()):
            cell.metadata.pop("deletable", None)
    previous = None
    for grade_id, original in wanted.items():
        cell = chosen.get(grade_id)
        if cell is None:
            notes.append(f"{grade_id}: the cell was deleted")
            if not (original.metadata.nbgrader.grade or original.metadata.nbgrader.locked):
                continue  # an answer; the student may have written it elsewhere, and a stub would undo that
            notes[-1] += "; put back as released"
            cell = copy.deepcopy(original)
            place = next((i for i, c in enumerate(notebook.cells) if c is previous), -1)
            notebook.cells.insert(place + 1, cell)
        else:
            if cell.cell_type != original.cell_type:
                notes.append(f"{grade_id}: the cell's type was changed; put back to {original.cell_type}")
                _retype(cell, original.cell_type)
            if original.metadata.nbgrader.locked and cell.source.strip() != original.source.strip():
                notes.append(f"{grade_id}: this cell is not yours to change; put back as released")
            if original.metadata.nbgrader.locked:
                cell.source = original.source
            cell.metadata = copy.deepcopy(original.metadata)
        previous = cell
    used = set()
    for cell in notebook.cells:
        # Not random, so that the same submission stays the same.
        if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", cell.get("id", "")) or cell.id in used:
            cell.id = f"repaired-{len(used)}"
        used.add(cell.id)
    return notebook, notes


def _unmarked(notebook, release, original):
    """Return the cells without grading data that are the cell `original`: by text, by id, or by what they hold.

    A function is known by its name, a written answer by the question right above it.
    """
    grade_id = original.metadata.nbgrader.grade_id
    free = [cell for cell in notebook.cells if not cell.metadata.get("nbgrader", {}).get("grade_id")]
    same = [cell for cell in free if cell.source.strip() == original.source.strip()]
    if same or original.metadata.nbgrader.locked:
        return same
    if original.cell_type == "code":
        return [cell for cell in free if cell.cell_type == "code" and grade_id in functions(cell.source)]
    question = _above(release, original)
    return [
        cell
        for cell in free
        if cell.cell_type == "markdown" and (cell.get("id") == original.id or _above(notebook, cell) == question)
    ]


def _above(notebook, cell):
    position = next(i for i, other in enumerate(notebook.cells) if other is cell)
    return notebook.cells[position - 1].source.strip() if position else None


def functions(source):
    """Return the names of the functions that a cell defines; none where it is not plain Python."""
    try:
        return {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    except (SyntaxError, ValueError):
        return set()


def _retype(cell, cell_type):
    cell.cell_type = cell_type
    if cell_type == "code":
        cell.outputs, cell.execution_count = [], None
    else:
        cell.pop("outputs", None)
        cell.pop("execution_count", None)
