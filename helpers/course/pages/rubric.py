"""The rubric of a written question: what earns points, and which of it a marker has ticked in a comment.

In a page, the cell of a question holds the model answer and, below it, a list:

    **Model answer.** Text, as long as it takes.

    **Rubric.**
    - 1 point: what an answer must say to earn it; longer lines are
      continued with an indent.
    - 2 points: the next criterion.
"""

import re
from dataclasses import dataclass

from helpers.course.pages.cells import SOLUTION, Cell
from helpers.words import counted, first_line

_HEAD = re.compile(r"^\*\*Rubric\.\*\*[ \t]*$", re.MULTILINE)
_TICK = re.compile(r"\[x\] \d+ points?: ")
_CRITERION = re.compile(r"- (\d+) points?: (\S.*)", re.DOTALL)


@dataclass(frozen=True)
class Criterion:
    """What an answer must say, in Markdown on one line, and the points it earns."""

    points: int
    text: str

    def __str__(self) -> str:
        """The criterion as one line of Markdown."""
        return f"{counted(self.points, 'point')}: {self.text}"

    @property
    def tick(self) -> str:
        """The line in a marker's comment that says that it was met."""
        return f"[x] {self}"


@dataclass(frozen=True)
class Rubric:
    """How a written question is marked: the model answer (Markdown) and the criteria, whose points add up to it."""

    model_answer: str
    criteria: tuple[Criterion, ...]

    def read(self, comment: str | None) -> tuple[str, tuple[bool, ...]]:
        """Return what the marker typed in a comment, and for each criterion whether it is ticked there."""
        lines = [line.rstrip() for line in (comment or "").splitlines()]
        # A tick of a criterion that was reworded since is none of these, but no less secret.
        typed = "\n".join(line for line in lines if not _TICK.match(line))
        return typed.strip(), tuple(criterion.tick in lines for criterion in self.criteria)


def of(cell: Cell) -> Rubric:
    """Return the rubric in the cell of a question; ValueError(what is wrong with it)."""
    lines = [line for line in cell.source.splitlines() if not re.search(f"(BEGIN|END) {SOLUTION}", line)]
    answer, *rubrics = _HEAD.split("\n".join(lines))
    if len(rubrics) != 1:
        found = "no line" if not rubrics else f"{len(rubrics)} lines"
        raise ValueError(f"found {found} `**Rubric.**`; wanted one, and a list of criteria below it")
    answer = answer.strip()
    if not answer.startswith("**Model answer.**") or answer == "**Model answer.**":
        raise ValueError("found no model answer; wanted `**Model answer.**` and the answer above the rubric")
    criteria = [_criterion(item) for item in re.split(r"\n(?=\S)", rubrics[0].strip())]
    for n, criterion in enumerate(criteria):
        if criterion in criteria[:n]:
            raise ValueError(f"found the criterion `{criterion}` twice; wanted each once")
    if (points := sum(criterion.points for criterion in criteria)) != cell.points:
        raise ValueError(f"the criteria add up to {points}; wanted {cell.points}, the points of the question")
    return Rubric(answer.removeprefix("**Model answer.**").strip(), tuple(criteria))


def _criterion(item: str) -> Criterion:
    match = _CRITERION.fullmatch(item.strip())
    if not match or int(match[1]) == 0:
        found = first_line(item) or "nothing"
        raise ValueError(f"found `{found}` in the rubric; wanted `- 1 point: ...` or `- 2 points: ...`")
    return Criterion(int(match[1]), " ".join(match[2].split()))
