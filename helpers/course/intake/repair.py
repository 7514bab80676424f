"""One notebook put right against its release, with a line for everything that was put right.

Nothing in here runs a student's code or parses it: what a cell defines is read off its lines.
"""

import copy
import difflib
import re

import nbformat

from helpers.course.intake import pictures

MOST_CELLS = 2000
KINDS = ("code", "markdown", "raw")
TAGS = ("grade_id", "grade", "solution", "locked", "task", "points", "schema_version")

# The names that a line at the left margin binds. A pattern: it also works on cells that are not plain Python.
BINDS = re.compile(r"^(?:(?:async[ \t]+)?def[ \t]+(\w+)|class[ \t]+(\w+)|(\w+)[ \t]*(?::[^=\n]*)?=(?!=))", re.MULTILINE)
IMPORTS = re.compile(r"^(?:import|from)[ \t]", re.MULTILINE)


def repair(notebook, release):
    """Return a copy of `notebook` that has every graded cell of `release` exactly once, and a line for each repair.

    What is the student's to write stays; everything else comes from the release. A cell is known by its grading
    data, its text, the functions it defines, its id, or its place, in this order. Cells that are nobody's answer stay
    where they are, as ordinary cells. Outputs are dropped, but for the pictures of collected figures. Repairing twice
    is repairing once.

    Args:
        notebook: what a student handed in, in notebook format 4.
        release: the students' notebook of the assignment.

    Returns:
        The repaired notebook, and lines that begin with a grade id or with "notebook".

    Raises:
        ValueError: it has no cells, or more than MOST_CELLS.
    """
    notes = []
    # Again, as a cell that one repair frees may be what another one looks for.
    for _ in range(5):
        before = notebook
        notebook, claims, more = _plain(before, release)
        notebook.cells, found = _Matching(notebook.cells, claims, release.cells).rebuilt()
        notes += more + found
        if notebook == before:
            break
    return notebook, list(dict.fromkeys(notes))


def likeness(notebook, release):
    """Return the share of the exercises, checks and questions of `release` that `notebook` holds, by tag or text."""
    tagged, texts, names = set(), set(), set()
    for cell in _cells(notebook):
        if cell is not None:
            tagged.add(str(_tags(cell).get("grade_id")))
            texts.add(_text(cell))
            names |= bound(cell["source"])
    wanted = [cell for cell in release.cells if _tags(cell).get("grade") or _tags(cell).get("solution")]
    held = [
        cell
        for cell in wanted
        if cell.metadata.nbgrader.grade_id in tagged
        or (cell.metadata.nbgrader.locked and _text(cell) in texts)
        or (cell.cell_type == "code" and not cell.metadata.nbgrader.locked and bound(cell.source) & names)
    ]
    return len(held) / len(wanted) if wanted else 0.0


def bound(source):
    """Return the names that the lines at the left margin of a cell's source define or assign."""
    return {name for names in BINDS.findall(source) for name in names if name}


def _text(cell):
    return "\n".join(line.rstrip() for line in cell["source"].strip().splitlines())


def _tags(cell):
    tags = cell["metadata"].get("nbgrader")
    return tags if isinstance(tags, dict) else {}


def _cells(notebook):
    """Return the cells of a notebook that may hold anything: each sound, or None.

    Raises:
        ValueError: it has no cells, or more than MOST_CELLS.
    """
    cells = notebook.get("cells")
    if not isinstance(cells, list) or not cells:
        raise ValueError("it has no cells")
    if len(cells) > MOST_CELLS:
        raise ValueError(f"it has {len(cells)} cells; at most {MOST_CELLS} are taken")
    return [_cell(cell) for cell in cells]


def _cell(cell):
    if not isinstance(cell, dict) or cell.get("cell_type") not in KINDS or not isinstance(cell.get("source"), str):
        return None
    # JSON can hold halves of characters, which no file can.
    source = cell["source"].encode("utf-8", "replace").decode("utf-8")
    return {**cell, "source": source, "metadata": _dict(cell.get("metadata"))}


