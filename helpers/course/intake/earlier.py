"""What a course folder holds from an earlier grading: a new attempt that answers nothing takes no mark from it."""

from collections.abc import Iterable
from pathlib import Path

import nbformat

from helpers.course.intake.answers import answered
from helpers.course.intake.attempts import Releases, Submission


def spare(submissions: Iterable[Submission], folder: Path, releases: Releases) -> None:
    """Refuse the submissions that answer nothing where what was graded before in `folder` answers something."""
    for submission in submissions:
        if submission.refused or submission.answers:
            continue
        before = folder / "submitted" / submission.student / submission.assignment / f"{submission.assignment}.ipynb"
        is_other = before.is_file() and not (submission.source.exists() and before.samefile(submission.source))
        if is_other and answered(nbformat.read(before, 4), releases[submission.assignment]):
            submission.refused = "nothing in it is answered; what was handed in before counts"
