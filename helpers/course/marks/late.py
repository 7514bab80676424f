"""What a late submission costs, as a plugin of nbgrader's; course.toml sets the numbers and due dates.

Extra time of a student stands in `extra_time.csv` in the grading folder, a table with
the columns student, assignment and hours.
"""

import csv
import math
from pathlib import Path

from nbgrader.plugins import BasePlugin
from traitlets import Float

from helpers.course.marks.place import coursedir

DAY, HOUR, MINUTE = 86_400, 3_600, 60  # seconds


class LatePenalty(BasePlugin):
    """Takes a share of the score for each day begun after the due date."""

    per_day = Float(0.0, min=0.0, max=1.0, help="share of the score that a day begun costs").tag(config=True)
    grace_minutes = Float(0.0, min=0.0, help="minutes after the due date that cost nothing").tag(config=True)

    def late_submission_penalty(self, student_id: str, score: float, total_seconds_late: float) -> float | None:
        """Return the points to take off, or None where nothing is; nbgrader keeps them between 0 and the score."""
        given = extra_hours(coursedir(self.parent.db_url) / "extra_time.csv")
        extra = given.get((student_id, self.parent.assignment_id), 0.0)
        return lost(score, total_seconds_late - extra * HOUR, self.per_day, self.grace_minutes) or None


def lost(score: float, seconds_late: float, per_day: float, grace_minutes: float) -> float:
    """Return the points that work loses which is handed in so many seconds late: a share for each day begun."""
    days = math.ceil(max(0.0, seconds_late - grace_minutes * MINUTE) / DAY)
    return score * min(1.0, per_day * days)


def extra_hours(path: Path) -> dict[tuple[str, str], float]:
    """Return {(student, assignment): hours} from the table at `path`; nothing where there is none.

    Raises:
        ValueError: a row is not a student, an assignment and a number of hours.
    """
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    try:
        return {(row["student"], row["assignment"]): float(row["hours"]) for row in rows}
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"{path}: wanted the columns student, assignment and hours (a number); found {rows[:3]}"
        ) from None
