"""Builds the two notebooks of a page: the students' in notebooks/, the solved one in solutions/.

Beside them, data/released/ says how the cells of the students' were handed out, and which of them count.

The solved notebook is what nbgrader calls the source version. The students' is made from it by nbgrader's own
preprocessors, in memory, in the order of `nbgrader generate_assignment`, without a gradebook.
"""

import base64
import copy
import difflib
import json
import os
import re
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearHiddenTests,
    ClearOutput,
    ComputeChecksums,
    LockCells,
    SaveCells,
)
from nbgrader.preprocessors import ClearSolutions as NbgraderClearSolutions
from PIL import Image
from traitlets import Unicode

from helpers import DATA
from helpers.course.pages.cells import HEADING, NOT_SHIPPED, Cell, Page, hashed_id
from helpers.course.pages.terms import terms
from helpers.course.release import handout
from helpers.handin.assignment import NOT_ANSWERED
from helpers.words import counted

NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
ASKED = "**Predict first:**"
FOLDED = {"cellView": "form", "jupyter": {"source_hidden": True}}  # in Colab, in JupyterLab


class ClearSolutions(NbgraderClearSolutions):
    """nbgrader's, with stubs that name the exercise and ask for its answer."""

    text_stub = Unicode(NOT_ANSWERED, help=NbgraderClearSolutions.text_stub.help).tag(config=True)

    def preprocess_cell(self, cell: NotebookNode, resources: dict, cell_index: int) -> tuple[NotebookNode, dict]:
        """Replace the solution regions of one cell."""
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        self.code_stub = {"python": f'raise NotImplementedError("{name}: replace this line")'}
        return super().preprocess_cell(cell, resources, cell_index)


# The steps of `nbgrader generate_assignment`. SaveCells writes the gradebook, which a build has not got.
RELEASE_PREPROCESSORS = [
    LockCells,
    ClearSolutions,
    ClearOutput,
    CheckCellMetadata,
    ComputeChecksums,
    SaveCells,
    ClearHiddenTests,
    ComputeChecksums,
    CheckCellMetadata,
]


def solved_notebook(page: Page) -> NotebookNode:
    """The instructors' notebook: answers, hidden tests, model answers, which cells are worked examples.

    No mutants, variants, judges and local cells.
    """
    return _notebook([*_opening(page), *_shipped(page, without=(*NOT_SHIPPED, "local"))])


def student_notebook(page: Page) -> NotebookNode:
    """The students' notebook: stubs, visible parts of checks, the hand-in check.

    Below figures stand expected pictures, and where the prose asks for a prediction, a place to write it.
    """
    cells, pictures = _opening(page), {}
    predicted = _predicted(page)
    for cell in _shipped(page, without=NOT_SHIPPED):
        if cell.metadata.get("tags") == ["example"]:
            del cell.metadata["tags"]  # grading's business alone
        cells.append(cell)
        if cell.id in predicted:
            cells.append(_prediction(f"{page.name}-{predicted[cell.id]}"))
        if "course" in cell.metadata:
            name = f"{page.name}-{cell.metadata.course.figure}"
            cells.append(_expected_picture(name))
            pictures[cells[-1].id] = DATA / "expected" / f"{name}.png"
    cells += _closing(page)
    notebook = _notebook(cells)
    resources: dict[str, Any] = {}
    for preprocessor in RELEASE_PREPROCESSORS:
        if preprocessor is not SaveCells:
            notebook, resources = preprocessor().preprocess(notebook, resources)
    for cell in notebook.cells:
        if cell.id in pictures and pictures[cell.id].is_file():
            cell.outputs = [_drawn(pictures[cell.id])]  # to be seen before anything is run
    return notebook


def write(page: Page) -> list[Path]:
    """Write what is built from a page; the paths."""
    built = _built(page)
    for path, data in built.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return list(built)


def differences(page: Page) -> str:
    """How the notebooks on disk differ from what the page builds now, for people to read; "" where they do not."""
    return "\n".join(filter(None, (_difference(path, data) for path, data in _built(page).items())))


def _built(page: Page) -> dict[Path, bytes]:
    course, student = page.path.parent.parent, student_notebook(page)
    texts = {
        course / "notebooks" / f"{page.name}.ipynb": nbformat.writes(student) + "\n",
        page.path.with_suffix(".ipynb"): nbformat.writes(solved_notebook(page)) + "\n",
        course / "data" / "released" / f"{page.name}.json": (handout.assignment(page, student, terms().name).as_json()),
    }
    return {path: text.encode() for path, text in texts.items()}


def _notebook(cells: list[NotebookNode]) -> NotebookNode:
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=copy.deepcopy(NOTEBOOK_METADATA))
    notebook.nbformat_minor = 5
    nbformat.validate(notebook)
    return notebook


# ------------------------------------------------------------------------------------------------ cells


