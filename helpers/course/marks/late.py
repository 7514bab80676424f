"""What a late submission costs, as a plugin of nbgrader's; course.toml sets the numbers and due dates.

Extra time of a student stands in `extra_time.csv` in the grading folder, a table with the columns student, assignment
and hours.
"""

import difflib
import math
import re
from collections.abc import Collection
from pathlib import Path

from nbgrader.plugins import BasePlugin
from traitlets import Float

from helpers.course.intake import sheet
from helpers.course.marks.place import coursedir

DAY, HOUR, MINUTE = 86_400, 3_600, 60  # seconds
COLUMNS = ("student", "assignment", "hours")


class LatePenalty(BasePlugin):
    """Takes a share of the score for each day begun after the due date."""

    per_day = Float(0.0, min=0.0, max=1.0, help="share of the score that a day begun costs").tag(config=True)
    grace_minutes = Float(0.0, min=0.0, help="minutes after the due date that cost nothing").tag(config=True)

    def late_submission_penalty(self, student_id: str, score: float, total_seconds_late: float) -> float | None:
        """Return the points to take off, or None where nothing is; nbgrader keeps them between 0 and the score."""
        extra = hours_of(coursedir(self.parent.db_url) / "extra_time.csv", student_id, self.parent.assignment_id)
        return lost(score, total_seconds_late - extra * HOUR, self.per_day, self.grace_minutes) or None


def lost(score: float, seconds_late: float, per_day: float, grace_minutes: float) -> float:
    """Return the points that work loses which is handed in so many seconds late: a share for each day begun."""
    days = math.ceil(max(0.0, seconds_late - grace_minutes * MINUTE) / DAY)
    return score * min(1.0, per_day * days)


def hours_of(path: Path, student: str, assignment: str) -> float:
    """Return the extra hours that the table at `path` gives a student; case and spaces around names do not matter."""
    given = extra_hours(path)
    if (student, assignment) in given:
        return given[student, assignment]
    alike = (
        hours for (who, what), hours in given.items() if sheet.meant(who, [student]) and sheet.meant(what, [assignment])
    )
    return next(alike, 0.0)


def extra_hours(path: Path) -> dict[tuple[str, str], float]:
    """Return {(student, assignment): hours} from the table at `path`; nothing where there is none.

    Raises:
        sheet.SheetError: a line is not a student, an assignment and a number of hours, or says what another denies.
    """
    if not path.exists():
        return {}
    found: dict[tuple[str, str], float] = {}
    for line in sheet.read(path, dict.fromkeys(COLUMNS, ()), COLUMNS):
        student, assignment, hours = (line[column] for column in COLUMNS)
        if not student or not assignment:
            raise line.wrong(f"found student {student!r} and assignment {assignment!r}; wanted both")
        if not (number := re.fullmatch(r"\+?(\d+([.,]\d+)?) ?h?", hours)):
            wanted = "wanted the columns student, assignment and hours (a number, such as 4 or 1.5)"
            raise line.wrong(f"found {hours!r} hours; {wanted}")
        given = float(number[1].replace(",", "."))
        if found.setdefault((student, assignment), given) != given:
            raise line.wrong(f"{student!r} has other hours for {assignment} in a line above; keep one of the two")
    return found


def extra_time(path: Path, students: Collection[str], assignments: Collection[str]) -> dict[tuple[str, str], float]:
    """Return the hours in the table at `path` with each student and assignment as these are called everywhere else.

    Args:
        path: the table.
        students: all that are known, from a roster or from what they handed in.
        assignments: all that are known.

    Raises:
        sheet.SheetError: one that is not known, or which of two is meant.
    """
    found = {}
    for (student, assignment), hours in extra_hours(path).items():
        who, what = sheet.meant(student, list(students)), sheet.meant(assignment, list(assignments))
        if what is None:
            raise sheet.SheetError(
                f"{path}: found assignment {assignment!r}; known are {', '.join(sorted(assignments))}"
            )
        if who is None:
            near = difflib.get_close_matches(student, students, 3, 0.6)
            raise sheet.SheetError(
                f"{path}: found student {student!r}, who is neither in roster.csv nor handed in anything"
                + (f"; is {' or '.join(map(repr, near))} meant?" if near else "; put everybody into roster.csv")
            )
        found[who, what] = hours
    return found
