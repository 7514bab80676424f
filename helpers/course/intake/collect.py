"""From a pile of files to submissions that can be run: which student, which assignment, which attempt, which repairs.

Nothing in here runs code of a student, and nothing is unpacked to disk.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from helpers.course.intake import unpack
from helpers.course.intake.attempts import Submission, submissions
from helpers.course.intake.owners import Owned, owners
from helpers.course.intake.people import told_apart
from helpers.course.intake.piles import IntakeError, exports
from helpers.course.intake.platforms import ExportCollector

HandedIn = str | Path | Sequence[str | Path]


def places(handed_in: HandedIn) -> list[Path]:
    """Return the folders and zips of a pile, which may be one."""
    return [Path(handed_in)] if isinstance(handed_in, str | Path) else [Path(place) for place in handed_in]


def collect(handed_in: HandedIn, releases: Mapping[str, NotebookNode], config: Any = None) -> list[Submission]:
    """Find the submissions in a pile of files.

    The pile is a folder or a zip: a folder per student, the tree of nbgrader, the export of a learning platform
    (`helpers.course.intake.platforms`), or files named <student>_<assignment>.ipynb. Several of them, and a folder of
    such zips, are one pile. The assignment is known by the file's name, else by its folder's, else by its cells. Of
    several attempts that answer something the latest counts.

    Whatever lies in a student's folder, or in a student's zip, is that student's, whatever it is named.

    Args:
        handed_in: the folder or the zip, or several.
        releases: {assignment: the notebook that was released}.
        config: of nbgrader; its FileNameCollectorPlugin.named_regexp is tried first on the names.

    Returns:
        A list of Submission, by student and assignment. Whatever cannot be graded is in it too, with a reason.

    Raises:
        FileNotFoundError: there is no such folder, or nothing in it.
        IntakeError: the pile itself cannot be read, or whose it is cannot be told.
    """
    owned = [item for place in places(handed_in) for item in _owned(place, releases, config)]
    owned = told_apart(owned, releases)
    found = []
    for student, group in groupby(sorted(owned, key=lambda item: item.student), lambda item: item.student):
        found += submissions(student, list(group), releases)
    if not found:
        shown = ", ".join(map(str, places(handed_in)))
        raise FileNotFoundError(f"{shown} holds no submissions; wanted one folder per student with the notebook in it")
    return found


def _owned(place: Path, releases: Mapping[str, NotebookNode], config: Any) -> list[Owned]:
    """Return the files of all exports at a place, with their owners."""
    found = []
    for pile, files in exports(place, releases, ExportCollector(config=config)):
        try:
            found += owners(files, pile, releases, ExportCollector(config=config))
        except unpack.Unreadable as error:
            raise IntakeError(str(error)) from error
    return found
