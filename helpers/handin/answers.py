"""Where a student's notebook holds what counts in its assignment, and what counts there: what grading takes."""

from dataclasses import dataclass
from typing import Any

from helpers.handin.assignment import Assignment, Item, is_answered
from helpers.handin.cells import Cell, outline, plain, share_held
from helpers.handin.matching import match


@dataclass(frozen=True)
class Found:
    """Where a notebook holds an item.

    copies: positions of the cells with its grade id
    at: position of the cell that counts, or None
    source: what counts in that cell
    """

    item: Item
    copies: tuple[int, ...] = ()
    at: int | None = None
    source: str = ""

    @property
    def is_elsewhere(self) -> bool:
        """Whether a cell counts that has not the item's grade id."""
        return self.at is not None and self.at not in self.copies

    @property
    def is_edited(self) -> bool:
        """Whether what counts differs from what was handed out."""
        return self.at is not None and plain(self.source) != plain(self.item.source)

    @property
    def is_answered(self) -> bool:
        """Whether the item is answered."""
        return self.at is not None and is_answered(self.item, self.source)


def find(assignment: Assignment, cells: list[Any]) -> dict[str, Found]:
    """Return where a notebook holds the items of its assignment, by grade id."""
    given = outline(cells)
    taken = {cell.name: cell for cell in match(given, assignment.outline).cells}
    found = {}
    for item in assignment.items:
        cell = taken[item.id]
        copies = tuple(copy.at for copy in given if copy.name == item.id and copy.at is not None)
        found[item.id] = Found(item, copies, cell.at, _what_counts(item, cell, cells))
    return found


def _what_counts(item: Item, taken: Cell, cells: list[Any]) -> str:
    if taken.at is None:
        return ""
    # A written answer may be part of the cell it stands in. A locked cell is taken as it was handed out.
    return taken.source if item.kind == "question" else cells[taken.at].source


def are_of(assignment: Assignment, cells: list[Any]) -> bool:
    """Return whether grading takes cells for those of an assignment whose name their notebook has."""
    return share_held(outline(cells), assignment.outline) > 0