def _markdown(name: str, source: str, **metadata: Any) -> NotebookNode:
    return nbformat.v4.new_markdown_cell(source, id=name, metadata=copy.deepcopy(metadata))


def _code(name: str, source: str, **metadata: Any) -> NotebookNode:
    return nbformat.v4.new_code_cell(source, id=name, metadata=copy.deepcopy(metadata))


def _nbgrader(
    name: str, *, grade: bool = False, solution: bool = False, locked: bool = False, points: int = 0
) -> dict[str, Any]:
    """The metadata by which nbgrader knows a cell, schema version 3."""
    metadata = {"schema_version": 3, "grade_id": name, "grade": grade, "solution": solution, "locked": locked}
    return metadata | {"task": False} | ({"points": points} if grade else {})


def _opening(page: Page) -> list[NotebookNode]:
    """Colab badge, title, and the set-up cell that finds the course, or brings it to a machine without it."""
    address, branch = terms().repository.removesuffix(".git"), terms().branch
    folder = address.rsplit("/", 1)[-1]
    badge = (
        "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
        f"({address.replace('https://github.com', 'https://colab.research.google.com/github')}"
        f"/blob/{branch}/notebooks/{page.name}.ipynb)"
    )
    # A failed import is remembered, so that after the clone the caches have to go.
    home = "or open this notebook in the notebooks folder of the course"
    bring = (
        "# @title Set-up: run this cell first\n"
        "import importlib.util, pathlib, shutil, subprocess, sys\n"
        f'sys.path += [str(pathlib.Path(place).resolve()) for place in ("..", "{folder}")]\n'
        'if not importlib.util.find_spec("helpers"): '
        f'print("Bringing the course from {address}: this may take a minute.", flush=True); '
        f'assert shutil.which("git"), "found no git, which brings the course: install it, {home}"; '
        f'cloned = subprocess.run("git clone --quiet --depth 1 --branch {branch} {address}".split()); '
        f'importlib.invalidate_caches(); assert not cloned.returncode, "found no course at {address}: connect to the '
        f'internet, delete a folder {folder} that an earlier try has left here half made, {home}"'
    )
    title = page.cells[0]
    on_github = address.startswith("https://github.com/")  # Colab opens notebooks from nowhere else
    return [
        *([_markdown("colab-badge", badge)] if on_github else []),
        _markdown(title.id, title.source),
        _code("setup-0", bring, nbgrader=_nbgrader("setup-0", locked=True), **FOLDED),
    ]


def _shipped(page: Page, without: tuple[str, ...]) -> list[NotebookNode]:
    """The cells of a notebook after the title, solved, all but some kinds."""
    return [_solved(page, cell) for cell in page.cells[1:] if cell.kind not in without]


def _solved(page: Page, cell: Cell) -> NotebookNode:
    name, source = cell.id, cell.source
    match cell.kind:
        case "markdown":
            return _markdown(name, _with_effort(page, cell))
        case "question":
            tags = _nbgrader(name, grade=True, solution=True, points=cell.points)
            return _markdown(name, source, nbgrader=tags)
        case "exercise":
            return _code(name, source, nbgrader=_nbgrader(name, solution=True))
        case "check":
            tags = _nbgrader(name, grade=True, locked=True, points=cell.points)
            return _code(name, _after_setup(source), nbgrader=tags)
        case "setup":
            titled = f"# @title Imports and data\n{source}"  # what a folded cell shows
            return _code(name, titled, nbgrader=_nbgrader(name, locked=True), **FOLDED)
        case "local":
            # Tagged as a figure: what is tagged so is not run in grading.
            return _code(name, source, tags=["figure", "collected"] if cell.collects else ["figure"], **_folded(source))
        case "figure":
            return _code(name, source, tags=["figure"], course={"figure": cell.name})
        case "example":
            return _code(name, source, tags=["example"], **_folded(source))
    return _code(name, source, **_folded(source))


def _after_setup(source: str) -> str:
    """A check that fails with one line, and no traceback, where the set-up or the answer was not run before it."""
    call = re.match(r"checks\.(\w+)\(\1\)\n", source)
    if not call:
        return source
    guard = (
        f'_missing = [name for name in ("checks", "{call[1]}") if name not in globals()]\n'
        "if _missing:\n"
        '    _shown = {"_render_traceback_": lambda error: [f"Not yet: {error}."]}\n'
        '    raise type("NameError", (NameError,), _shown)(\n'
        "        f\"name '{_missing[0]}' is not defined; \"\n"
        '        "run the set-up cells and the cell above first, then this one"\n'
        "    )\n"
    )
    return guard + source


def _folded(source: str) -> dict:
    """Metadata that folds a cell with a title, as Colab does."""
    return FOLDED if source.startswith("# @title ") else {}


