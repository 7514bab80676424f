"""The search for the cells of a release in a student's notebook: claims, candidates, and which of them is preferred.

A cell is known by its grading data, its text, the functions it defines, its id, or its place, in this order. Nothing in
here runs a student's code or parses it: what a cell defines is read off its lines.
"""

import difflib
import re

from helpers.handin.cells import Cell

_IMPORTS = re.compile(r"^(?:import|from)[ \t]", re.MULTILINE)


class Search:
    """One look through a notebook. Its cells are known by their positions, those of the release by their places.

    cells: the notebook's, then those in which something is kept
    said: for each cell the grade id that its grading data say; "" for none of the release
    claims: for each cell the grade id that is believed
    places: {grade id: place}
    found: {place: position}
    known_by: {grade id: what its cell was found by, where not by its grading data}
    copies: {grade id of a locked cell: positions of the cells that may equally well be it}
    stubs: positions of untouched answer cells; each would undo an answer above it
    moved: {grade id of an answer that stands in another cell: text for its own, where that other cell was read}
    emptied: positions of the questions' cells out of which an answer was moved
    kept: {position of a locked cell: position of a cell of what the student defined in it}
    """

    def __init__(self, cells: list[Cell], released: list[Cell]):
        """Begin with nothing found."""
        self.cells, self.released = list(cells), released
        self.places = {cell.name: place for place, cell in enumerate(released) if cell.name}
        self.twins = {(cell.kind, cell.text): cell for cell in released}
        self.said = [cell.name if cell.name in self.places else "" for cell in cells]
        self.claims = [self._believed(n) for n in range(len(cells))]
        self.found: dict[int, int] = {}
        self.known_by: dict[str, str] = {}
        self.copies: dict[str, list[int]] = {}
        self.stubs: set[int] = set()
        self.moved: dict[str, tuple[str, int | None]] = {}
        self.emptied: set[int] = set()
        self.kept: dict[int, int] = {}

    def find_all(self) -> None:
        """Find what nobody may change, then prose, then answers, which may be anything and stand anywhere."""
        locked = [name for name in self.places if self.original(name).is_locked]
        answers = [name for name in self.places if name not in locked]
        exercises = [name for name in answers if self.original(name).kind == "code"]
        for name in locked:
            self._find_locked(name)
            self._keep_definitions(name)
        self._find_unchanged_prose()
        self._find_changed_prose()
        for name in answers:
            if name in exercises:
                self._find_exercise(name)
            else:
                self._find_written(name)
        for name in exercises:
            self._find_in_another(name)
        for name in exercises:
            self._find_by_place(name)
        for name in locked:
            self._choose_copy(name)

    def original(self, name: str) -> Cell:
        """Return a graded cell as it was handed out."""
        return self.released[self.places[name]]

    def is_untouched(self, name: str) -> bool:
        """Tell whether the cell that was found is as it was handed out, or none was."""
        n = self.found.get(self.places[name])
        return n is None or self.cells[n].text == self.original(name).text

    # ------------------------------------------------------------------------------------------ claims

    def _believed(self, n: int) -> str:
        """Return the grade id that a cell claims. Grading data on a cell with the text of another are not believed."""
        cell, said = self.cells[n], self.said[n]
        twin = self.twins.get((cell.kind, cell.text))
        if not said or twin is None or not cell.text or cell.text == self.original(said).text:
            return said
        return twin.name

    def _claiming(self, name: str) -> list[int]:
        """Return the cells that claim a grade id and are not found to be another's."""
        taken = set(self.found.values())
        return [n for n, claim in enumerate(self.claims) if claim == name and n not in taken]

    def _free(self, kind: str) -> list[int]:
        """Return the cells of a kind that claim nothing and are nothing yet."""
        return [n for n in self._claiming("") if self.cells[n].kind == kind]

    # ------------------------------------------------------------------------------------------ likeness and place

    def _split(self, cells: list[int], original: Cell) -> tuple[list[int], list[int]]:
        """Return those of some cells that have the text of the original, and the others."""
        same = [n for n in cells if self.cells[n].text == original.text]
        return same, [n for n in cells if n not in same]

    def _with_id(self, cells: list[int], original: Cell) -> list[int]:
        return [n for n in cells if self.cells[n].id == original.id]

    def _defining(self, cells: list[int], original: Cell) -> list[int]:
        """Return those of some cells that define an exercise's function, or what its cell defines if it has none."""
        wanted = {original.name} if original.name in original.defines else original.defines
        return [n for n in cells if wanted and wanted <= self.cells[n].defines]

    def _gap(self, place: int) -> range:
        """Return the positions between the found neighbours of a place; a cell for show is nobody's neighbour."""
        found = sorted((p, n) for p, n in self.found.items() if not self.released[p].is_drawn)
        below = [n for p, n in found if p < place]
        lower = below[-1] if below else -1
        above = [n for p, n in found if p > place and n > lower]
        return range(lower + 1, above[0] if above else len(self.cells))

    # ------------------------------------------------------------------------------------------ in order of preference

    def _take_best(self, name: str, *pools: tuple[str, list[int]]) -> list[int]:
        """Take for a graded cell the first of the first pool that is not empty, and return this pool.

        Args:
            name: the grade id.
            pools: what the cells in a pool are known by, and the cells.
        """
        for known_by, pool in pools:
            if pool:
                self.found[self.places[name]] = pool[0]
                if self.said[pool[0]] != name:
                    self.known_by[name] = known_by
                return pool
        return []

    def _find_locked(self, name: str) -> None:
        """Find a cell that is not the student's to change: as released rather than edited, tagged rather than not."""
        original, claiming = self.original(name), self._claiming(name)
        free = self._free(original.kind)
        tagged, changed = self._split(claiming, original)
        untagged, _ = self._split(free, original)
        by_id = self._with_id(free, original)[:1]
        self.copies[name] = self._take_best(
            name, ("content", tagged), ("content", untagged), ("content", claiming), ("id", by_id)
        )
        for n in changed:
            if n not in self.found.values():
                self.claims[n] = ""  # may be an answer

    def _choose_copy(self, name: str) -> None:
        """Choose of several copies of a locked cell the first below what is graded above it: a test's exercise."""
        place, copies = self.places[name], self.copies[name]
        if len(copies) > 1:
            above = [p for p in self.found if p < place and self.released[p].tags]
            lower = self.found[max(above)] if above else -1
            self.found[place] = next((n for n in copies if n > lower), copies[-1])

    def _find_exercise(self, name: str) -> None:
        """Find an answer in code: the last cell that may be it, rather one that defines its function."""
        original = self.original(name)
        tagged_stubs, tagged = self._split(self._claiming(name), original)
        stubs, free = self._split(self._free("code"), original)
        self.stubs.update(tagged_stubs, stubs)
        self._take_best(
            name,
            ("content", self._defining(tagged, original)[::-1]),
            ("content", self._defining(free, original)[::-1]),
            ("content", tagged[::-1]),
            ("id", self._with_id(free, original)[::-1]),
            ("content", tagged_stubs or stubs),
        )

    def _find_in_another(self, name: str) -> None:
        """Find an exercise that is answered in a cell of several: the cell is its own where it is nobody else's."""
        code = [n for n, cell in enumerate(self.cells) if cell.kind == "code"]
        _, others = self._split(code, self.original(name))
        defining = self._defining(others, self.original(name))
        if not defining or not self.is_untouched(name):
            return
        if free := [n for n in defining if n not in self.found.values()]:
            self._take_best(name, ("content", free[-1:]))
        else:
            self.moved[name] = f"# {name} stands in another cell.", self.cells[defining[-1]].at

    def _find_by_place(self, name: str) -> None:
        """Find an exercise that nothing but its place tells, among cells that were not handed out."""
        place = self.places[name]
        if place in self.found or name in self.moved:
            return
        gap = self._gap(place)
        texts = [n for n in self._free("code") if n in gap and self.cells[n].text]
        self._take_best(name, ("place", [n for n in texts if ("code", self.cells[n].text) not in self.twins]))

    def _find_written(self, name: str) -> None:
        """Find an answer in words: the last changed copy of its cell, else the first text that has its id or place."""
        original, gap = self.original(name), self._gap(self.places[name])
        tagged_stubs, tagged = self._split(self._claiming(name), original)
        stubs, free = self._split(self._free("markdown"), original)
        texts = [n for n in free if self.cells[n].text]
        self.stubs.update(tagged_stubs, stubs)
        self._take_best(
            name,
            ("content", tagged[::-1]),
            ("id", self._with_id(texts, original)),
            ("place", [n for n in texts if n in gap]),
            ("content", tagged_stubs or stubs),
        )
        if self.is_untouched(name):
            self._find_in_question(name)

    def _find_in_question(self, name: str) -> None:
        """Find an answer in the cell of its question, and take it out; what is for show may stand between the two."""
        above = max((p for p in range(self.places[name]) if not self.released[p].is_drawn), default=-1)
        n = self.found.get(above)
        if n is None or not (asked := self.released[above]).text or asked.kind != "markdown":
            return
        before, found, after = self.cells[n].text.partition(asked.text)
        if found and (answer := (before + after).strip()):
            self.moved[name] = answer, self.cells[n].at
            self.emptied.add(n)

    # ------------------------------------------------------------------------------------------ nobody's answers

    def _find_unchanged_prose(self) -> None:
        for place, original in enumerate(self.released):
            if original.text and not original.tags:
                same, _ = self._split(self._free(original.kind), original)
                if same:
                    self.found[place] = same[0]

    def _find_changed_prose(self) -> None:
        for place, original in enumerate(self.released):
            if place in self.found or original.tags or original.kind != "markdown":
                continue
            gap = self._gap(place)
            free = (n for n in self._free("markdown") if n in gap)
            likely = next((n for n in free if _is_edited(self.cells[n], original)), None)
            if likely is not None:
                self.found[place] = likely

    def _keep_definitions(self, name: str) -> None:
        """Keep what a student defined in a locked cell, which is to be put back, in a cell of its own."""
        if self.is_untouched(name):
            return
        n = self.found[self.places[name]]
        cell = self.cells[n]
        if cell.kind == "code" and _adds(cell, self.original(name)):
            self.kept[n] = len(self.cells)
            self.cells.append(Cell("code", cell.source, at=cell.at))
            self.said.append("")
            self.claims.append("")


def _is_edited(cell: Cell, original: Cell) -> bool:
    """Tell whether a student edited the cell `original` into this one, or wrote more into it."""
    here, there = cell.text, original.text
    if there and there in here:
        return True
    matcher = difflib.SequenceMatcher(None, here, there)
    ratios = (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio)  # each dearer than the one before
    return len(here) < 20_000 and all(ratio() > 0.6 for ratio in ratios)


def _adds(cell: Cell, original: Cell) -> bool:
    """Tell whether a changed cell defines or imports what the released one does not."""
    lines = set(original.source.splitlines())
    imports = [line for line in cell.source.splitlines() if _IMPORTS.match(line) and line not in lines]
    return bool(imports or cell.defines - original.defines)
