"""The pictures of a page: the figures collected for a question, and what is pasted into an answer."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from nbformat import NotebookNode

from helpers.pdf.press import HEIGHT, MARGIN, WIDTH, Press
from helpers.writeup.figures import collected_figure

SHARE = 0.4  # of a page's height, at most, for the figures of a question
GAP, CAPTION = 12.0, 16.0  # between figures, below each, in pt


@dataclass(frozen=True)
class Figure:
    """A collected figure: its name, its file in the press ("" where it is missing), its size in pt."""

    name: str
    file: str
    width: float
    height: float

    def scaled(self, scale: float) -> "Figure":
        """Return it in another size."""
        return replace(self, width=scale * self.width, height=scale * self.height)


def collected(press: Press, name: str, notebook: NotebookNode, saved: Callable[[str], Path] | None) -> Figure:
    """Return a collected figure: the picture in its cell's output, else the saved file, else no file."""
    content = _shown(notebook, name)
    if content is None and saved and saved(name).is_file():
        content = saved(name).read_bytes()
    placed = press.picture(content) if content else None
    return Figure(name, *(placed or ("", 220.0, 60.0)))


def arranged(figures: list[Figure]) -> tuple[list[Figure], int]:
    """Return a question's figures in as many columns as show them largest, and how many columns these are."""
    rows = [(_in_columns(figures, columns), columns) for columns in range(1, len(figures) + 1)]
    return max(reversed(rows), key=lambda row: sum(figure.width * figure.height for figure in row[0]), default=([], 1))


def _in_columns(figures: list[Figure], columns: int) -> list[Figure]:
    """Return figures as large as the columns and the room for figures let them be, and no larger than they are."""
    width = (WIDTH - 2 * MARGIN - GAP * (columns - 1)) / columns
    fitting = [figure.scaled(min(1.0, width / figure.width)) for figure in figures]
    heights = [figure.height for figure in fitting]
    rows = [max(heights[at : at + columns]) for at in range(0, len(figures), columns)]
    room = SHARE * HEIGHT - len(rows) * CAPTION - GAP * (len(rows) - 1)
    return [figure.scaled(min(1.0, room / sum(rows))) for figure in fitting]


def pasted(cell: NotebookNode) -> dict[str, bytes]:
    """Return the pictures pasted into a cell, by their names."""
    found = {}
    for name, kinds in (cell.get("attachments") or {}).items():
        for content in map(decoded, kinds.values()):
            if content is not None:
                found[name] = content
    return found


def _shown(notebook: NotebookNode, name: str) -> bytes | None:
    """Return the PNG in the output of the cell that collects a figure."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and collected_figure(cell.source) == name:
            for output in cell.get("outputs", []):
                if (content := decoded((output.get("data") or {}).get("image/png"))) is not None:
                    return content
    return None


def decoded(text: str | list[str] | None) -> bytes | None:
    """Return the bytes that a notebook holds as base64; None where it does not."""
    try:
        return base64.b64decode("".join(text)) if text else None
    except (TypeError, ValueError, binascii.Error):
        return None
