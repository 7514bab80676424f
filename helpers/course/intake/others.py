"""What a student handed in beside notebooks: nothing of it is graded, and all of it is told."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from helpers.course.intake import kinds, names
from helpers.course.intake.owners import Owned
from helpers.course.intake.unpack import File

MOST_LISTED = 20


@dataclass
class Beside:
    """Files that are no notebooks.

    wanted: {assignment: files that may have been meant to be marked, with what they are}; "" for one that is not known
    line: on all the others, or ""
    """

    wanted: dict[str, list[str]] = field(default_factory=dict)
    line: str = ""


def beside(items: list[Owned], attempted: set[str], releases: Iterable[str]) -> Beside:
    """Return what to tell of files that are no notebooks.

    Args:
        items: the files of one student.
        attempted: the assignments of which the student handed in a notebook.
        releases: names of the assignments.
    """
    found, rest = Beside(), []
    for item in items:
        if item.file.folder or (
            item.from_platform and (not item.file.head().strip() or _is_about_others(item, attempted))
        ):
            continue
        said = said_of(item, releases) or ""
        is_document = kinds.is_document(kinds.kind(item.file.head()))
        if not attempted or (not item.from_platform and (is_document or (said and said not in attempted))):
            found.wanted.setdefault(said if said not in attempted else "", []).append(described(item.file))
        else:
            rest.append(described(item.file))
    found.wanted = {said: _few(listed) for said, listed in found.wanted.items()}
    if rest:
        found.line = f"notebook: also handed in, and not graded: {', '.join(_few(rest))}"
    return found


def _is_about_others(item: Owned, attempted: set[str]) -> bool:
    """Tell whether a file only says what else was handed in: what Blackboard writes, nbgrader's timestamp."""
    return bool(attempted) and item.name.endswith(".txt")


def described(file: File) -> str:
    """Return the name of a file with what it is, as far as its bytes tell, or why it cannot be read."""
    what = file.problem or kinds.kind(file.head())
    return f"{file.name} ({what})" if what else file.name


def said_of(item: Owned, releases: Iterable[str]) -> str | None:
    """Return the assignment that the name of a file says, or that of a folder it is in, or None."""
    folders = (names.assignment_of(part, releases) for part in reversed(item.file.path.parts[1:-1]))
    return names.assignment_of(item.name, releases) or next(filter(None, folders), None)


def _few(listed: list[str]) -> list[str]:
    more = len(listed) - MOST_LISTED
    return [*listed[:MOST_LISTED], f"and {more} more"] if more > 0 else listed
