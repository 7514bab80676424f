"""The pictures that known mistakes draw: the first figure of a page that uses the function, with the mistake in it."""

import base64
import io
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from pathlib import Path

import nbformat
import numpy as np
from nbformat import NotebookNode
from PIL import Image

from helpers import DATA
from helpers.course.pages.cells import BEFORE_FIGURES, Cell, Page
from helpers.course.report.tables import Row
from helpers.course.run import finished
from helpers.course.run.limits import Limits

MOST = 6  # mistakes of one assignment, those that most students made
SEEN = 24  # of 255 levels
Mistake = tuple[str, str]  # the function, and the sentence that names the mistake


def made(page: Page, table: Iterable[Row]) -> list[tuple[Mistake, list[str]]]:
    """Return the known mistakes that were made, each with the students who made it, the most frequent first."""
    known = {f"test_{name}": {mutant.says for mutant in page.mutants(name)} for name in page.exercises}
    found: dict[Mistake, list[str]] = {}
    for row in table:
        for line in row["message"].splitlines():
            if row["assignment"] == page.name and line in known.get(row["question"], ()):
                found.setdefault((row["question"].removeprefix("test_"), line), []).append(row["student"])
    return sorted(found.items(), key=lambda item: -len(item[1]))


def pictures(
    pages: Iterable[Page], table: Iterable[Row], kept: Path, executor: Executor, limits: Limits
) -> dict[Mistake, list[tuple[str, str]]]:
    """Return {mistake: (caption, PNG in base64) of what it draws and of what is right}, for those that draw anything.

    Args:
        pages: the pages of the assignments.
        table: the rows of grades.csv.
        kept: the folder of finished runs; what was drawn once is not drawn again.
        executor: where the notebooks run.
        limits: what each may use.
    """
    table, wanted = list(table), {}
    for page in pages:
        for (function, says), _ in made(page, table)[:MOST]:
            if (figure := figure_of(page, function)) and (right := expected(page, figure)):
                wanted[function, says] = with_mistake(page, function, says, figure), right
    notebooks = [notebook for notebook, _ in wanted.values()]
    runs = dict(finished.run_all(notebooks, kept, executor, limits, label="drawing mistakes", again=False))
    drawn = {mistake: picture(runs.get(finished.key(notebook))) for mistake, (notebook, _) in wanted.items()}
    return {
        mistake: [("With this mistake", drawn[mistake]), ("Right", right)]
        for mistake, (_, right) in wanted.items()
        if drawn[mistake] and differ(drawn[mistake], right)
    }


def figure_of(page: Page, function: str) -> Cell | None:
    """Return the first figure of a page, after its exercise, that uses a function."""
    cells = iter(page.cells)
    for cell in cells:
        if cell.kind == "exercise" and cell.name == function:
            break
    return next((c for c in cells if c.kind == "figure" and re.search(rf"\b{function}\b", c.source)), None)


def expected(page: Page, figure: Cell) -> str:
    """Return the expected picture of a figure, as base64; "" where there is none."""
    path = DATA / "expected" / f"{page.name}-{figure.name}.png"
    return base64.b64encode(path.read_bytes()).decode() if path.exists() else ""


def with_mistake(page: Page, function: str, says: str, figure: Cell) -> NotebookNode:
    """Return a notebook that draws a figure with the answers of a page, one of them with a mistake."""
    mutant = next(mutant for mutant in page.mutants(function) if mutant.says == says)

    def sources() -> Iterator[str]:
        for cell in page.cells:
            if cell.kind in BEFORE_FIGURES:
                yield mutant.source if cell.kind == "exercise" and cell.name == function else cell.source
            if cell is figure:
                yield cell.source
                return

    cells = [nbformat.v4.new_code_cell(source, id=f"cell-{n}") for n, source in enumerate(sources())]
    return nbformat.v4.new_notebook(cells=cells)


def differ(one: str, other: str) -> bool:
    """Tell whether anybody could see a difference between two pictures: PNG, in base64."""
    first, second = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"), float) for png in (one, other)
    )
    return first.shape != second.shape or bool((abs(first - second).max(axis=2) > SEEN).mean() > 0.001)


def picture(executed: NotebookNode | None) -> str:
    """Return the picture that the last cell of a notebook drew, as base64; "" where it drew none."""
    outputs: Iterable[NotebookNode] = executed.cells[-1].outputs if executed is not None else ()
    found = [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    return found[-1] if found else ""
