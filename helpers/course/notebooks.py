"""Builds the two notebooks of a page: the students' in notebooks/, the solved one in solutions/.

The solved notebook is what nbgrader calls the source version. The students' is made from it by nbgrader's own
preprocessors, in memory, in the order of `nbgrader generate_assignment`, without a gradebook.
"""

import copy
import difflib
import json
import os
import re
import sys
from functools import cache
from pathlib import Path

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
from traitlets import Unicode

from helpers import COURSE
from helpers.course.cells import HEADING, NOT_SHIPPED, Cell, Page, hashed_id

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ANSWER_HERE = "*Your answer here.*"
NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
FOLDED = {"cellView": "form", "jupyter": {"source_hidden": True}}  # in Colab, in JupyterLab


class ClearSolutions(NbgraderClearSolutions):
    """nbgrader's, with stubs that name the exercise and ask for its answer."""

    text_stub = Unicode(ANSWER_HERE, help=NbgraderClearSolutions.text_stub.help).tag(config=True)

    def preprocess_cell(self, cell, resources, cell_index):
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
    """The instructors' notebook: answers, hidden tests, model answers; no mutants, variants and judges."""
    return _notebook([*_opening(page), *_shipped(page)])


def student_notebook(page: Page) -> NotebookNode:
    """The students' notebook: stubs, the visible part of each check, the expected picture below each figure."""
    cells = _opening(page)
    for cell in _shipped(page):
        cells.append(cell)
        if "figure" in cell.metadata.get("tags", []):
            cells.append(_expected_picture(page, cell.metadata.course.figure))
    notebook, resources = _notebook(cells), {}
    for preprocessor in RELEASE_PREPROCESSORS:
        if preprocessor is not SaveCells:
            notebook, resources = preprocessor().preprocess(notebook, resources)
    return notebook


def without_markers(source: str) -> str:
    """The source without its `### BEGIN ...` and `### END ...` lines, as a student would hand it in."""
    marker = re.compile(r"(BEGIN|END) (SOLUTION|HIDDEN TESTS)")
    return "\n".join(line for line in source.splitlines() if not marker.search(line))


def write(page: Page) -> list[Path]:
    """Write both notebooks of a page; their paths."""
    built = _built(page)
    for path, data in built.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    return list(built)


def differences(page: Page) -> str:
    """How the notebooks on disk differ from what the page builds now, for people to read; "" where they do not."""
    return "\n".join(filter(None, (_difference(path, data) for path, data in _built(page).items())))


def _built(page: Page) -> dict[Path, bytes]:
    places = {
        page.path.parent.parent / "notebooks" / f"{page.name}.ipynb": student_notebook(page),
        page.path.with_suffix(".ipynb"): solved_notebook(page),
    }
    return {path: (nbformat.writes(notebook) + "\n").encode() for path, notebook in places.items()}


def _notebook(cells: list[NotebookNode]) -> NotebookNode:
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=copy.deepcopy(NOTEBOOK_METADATA))
    notebook.nbformat_minor = 5
    nbformat.validate(notebook)
    return notebook


# ------------------------------------------------------------------------------------------------ cells


def _markdown(name: str, source: str, **metadata) -> NotebookNode:
    return nbformat.v4.new_markdown_cell(source, id=name, metadata=copy.deepcopy(metadata))


def _code(name: str, source: str, **metadata) -> NotebookNode:
    return nbformat.v4.new_code_cell(source, id=name, metadata=copy.deepcopy(metadata))


def _nbgrader(name: str, *, grade=False, solution=False, locked=False, points=None) -> dict:
    """The metadata by which nbgrader knows a cell, schema version 3."""
    metadata = {"schema_version": 3, "grade_id": name, "grade": grade, "solution": solution, "locked": locked}
    return metadata | {"task": False} | ({"points": points} if grade else {})


@cache
def _settings() -> dict:
    """[tool.course] of pyproject.toml."""
    return tomllib.loads((COURSE / "pyproject.toml").read_text("utf-8"))["tool"]["course"]


def _opening(page: Page) -> list[NotebookNode]:
    """Colab badge, title, and the set-up cell that finds the course, or brings it to a machine without it."""
    address, branch = _settings()["repository"].removesuffix(".git"), _settings()["branch"]
    folder = address.rsplit("/", 1)[-1]
    badge = (
        "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
        f"({address.replace('https://github.com', 'https://colab.research.google.com/github')}"
        f"/blob/{branch}/notebooks/{page.name}.ipynb)"
    )
    # A failed import is remembered, so that after the clone the caches have to go.
    bring = (
        "# @title Set-up: run this cell first\n"
        "import importlib.util, pathlib, subprocess, sys\n"
        f'sys.path += [str(pathlib.Path(place).resolve()) for place in ("..", "{folder}")]\n'
        f'if not importlib.util.find_spec("helpers"): subprocess.run("git clone --quiet --depth 1 --branch {branch} '
        f'{address}".split(), check=True); importlib.invalidate_caches()'
    )
    title = page.cells[0]
    on_github = address.startswith("https://github.com/")  # Colab opens notebooks from nowhere else
    return [
        *([_markdown("colab-badge", badge)] if on_github else []),
        _markdown(title.id, title.source),
        _code("setup-0", bring, nbgrader=_nbgrader("setup-0", locked=True), **FOLDED),
    ]


def _shipped(page: Page) -> list[NotebookNode]:
    """The cells of the solved notebook after the title."""
    return [_solved(page, cell) for cell in page.cells[1:] if cell.kind not in NOT_SHIPPED]


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
            return _code(name, source, nbgrader=tags)
        case "setup":
            titled = f"# @title Imports, model and pictures\n{source}"  # what a folded cell shows
            return _code(name, titled, nbgrader=_nbgrader(name, locked=True), **FOLDED)
        case "figure":
            return _code(name, source, tags=["figure"], course={"figure": cell.name})
    return _code(name, source)


def _with_effort(page: Page, cell: Cell) -> str:
    """The text of a prose cell with time, difficulty and points under the heading of each exercise."""
    exercises = {exercise.heading: exercise for exercise in page.exercises.values()}
    source, lines = cell.source.splitlines(), []
    for line, following in zip(source, [*source[1:], ""], strict=True):
        lines.append(line)
        if HEADING.match(line):
            exercise = exercises[line]
            lines += ["", _effort(exercise, page.checks[exercise.name].points)] + [""] * bool(following)
    return "\n".join(lines)


def _effort(exercise: Cell, points: int) -> str:
    minutes = f"{exercise.minutes} minute{'s' * (exercise.minutes > 1)}"
    return f"about {minutes} | difficulty {exercise.difficulty} of 3 | {points} point{'s' * (points > 1)}"


def _expected_picture(page: Page, figure: str) -> NotebookNode:
    """A cell that shows what the figure above it looks like.

    It stands in the students' notebook alone, so that nbgrader must not know it: no metadata of its own.
    """
    picture = f"{page.name}-{figure}"
    source = f'# @title Expected picture\nfrom helpers.plots import expected_picture\n\nexpected_picture("{picture}")'
    name = hashed_id("expected", picture)
    return _code(name, source, tags=["figure", "expected"], deletable=False, editable=False, **FOLDED)


# ------------------------------------------------------------------------------------------------ differences


def _difference(path: Path, built: bytes) -> str:
    shown = os.path.relpath(path) if path.resolve().is_relative_to(Path.cwd()) else str(path)
    if not path.exists():
        return f"{shown}: missing; `make notebooks` writes it"
    committed = path.read_bytes()
    if committed == built:
        return ""
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
