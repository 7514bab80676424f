"""The attempts of a student: which assignment each is of, which of them counts, and the submission it becomes."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path, PurePosixPath

import nbformat
from nbformat import NotebookNode

from helpers.course.intake import names, unpack
from helpers.course.intake.owners import NOBODY, Owned
from helpers.course.intake.repair import likeness, repair

Releases = Mapping[str, NotebookNode]


@dataclass(frozen=True)
class Attempt:
    """One notebook as it was handed in.

    path: its place in the pile
    time, dated: when it was handed in, in UTC, and what says so
    certain: whether that is the platform's word; only then can it decide on lateness
    order: grows from attempt to attempt where times are equal: upload number, number in the name
    read: returns the bytes of the file; None for what is not to be read
    refused: why it cannot be graded, or ""
    """

    path: PurePosixPath
    time: datetime
    dated: str
    certain: bool
    order: tuple[int, int]
    read: Callable[[], bytes] | None
    notebook: NotebookNode | None = None
    notes: tuple[str, ...] = ()
    refused: str = ""

    def original(self) -> tuple[str, bytes] | None:
        """Return a name to keep the file under, made of its time and its content, and its bytes; None without them."""
        try:
            data = self.read() if self.read else None
        except unpack.Unreadable:
            return None
        if not data:
            return None
        return f"{self.time:%Y-%m-%dT%H%M%S}-{hashlib.sha256(data).hexdigest()[:8]}.ipynb", data


@dataclass
class Submission:
    """One notebook of one student, repaired, with a line for each repair; or the reason why it cannot be graded.

    failed: whether what kept it from being graded is a failure of the grader's
    attempts: all that the student handed in for this assignment, the one that counts last
    time: when that one was handed in, in UTC, where the platform says so
    """

    student: str
    assignment: str
    source: Path
    notebook: NotebookNode | None = None
    repairs: list[str] = field(default_factory=list)
    refused: str = ""
    failed: bool = False
    attempts: list[Attempt] = field(default_factory=list)
    time: datetime | None = None


def submissions(student: str, items: list[Owned], pile: Path, releases: Releases) -> list[Submission]:
    """Return the submissions of one student, a refused one where there is nothing to grade."""
    if problem := names.impossible(student):
        shown = unpack.readable(student)[:40] or NOBODY
        return [Submission(shown, "", pile, refused=f"{problem}: {str(items[0].file.path)[:200]}")]
    wanted = [item for item in items if _concerns(item, items, releases)]
    if student == NOBODY:
        return [_nobodys(item, pile) for item in wanted]
    attempts: dict[str, list[Attempt]] = {}
    for item in wanted:
        assignment, attempt = _attempt(item, releases)
        attempts.setdefault(assignment, []).append(attempt)
    if not attempts:
        others = [item.file.path.name for item in items if not item.file.folder]
        only = f", only {', '.join(others[:5])}" if others else ""
        return [Submission(student, "", pile, refused=f"there is no notebook in this folder{only}")]
    return [_submission(student, assignment, attempts[assignment], pile) for assignment in sorted(attempts)]


def _concerns(item: Owned, items: list[Owned], releases: Releases) -> bool:
    """Tell whether a file is an attempt, or something that may have been meant for one."""
    path = item.file.path
    if item.file.folder:
        return False
    if len(path.parts) == 4 and path.parts[2] == "attempts" and names.assignment_of(path.parts[1], releases):
        # What grading put beside the notebook that counts, where that is there.
        kept = path.parent.parent
        return not any(unpack.is_notebook(o.file.path.name) and o.file.path.parent == kept for o in items)
    return unpack.is_notebook(path.name) or bool(item.file.problem and (unpack.is_wanted(path.name) or not path.suffix))


def _nobodys(item: Owned, pile: Path) -> Submission:
    path = item.file.path
    reason = f"whose is {path}? Wanted <student>/<notebook>.ipynb or <student>_<assignment>.ipynb"
    if item.file.problem:
        reason = f"{path.name} {item.file.problem}"
    return Submission(NOBODY, path.name, pile / path, refused=reason)


def _submission(student: str, assignment: str, attempts: list[Attempt], pile: Path) -> Submission:
    """Choose the attempt that counts: of those that can be graded the latest."""
    attempts, why = _in_order(attempts)
    good = [attempt for attempt in attempts if not attempt.refused]
    if not good:
        reasons = "; ".join(dict.fromkeys(attempt.refused for attempt in attempts))
        return Submission(student, assignment, pile / attempts[-1].path, refused=reasons, attempts=attempts)
    counts = good[-1]
    notes = list(counts.notes)
    if len(attempts) > 1:
        when = f"{counts.time:%Y-%m-%d %H:%M:%S} UTC"
        notes.insert(0, f"notebook: {len(attempts)} attempts; {counts.path.name} of {when} counts, the latest by {why}")
        later = attempts[attempts.index(counts) + 1 :]
        notes[1:1] = [f"notebook: a later attempt cannot be graded: {attempt.refused}" for attempt in later]
    ordered = [replace(a, notebook=None) for a in attempts if a is not counts] + [replace(counts, notebook=None)]
    return Submission(
        student,
        assignment,
        pile / counts.path,
        counts.notebook,
        notes,
        attempts=ordered,
        time=counts.time if counts.certain else None,
    )


def _in_order(attempts: list[Attempt]) -> tuple[list[Attempt], str]:
    """Return attempts from the first to the last, and by what the last one is known."""
    if all(attempt.order[0] and not attempt.certain for attempt in attempts):
        # The dates in such an export are those of its download.
        return sorted(attempts, key=lambda a: (a.order, a.time, str(a.path))), "the platform's upload number"
    attempts = sorted(attempts, key=lambda a: (a.time, a.order, str(a.path)))
    same = len(attempts) > 1 and attempts[-1].time == attempts[-2].time
    return attempts, "the number in its name" if same else attempts[-1].dated


# ---------------------------------------------------------------------------------------------- one attempt


def _attempt(item: Owned, releases: Releases) -> tuple[str, Attempt]:
    """Read one file; return its assignment, or what it is named, and the Attempt."""
    file, assignment = item.file, names.assignment_of(item.name, releases)
    attempt = Attempt(
        path=file.path,
        time=item.time or file.time,
        dated=item.dated if item.time else file.dated,
        certain=item.time is not None,
        order=(item.upload, names.plain(item.name)[1]),
        read=None if file.problem else file.read,
    )
    try:
        if file.problem:
            raise unpack.Unreadable(file.problem)
        notebook = read(file.read())
        assignment = _assignment(notebook, item, releases)
        notebook, notes = repair(notebook, releases[assignment])
    except unpack.Unreadable as error:
        refused = f"{file.path.name} {error}"
    except Exception as error:
        # Whatever a notebook is made of, it may not stop the class.
        what = unpack.readable(str(error)) if isinstance(error, ValueError) else type(error).__name__
        refused = f"{file.path.name} cannot be read as a notebook: {what}"
    else:
        return assignment, replace(attempt, notebook=notebook, notes=_with_name(notes, item, assignment))
    return assignment or names.plain(item.name)[0], replace(attempt, refused=refused)


def _with_name(notes: list[str], item: Owned, assignment: str) -> tuple[str, ...]:
    """Return the notes on a notebook together with those on the name of its file."""
    same = names.plain(item.name)[0] if item.upload else names.ENDING.sub("", item.name)
    if same != assignment:
        notes = [f"notebook: its file is named {item.name!r}; taken for {assignment}", *notes]
    if item.late and item.time is None:
        notes = [*notes, "notebook: the platform calls it late, but not by how much; no penalty is computed"]
    return tuple(notes)


def _assignment(notebook: NotebookNode, item: Owned, releases: Releases) -> str:
    """Return the assignment of a notebook.

    Raises:
        unpack.Unreadable: it is none of the releases, or its name says one and its cells another.
    """
    share = {assignment: likeness(notebook, release) for assignment, release in releases.items()}
    best = max(share, key=share.__getitem__, default="")
    named = names.assignment_of(item.name, releases)
    folders = (names.assignment_of(part, releases) for part in reversed(item.file.path.parts[1:-1]))
    said = named or next(filter(None, folders), None)
    if said and share[best] > 2 * share[said]:
        raise unpack.Unreadable(f"has the cells of {best}, not of {said}, which its name says; hand it in as {best}")
    if said and share[said]:
        return said
    if not said and best and share[best] > 0.2:
        return best
    if said:
        raise unpack.Unreadable(f"has none of the graded cells of {said}, which its name says")
    raise unpack.Unreadable(f"is the notebook of no assignment; known are {', '.join(releases)}")


def read(data: bytes) -> NotebookNode:
    """Return the notebook that the bytes of a file hold, in format 4 with the cells' own ids.

    Raises:
        ValueError: they hold none.
    """
    try:
        notebook = nbformat.reader.reads(data.decode(json.detect_encoding(data)).lstrip("\ufeff"))
        # nbformat.reads would give a cell without an id another one at each reading.
        converted = nbformat.convert(notebook, 4)
    except nbformat.reader.NotJSONError as error:
        raise ValueError("it is not JSON; was the file cut off?") from error
    except Exception as error:
        # nbformat raises many types for what is not a notebook; none may stop the class.
        reason = unpack.readable(str(error).splitlines()[0][:200]) if str(error) else ""
        raise ValueError(f"{type(error).__name__}: {reason}") from error
    if not isinstance(converted.get("cells"), list) or not converted.cells:
        raise ValueError("it has no cells")
    return converted
