"""Which cell of a student's notebook counts for an exercise, a check or a question, as grading has it.

The rules are those of helpers/course/intake/repair.py, whatever was deleted, copied or typed elsewhere.
"""

import re
from dataclasses import dataclass

from helpers.handin.assignment import Assignment, Item, is_answered

# As repair.bound: the names that the lines at the left margin of a cell bind.
_BINDS = re.compile(
    r"^(?:(?:async[ \t]+)?def[ \t]+(\w+)|class[ \t]+(\w+)|(\w+)[ \t]*(?::[^=\n]*)?=(?!=))", re.MULTILINE
)
# The ids of cells as they were handed out; a cell that a student adds gets a random one.
_HANDED_OUT = re.compile(
    r"(?:markdown|code|figure|expected|local)-[0-9a-f]{16}(?:-\d+)?|before-you-hand-in|colab-badge"
)


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


def find(assignment: Assignment, cells: list) -> dict[str, Found]:
    """Return where a notebook holds the items of its assignment, by grade id."""
    items = {item.id: item for item in assignment.items}
    twins = {plain(item.source): item.id for item in assignment.items}
    claims = []
    for cell in cells:
        data = cell.metadata.get("nbgrader")
        said = data.get("grade_id") if isinstance(data, dict) else None
        said = said if isinstance(said, str) and said in items else None
        # Grading data on a cell with the text of another are not believed.
        if said and plain(cell.source) != plain(items[said].source):
            said = twins.get(plain(cell.source), said)
        claims.append(said)
    finders = {"exercise": _find_exercise, "question": _find_question}
    return {item.id: finders.get(item.kind, _find_locked)(item, cells, claims) for item in assignment.items}


def _find_exercise(item: Item, cells: list, claims: list) -> Found:
    """Find an exercise: the last changed copy of its cell, else the last other cell that defines its function."""
    code = [n for n, cell in enumerate(cells) if cell.cell_type == "code"]
    same = [n for n in code if plain(cells[n].source) == plain(item.source)]
    copies = [n for n in code if claims[n] == item.id]
    changed = [n for n in copies if n not in same]
    defining = [n for n in code if n not in same and item.id in bound(cells[n].source)]
    pools = (
        [n for n in changed if n in defining],
        [n for n in defining if claims[n] is None],
        changed,
        [n for n in code if n not in same and claims[n] is None and _id(cells[n]) == item.id],
        defining,
        [n for n in same if claims[n] in (None, item.id)][:1],
    )
    at = next((pool[-1] for pool in pools if pool), None)
    return Found(item, tuple(copies), at, "" if at is None else cells[at].source)


def _find_question(item: Item, cells: list, claims: list) -> Found:
    """Find a written answer: the last changed copy of its cell, else what the student wrote in its place."""
    texts = [n for n, cell in enumerate(cells) if cell.cell_type == "markdown"]
    copies = [n for n in range(len(cells)) if claims[n] == item.id]  # of any type: one key turns text into code
    changed = [n for n in copies if plain(cells[n].source) != plain(item.source)]
    own = [n for n in texts if claims[n] is None and _is_own(cells[n]) and is_answered(item, cells[n].source)]
    asked = next((n for n in texts if item.text and plain(item.text) in plain(cells[n].source)), None)
    beside, below = [], ""
    if asked is not None:
        others = [n for n in range(asked + 1, len(cells)) if claims[n] not in (None, item.id)]
        prose = [n for n in texts if n > asked and claims[n] is None and n not in own and cells[n].source.strip()]
        beside = [n for n in own if asked < n < min([*others, *prose], default=len(cells))]
        below = plain(cells[asked].source).partition(plain(item.text))[2].strip()
    by_id = [n for n in own if _id(cells[n]) == item.id]
    at = next((pool[0] for pool in (changed[-1:], by_id, beside) if pool), None)
    if at is None and below:
        return Found(item, tuple(copies), asked, below)
    at = copies[0] if at is None and copies else at
    return Found(item, tuple(copies), at, "" if at is None else cells[at].source)


def _find_locked(item: Item, cells: list, claims: list) -> Found:
    """Find a set-up or check cell: as handed out before edited, with its grading data before without."""
    code = [n for n, cell in enumerate(cells) if cell.cell_type == "code"]
    copies = [n for n in code if claims[n] == item.id]
    same = [n for n in code if plain(cells[n].source) == plain(item.source) and claims[n] in (None, item.id)]
    by_id = [n for n in code if claims[n] is None and _id(cells[n]) == item.id]
    at = next((pool[0] for pool in ([n for n in same if n in copies], same, copies, by_id) if pool), None)
    return Found(item, tuple(copies), at, "" if at is None else cells[at].source)


def is_written(cell) -> bool:
    """Return whether a cell is for a written answer, whatever its type has become."""
    data = cell.metadata.get("nbgrader")
    return isinstance(data, dict) and bool(data.get("grade")) and bool(data.get("solution"))


def tags_of(cell) -> list:
    """Return a cell's tags."""
    tags = cell.metadata.get("tags")
    return tags if isinstance(tags, list) else []


def _id(cell) -> str:
    """Return a cell's id, which Colab keeps in the metadata."""
    return str(cell.get("id") or cell.metadata.get("id"))


def plain(source: str) -> str:
    """Return a source by which two cells are compared: without white space at the ends of lines."""
    return "\n".join(line.rstrip() for line in source.strip().splitlines())


def bound(source: str) -> set[str]:
    """Return the names that a code cell binds at its left margin."""
    return {name for names in _BINDS.findall(source) for name in names if name}


def _is_own(cell) -> bool:
    """Whether a text cell is the student's, as far as can be told: it has no id of ours and begins no section."""
    return not _HANDED_OUT.fullmatch(_id(cell)) and not cell.source.lstrip().startswith("#")
