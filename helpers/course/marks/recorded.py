"""Which submissions are recorded as they are now, so that nothing is recorded again that did not change.

All that marks and a feedback page come from has one hash, kept in `recorded/<student>/<assignment>.txt` when both are
written. The marks in the gradebook are part of it: what a marker changed in formgrader is recorded anew.
"""

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from nbgrader.api import Gradebook, MissingEntry
from traitlets.config import Config

from helpers.course import whole
from helpers.course.marks.late import hours_of
from helpers.course.marks.place import Place
from helpers.course.run import finished


def is_recorded(place: Place, runs: Mapping[str, str], gradebook: Gradebook, config: Config) -> bool:
    """Tell whether marks, feedback page and verdicts are there, and from what is there now.

    Args:
        place: the submission.
        runs: {what it is: key} of the finished runs that its marks come from, its own and the reference's.
        gradebook: the open gradebook of the course folder.
        config: as in nbgrader_config.py.
    """
    written = [
        place.folder / "autograded" / place.student / place.assignment / f"{place.assignment}.ipynb",
        place.folder / "feedback" / place.student / place.assignment / f"{place.assignment}.html",
        place.file("verdicts", ".json"),
        _record(place),
    ]
    return all(path.exists() for path in written) and _record(place).read_text("utf-8") == key(
        place, runs, gradebook, config
    )


def keep(place: Place, runs: Mapping[str, str], gradebook: Gradebook, config: Config) -> None:
    """Keep what a submission was recorded from; as `is_recorded`."""
    whole.write(_record(place), key(place, runs, gradebook, config))


def forget(place: Place) -> None:
    """Let a submission be recorded anew, whatever becomes of the recording that now begins."""
    _record(place).unlink(missing_ok=True)


def key(place: Place, runs: Mapping[str, str], gradebook: Gradebook, config: Config) -> str:
    """Return the hash of all that the marks and the feedback page of a submission come from; as `is_recorded`."""
    submitted = place.folder / "submitted" / place.student / place.assignment
    files = [
        submitted / f"{place.assignment}.ipynb",
        submitted / "timestamp.txt",
        place.file("repairs", ".txt"),
        place.page.path,
        place.folder / "source" / place.assignment / f"{place.assignment}.ipynb",
        # A run that was stopped and tried again has the name it had.
        *(place.folder / "runs" / f"{name}{end}" for _, name in sorted(runs.items()) for end in (".ipynb", ".stopped")),
        *sorted((Path(__file__).parents[1] / "report").glob("*.css")),
    ]
    parts = [
        [hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "" for path in files],
        [finished.fingerprint(), *(f"{name} {version(name)}" for name in ("nbgrader", "nbconvert", "nbformat"))],
        repr({name: section for name, section in sorted(config.items()) if name != "CourseDirectory"}),
        _extra_time(place),
        _marks(place, gradebook),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _extra_time(place: Place) -> str:
    table = place.folder / "extra_time.csv"
    try:
        return str(hours_of(table, place.student, place.assignment))
    except ValueError:
        # Whoever is late is told of it.
        return hashlib.sha256(table.read_bytes()).hexdigest()


def _marks(place: Place, gradebook: Gradebook) -> list[str]:
    """Return all that the gradebook says of a submission, in a fixed order."""
    try:
        notebook = gradebook.find_submission_notebook(place.assignment, place.assignment, place.student)
    except MissingEntry:
        return []
    grades = [
        (grade.name, grade.auto_score, grade.manual_score, grade.extra_credit, grade.needs_manual_grade)
        for grade in notebook.grades
    ]
    comments = [(comment.name, comment.auto_comment, comment.manual_comment) for comment in notebook.comments]
    late = (notebook.late_submission_penalty, notebook.assignment.timestamp, notebook.assignment.duedate)
    return [*sorted(map(repr, grades)), *sorted(map(repr, comments)), repr(late)]


def _record(place: Place) -> Path:
    return place.file("recorded", ".txt")
