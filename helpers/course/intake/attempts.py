"""The attempts of a student: which assignment each is of, which of them counts, and the submission it becomes."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path, PurePosixPath

from nbformat import NotebookNode

from helpers.course.intake import names, others, unpack
from helpers.course.intake.answers import answered, is_as_released
from helpers.course.intake.owners import NOBODY, Owned
from helpers.course.intake.reading import read
from helpers.course.intake.repair import likeness, repair
from helpers.course.intake.spelling import readable

Releases = Mapping[str, NotebookNode]

UNTOUCHED = "is as it was handed out; an untouched copy is no submission"


@dataclass(frozen=True)
class Attempt:
    """One notebook as it was handed in.

    path: its place in the pile
    source: where that is on disk
    time, dated: when it was handed in, in UTC, and what says so
    certain: whether that is the platform's word; only then can it decide on lateness
    order: grows from attempt to attempt where times are equal: upload number, number in the name
    counted: what the upload number is
    read: returns the bytes of the file; None for what is not to be read
    is_own_name: whether its file has the name of the assignment
    answers: how many exercises and questions it answers
    is_untouched: whether nothing in it is the student's
    refused: why it cannot be graded, or ""
    """

    path: PurePosixPath
    source: Path
    time: datetime
    dated: str
    certain: bool
    order: tuple[int, int]
    counted: str
    read: Callable[[], bytes] | None
    is_own_name: bool = False
    notebook: NotebookNode | None = None
    answers: int = 0
    is_untouched: bool = False
    notes: tuple[str, ...] = ()
    refused: str = ""

    @property
    def name(self) -> str:
        """The name of its file, as it can be shown."""
        return readable(self.path.name)

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
    answers: how many exercises and questions it answers
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
    answers: int = 0


def submissions(student: str, items: list[Owned], releases: Releases) -> list[Submission]:
    """Return the submissions of one student, a refused one for whatever else the student may have meant to hand in."""
    items = [item for item in items if not _was_kept(item, items, releases)]
    if student == NOBODY:
        return _nobodys([item for item in items if not item.file.folder and not item.from_platform])
    attempts: dict[str, list[Attempt]] = {}
    rest = []
    for item in items:
        if not item.from_platform and (item.is_notebook or _is_broken(item)):
            assignment, attempt = _attempt(item, releases)
            attempts.setdefault(assignment, []).append(attempt)
        else:
            rest.append(item)
    found = [_submission(student, assignment, attempts[assignment]) for assignment in attempts]
    _refuse_untouched(found)
    beside = others.beside(rest, set(attempts), releases)
    for assignment, listed in beside.wanted.items():
        if attempts and assignment:
            reason = f"there is no notebook of it, only {', '.join(listed)}"
        elif attempts:
            reason = f"handed in beside {', '.join(sorted(attempts))}, and no notebook: {', '.join(listed)}"
        else:
            reason = f"there is no notebook in this folder, only {', '.join(listed)}"
        found.append(Submission(student, assignment, rest[0].source, refused=reason))
    if not found:
        found.append(Submission(student, "", items[0].source, refused="there is no notebook in this folder"))
    if beside.line:
        counts = next((each for each in found if not each.refused), found[0])
        if counts.refused:
            counts.refused += beside.line.replace("notebook:", ";")
        else:
            counts.repairs.append(beside.line)
    _note_all(found, items)
    return sorted(found, key=lambda each: each.assignment)


def _was_kept(item: Owned, items: list[Owned], releases: Releases) -> bool:
    """Tell whether grading itself put a file beside the notebook that counts, and this one is there."""
    path = item.file.path
    if len(path.parts) != 4 or path.parts[2] != "attempts" or not names.assignment_of(path.parts[1], releases):
        return False
    kept = path.parent.parent
    return any(unpack.is_notebook(each.file.path.name) and each.file.path.parent == kept for each in items)


def _is_broken(item: Owned) -> bool:
    """Tell whether something cannot be read in which a notebook may be."""
    return bool(item.file.problem) and (unpack.may_be_zip(item.file.path.name) or item.file.folder)


def _note_all(found: list[Submission], items: list[Owned]) -> None:
    """Give every submission of a student the lines about the student's name."""
    lines = dict.fromkeys(f"notebook: {note}" for item in items for note in item.notes)
    for submission in found:
        submission.repairs = list(dict.fromkeys([*submission.repairs, *lines]))


