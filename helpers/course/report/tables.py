"""From the gradebook and the verdicts to tables: one row per graded cell, and one total per student for an LMS."""

import csv
import io
import json
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from nbgrader.api import Grade, Gradebook, MissingEntry, SubmittedNotebook

from helpers.course import whole
from helpers.course.intake.attempts import Submission
from helpers.course.marks.place import Place

Row = dict[str, str]
# Handed in, but without marks: not gradable as it is, or not graded for a failure that is not the student's.
UNGRADED = ("refused", "failed")
COLUMNS = ("student", "assignment", "question", "score", "max_score", "verdict", "message")


def rows(folder: Path, submissions: Iterable[Submission]) -> list[Row]:
    """Return one row (a dict of COLUMNS) for each graded cell of each submission, and one for each that was refused.

    A score given by hand wins over the automatic one. What a late submission loses is a row of its own.
    """
    result = []
    with Gradebook(f"sqlite:///{folder.absolute()}/gradebook.db") as gradebook:
        for submission in submissions:
            if submission.refused:
                result.append(_ungraded(submission, submission.refused))
                continue
            try:
                place = (submission.assignment, submission.assignment, submission.student)
                notebook = gradebook.find_submission_notebook(*place)
            except MissingEntry:
                submission.failed = True
                result.append(_ungraded(submission, "nbgrader did not take it; see grading.log"))
            else:
                result += _graded(folder, submission, notebook)
    return result


def _graded(folder: Path, submission: Submission, notebook: SubmittedNotebook) -> list[Row]:
    """Return the rows of a submission that is in the gradebook."""
    path = Place(folder, submission.student, submission.assignment).file("verdicts", ".json")
    verdicts = {verdict["question"]: verdict for verdict in json.loads(path.read_text("utf-8"))}
    order = {cell.name: position for position, cell in enumerate(notebook.notebook.source_cells)}
    comments = {comment.name: comment.manual_comment for comment in notebook.comments}
    repairs = _repairs(submission.repairs, [grade.name for grade in notebook.grades])
    result = []
    for grade in sorted(notebook.grades, key=lambda grade: order[grade.name]):
        score = "" if grade.needs_manual_grade and grade.manual_score is None else _number(grade.score)
        verdict, message = verdict_of(grade, verdicts.get(grade.name), comments.get(grade.name))
        # What concerns no graded cell stands in the first row.
        notes = repairs.pop("", []) + repairs.get(grade.name, [])
        message = "\n".join(filter(None, [message, *(f"({note})" for note in notes)]))
        result.append(_row(submission, grade.name, score, _number(grade.max_score), verdict, message))
    if penalty := notebook.late_submission_penalty:
        message = f"handed in {notebook.assignment.total_seconds_late / 3600:.1f} hours late"
        result.append(_row(submission, "late_penalty", _number(-penalty), "0", "late", message))
    return result


def _repairs(notes: Iterable[str], questions: Sequence[str]) -> dict[str, list[str]]:
    """Return {question: lines about repairs of its cells}, and under "" the lines about anything else."""
    result: dict[str, list[str]] = {}
    for note in notes:
        name = note.partition(":")[0]
        question = next((question for question in questions if question in (name, f"test_{name}")), "")
        result.setdefault(question, []).append(note)
    return result


def _ungraded(submission: Submission, reason: str) -> Row:
    return _row(submission, "", "", "", UNGRADED[submission.failed], reason)


def _row(submission: Submission, question: str, score: str, max_score: str, verdict: str, message: str) -> Row:
    values = (submission.student, submission.assignment, question, score, max_score, verdict, message)
    return dict(zip(COLUMNS, values, strict=True))


def _number(value: float) -> str:
    return f"{value:.4g}"


def verdict_of(grade: Grade, verdict: Mapping[str, str] | None, comment: str | None) -> tuple[str, str]:
    """Return the verdict on a graded cell and what to say of it; `verdict` is what was found where it was compared."""
    if grade.manual_score is not None:
        if grade.needs_manual_grade:
            return "to be marked", "it has changed since it was marked; look at it again in formgrader"
        return "marked", comment or "marked by hand"
    if verdict is not None:
        return verdict["verdict"], verdict["message"]
    if grade.needs_manual_grade:
        return "to be marked", "a written answer; mark it in formgrader"
    return ("right", "") if grade.score == grade.max_score else ("not answered", "no answer")


def write(folder: Path, table: Sequence[Row]) -> tuple[Path, Path]:
    """Write grades.csv (a row per graded cell) and totals.csv (a row per student); return their paths."""
    grades, totals = folder / "grades.csv", folder / "totals.csv"
    by_cell, by_student = io.StringIO(), io.StringIO()
    by_column = csv.DictWriter(by_cell, COLUMNS)
    by_column.writeheader()
    by_column.writerows({key: _harmless(value) for key, value in row.items()} for row in table)
    writer = csv.writer(by_student)
    writer.writerow(["student", "assignment", "score", "max_score", "to_be_marked"])
    refused = {(row["student"], row["assignment"]) for row in table if row["verdict"] in UNGRADED}
    for (student, assignment), total in total_scores(table).items():
        # No mark rather than none of none: nothing of it was graded.
        shown = ("", "", "") if (student, assignment) in refused else total
        writer.writerow([_harmless(student), _harmless(assignment), *shown])
    whole.write(grades, by_cell.getvalue())
    whole.write(totals, by_student.getvalue())
    return grades, totals


def _harmless(value: str) -> str:
    # A spreadsheet runs text that begins with one of these; a student's folder name may.
    runs = value[:1] in ("=", "+", "-", "@") and not re.fullmatch(r"-[\d.]+", value)
    return "'" + value if runs else value


def total_scores(table: Iterable[Row]) -> dict[tuple[str, str], tuple[float, float, int]]:
    """Return {(student, assignment): (score, max_score, number of answers still to be marked)}."""
    totals: dict[tuple[str, str], tuple[float, float, int]] = {}
    for row in table:
        score, most, left = totals.get((row["student"], row["assignment"]), (0.0, 0.0, 0))
        score, most = score + float(row["score"] or 0), most + float(row["max_score"] or 0)
        totals[row["student"], row["assignment"]] = (score, most, left + (row["verdict"] == "to be marked"))
    return totals


def printed(table: Sequence[Row], width: int = 100) -> str:
    """Return the table as text, a block per student: the total, then what is not right."""
    totals, lines = total_scores(table), []
    for (student, assignment), (score, most, left) in totals.items():
        mine = [row for row in table if (row["student"], row["assignment"]) == (student, assignment)]
        if mine[0]["verdict"] in UNGRADED:
            lines.append(f"{student:<12} {assignment}  {mine[0]['verdict']}")
            lines += [line for row in mine for line in _wrapped(row["message"], width)]
            continue
        waiting = f", {left} to be marked by hand" if left else ""
        lines.append(f"{student:<12} {assignment}  {score:.4g} of {most:g} points{waiting}")
        for row in mine:
            if row["verdict"] not in ("right", "to be marked", "marked"):
                lines.append(f"    {row['question']}: {row['verdict']}, {row['score']} of {row['max_score']}")
                lines += _wrapped(row["message"], width)
    return "\n".join(lines)


def _wrapped(message: str, width: int) -> list[str]:
    indent = " " * 8
    return [
        line
        for part in message.splitlines()
        for line in textwrap.wrap(part, width, initial_indent=indent, subsequent_indent=indent + "  ")
    ]
