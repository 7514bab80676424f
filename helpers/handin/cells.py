"""The cells of a notebook, as far as it matters which is which: what they are, say and define."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

KINDS = ("code", "markdown", "raw")

# The names that a line at the left margin binds. A pattern: it also works on cells that are not plain Python.
_BINDS = re.compile(
    r"^(?:(?:async[ \t]+)?def[ \t]+(\w+)|class[ \t]+(\w+)|(\w+)[ \t]*(?::[^=\n]*)?=(?!=))", re.MULTILINE
)
_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@dataclass(frozen=True)
class Cell:
    """A cell of a notebook, handed out or handed in.

    kind: code, markdown or raw
    source: its text
    id: its id, or None
    tags: nbgrader's data on it, or nothing
    is_drawn: whether it is for show, and left out in grading
    at: its position in the notebook it was read from, or that of the cell its text is from; None for neither
    place: the position of the cell that it is in the notebook that was handed out, once this is known
    """

    kind: str
    source: str
    id: str | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)
    is_drawn: bool = False
    at: int | None = field(default=None, compare=False)
    place: int | None = field(default=None, compare=False)

    @cached_property
    def text(self) -> str:
        """The source by which cells are compared."""
        return plain(self.source)

    @cached_property
    def defines(self) -> set[str]:
        """The names that it binds at its left margin."""
        return bound(self.source)

    @property
    def name(self) -> str:
        """Its grade id, "" without one."""
        name = self.tags.get("grade_id")
        return name if isinstance(name, str) else ""

    @property
    def is_locked(self) -> bool:
        """Whether it is not the student's to write."""
        return bool(self.tags.get("locked"))

    def says_what(self, other: "Cell") -> bool:
        """Whether it has the text of another."""
        return self.text == other.text


def outline(cells: Iterable[Any]) -> list[Cell]:
    """Return the cells of a notebook that may hold anything; what is no cell is left out."""
    return [_cell(cell, at) for at, cell in enumerate(cells) if _is_sound(cell)]


def plain(source: str) -> str:
    """Return a source without white space around it and at the ends of its lines."""
    return "\n".join(line.rstrip() for line in source.strip().splitlines())


def bound(source: str) -> set[str]:
    """Return the names that the lines at the left margin of a cell's source define or assign."""
    return {name for names in _BINDS.findall(source) for name in names if name}


def share_held(cells: list[Cell], released: list[Cell]) -> float:
    """Return the share of the exercises, checks and questions of a release that a notebook holds, by tag or text."""
    names, texts = {cell.name for cell in cells}, {cell.text for cell in cells}
    defined = set().union(*(cell.defines for cell in cells))

    def is_held(cell: Cell) -> bool:
        by_text = cell.text in texts if cell.is_locked else cell.kind == "code" and bool(cell.defines & defined)
        return cell.name in names or by_text

    wanted = [cell for cell in released if cell.tags.get("grade") or cell.tags.get("solution")]
    return sum(map(is_held, wanted)) / len(wanted) if wanted else 0.0


def _is_sound(cell: Any) -> bool:
    return isinstance(cell, dict) and cell.get("cell_type") in KINDS and isinstance(cell.get("source"), str)


def _cell(cell: dict, at: int) -> Cell:
    metadata = _dict(cell.get("metadata"))
    # Colab keeps a cell's id in its metadata too, and there alone where it saves in format 4.0.
    ids = (name for name in (cell.get("id"), metadata.get("id")) if isinstance(name, str) and _ID.fullmatch(name))
    tags = metadata.get("tags")
    return Cell(
        cell["cell_type"],
        cell["source"],
        next(ids, None),
        _dict(metadata.get("nbgrader")),
        isinstance(tags, list) and "figure" in tags,
        at,
    )


def _dict(value: Any) -> dict:
    return value if isinstance(value, dict) else {}