def _nobodys(items: list[Owned]) -> list[Submission]:
    """Return a refused submission for each file that is no student's, by the file's name."""
    found: dict[str, Submission] = {}
    for item in sorted(items, key=lambda item: (item.file.path.name, str(item.source))):
        reason = f"whose is {item.file.shown}? Wanted <student>/<notebook>.ipynb or <student>_<assignment>.ipynb"
        if item.file.problem:
            reason = f"{item.file.name} {item.file.problem}"
        elif not item.is_notebook:
            reason = f"{others.described(item.file)} is no notebook, and nobody's by its name"
        name, number = item.file.name, 1
        while name in found:
            number += 1
            name = f"{item.file.name} [{number}]"
        found[name] = Submission(NOBODY, name, item.source, refused=reason)
    return [found[name] for name in sorted(found)]


# ---------------------------------------------------------------------------------------------- which one counts


def _submission(student: str, assignment: str, attempts: list[Attempt]) -> Submission:
    """Choose the attempt that counts: of those that can be graded and answer something the latest."""
    good = [attempt for attempt in attempts if not attempt.refused]
    refused = [attempt for attempt in attempts if attempt.refused]
    if not good:
        reasons = "; ".join(dict.fromkeys(attempt.refused for attempt in attempts))
        return Submission(student, assignment, attempts[-1].source, refused=reasons, attempts=attempts)
    good, why = _in_order(good)
    counts = good[-1]
    notes = list(counts.notes)
    if len(attempts) > 1:
        when = f"{counts.time:%Y-%m-%d %H:%M:%S} UTC"
        notes[:0] = [f"notebook: {len(attempts)} attempts; {counts.name} of {when} counts, {why}"]
        notes[1:1] = [
            f"notebook: {'a later' if _key(attempt) > _key(counts) else 'an earlier'} attempt cannot be graded: "
            f"{attempt.refused}"
            for attempt in refused
        ]
    ordered = [replace(a, notebook=None) for a in (*refused, *good[:-1], counts)]
    return Submission(
        student,
        assignment,
        counts.source,
        counts.notebook,
        notes,
        attempts=ordered,
        time=counts.time if counts.certain else None,
        answers=counts.answers,
    )


def _key(attempt: Attempt) -> tuple:
    return attempt.time, attempt.order


def _in_order(attempts: list[Attempt]) -> tuple[list[Attempt], str]:
    """Return attempts from the first to the last, and why the last one counts."""
    if all(attempt.order[0] and not attempt.certain for attempt in attempts):
        # The dates in such an export are those of its download.
        ranks = [("the latest by {counted}", lambda a: a.order[0]), ("{dated}", lambda a: a.time)]
    else:
        ranks = [("the latest by {dated}", lambda a: a.time)]
        ranks.append(("of equal date the one with the name of the assignment", lambda a: a.is_own_name))
    ranks.append(("of equal date the one with the most answers", lambda a: a.answers))
    ranks.append(("of equal date and answers the one with the highest number in its name", lambda a: a.order[1]))
    ranks.append(("of equal date and answers the last by its place", lambda a: str(a.path)))
    ordered = sorted(attempts, key=lambda attempt: tuple(rank(attempt) for _, rank in ranks))
    last = next((attempt for attempt in reversed(ordered) if attempt.answers), ordered[-1])
    rivals = [attempt for attempt in ordered if attempt.answers] if last is not ordered[-1] else ordered
    if len(rivals) == 1:
        why = "the only one that " + ("answers anything" if len(ordered) > 1 else "can be graded")
    else:
        why = next((words for words, rank in ranks if rank(last) != rank(rivals[-2])), "and the others are the same")
        why = why.format(counted=last.counted, dated=last.dated) + "; others answer nothing" * (rivals is not ordered)
    return [*(attempt for attempt in ordered if attempt is not last), last], why


