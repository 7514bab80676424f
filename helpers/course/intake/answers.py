"""How much of an assignment a notebook answers, and whether it is as it was handed out."""

import re
from typing import Any

from nbformat import NotebookNode
from nbgrader.utils import compute_checksum

from helpers.course.pages.cells import hashed_id
from helpers.handin.cells import Cell, outline, plain
from helpers.handin.matching import deleted

# What building a page adds to its prose: effort below a heading, the limit below a question.
_ADDED = re.compile(r"\n\n(about [^\n]* \| difficulty \d of 3 \| [^\n]*|\*At most \d+ words, [^\n]*\*)")
_ADDED_BEFORE_MORE = re.compile(_ADDED.pattern + r"\n?")

# What stands in every release, or is put there by Colab, and is no place for an answer.
_IN_EVERY_RELEASE = ("colab-badge", "view-in-github", "expected-", "before-you-hand-in", "hand-in")


def answered(repaired: NotebookNode, release: NotebookNode) -> int:
    """Return how many exercises and questions of a repaired notebook hold something that was not handed out."""
    originals = {cell.id: cell for cell in release.cells if cell.metadata.get("nbgrader", {}).get("solution")}
    return sum(
        plain(cell.source) not in ("", plain(originals[cell.id].source), deleted(originals[cell.id].id))
        for cell in repaired.cells
        if cell.id in originals
    )


def is_as_released(notebook: NotebookNode, release: NotebookNode) -> bool:
    """Tell whether a notebook holds no text of a student's: it is as it was handed out, by this release or another.

    A cell of another release is known by its grading data, which have a checksum of its text, or by its id, which is
    one. Lost cells do not count, nor do outputs.
    """
    texts = {cell.text for cell in outline(release.cells)}
    return all(
        not cell.text or cell.text in texts or _is_of_another(cell, notebook.cells[cell.at or 0])
        for cell in outline(notebook.cells)
    )


def _is_of_another(cell: Cell, node: NotebookNode) -> bool:
    """Tell whether a cell was handed out, but in another release."""
    name = cell.id or ""
    if cell.tags:
        return _has_its_checksum(node)
    if name.startswith(_IN_EVERY_RELEASE):
        return True
    kind = name.partition("-")[0]
    source = cell.source.encode("utf-8", "replace").decode()  # JSON can hold halves of characters
    sources = (source, _ADDED.sub("", source), _ADDED_BEFORE_MORE.sub("", source))
    return any(name.startswith(hashed_id(kind, source)) for source in sources)


def _has_its_checksum(node: Any) -> bool:
    try:
        return compute_checksum(node) == node.metadata.nbgrader.checksum
    except Exception:
        # A student's grading data may be anything.
        return False
