"""What students are handed out, as data for the hand-in check and the PDF (data/released/)."""

import re

from nbformat import NotebookNode

from helpers.course.pages.cells import Cell, Page
from helpers.handin.assignment import Assignment, Item
from helpers.handin.cells import outline


def assignment(page: Page, student: NotebookNode, course: str) -> Assignment:
    """Return the assignment that a page becomes.

    Args:
        page: the page.
        student: the students' notebook built from it.
        course: name of the course.
    """
    counting = {item.id: item for item in _counting(page, student)}
    cells = []
    for cell in outline(student.cells):
        kind = "prose" if cell.kind == "markdown" else "figure" if cell.is_drawn else "code"
        cells.append(counting.get(cell.name) or Item(str(cell.id), kind, source=cell.source))
    return Assignment(page.name, page.title, course, tuple(cells))


def titles(page: Page, student: NotebookNode) -> dict[str, str]:
    """Return {grade id: title} of the checks and questions of a page: the headings of their exercises, or their own."""
    found = {f"test_{name}": exercise.heading.lstrip("# ") for name, exercise in page.exercises.items()}
    items = [item for item in _counting(page, student) if item.kind in ("check", "question")]
    # Their points have a column of their own.
    return {item.id: re.sub(r" \(\d+ points?\)$", "", found.get(item.id, item.title)) for item in items}


def _counting(page: Page, student: NotebookNode) -> list[Item]:
    """Return the cells that count."""
    sources = {cell.metadata.nbgrader.grade_id: cell.source for cell in student.cells if "nbgrader" in cell.metadata}
    prose = {cell.id: cell.source for cell in student.cells if cell.cell_type == "markdown"}
    items, text = [Item("setup-0", "setup", "", sources["setup-0"])], ""  # the builder's own set-up cell
    figures: list[str] = []
    for cell in page.cells:
        if cell.kind == "markdown":
            text, figures = from_last_heading(prose.get(cell.id, "")), []
        elif cell.collects:
            figures.append(cell.collects)
        elif cell.kind in ("setup", "exercise", "check", "question"):
            items.append(_item(cell, sources[cell.id], text, figures))
    return items


def _item(cell: Cell, source: str, text: str, figures: list[str]) -> Item:
    if cell.kind != "question":
        return Item(cell.id, cell.kind, cell.heading.lstrip("# "), source, cell.points or None)
    title = re.match(r"#+ +(.*)", text)
    return Item(
        cell.id,
        "question",
        title[1].strip() if title else cell.name,
        source,
        cell.points,
        cell.words,
        text,
        tuple(figures),
    )


def from_last_heading(text: str) -> str:
    """Return a Markdown text from its last heading on; the whole where there is none."""
    starts = [match.start() for match in re.finditer(r"^#{2,6} ", text, re.MULTILINE)]
    return text[starts[-1] :] if starts else text