def _refuse_untouched(found: list[Submission]) -> None:
    """Refuse what is as it was handed out, where the student answered another notebook: it came along."""
    if any(submission.answers for submission in found):
        for submission in found:
            if submission.attempts and all(attempt.is_untouched for attempt in submission.attempts):
                submission.notebook = None
                submission.refused = f"{submission.attempts[-1].name} {UNTOUCHED}"


# ---------------------------------------------------------------------------------------------- one attempt


def _attempt(item: Owned, releases: Releases) -> tuple[str, Attempt]:
    """Read one file; return its assignment, or what it is named, and the Attempt."""
    file, assignment = item.file, names.assignment_of(item.name, releases)
    attempt = Attempt(
        path=file.path,
        source=item.source,
        time=item.time or file.time,
        dated=item.dated if item.time else file.dated,
        certain=item.time is not None,
        order=(item.upload, names.plain(item.name)[1]),
        counted=item.counted,
        read=None if file.problem else file.read,
    )
    said: list[str] = []
    try:
        if file.problem:
            raise unpack.Unreadable(file.problem)
        notebook = read(file.read(), said, lambda notebook: _most_answers(notebook, releases))
        assignment = _assignment(notebook, item, releases)
        is_untouched = is_as_released(notebook, releases[assignment])
        notebook, notes = repair(notebook, releases[assignment])
    except unpack.Unreadable as error:
        refused = f"{file.name} {error}"
    except Exception as error:
        # Whatever a notebook is made of, it may not stop the class.
        what = readable(str(error)) if isinstance(error, ValueError) else type(error).__name__
        refused = f"{file.name} cannot be read as a notebook: {what}"
    else:
        notes = [*_about_file(item, assignment), *(f"notebook: {line}" for line in said), *notes]
        return assignment, replace(
            attempt,
            notebook=notebook,
            is_own_name=names.is_own(item.name, assignment),
            answers=0 if is_untouched else answered(notebook, releases[assignment]),
            is_untouched=is_untouched,
            notes=tuple(notes),
        )
    return assignment or names.plain(item.name)[0] or item.name, replace(attempt, refused=refused)


def _most_answers(notebook: NotebookNode, releases: Releases) -> int:
    """Return how much a notebook answers of the assignment that it is most like."""
    release = releases[max(releases, key=lambda assignment: likeness(notebook, releases[assignment]))]
    return 0 if is_as_released(notebook, release) else answered(repair(notebook, release)[0], release)


def _about_file(item: Owned, assignment: str) -> list[str]:
    """Return lines on the name of a notebook's file."""
    notes = []
    archive = next((part for part in item.file.path.parts[:-1] if unpack.is_notebook(part)), "")
    if archive:
        notes.append(f"notebook: its file {readable(archive)!r} is a zip archive; the notebook in it is taken")
    same = names.plain(item.name)[0] if item.upload else names.ENDING.sub("", item.name)
    if same != assignment or not item.name.lower().endswith(".ipynb"):
        notes.append(f"notebook: its file is named {item.name!r}; taken for {assignment}")
    if item.late and item.time is None:
        notes.append("notebook: the platform calls it late, but not by how much; no penalty is computed")
    return notes


def _assignment(notebook: NotebookNode, item: Owned, releases: Releases) -> str:
    """Return the assignment of a notebook.

    Raises:
        unpack.Unreadable: it is none of the releases, or its name says one and its cells another.
    """
    share = {assignment: likeness(notebook, release) for assignment, release in releases.items()}
    best = max(share, key=share.__getitem__, default="")
    said = others.said_of(item, releases)
    if said and share[best] > 2 * share[said]:
        raise unpack.Unreadable(f"has the cells of {best}, not of {said}, which its name says; hand it in as {best}")
    if said and share[said]:
        return said
    if not said and best and share[best] > 0.2:
        return best
    if said:
        raise unpack.Unreadable(f"has none of the graded cells of {said}, which its name says")
    raise unpack.Unreadable(f"is the notebook of no assignment; known are {', '.join(releases)}")
