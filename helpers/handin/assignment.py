"""An assignment as it was handed out.

`make notebooks` writes data/released/<assignment>.json: the cells of the students' notebook, and what is known of those
that count. The hand-in check and the PDF of the written answers go by it, whatever has become of the notebook.
"""

import json
import re
from dataclasses import asdict, dataclass

from helpers import DATA
from helpers.handin.cells import Cell

NOT_ANSWERED = "*Your answer here.*"
_STUB = re.compile(r'raise NotImplementedError\("\w+: replace this line"\)')


@dataclass(frozen=True)
class Item:
    """A cell as it was handed out.

    id: the cell's id; of a cell that counts nbgrader's grade id, too
    kind: setup, exercise, check or question; prose, code or figure if it does not count
    title: heading above an exercise or a question, without its #
    source: text of the cell; an exercise's stub, a question's placeholder
    points: of a check or a question
    words: of a question, how many it may have
    text: of a question, its prose (Markdown), from the heading on
    figures: of a question, the figures of other notebooks collected for it, such as "01_saliency-maps"
    """

    id: str
    kind: str
    title: str = ""
    source: str = ""
    points: int | None = None
    words: int | None = None
    text: str = ""
    figures: tuple[str, ...] = ()

    @property
    def counts(self) -> bool:
        """Whether grading looks for it."""
        return self.kind in ("setup", "exercise", "check", "question")

    @property
    def is_locked(self) -> bool:
        """Whether it is not the student's to write."""
        return self.kind in ("setup", "check")

    def as_cell(self, at: int) -> Cell:
        """Return it as a cell to be looked for, with the grading data that nbgrader gives it."""
        tags = {
            "grade_id": self.id,
            "grade": self.kind in ("check", "question"),
            "solution": self.kind in ("exercise", "question"),
            "locked": self.is_locked,
        }
        kind = "markdown" if self.kind in ("prose", "question") else "code"
        return Cell(kind, self.source, self.id, tags if self.counts else {}, self.kind == "figure", at)


@dataclass(frozen=True)
class Assignment:
    """An assignment: its file name without the ending, its title, the name of the course, the cells of its notebook."""

    name: str
    title: str
    course: str
    cells: tuple[Item, ...]

    @property
    def items(self) -> tuple[Item, ...]:
        """The cells that count, in order."""
        return tuple(cell for cell in self.cells if cell.counts)

    @property
    def outline(self) -> list[Cell]:
        """All cells, as they are looked for in a student's notebook."""
        return [cell.as_cell(at) for at, cell in enumerate(self.cells)]

    def _of(self, kind: str) -> tuple[Item, ...]:
        return tuple(cell for cell in self.cells if cell.kind == kind)

    @property
    def exercises(self) -> tuple[Item, ...]:
        """The functions to write, in order."""
        return self._of("exercise")

    @property
    def checks(self) -> tuple[Item, ...]:
        """The check cells, one for each exercise."""
        return self._of("check")

    @property
    def questions(self) -> tuple[Item, ...]:
        """The written questions, in order."""
        return self._of("question")

    def as_json(self) -> str:
        """Return the text of its file in data/released/."""
        cells = [{key: value for key, value in asdict(cell).items() if value} for cell in self.cells]
        return json.dumps(asdict(self) | {"cells": cells}, indent=1, ensure_ascii=False) + "\n"


def handed_out(name: str) -> Assignment:
    """Return the assignment `name`, such as "07_writeup"; ValueError where there is none of this name."""
    folder = DATA / "released"
    path = folder / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(other.stem for other in folder.glob("*.json"))) or "none"
        raise ValueError(f"found no assignment {name!r}; known are {known}")
    content = json.loads(path.read_text("utf-8"))
    cells = (Item(**cell | {"figures": tuple(cell.get("figures", ()))}) for cell in content.pop("cells"))
    return Assignment(**content, cells=tuple(cells))


def is_answered(item: Item, source: str | None) -> bool:
    """Return whether `source` answers a question or an exercise: something stands in place of what was handed out."""
    text = (source or "").strip()
    if item.kind == "exercise":
        return bool(text) and not _STUB.search(text)
    return text not in ("", NOT_ANSWERED)
