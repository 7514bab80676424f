"""Where a submission stands in nbgrader's course folder, and what lies there about it."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nbformat import NotebookNode

from helpers.course.pages import registry
from helpers.course.pages.cells import Page
from helpers.course.release import notebooks


@dataclass(frozen=True)
class Place:
    """A submission in a course folder: which folder, whose, for which assignment."""

    folder: Path
    student: str
    assignment: str

    @classmethod
    def of(cls, resources: dict) -> "Place":
        """Return the place of the notebook that one of nbgrader's converters hands to a preprocessor."""
        about = resources["nbgrader"]
        return cls(coursedir(about["db_url"]), about["student"], about["assignment"])

    @property
    def page(self) -> Page:
        """The page that the assignment is built from; raises as `registry.page_of`."""
        return registry.page_of(self.assignment, self.folder)

    @property
    def release(self) -> NotebookNode:
        """The students' notebook of the assignment: one for all submissions, not to be changed."""
        return released(self.page)

    @property
    def solved(self) -> NotebookNode:
        """The solved notebook of the assignment: one for all submissions, not to be changed."""
        return solved(self.page)

    def file(self, kind: str, suffix: str) -> Path:
        """Return the path of what is kept about the submission, such as its "verdicts", a ".json"."""
        return self.folder / kind / self.student / f"{self.assignment}{suffix}"


def coursedir(db_url: str) -> Path:
    """Return the course folder that a gradebook lies in."""
    return Path(db_url.removeprefix("sqlite:///")).parent


# Built once for each page and process, since a class shares them.
released = cache(notebooks.student_notebook)
solved = cache(notebooks.solved_notebook)