def _new(kind, source, name, metadata=None):
    """Return a new cell. nbformat's own functions validate it each time, which takes longer than all the rest."""
    own = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return nbformat.from_dict({"id": name, "cell_type": kind, "metadata": metadata or {}, "source": source, **own})


def _dict(value):
    return value if isinstance(value, dict) else {}


def _plain(notebook, release):
    """Return the notebook rebuilt of what is sound in it, what each cell says it is, and notes.

    Of a cell's metadata only the grading data is looked at: a student's may hold anything.
    """
    cells = _cells(notebook)
    notes, metadata = [], _dict(notebook.get("metadata"))
    old = "3" if "orig_nbformat" in metadata else f"4.{notebook.get('nbformat_minor', 0)}"[:9]
    if old != "4.5":
        notes.append(f"notebook: it was saved in notebook format {old}; converted to 4.5")
    if "widgets" in metadata:
        notes.append("notebook: the saved state of progress bars is left out")
    kept = {
        name: copy.deepcopy(release.metadata[name])
        for name in ("kernelspec", "language_info")
        if name in release.metadata
    }
    kernel, wanted = (_kernel(data) for data in (metadata, kept))
    if kernel and wanted and kernel != wanted:
        notes.append(f"notebook: its kernel was {kernel[:50]!r}; it is run with {wanted!r}")
    result = nbformat.v4.new_notebook(metadata=kept)
    result.nbformat_minor = 5
    claims, ids, figures = [], [], pictures.figures(release)
    for cell in cells:
        if cell is None:
            continue
        own = cell["metadata"]
        # Colab keeps a cell's id in its metadata too, and there alone where it saves in format 4.0.
        ids.append(next((name for name in (cell.get("id"), own.get("id")) if _sound(name)), None))
        made = _new(cell["cell_type"], cell["source"], ids[-1] or "none")
        if cell["cell_type"] == "markdown" and _pictures(cell.get("attachments")):
            made.attachments = copy.deepcopy(cell["attachments"])
        if (figure := pictures.figure_of(made)) in figures:
            try:
                made.outputs = pictures.pictures(cell)
            except ValueError as error:
                notes.append(f"notebook: the picture of {figure} {error}; left out")
        result.cells.append(made)
        claims.append(_tags(cell))
    if not result.cells:
        raise ValueError("it has no cells")
    if None in cells:
        notes.append(f"notebook: things in it that are no cells: {cells.count(None)}; left out")
    if ids.count(None) and old == "4.5":
        notes.append(f"notebook: cells without an id: {ids.count(None)}; given one")
    return result, claims, notes


def _sound(name):
    return isinstance(name, str) and re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name)


def _kernel(metadata):
    spec = metadata.get("kernelspec")
    name = spec.get("name") if isinstance(spec, dict) else None
    return name if isinstance(name, str) else ""


def _pictures(attachments):
    """Tell whether a cell's attachments are {name: {MIME type: text}}, with text that a file can hold."""
    if not isinstance(attachments, dict) or not all(isinstance(data, dict) for data in attachments.values()):
        return False
    texts = [text for data in attachments.values() for text in data.values()]
    # A name may have any letters, but no half of one, which no file can hold.
    named = not any("\ud800" <= letter <= "\udfff" for name in attachments for letter in name)
    return named and all(isinstance(text, str) and text.isascii() for text in texts)


