"""Totals as the files that platforms import: a line for each student, a column for each assignment.

A mark that waits for a marker, and one of what was refused, is an empty cell: platforms leave what they have there.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from helpers.course.report.roster import Person

# {(student, assignment): (score, most, number of answers still to be marked)}; None where there is no mark
Totals = Mapping[tuple[str, str], tuple[float, float, int] | None]


def files(totals: Totals, people: Iterable[Person]) -> dict[str, str]:
    """Return {file name: text} for Canvas, Moodle and Blackboard.

    Args:
        totals: of the whole course folder.
        people: of the roster; who is not in it but handed in something comes after them, known by that name alone.
    """
    assignments = sorted({assignment for (_, assignment), total in totals.items() if total})
    listed = {person.student: person for person in people}
    for student, _ in sorted(totals):
        if student not in listed and any(totals.get((student, each)) for each in assignments):
            listed[student] = Person(student)
    most = {
        each: max(total[1] for (_, name), total in totals.items() if total and name == each) for each in assignments
    }
    marks = {person: [_mark(totals.get((person.student, each))) for each in assignments] for person in listed.values()}
    return {
        "canvas.csv": _canvas(marks, most),
        "moodle.csv": _moodle(marks, assignments),
        "blackboard.csv": _blackboard(marks, most),
    }


def _mark(total: tuple[float, float, int] | None) -> str:
    return f"{total[0]:g}" if total and not total[2] else ""


def _canvas(marks: Mapping[Person, Sequence[str]], most: Mapping[str, float]) -> str:
    """Return a gradebook of Canvas: five columns that tell who it is, then assignments; what each is worth in line 2.

    Without a roster, the user's number is that at the end of the name in Canvas's own files.
    """
    head = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", *most]
    worth = ["    Points Possible", "", "", "", "", *(f"{points:g}" for points in most.values())]
    rows = []
    for person, scores in marks.items():
        name, _, number = person.student.rpartition("_")
        known = person.id or (number if name and number.isdigit() else "")
        rows.append([person.name or person.student, known, person.sid, person.login, person.section, *scores])
    return as_csv([head, worth, *rows])


def _moodle(marks: Mapping[Person, Sequence[str]], assignments: Sequence[str]) -> str:
    """Return a table for Moodle's grade import, which asks which column is what; people are known by one of three."""
    head = ["Full name", "ID number", "Username", "Email address", *assignments]
    rows = [
        [person.name or person.student, person.sid, person.login, person.email, *scores]
        for person, scores in marks.items()
    ]
    return as_csv([head, *rows])


def _blackboard(marks: Mapping[Person, Sequence[str]], most: Mapping[str, float]) -> str:
    """Return a table for Blackboard's grade centre: people are known by their user names."""
    columns = [f"{assignment} [Total Pts: {points:g}]" for assignment, points in most.items()]
    rows = []
    for person, scores in marks.items():
        first, _, last = person.name.rpartition(" ")
        rows.append([last, first, person.login or person.student, person.sid, *scores])
    return as_csv([["Last Name", "First Name", "Username", "Student ID", *columns], *rows])


def as_csv(rows: Iterable[Sequence[object]]) -> str:
    """Return rows as the text of a file that a spreadsheet opens and runs nothing of."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerows([harmless(value) if isinstance(value, str) else value for value in row] for row in rows)
    return file.getvalue()


def harmless(value: str) -> str:
    """Return a text that a spreadsheet does not run; a student's name may begin like a formula."""
    runs = value[:1] in ("=", "+", "-", "@") and not value.removeprefix("-").replace(".", "", 1).isdigit()
    return "'" + value if runs else value
