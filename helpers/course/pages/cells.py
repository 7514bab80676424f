"""A page as data: its cells, what each of them is, and the marked regions inside them."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from helpers.writeup.figures import collected_figure

# The options that each named tag must have, and may have. A tag's own value is the name of a function, a question or a
# figure.
OPTIONS = {
    "exercise": ("minutes", "difficulty"),
    "check": ("points",),
    "question": ("points",),
    "figure": (),
    "mutant": ("says",),
    "mistakes": (),
    "variant": (),
    "judge": (),
}
OPTIONAL = {"question": ("words",), "mutant": ("visible",)}
NAMELESS = ("setup", "example", "local")
MARKDOWN = ("question", "mistakes")
# What is run before a figure that is drawn.
BEFORE_FIGURES = ("setup", "code", "example", "exercise")
# What grading leaves out; examples are run where a student's own code needs a name of theirs.
SKIPPED = ("figure", "local", "example")
NOT_SHIPPED = ("mistakes", "mutant", "variant", "judge")
# What stands behind the last cell of the page.
BANK = ("mistakes", "mutant", "variant")

SOLUTION, HIDDEN_TESTS = "SOLUTION", "HIDDEN TESTS"
HEADING = re.compile(r"^### Exercise (\d+\.\d+): \S.*$")


@dataclass(frozen=True)
class Cell:
    """One cell of a page.

    kind: markdown, code, setup, example, local, or one of the tags in OPTIONS
    source: text of the cell, without its marker
    line, start: lines of the file on which the marker and the source begin
    marker: the marker's text
    name: the function, question or figure that the tag names
    minutes, difficulty, points: the numbers on the marker; 0 where it has none
    words: of a question, how many it may have
    says, visible: of a mutant, what the grader says, and words that the visible check must say
    heading: of an exercise, its heading line in the prose before it
    id: stable cell id: f, test_f, the question's name, setup-1, or a hash of kind and source
    """

    kind: str
    source: str
    line: int
    start: int
    marker: str
    name: str = ""
    minutes: int = 0
    difficulty: int = 0
    points: int = 0
    words: int | None = None
    says: str = ""
    visible: str = ""
    heading: str = ""
    id: str = ""

    @property
    def is_markdown(self) -> bool:
        """Whether this is a markdown cell in the notebook."""
        return self.kind in ("markdown", *MARKDOWN)

    @property
    def collects(self) -> str:
        """Of a local cell, the figure of another page that it collects; "" where it collects none."""
        return collected_figure(self.source) if self.kind == "local" else ""

    @property
    def headings(self) -> list[tuple[int, str]]:
        """Exercise headings in a prose cell, each with its line in the file."""
        lines = enumerate(self.source.splitlines() if self.kind == "markdown" else [], self.start)
        return [(number, line) for number, line in lines if HEADING.match(line)]


@dataclass(frozen=True)
class Page:
    """One assignment: its cells in order, and by what they are."""

    path: Path
    name: str
    title: str
    cells: tuple[Cell, ...]

    def _named(self, kind: str) -> dict[str, Cell]:
        return {cell.name: cell for cell in self.cells if cell.kind == kind}

    @property
    def exercises(self) -> dict[str, Cell]:
        """Exercises by function name, in order."""
        return self._named("exercise")

    @property
    def checks(self) -> dict[str, Cell]:
        """Checks by the name of the function they check."""
        return self._named("check")

    @property
    def questions(self) -> dict[str, Cell]:
        """Written questions by name."""
        return self._named("question")

    @property
    def figures(self) -> dict[str, Cell]:
        """Figures by name."""
        return self._named("figure")

    @property
    def judges(self) -> dict[str, Cell]:
        """Comparison rules by the name of the function whose values they compare."""
        return self._named("judge")

    def asked_in(self, prose: Cell) -> Cell | None:
        """The question whose text is this prose cell: only local cells stand between the two."""
        after = iter(self.cells[self.cells.index(prose) + 1 :])
        following = next((cell for cell in after if cell.kind != "local"), None)
        return following if following is not None and following.kind == "question" else None

    @property
    def points(self) -> int:
        """Points of the whole page."""
        return sum(cell.points for cell in self.cells)

    def mutants(self, function: str) -> list[Cell]:
        """The known wrong answers of an exercise."""
        return [cell for cell in self.cells if cell.kind == "mutant" and cell.name == function]

    def variants(self, function: str) -> list[Cell]:
        """The differently written right answers of an exercise."""
        return [cell for cell in self.cells if cell.kind == "variant" and cell.name == function]


def regions(source: str, label: str) -> list[tuple[int, int]]:
    """First and last line, from 0, of each `### BEGIN label` ... `### END label` region.

    ValueError(line) where the marks do not match. A mark is recognised as nbgrader does, anywhere in a line.
    """
    found: list[tuple[int, int]] = []
    begin = None
    for number, line in enumerate(source.splitlines()):
        if f"BEGIN {label}" in line:
            if begin is not None:
                raise ValueError(number)
            begin = number
        elif f"END {label}" in line:
            if begin is None:
                raise ValueError(number)
            found.append((begin, number))
            begin = None
    if begin is not None:
        raise ValueError(begin)
    return found


def cut(source: str, label: str, stub: str | None = None) -> str:
    """The source without its marked regions; in the place of each, `stub` at the same indentation."""
    lines = source.splitlines()
    for first, last in reversed(regions(source, label)):
        indent = lines[first][: len(lines[first]) - len(lines[first].lstrip())]
        lines[first : last + 1] = [] if stub is None else [indent + stub]
    return "\n".join(lines)


def without_markers(source: str) -> str:
    """The source without its `### BEGIN ...` and `### END ...` lines, as a student would hand it in."""
    marker = re.compile(rf"(BEGIN|END) ({SOLUTION}|{HIDDEN_TESTS})")
    return "\n".join(line for line in source.splitlines() if not marker.search(line))


def hashed_id(kind: str, source: str) -> str:
    """A cell id made of what the cell is and says."""
    return f"{kind}-{hashlib.sha256(source.encode()).hexdigest()[:16]}"
