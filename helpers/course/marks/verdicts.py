"""The verdict on one check cell: by what its hidden half said, or by nbgrader's own rule where that emits nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import nbformat
from nbformat import NotebookNode
from nbgrader.utils import determine_grade

from helpers.course.marks import compare, reference
from helpers.course.marks.compare import CaptureError, Verdict
from helpers.course.marks.reference import Answers
from helpers.course.pages.cells import Page
from helpers.course.run.limits import ENDINGS


def judged(cell: NotebookNode, hidden: Sequence[NotebookNode], page: Page, answers: Mapping[str, Answers]) -> Verdict:
    """Return the Verdict on one check cell, from what its hidden half said.

    Args:
        cell: the check cell with the outputs of its visible half.
        hidden: the outputs of its hidden half.
        page: the page it is from.
        answers: what the reference and the mutants said, by exercise (`reference.answers`).
    """
    question, points = cell.metadata.nbgrader.grade_id, float(cell.metadata.nbgrader.points)
    f = question.removeprefix("test_")
    known, error = answers[f], next(filter(is_error, hidden), None)
    if not known.reference:
        return asserted(cell, hidden)
    public = {f"{output.ename}: {output.evalue}" for output in cell.outputs if is_error(output)}
    try:
        got = compare.captures(hidden)
        judge = reference.judge_of(page, f)
        verdict = compare.grade(question, points, got, known.reference, known.mistakes, judge=judge, public=public)
    except CaptureError as problem:
        message = f"What arrived is not what the hidden test sends: {problem}."
        return Verdict(question, 0.0, points, "wrong", message)
    if verdict.verdict == "right" or error is None:
        return verdict
    if error.ename in ENDINGS:
        hint = " Is there a loop that does not end?" if error.ename == "Stopped" else ""
        said = [f"The hidden test was ended: {error.evalue}.{hint}", *([verdict.message] if got else [])]
        return replace(verdict, verdict="stopped", message="\n".join(said))
    said = [compare.public_error(f"{error.ename}: {error.evalue}", public), verdict.message]
    return replace(verdict, message="\n".join(said))


def explained(verdict: Verdict, answer: NotebookNode | None) -> Verdict:
    """Say why a function is not defined where the cell with the answer failed before it came to that."""
    error = next(filter(is_error, answer.outputs), None) if answer else None
    if error is None or "NameError" not in verdict.message:
        return verdict
    # The student's own, from before any hidden half had run.
    text = f"{error.ename}: {error.evalue}".strip().partition("\n")[0][:300]
    return replace(verdict, message=f"The cell with your answer ended with {text}.\n{verdict.message}")


def asserted(cell: NotebookNode, hidden: Sequence[NotebookNode]) -> Verdict:
    """Return the Verdict on a check whose hidden half emits nothing, by nbgrader's own rule.

    An error costs all points, a last value between 0 and the points is the score. A warning costs nothing.
    """
    quiet = [output for output in hidden if output.get("name") != "stderr"]
    score, points = determine_grade(nbformat.from_dict({**cell, "outputs": quiet}))
    error = next(filter(is_error, hidden), None)
    message = f"{error.ename} in the hidden test" if error else ""
    verdict = "right" if score == points else "partly right" if score else "wrong"
    if error is not None and error.ename == "NotImplementedError":
        verdict, message = "not answered", "Not answered."
    return Verdict(cell.metadata.nbgrader.grade_id, score, points, verdict, message)


def is_error(output: NotebookNode) -> bool:
    """Tell whether a notebook output is an error."""
    return output.output_type == "error"
