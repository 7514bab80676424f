"""The students of a course, as `roster.csv` in the grading folder says: who handed in nothing is in the tables, too.

A roster is a table with a column `student` (as in totals.csv), or what a platform exports: Canvas's gradebook, Moodle's
participants or grades, Blackboard's grade centre, Gradescope's roster, Brightspace's class list.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from helpers.course.intake import sheet

# {column: its headings in the platforms' files}
HEADINGS = {
    "student": (),
    "name": ("full name", "name / surname"),
    "canvas": ("student name",),
    "first": ("first name", "firstname", "vorname", "prénom", "nombre"),
    "last": ("last name", "lastname", "surname", "nachname", "nom", "apellido(s)"),
    "id": ("user id",),
    "sid": ("student id", "id number", "sis user id", "orgdefinedid", "matrikelnummer"),
    "login": ("username", "user name", "sis login id", "login id", "github_username"),
    "email": ("email address", "e-mail", "e-mail address", "e-mail-adresse", "mail"),
    "section": ("sections",),
    "role": (),
}
STAFF = ("instructor", "ta", "teacher", "reader", "observer", "teaching assistant")


@dataclass(frozen=True)
class Person:
    """A student of the course: how the tables call them, and what the roster says of them."""

    student: str
    name: str = ""
    id: str = ""
    sid: str = ""
    login: str = ""
    email: str = ""
    section: str = ""


def read(folder: Path, students: Iterable[str] = ()) -> list[Person]:
    """Return who is in the roster of a course folder; nobody where it has none.

    Args:
        folder: the course folder.
        students: those who handed in anything, as intake called them: a person has the name of the one they are.

    Raises:
        sheet.SheetError: a line names nobody, or two lines the same student.
    """
    path = folder / "roster.csv"
    if not path.exists():
        return []
    lines = [line for line in sheet.read(path, HEADINGS, ()) if line["role"].casefold() not in STAFF]
    if not any(_names(line) for line in lines):
        raise sheet.SheetError(
            f"{path}, line 1: found no column that names students; wanted `student`, or the export of a platform"
        )
    known, found, seen = list(students), [], dict[str, int]()
    for line in lines:
        if line["student"].startswith("Points Possible") or line["name"].startswith("Points Possible"):
            continue  # Canvas's second line
        if not (names := _names(line)):
            raise line.wrong("names nobody; wanted a student, a name, a user name, a number or an address")
        student = next((each for name in names if (each := sheet.meant(name, known))), names[0])
        if student in seen:
            raise line.wrong(f"{student!r} stands in line {seen[student]} already; keep one of the two")
        seen[student] = line.number
        full = line["name"] or f"{line['first']} {line['last']}".strip() or line["student"]
        found.append(
            Person(student, full, line["id"], line["sid"].lstrip("#"), line["login"], line["email"], line["section"])
        )
    return found


def _names(line: sheet.Line) -> list[str]:
    """Return what intake may call the student of a line, the likeliest first."""
    names = []
    full = line["name"] or line["student"] or line["canvas"]
    if line["id"] and full:
        # Canvas: <sortable name without spaces, in lower case>_<user>.
        last, comma, first = full.partition(", ")
        sortable = f"{last}{first}" if comma else "".join([*full.split()[-1:], *full.split()[:-1]])
        names.append("".join(letter for letter in sortable.lower() if letter.isalnum()) + f"_{line['id']}")
    names += [line["student"], line["sid"].lstrip("#"), line["email"], line["login"]]
    if line["first"] or line["last"]:
        names += [
            f"{line['first']} {line['last']}",
            f"{line['last']}, {line['first']}",
            f"{line['last']} {line['first']}",
        ]
    names.append(full)
    return list(dict.fromkeys(name.strip(" ,") for name in names if name.strip(" ,")))
