"""Which pages there are, and which of them a course folder is graded with.

The pages of the course lie in solutions/. A course folder of nbgrader that was graded with others keeps their paths in
its pages.json, so that whoever grades or marks in it later finds them: `make grade`, `nbgrader autograde`, formgrader.
"""

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from helpers import COURSE
from helpers.course import whole
from helpers.course.pages import source
from helpers.course.pages.cells import Page

SOLUTIONS = COURSE / "solutions"


class MalformedPages(ValueError):
    """Pages that break rules; the text has all problems of all of them."""


def paths(folder: Path | None = None) -> dict[str, Path]:
    """Return where the page of each assignment is: those of the course, and those a course folder was graded with."""
    found = {path.stem: path for path in sorted(SOLUTIONS.glob("*.py"))}
    return found | (_remembered(folder) if folder else {})


def page_of(assignment: str, folder: Path | None = None) -> Page:
    """Return the page of an assignment, in a course folder that may have been graded with others than the course's.

    Raises:
        FileNotFoundError: there is no such assignment, or its page is no longer there.
        source.SourceError: the page is malformed.
    """
    known = paths(folder)
    if assignment not in known:
        raise FileNotFoundError(f"found no assignment {assignment!r}; known are {', '.join(known)}")
    return read(known[assignment])


def pages(files: Iterable[str | Path] | None = None) -> dict[str, Page]:
    """Return pages by name, those of the course unless the paths of others are given.

    Raises:
        FileNotFoundError: one is not there.
        MalformedPages: some are malformed.
    """
    result, problems = [], []
    for path in paths().values() if files is None else files:
        try:
            result.append(read(path))
        except source.SourceError as error:
            problems.append(str(error))
    if problems:
        raise MalformedPages("\n".join(problems))
    return {page.name: page for page in result}


def read(path: str | Path) -> Page:
    """Return the page in a file, which is read anew only where it has changed.

    Raises:
        FileNotFoundError: it is not there, or no longer.
        source.SourceError: it is malformed.
    """
    path = Path(path).absolute()
    if not path.is_file():
        raise FileNotFoundError(f"found no page at {path}; put it back, or grade with the page where it is now")
    return _read(path, path.stat().st_mtime_ns)


@cache
def _read(path: Path, changed: int) -> Page:
    return source.read(path)


def remember(pages: Iterable[Page], folder: Path) -> None:
    """Keep in a course folder where the pages are that it is graded with; those in solutions/ are found without."""
    kept = _remembered(folder) | {page.name: page.path for page in pages}
    kept = {name: path for name, path in kept.items() if path.parent != SOLUTIONS}
    if kept:
        whole.write(_record(folder), json.dumps({name: str(path) for name, path in kept.items()}, indent=1))
    else:
        _record(folder).unlink(missing_ok=True)


def _remembered(folder: Path) -> dict[str, Path]:
    record = _record(folder)
    kept = json.loads(record.read_text("utf-8")) if record.exists() else {}
    return {name: Path(path) for name, path in kept.items()}


def _record(folder: Path) -> Path:
    return folder / "pages.json"
