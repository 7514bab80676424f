"""From the gradebook and the verdicts to tables: one row per graded cell, and one total per student for an LMS."""

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from nbgrader.api import Grade, Gradebook, SubmittedNotebook

from helpers.course import whole
from helpers.course.intake.attempts import Submission
from helpers.course.marks.place import Place
from helpers.course.report import changes, refusals, roster, uploads
from helpers.course.report.uploads import as_csv

Row = dict[str, str]
MISSING = "nothing handed in"
# Without marks: not gradable as it is, not graded for a failure that is not the student's, or not there.
UNGRADED = ("refused", "failed", MISSING)
COLUMNS = ("student", "assignment", "question", "score", "max_score", "verdict", "message")


def rows(folder: Path, submissions: Iterable[Submission]) -> list[Row]:
    """Return one row (a dict of COLUMNS) for each graded cell in the course folder, and one for what was refused.

    All that was ever graded into the folder is in it, whatever this run was about. A score given by hand wins over
    the automatic one. What a late submission loses is a row of its own.

    Args:
        folder: the course folder.
        submissions: those of this run.
    """
    submissions, result = list(submissions), []
    with Gradebook(f"sqlite:///{folder.absolute()}/gradebook.db") as gradebook:
        assignments = [assignment.name for assignment in gradebook.assignments]
        recorded = {
            (submitted.student.id, name): submitted.notebooks[0]
            for name in assignments
            for submitted in gradebook.assignment_submissions(name)
            if submitted.notebooks and Place(folder, submitted.student.id, name).file("verdicts", ".json").exists()
        }
        for each in submissions:
            if not each.refused and (each.student, each.assignment) not in recorded:
                each.failed, each.refused = True, "nbgrader did not take it; see grading.log"
        refused = refusals.kept(folder, submissions, assignments)
        for student, assignment in sorted({*recorded, *refused}):
            place = Place(folder, student, assignment)
            verdict, reason = refused.get((student, assignment), ("", ""))
            if (student, assignment) not in recorded or verdict == "failed":
                result.append(_row(place, "", "", "", verdict, reason))
            else:
                note = [f"notebook: what was handed in later is refused: {reason}"] if reason else []
                result += _graded(place, recorded[student, assignment], note)
    return [*result, *_missing(folder, result, assignments)]


def _missing(folder: Path, table: Iterable[Row], assignments: Iterable[str]) -> list[Row]:
    """Return a row for each student of the roster and each assignment of which nothing was handed in."""
    there = {(row["student"], row["assignment"]) for row in table}
    return [
        _row(Place(folder, person.student, assignment), "", "", "", MISSING, person.name)
        for person in roster.read(folder, {student for student, _ in there})
        for assignment in assignments
        if (person.student, assignment) not in there
    ]


def _graded(place: Place, notebook: SubmittedNotebook, notes: Iterable[str]) -> list[Row]:
    """Return the rows of a submission that is in the gradebook, with more notes than are kept with it."""
    told = json.loads(place.file("verdicts", ".json").read_text("utf-8"))
    verdicts = {verdict["question"]: verdict for verdict in told}
    order = {cell.name: position for position, cell in enumerate(notebook.notebook.source_cells)}
    comments = {comment.name: comment.manual_comment for comment in notebook.comments}
    kept = place.file("repairs", ".txt")
    lines = [*notes, *(kept.read_text("utf-8").splitlines() if kept.exists() else [])]
    repairs = _repairs(lines, [grade.name for grade in notebook.grades])
    result = []
    for grade in sorted(notebook.grades, key=lambda grade: order[grade.name]):
        score = "" if grade.needs_manual_grade and grade.manual_score is None else _number(grade.score)
        verdict, message = verdict_of(grade, verdicts.get(grade.name), comments.get(grade.name))
        # What concerns no graded cell stands in the first row.
        notes = repairs.pop("", []) + repairs.get(grade.name, [])
        message = "\n".join(filter(None, [message, *(f"({note})" for note in notes)]))
        result.append(_row(place, grade.name, score, _number(grade.max_score), verdict, message))
    if penalty := notebook.late_submission_penalty:
        message = f"handed in {notebook.assignment.total_seconds_late / 3600:.1f} hours late"
        result.append(_row(place, "late_penalty", _number(-penalty), "0", "late", message))
    return result


def _repairs(notes: Iterable[str], questions: Sequence[str]) -> dict[str, list[str]]:
    """Return {question: lines about repairs of its cells}, and under "" the lines about anything else."""
    result: dict[str, list[str]] = {}
    for note in notes:
        name = note.partition(":")[0]
        question = next((question for question in questions if question in (name, f"test_{name}")), "")
        result.setdefault(question, []).append(note)
    return result


def _row(place: Place, question: str, score: str, max_score: str, verdict: str, message: str) -> Row:
    values = (place.student, place.assignment, question, score, max_score, verdict, message)
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
    """Write grades.csv (a row per graded cell) and totals.csv (a row per student and assignment); return their paths.

    Beside them, changed.csv says which totals are others than before, and uploads/ has files for platforms.
    """
    grades, totals = folder / "grades.csv", folder / "totals.csv"
    shown = shown_totals(table)
    people = roster.read(folder, {student for student, _ in shown})
    changed = changes.since(totals, shown)
    texts = {
        "changed.csv": as_csv([changes.COLUMNS, *([row[column] for column in changes.COLUMNS] for row in changed)])
    }
    texts |= {f"uploads/{name}": text for name, text in uploads.files(shown, people).items()}
    texts["grades.csv"] = as_csv([COLUMNS, *([row[column] for column in COLUMNS] for row in table)])
    texts["totals.csv"] = as_csv(_by_student(shown, people))
    for name, text in texts.items():
        whole.write(folder / name, text)
    return grades, totals


def _by_student(totals: uploads.Totals, people: Sequence[roster.Person]) -> Iterator[Sequence[object]]:
    """Yield the rows of totals.csv; what a roster says of the students stands in columns of its own."""
    about = {person.student: (person.name, person.sid or person.id, person.email) for person in people}
    yield ["student", "assignment", "score", "max_score", "to_be_marked", *(("name", "id", "email") if people else ())]
    for (student, assignment), total in totals.items():
        yield [student, assignment, *(total or ("", "", "")), *(about.get(student, ("", "", "")) if people else ())]


def shown_totals(table: Sequence[Row]) -> uploads.Totals:
    """Return {(student, assignment): total} as `total_scores`, with None where there is no mark.

    No mark rather than none of none: nothing of it was graded.
    """
    without = {(row["student"], row["assignment"]) for row in table if row["verdict"] in UNGRADED}
    return {key: None if key in without else total for key, total in total_scores(table).items()}


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
