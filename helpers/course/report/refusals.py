"""What was handed in and got no mark, kept from run to run: a table of the whole course folder shows it, too."""

import json
from collections.abc import Collection, Iterable
from pathlib import Path

from helpers.course import whole
from helpers.course.intake.attempts import Submission
from helpers.course.intake.owners import NOBODY

Refusals = dict[tuple[str, str], tuple[str, str]]


def kept(folder: Path, submissions: Iterable[Submission], assignments: Collection[str]) -> Refusals:
    """Return {(student, assignment): (verdict, reason)} of all runs so far, and keep it in `refused.json`.

    What one run refused is forgotten once another takes it, or refuses it again. What is of no assignment is
    forgotten once its student hands in anything.

    Args:
        folder: the course folder.
        submissions: those of this run.
        assignments: names of those that were ever graded.
    """
    path = folder / "refused.json"
    before = json.loads(path.read_text("utf-8")) if path.exists() else []
    now = {(each.student, each.assignment): each for each in submissions}
    students = {student for student, _ in now} | {NOBODY}
    found: Refusals = {
        (student, assignment): (verdict, reason)
        for student, assignment, verdict, reason in before
        if (student, assignment) not in now and (assignment in assignments or student not in students)
    }
    found |= {key: ("failed" if each.failed else "refused", each.refused) for key, each in now.items() if each.refused}
    whole.write(path, json.dumps([[*key, *said] for key, said in sorted(found.items())], indent=1))
    return found
