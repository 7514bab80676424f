"""Which cell of a student's notebook is which cell of the one that was handed out.

Grading repairs notebooks by this; the hand-in check and the PDF look for answers by it. So what a student is told
counts is what counts.
"""

from dataclasses import dataclass, replace

from helpers.handin.cells import Cell
from helpers.handin.search import Search

ROUNDS = 5
TAGS = ("grade_id", "grade", "solution", "locked", "task", "points", "schema_version")


@dataclass(frozen=True)
class Match:
    """A notebook put right.

    cells: its cells in order: each graded cell of the release once, and what is nobody's answer where it was
    notes: a line for each thing that was put right, which begins with a grade id
    """

    cells: list[Cell]
    notes: list[str]


def match(cells: list[Cell], released: list[Cell]) -> Match:
    """Find the cells of a release in a student's notebook, and put right what is the matter with them.

    What is the student's to write stays; everything else is as released. Putting right twice is putting right once.
    """
    notes: list[str] = []
    # Again, as a cell that one round frees may be what another one looks for.
    for _ in range(ROUNDS):
        before, search = cells, Search(cells, released)
        search.find_all()
        notes += _found(search)
        cells = _placed(search, notes)
        _put_back(search, cells, notes)
        # Ids of ours, so that no cell of a student's passes for another, and the same cells have the same ids.
        cells = [replace(cell, id=f"own-{n}", tags={}) if cell.place is None else cell for n, cell in enumerate(cells)]
        if cells == before:
            break
    return Match(cells, list(dict.fromkeys(notes)))


def deleted(name: str) -> str:
    """Return what stands in place of an exercise whose cell was deleted."""
    return f"# The cell of {name} was deleted."


# ------------------------------------------------------------------------------------------------ notes


def _found(search: Search) -> list[str]:
    """Return a line for each graded cell that was changed, or found elsewhere than where it was handed out."""
    lines = []
    for name, copies in search.copies.items():
        if not search.is_untouched(name):
            is_kept = any(n in search.kept for n in copies)
            kept = "; what you defined in it is kept in a cell of its own" if is_kept else ""
            lines.append(f"{name}: this cell is not yours to change; put back as released{kept}")
    for name in search.moved:
        if search.original(name).kind == "markdown":
            lines.append(f"{name}: the answer stood in the cell of the question; moved to its own")
    for name in search.places:
        lines += [f"{name}: {what}" for what in (_where(search, name), _changed_tags(search, name)) if what]
    return lines


def _where(search: Search, name: str) -> str:
    """Return which cell counts, where that needs saying; else nothing."""
    original, said = search.original(name), search.said.count(name)
    if said > 1:
        which = "the one in its place" if original.is_locked else "the last one changed"
        return f"{said} copies of this cell; the one that counts is {which}"
    if name in search.moved and original.kind == "code":
        return "answered in the cell of another exercise, where it counts"
    if name not in search.known_by:
        return ""
    if said and not original.is_locked:
        return "answered in another cell; that cell counts, the released one is left out"
    return f"the cell had lost its grading data; found again by its {search.known_by[name]}"


def _changed_tags(search: Search, name: str) -> str:
    """Return what of a cell's grading data was changed, if it was."""
    n = search.found.get(search.places[name])
    if n is None or search.said[n] != name:
        return ""
    tags, wanted = search.cells[n].tags, search.original(name).tags
    changed = [key for key in TAGS if tags.get(key) != wanted.get(key)]
    return f"its grading data were changed ({', '.join(changed)}); put back" if changed else ""


# ------------------------------------------------------------------------------------------------ putting right


def _placed(search: Search, notes: list[str]) -> list[Cell]:
    """Return the cells in their order: those that were found as released, without the stubs that nothing needs."""
    places = {n: place for place, n in search.found.items()}
    order: list[int] = []
    for n in range(len(search.cells) - len(search.kept)):
        order += [search.kept[n], n] if n in search.kept else [n]
    return [
        _as_released(search, n, places[n], notes) if n in places else replace(search.cells[n], place=None)
        for n in order
        if n in places or n not in search.stubs
    ]


def _as_released(search: Search, n: int, place: int, notes: list[str]) -> Cell:
    cell, original = search.cells[n], search.released[place]
    source = original.source if original.is_locked or n in search.emptied else cell.source
    if original.tags and cell.kind != original.kind:
        notes.append(f"{original.name}: the cell's type was changed; put back to {original.kind}")
    source, at = search.moved.get(original.name, (source, cell.at))
    return replace(original, source=source, at=at, place=place)


def _put_back(search: Search, cells: list[Cell], notes: list[str]) -> None:
    """Put the cells that were not found below what stands above them in the release."""
    for name, place in search.places.items():
        placed = {cell.place: n for n, cell in enumerate(cells) if cell.place is not None}
        if place not in placed:
            above = [p for p in placed if p < place]
            cells.insert(placed[max(above)] + 1 if above else 0, _missing(search, name, notes))


def _missing(search: Search, name: str, notes: list[str]) -> Cell:
    original = search.original(name)
    source, at = original.source, None
    if name in search.moved:
        source, at = search.moved[name]
    elif original.is_locked or original.tags.get("grade"):
        notes.append(f"{name}: the cell was deleted; put back as released")
    else:
        # Not the stub: the answer may stand in a form that was not recognised, and a stub would undo it.
        source = deleted(name)
        notes.append(f"{name}: the cell was deleted")
    return replace(original, source=source, at=at, place=search.places[name])