def _with_effort(page: Page, cell: Cell) -> str:
    """The text of a prose cell: time, difficulty and points under exercise headings, the limit below a question."""
    exercises = {exercise.heading: exercise for exercise in page.exercises.values()}
    source, lines = cell.source.splitlines(), []
    for line, following in zip(source, [*source[1:], ""], strict=True):
        lines.append(line)
        if HEADING.match(line):
            exercise = exercises[line]
            lines += ["", _effort(exercise, page.checks[exercise.name].points)] + [""] * bool(following)
    if question := page.asked_in(cell):
        lines += ["", f"*At most {question.words} words, {counted(question.points, 'point')}.*"] * bool(question.words)
    return "\n".join(lines)


def _effort(exercise: Cell, points: int) -> str:
    minutes = counted(exercise.minutes, "minute")
    return f"about {minutes} | difficulty {exercise.difficulty} of 3 | {counted(points, 'point')}"


def _predicted(page: Page) -> dict[str, str]:
    """The figures of which a prediction is asked, by the ids of the prose cells that ask, right before them."""
    found: dict[str, str] = {}
    asking = ""
    for cell in page.cells:
        if cell.is_markdown:
            asking = cell.id if ASKED in cell.source else ""
        elif cell.kind == "figure" and asking:
            found[asking], asking = cell.name, ""
    return found


def _prediction(picture: str) -> NotebookNode:
    """A place to write a prediction: in Colab a form, elsewhere a line of code that is not lost when it is run again.

    Like the expected picture, which repeats it, it stands in the students' notebook alone.
    """
    source = (
        "# @title Your prediction: it comes back below the figure, and nobody marks it\n"
        "from helpers.predictions import note_prediction\n\n"
        'my_prediction = ""  # @param {type:"string"}\n'
        f'note_prediction("{picture}", my_prediction)'
    )
    return _code(hashed_id("prediction", source), source, tags=["figure", "prediction"], cellView="form")


def _expected_picture(picture: str) -> NotebookNode:
    """A cell that shows what the figure above it looks like.

    It stands in the students' notebook alone, so that nbgrader must not know it: no metadata of its own.
    """
    source = f'# @title Expected picture\nfrom helpers.plots import expected_picture\n\nexpected_picture("{picture}")'
    name = hashed_id("expected", picture)
    return _code(name, source, tags=["figure", "expected"], deletable=False, editable=False, **FOLDED)


def _drawn(path: Path) -> NotebookNode:
    """The output of a cell that shows a PNG file, with the description that the file holds."""
    with Image.open(path) as picture:
        alt = picture.info.get("Description", path.stem)
    data = {"image/png": base64.b64encode(path.read_bytes()).decode(), "text/plain": alt}
    return nbformat.v4.new_output("display_data", data=data, metadata={"image/png": {"alt": alt}})


def _closing(page: Page) -> list[NotebookNode]:
    """The hand-in check, last in the students' notebook."""
    text = (
        "## Before you hand in\n\nSave the notebook, then run the next cell. It says what is answered and what is "
        "missing, runs the notebook from top to bottom in a fresh kernel, without the figures, and writes the file to "
        "hand in."
    )
    source = f'from helpers.handin import hand_in\n\nhand_in("{page.name}")'
    cell = _code("hand-in", source, tags=["figure", "hand-in"], deletable=False, editable=False)
    return [_markdown("before-you-hand-in", text), cell]


# ------------------------------------------------------------------------------------------------ differences


def _difference(path: Path, built: bytes) -> str:
    shown = os.path.relpath(path) if path.resolve().is_relative_to(Path.cwd()) else str(path)
    if not path.exists():
        return f"{shown}: missing; `make notebooks` writes it"
    committed = path.read_bytes()
    if committed == built:
        return ""
    diff = ""
    if path.suffix == ".ipynb":
        try:
            before = json.loads(committed)
            diff = _diff(shown, _as_percent(before), _as_percent(json.loads(built)))
        except (ValueError, KeyError, TypeError) as error:
            return f"{shown}: not a notebook ({error}); `make notebooks` writes it anew"
    if not diff:  # the same cells, but other metadata or outputs: the file itself
        diff = _diff(shown, committed.decode().splitlines(), built.decode().splitlines())
    return diff or f"{shown}: differs in its line ends alone"


def _as_percent(notebook: dict) -> list[str]:
    """The cells of a notebook as lines of text."""
    lines = []
    for cell in notebook["cells"]:
        lines += [f"# %% [{cell['cell_type']}] {cell.get('id')}", *"".join(cell["source"]).splitlines(), ""]
    return lines


def _diff(shown: str, committed: list[str], built: list[str]) -> str:
    diff = difflib.unified_diff(committed, built, f"{shown} (committed)", f"{shown} (rebuilt)", lineterm="")
    lines = [line if len(line) <= 200 else f"{line[:200]} ..." for line in diff]
    return "\n".join(lines[:200] + [f"... and {len(lines) - 200} more lines"] * (len(lines) > 200))
