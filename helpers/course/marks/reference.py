"""What the reference solution, the mutants and the variants say to the hidden tests: one run for all of them."""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import nbformat
from nbformat import NotebookNode

from helpers.course.marks import compare
from helpers.course.marks.compare import Judge, Part
from helpers.course.pages.cells import Page
from helpers.course.run.prepare import HIDDEN_BEGIN, code_cell


@dataclass
class Answers:
    """The parts said for one exercise by the reference and by every other answer of the page, and by IDLE ones."""

    reference: list[Part]
    mutants: list[tuple[str, list[Part]]] = field(default_factory=list)
    variants: list[list[Part]] = field(default_factory=list)
    idle: list[tuple[str, list[Part]]] = field(default_factory=list)

    @property
    def mistakes(self) -> list[tuple[str, list[Part]]]:
        """What may be said of a wrong answer: the page's mistakes, then that nothing was done."""
        return self.mutants + self.idle


# Answers that do nothing. Where values are theirs as well as those of a mistake, nothing shows the mistake.
NOTHING_DONE = "Nothing was done to it: what comes back is the first argument as it was given."
IDLE = (
    "def {f}(given, *others, **more):\n    return given",
    "import copy\n\n\ndef {f}(given, *others, **more):\n    return copy.deepcopy(given)",
)


@cache
def notebook(page: Page) -> NotebookNode:
    """Return a notebook that puts every known answer of `page` to the hidden tests, one after the other.

    The solved page without figures; each check is reduced to its hidden half and repeated for each mutant, each
    variant and each idle answer, after which the solution is put back. Built once for each process: not to be changed.
    """
    cells: list[NotebookNode] = []

    def add(source: str, **course: str) -> None:
        cells.append(code_cell(f"cell-{len(cells)}", source, **({"course": course} if course else {})))

    for cell in page.cells:
        if cell.kind in ("setup", "code", "exercise"):
            add(cell.source)
        elif cell.kind == "check":
            f = cell.name
            solution = page.exercises[f].source
            hidden = cell.source[cell.source.index(HIDDEN_BEGIN) :]
            add(hidden, half="hidden", exercise=f, answer="reference")
            for answer in (*page.mutants(f), *page.variants(f)):
                add(answer.source)
                add(hidden, half="hidden", exercise=f, answer=answer.kind, says=answer.says)
            for idle in IDLE:
                add(idle.format(f=f))
                add(hidden, half="hidden", exercise=f, answer="idle", says=NOTHING_DONE)
            add(solution)
    return nbformat.v4.new_notebook(cells=cells, metadata={"course": "reference"})


def answers(page: Page, executed: NotebookNode) -> dict[str, Answers]:
    """Return {exercise: Answers} from the executed notebook; RuntimeError where the reference itself does not run."""
    result: dict[str, Answers] = {}
    for cell in executed.cells:
        course = cell.metadata.get("course")
        errors = [output for output in cell.outputs if output.output_type == "error"]
        if errors and (course is None or course.answer == "reference"):
            where = f"in the check of {course.exercise}" if course else "in this cell:\n" + cell.source
            if errors[0].ename == "Stopped":
                raise RuntimeError(f"{page.path}: the solved notebook was {errors[0].evalue} {where}. Grade again.")
            raise RuntimeError(
                f"{page.path}: the solved notebook fails with {errors[0].ename}: {errors[0].evalue}, {where}. "
                "Mend the source before grading with it."
            )
        if course is None:
            continue
        parts = compare.captures(cell.outputs)
        if course.answer == "reference":
            result[course.exercise] = Answers(parts)
        elif course.answer in ("mutant", "idle"):
            kept = result[course.exercise].mutants if course.answer == "mutant" else result[course.exercise].idle
            kept.append((course.says, parts))
        else:
            result[course.exercise].variants.append(parts)
    return result


def judge_of(page: Page, f: str) -> Judge | None:
    """Return the function that compares the values of exercise `f`, or None where closeness is the rule."""
    if f not in page.judges:
        return None
    namespace: dict[str, Any] = {}
    exec(compile(page.judges[f].source, str(page.path), "exec"), namespace)
    return namespace["judge"]