class _Matching:
    """Which cell of a submission is which cell of the release, by positions in both."""

    def __init__(self, cells, claims, release):
        self.cells, self.release = cells, release
        self.texts = [_text(cell) for cell in cells]
        self.drawn = {n for n, cell in enumerate(release) if "figure" in cell.metadata.get("tags", [])}
        self.released = {(cell.cell_type, _text(cell)): cell for cell in release}
        self.graded = {_tags(cell)["grade_id"]: n for n, cell in enumerate(release) if _tags(cell)}
        self.tags = claims  # what the grading data of each cell say
        self.said = [self._known(tags.get("grade_id")) for tags in claims]
        self.claims = [self._believed(n) for n in range(len(cells))]
        self.order = list(range(len(cells)))  # of the positions in the submission; what is added has the last ones
        self.found = {}  # position in the release -> position in the submission
        self.spare = {}  # grade id -> positions of its superfluous copies
        self.how = {}  # grade id -> how its cell was found, where not by its grading data
        self.instead = {}  # grade id -> text of its cell, where its answer stands in another's
        self.merged = {}  # grade id -> positions of the cells that answer it, whosever they are
        self.notes = []
        names = list(self.graded)
        for name in names:
            if self._original(name).metadata.nbgrader.locked:
                self._find_locked(name)
                self._keep_definitions(name)
        self._find_prose()
        answers = [name for name in names if not self._original(name).metadata.nbgrader.locked]
        for name in answers:
            code = self._original(name).cell_type == "code"
            (self._find_code if code else self._find_written)(name)
        for name in [name for name in self.instead if name in self.merged]:
            self._find_merged(name)
        for name in answers:
            if self.graded[name] not in self.found and self._original(name).cell_type == "code":
                self._find_by_place(name)
        for name in names:
            self._settle(name)

    # ------------------------------------------------------------------------------------------ looking

    def _known(self, name):
        return name if isinstance(name, str) and name in self.graded else None

    def _believed(self, n):
        """Return the grade id of a cell, or None: grading data on a cell with the text of another are not believed."""
        twin = self.released.get((self.cells[n].cell_type, self.texts[n]))
        if self.said[n] is None or twin is None or not self.texts[n] or self._same(n, self._original(self.said[n])):
            return self.said[n]
        return _tags(twin).get("grade_id")

    def _original(self, name):
        return self.release[self.graded[name]]

    def _claiming(self, name):
        return [n for n, claim in enumerate(self.claims) if claim == name and n not in self.found.values()]

    def _free(self, kind):
        taken = set(self.found.values())
        return [
            n
            for n, cell in enumerate(self.cells)
            if n not in taken and self.claims[n] is None and cell.cell_type == kind
        ]

    def _same(self, n, original):
        return self.texts[n] == _text(original)

    def _take(self, name, n, how=""):
        self.found[self.graded[name]] = n
        if how and self.said[n] != name:
            self.how[name] = how

    def _gap(self, position):
        """Return the positions between the nearest found neighbours of a position in the release, figures left out."""
        found = {p: n for p, n in self.found.items() if p not in self.drawn}
        before = max((p for p in found if p < position), default=None)
        lower = found[before] if before is not None else -1
        after = [found[p] for p in sorted(found) if p > position and found[p] > lower]
        return range(lower + 1, after[0] if after else len(self.cells))

    def _find_locked(self, name):
        original, claiming = self._original(name), self._claiming(name)
        exact = [n for n in [*claiming, *self._free(original.cell_type)] if self._same(n, original)]
        by_id = [n for n in self._free(original.cell_type) if self.cells[n].id == original.id]
        pool = [n for n in exact if n in claiming] or exact or claiming or by_id
        if pool:
            self._take(name, pool[0], "id" if pool is by_id else "content")
            self.spare[name] = sorted(pool if pool is exact else claiming)
        for n in claiming:
            if not self._same(n, original) and n not in self.found.values():
                self.claims[n] = None  # may be an answer

    def _keep_definitions(self, name):
        """Put what a student defined in a locked cell, which is to be put back, in a cell of its own before it."""
        original, n = self._original(name), self.found.get(self.graded[name])
        if n is None or self._same(n, original):
            return
        note = f"{name}: this cell is not yours to change; put back as released"
        if self.cells[n].cell_type == "code" and _adds(self.cells[n].source, original.source):
            self.order.insert(self.order.index(n), len(self.cells))
            self.cells.append(_new("code", self.cells[n].source, "kept"))
            self.texts.append(self.texts[n])
            self.tags.append({})
            self.said.append(None)
            self.claims.append(None)
            note += "; what you defined in it is kept in a cell of its own"
        self.notes.append(note)

    def _find_prose(self):
        """Find the cells that are nobody's answer: unchanged ones by their text, then changed ones by likeness."""
        ordinary = [n for n, cell in enumerate(self.release) if not _tags(cell)]
        for position in ordinary:
            original = self.release[position]
            n = next((n for n in self._free(original.cell_type) if self._same(n, original)), None)
            if n is not None and original.source.strip():
                self.found[position] = n
        for position in ordinary:
            if position in self.found or self.release[position].cell_type != "markdown":
                continue
            free, gap = set(self._free("markdown")), self._gap(position)
            likely = [n for n in gap if n in free and _alike(self.cells[n], self.release[position])]
            if likely:
                self.found[position] = likely[0]

    def _find_code(self, name):
        original = self._original(name)
        names = bound(original.source)
        names = {name} if name in names else names

        def answers(n):
            return not self._same(n, original) and names and names <= bound(self.cells[n].source)

        claiming, free = self._claiming(name), self._free("code")
        changed = [n for n in claiming if not self._same(n, original)]
        mine = [n for n in changed if answers(n)]
        elsewhere = [n for n in free if answers(n)]
        by_id = [n for n in free if self.cells[n].id == original.id and not self._same(n, original)]
        stubs = [n for n in [*claiming, *free] if self._same(n, original)]
        merged = [n for n, cell in enumerate(self.cells) if cell.cell_type == "code" and answers(n)]
        for pool in (mine, elsewhere, changed, by_id):
            if pool:
                self._take(name, pool[-1], "id" if pool is by_id else "content")
                break
        else:
            if merged:
                self.instead[name] = f"# {name} stands in another cell."
            if stubs:
                self._take(name, stubs[0], "content")
        self.spare[name] = sorted({*claiming, *stubs})
        self.merged[name] = merged

    def _find_merged(self, name):
        """Give an exercise that is answered in a cell of several the cell, where it is nobody else's."""
        free = [n for n in self.merged[name] if n not in self.found.values()]
        if free:
            del self.instead[name]
            self._take(name, free[-1], "content")

    def _find_written(self, name):
        position, original = self.graded[name], self._original(name)
        claiming, free = self._claiming(name), self._free("markdown")
        stubs = [n for n in [*claiming, *free] if self._same(n, original)]
        changed = [n for n in claiming if n not in stubs]
        others = [n for n in free if n not in stubs and self.texts[n]]
        by_id = [n for n in others if self.cells[n].id == original.id]
        gap = [n for n in others if n in self._gap(position)]
        self.spare[name] = sorted({*claiming, *stubs})
        if changed or by_id or gap:
            n = changed[-1] if changed else (by_id or gap)[0]
            self._take(name, n, "id" if by_id else "place")
            return
        if stubs:
            self._take(name, stubs[0], "content")
        # Some write below the question, in its cell; collected figures may stand between the two.
        above = max(set(range(position)) - self.drawn, default=None)
        question, asked = self.found.get(above), None if above is None else self.release[above]
        if question is not None and asked.cell_type == "markdown" and _text(asked):
            before, found, after = self.texts[question].partition(_text(asked))
            if found and (before + after).strip():
                self.instead[name] = (before + after).strip()
                self.cells[question].source = asked.source
                self.notes.append(f"{name}: the answer stood in the cell of the question; moved to its own")

    def _find_by_place(self, name):
        free, gap = set(self._free("code")), self._gap(self.graded[name])
        if name in self.instead:
            return
        here = [n for n in gap if n in free and self.texts[n] and ("code", self.texts[n]) not in self.released]
        if here:
            self._take(name, here[0], "place")

    def _settle(self, name):
        """Choose among copies of a test: the first after its exercise. Say what was found how."""
        original, copies = self._original(name), self.spare.get(name, [])
        position, locked = self.graded[name], original.metadata.nbgrader.locked
        if locked and len(copies) > 1:
            before = max((p for p in self.found if p < position and _tags(self.release[p])), default=None)
            same = [n for n in copies if self._same(n, original)] or copies
            self.found[position] = next((n for n in same if n > self.found.get(before, -1)), same[-1])
        chosen = self.found.get(position)
        claiming = [n for n, said in enumerate(self.said) if said == name]
        if len(claiming) > 1:
            which = "the one in its place" if locked else "the last one changed"
            self.notes.append(f"{name}: {len(claiming)} copies of this cell; the one that counts is {which}")
        elif name in self.instead and original.cell_type == "code":
            self.notes.append(f"{name}: answered in the cell of another exercise, where it counts")
        elif name in self.how and claiming and not locked:
            self.notes.append(f"{name}: answered in another cell; that cell counts, the released one is left out")
        elif name in self.how:
            self.notes.append(f"{name}: the cell had lost its grading data; found again by its {self.how[name]}")
        if chosen is not None and self.said[chosen] == name:
            self._note_changed_tags(name, self.tags[chosen])

    def _note_changed_tags(self, name, tags):
        wanted = self._original(name).metadata.nbgrader
        changed = [key for key in TAGS if tags.get(key) != wanted.get(key)]
        if changed:
            self.notes.append(f"{name}: its grading data were changed ({', '.join(changed)}); put back")

    # ------------------------------------------------------------------------------------------ building

    def rebuilt(self):
        """Return the repaired cells and the notes."""
        place = {n: position for position, n in self.found.items()}
        built, where = [], {}
        for n in self.order:
            cell, position = self.cells[n], place.get(n)
            if position is None:
                if not self._is_spare_stub(n):
                    twin = self.released.get((cell.cell_type, self.texts[n]))
                    if twin is not None and not _tags(twin):
                        cell.metadata = copy.deepcopy(twin.metadata)
                    built.append(cell)
                continue
            original = self.release[position]
            if _tags(original):
                built.append(self._graded(cell, original))
            else:
                cell.metadata, cell.id = copy.deepcopy(original.metadata), original.id
                built.append(cell)
            where[position] = built[-1]
        for name, position in self.graded.items():
            if position not in where:
                before = max((p for p in where if p < position), default=None)
                at = next((n for n, cell in enumerate(built) if cell is where.get(before)), -1)
                where[position] = self._missing(name)
                built.insert(at + 1, where[position])
        released = {id(cell) for cell in where.values()}
        for n, cell in enumerate(built):
            if id(cell) not in released:
                # Ours, so that no cell of a student's passes for another, and the same cells have the same ids.
                cell.id = f"own-{n}"
        return built, self.notes

    def _is_spare_stub(self, n):
        """Tell whether a cell is an untouched copy of an answer cell, which would undo the answer above it."""
        return any(
            n in copies and not self._original(name).metadata.nbgrader.locked and self._same(n, self._original(name))
            for name, copies in self.spare.items()
        )

    def _graded(self, cell, original):
        """Return the cell as the graded cell `original`."""
        name, locked = original.metadata.nbgrader.grade_id, original.metadata.nbgrader.locked
        if cell.cell_type != original.cell_type:
            self.notes.append(f"{name}: the cell's type was changed; put back to {original.cell_type}")
        source = original.source if locked else self.instead.get(name, cell.source)
        made = _new(original.cell_type, source, original.id, copy.deepcopy(original.metadata))
        if "attachments" in cell and original.cell_type == "markdown":
            made.attachments = cell.attachments
        return made

    def _missing(self, name):
        cell = copy.deepcopy(self._original(name))
        if name in self.instead:
            cell.source = self.instead[name]
        elif cell.metadata.nbgrader.locked or cell.metadata.nbgrader.grade:
            self.notes.append(f"{name}: the cell was deleted; put back as released")
        else:
            # Not the stub: the answer may stand in a form that was not recognised, and a stub would undo it.
            cell.source = f"# The cell of {name} was deleted."
            self.notes.append(f"{name}: the cell was deleted")
        return cell


def _alike(cell, original):
    """Tell whether a student edited the cell `original` into this one, or wrote more into it."""
    here, there = _text(cell), _text(original)
    if there and there in here:
        return True
    matcher = difflib.SequenceMatcher(None, here, there)
    return (
        len(here) < 20_000
        and matcher.real_quick_ratio() > 0.6
        and matcher.quick_ratio() > 0.6
        and matcher.ratio() > 0.6
    )


def _adds(source, released):
    """Tell whether a changed cell defines or imports what the released one does not."""
    lines = set(released.splitlines())
    imports = [line for line in source.splitlines() if IMPORTS.match(line) and line not in lines]
    return bool(imports or bound(source) - bound(released))
