"""From a pile of files to submissions that can be run: which student, which assignment, which attempt, which repairs.

Nothing in here runs code of a student, and nothing is unpacked to disk.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from pathlib import Path, PurePosixPath

import nbformat

from helpers.course.intake import names, unpack
from helpers.course.intake.repair import likeness, repair

__all__ = ["NOBODY", "Attempt", "IntakeError", "Submission", "collect", "read", "repair"]

NOBODY = "(unknown)"  # the student of what cannot be matched to one
WRAPPERS = re.compile(r"(submitted|submissions|assignment_\d+_export)$", re.IGNORECASE)


class IntakeError(Exception):
    """Why nothing of the pile can be graded, and what to do."""


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
    notebook: nbformat.NotebookNode | None = None
    notes: tuple[str, ...] = ()
    refused: str = ""

    def original(self):
        """Return a name to keep the file under, made of its time and its content, and its bytes; None without them."""
        try:
            data = self.read() if self.read else None
        except unpack.Unreadable:
            return None
        return data and (f"{self.time:%Y-%m-%dT%H%M%S}-{hashlib.sha256(data).hexdigest()[:8]}.ipynb", data)


@dataclass
class Submission:
    """One notebook of one student, repaired, with a line for each repair; or the reason why it cannot be graded.

    attempts: all that the student handed in for this assignment, the one that counts last
    time: when that one was handed in, in UTC, where the platform says so
    """

    student: str
    assignment: str
    source: Path
    notebook: nbformat.NotebookNode | None = None
    repairs: list = field(default_factory=list)
    refused: str = ""
    attempts: list = field(default_factory=list)
    time: datetime | None = None


def collect(handed_in, releases, config=None):
    """Find the submissions in a pile of files.

    The pile is a folder or a zip: a folder per student, the tree of nbgrader, the export of a learning platform
    (`helpers.course.intake.names`), or files named <student>_<assignment>.ipynb. The assignment is known by the file's
    name, else by its folder's, else by its cells. Of several attempts the latest counts.

    Whatever lies in a student's folder, or in a student's zip, is that student's, whatever it is named.

    Args:
        handed_in: the folder or the zip.
        releases: {assignment: the notebook that was released}.
        config: of nbgrader; its FileNameCollectorPlugin.named_regexp is tried first on the names.

    Returns:
        A list of Submission, by student and assignment. Whatever cannot be graded is in it too, with a reason.

    Raises:
        FileNotFoundError: there is no such folder, or nothing in it.
        IntakeError: the pile itself cannot be read, or whose it is cannot be told.
    """
    collector = names.ExportCollector(config=config)
    pile = _pile(Path(handed_in), collector)
    try:
        files = list(unpack.files(pile))
    except unpack.Unreadable as error:
        raise IntakeError(str(error)) from error
    files = _unwrapped(files, pile, releases)
    owned = _owners(files, releases, collector)
    found = []
    for student, group in groupby(sorted(owned, key=lambda item: item.student), lambda item: item.student):
        found += _submissions(student, list(group), pile, releases)
    if not found:
        raise FileNotFoundError(f"{pile} holds no submissions; wanted one folder per student with the notebook in it")
    return found


def _pile(path, collector):
    """Return the folder or zip that holds the students' files: a zip that is alone in its folder, too."""
    if not path.exists():
        raise FileNotFoundError(f"found no folder {path}; wanted a folder or a zip with <student>/<notebook>.ipynb")
    if (path / "submitted").is_dir():
        return path / "submitted"
    if path.is_dir():
        inside = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
        alone = inside[0] if len(inside) == 1 else path
        if (
            unpack.is_zip(alone.name)
            and alone.is_file()
            and not alone.is_symlink()
            and not collector.collect(alone.name)
        ):
            return alone
    elif not (unpack.is_zip(path.name) or unpack.is_notebook(path.name)):
        raise IntakeError(f"{path} is neither a folder nor a zip")
    return path


def _unwrapped(files, pile, releases):
    """Return the files without the one folder that an export wraps around them.

    Only a folder of a known name is taken for a wrapper: a student's own folder may hold anything.

    Raises:
        IntakeError: there is one folder of another name, and it looks like a class.
    """
    while True:
        files = [file for file in files if file.path.parts]
        tops = {file.path.parts[0] for file in files}
        inside = {file.path.parts[1] for file in files if len(file.path.parts) > 1}
        if len(tops) != 1 or not inside or any(names.assignment_of(name, releases) for name in inside):
            return files
        (top,) = tops
        if not WRAPPERS.fullmatch(top) and (pile.is_dir() or top not in (pile.stem, names.plain(pile.name)[0])):
            break
        files = [replace(file, path=PurePosixPath(*file.path.parts[1:])) for file in files]
    if len(_folders(files, 1)) > 1:
        where = f"{pile}/{top}" if pile.is_dir() else f"what {pile} unpacks to, {top}"
        raise IntakeError(
            f"{pile} holds one folder, {top}, with several folders of notebooks in it. If these are the students, "
            f"grade {where}"
        )
    return files


def _folders(files, level):
    """Return the folders at a level that hold a notebook which others of them hold, too."""
    holders = {}
    for file in files:
        if unpack.is_notebook(file.path.name) and len(file.path.parts) > level + 1:
            holders.setdefault(names.plain(file.path.name)[0].lower(), set()).add(file.path.parts[level])
    return max(holders.values(), key=len, default=set())


# ---------------------------------------------------------------------------------------------- whose


@dataclass(frozen=True)
class _Owned:
    """A file of the pile with what is known of it from names: whose, its own name, when."""

    file: unpack.File
    student: str
    name: str
    time: datetime | None = None
    dated: str = ""
    upload: int = 0
    late: bool = False
    twin: str = ""  # tells students of the same name apart, where there are any


def _owners(files, releases, collector):
    """Return the files with their owners."""
    metadata = _gradescope(files)
    # A folder counts by what is in it; an empty one may be all that a student left.
    full = {folder for file in files if not file.folder for folder in file.path.parents}
    files = [file for file in files if not (file.folder and file.path in full)]
    stamps = {f.path.parent: f for f in files if f.path.name == "timestamp.txt" and len(f.path.parts) == 3}
    owned = []
    for file in _without_classes(files, collector):
        owned += _owner(file, releases, collector, metadata, stamps)
    doubled = _doubled(owned, releases)
    return [replace(item, student=f"{item.student}_{item.twin}") if item.student in doubled else item for item in owned]


def _doubled(owned, releases):
    """Return the names behind which there are several students.

    One student has another number in each assignment, so two numbers are one student where each belongs to
    assignments of its own; where that cannot be told, they are two.
    """
    numbers = {}
    for item in owned:
        if item.twin and unpack.is_notebook(item.file.path.name):
            things = numbers.setdefault(item.student, {}).setdefault(item.twin, set())
            things.add(names.assignment_of(item.name, releases))
    return {
        student
        for student, things in numbers.items()
        if len(things) > 1
        and (
            None in set().union(*things.values()) or sum(map(len, things.values())) > len(set().union(*things.values()))
        )
    }


def _without_classes(files, collector):
    """Return the files, but for each zip beside others that looks like a whole class only that it does.

    It might as well be one student's who gave the files in it the names of others.
    """
    zips = {}
    for file in files:
        if unpack.is_zip(file.path.parts[0]) and not collector.collect(file.path.parts[0]):
            zips.setdefault(file.path.parts[0], []).append(file)
    for name, inside in zips.items():
        inner = [PurePosixPath(*f.path.parts[1:]) for f in inside if len(f.path.parts) > 1 and not f.folder]
        matches = filter(None, (collector.collect(str(path)) for path in inner if unpack.is_notebook(path.name)))
        if len({match["student_id"] for match in matches}) > 1 or len(_folders(inside, 1)) > 2:
            problem = "looks like the export of a whole class; grade it on its own, not in a folder with others"
            files = [file for file in files if file.path.parts[0] != name]
            files.append(unpack.File(PurePosixPath(name), inside[0].time, "", problem=problem))
    return files


def _owner(file, releases, collector, metadata, stamps):
    """Return a file once for each of its owners."""
    path, top = str(file.path), file.path.parts[0]
    if names.GRADESCOPE.fullmatch(top):
        # An export without names is graded under its numbers.
        entry = metadata.get(top, names.Gradescope((), None))
        students = entry.students or (top,)
        return [_Owned(file, student, file.path.name, entry.time, "submission_metadata.yml") for student in students]
    match = collector.collect(path + "/" * (file.folder and not unpack.is_zip(path)))
    if match and match.get("student_id"):
        student = unpack.readable(match["student_id"]).strip() + (f"_{match['key']}" if match.get("key") else "")
        return [
            _Owned(
                file,
                student,
                PurePosixPath(match.get("file_id") or path).name,
                names.utc(match.get("timestamp")),
                "the time in its name",
                int(match.get("upload") or 0),
                bool(match.get("late")),
                match.get("number") or "",
            )
        ]
    if len(file.path.parts) > 1 or file.folder:
        stamp = stamps.get(file.path.parent)
        time = _stamp(stamp) if stamp and names.assignment_of(file.path.parts[1], releases) else None
        student = names.person(top) if unpack.is_zip(top) else top.strip()
        return [_Owned(file, student, file.path.name, time, "timestamp.txt")]
    if unpack.is_zip(top):
        return [_Owned(file, names.person(top), top)]
    return [_Owned(file, *(names.student_and_own_name(top, releases) or (NOBODY, top)))]


def _gradescope(files):
    """Return what the submission_metadata.yml at the top of the pile says, by submission."""
    for file in files:
        if file.path == PurePosixPath("submission_metadata.yml"):
            try:
                return names.gradescope(file.read())
            except (ValueError, unpack.Unreadable) as error:
                raise IntakeError(f"whose the submissions are cannot be told: {error}") from error
    return {}


def _stamp(file):
    """Return the time in a timestamp.txt of nbgrader, or None."""
    try:
        return names.utc(file.read().decode("utf-8").strip())
    except (UnicodeDecodeError, unpack.Unreadable):
        return None


# ---------------------------------------------------------------------------------------------- which assignment


def _assignment(notebook, item, releases):
    """Return the assignment of a notebook.

    Raises:
        unpack.Unreadable: it is none of the releases, or its name says one and its cells another.
    """
    share = {assignment: likeness(notebook, release) for assignment, release in releases.items()}
    best = max(share, key=share.get, default=None)
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


# ---------------------------------------------------------------------------------------------- which attempt


def _submissions(student, items, pile, releases):
    """Return the submissions of one student, a refused one where there is nothing to grade."""
    if problem := names.impossible(student):
        shown = unpack.readable(student)[:40] or NOBODY
        return [Submission(shown, "", pile, refused=f"{problem}: {str(items[0].file.path)[:200]}")]
    wanted = [item for item in items if _concerns(item, items, releases)]
    if student == NOBODY:
        return [_nobodys(item, pile) for item in wanted]
    attempts = {}
    for item in wanted:
        assignment, attempt = _attempt(item, releases)
        attempts.setdefault(assignment, []).append(attempt)
    if not attempts:
        others = [item.file.path.name for item in items if not item.file.folder]
        only = f", only {', '.join(others[:5])}" if others else ""
        return [Submission(student, "", pile, refused=f"there is no notebook in this folder{only}")]
    return [_submission(student, assignment, attempts[assignment], pile) for assignment in sorted(attempts)]


def _concerns(item, items, releases):
    """Tell whether a file is an attempt, or something that may have been meant for one."""
    path = item.file.path
    if item.file.folder:
        return False
    if len(path.parts) == 4 and path.parts[2] == "attempts" and names.assignment_of(path.parts[1], releases):
        # What grading put beside the notebook that counts, where that is there.
        kept = path.parent.parent
        return not any(unpack.is_notebook(o.file.path.name) and o.file.path.parent == kept for o in items)
    return unpack.is_notebook(path.name) or bool(item.file.problem and (unpack.is_wanted(path.name) or not path.suffix))


def _nobodys(item, pile):
    path = item.file.path
    reason = (
        f"{path.name} {item.file.problem}"
        if item.file.problem
        else (f"whose is {path}? Wanted <student>/<notebook>.ipynb or <student>_<assignment>.ipynb")
    )
    return Submission(NOBODY, path.name, pile / path, refused=reason)


def _attempt(item, releases):
    """Read one file; return its assignment, or what it is named, and the Attempt."""
    file = item.file
    number = names.plain(item.name)[1]
    known = item.time is not None
    facts = {
        "path": file.path,
        "time": item.time if known else file.time,
        "dated": item.dated if known else file.dated,
        "certain": known,
        "order": (item.upload, number),
        "read": None if file.problem else file.read,
    }
    assignment = names.assignment_of(item.name, releases)
    try:
        if file.problem:
            raise unpack.Unreadable(file.problem)
        notebook = read(file.read())
        assignment = _assignment(notebook, item, releases)
        notebook, notes = repair(notebook, releases[assignment])
    except unpack.Unreadable as error:
        return assignment or names.plain(item.name)[0], Attempt(**facts, refused=f"{file.path.name} {error}")
    except Exception as error:
        # Whatever a notebook is made of, it may not stop the class.
        what = unpack.readable(str(error)) if isinstance(error, ValueError) else type(error).__name__
        reason = f"{file.path.name} cannot be read as a notebook: {what}"
        return assignment or names.plain(item.name)[0], Attempt(**facts, refused=reason)
    same = names.plain(item.name)[0] if item.upload else names.ENDING.sub("", item.name)
    if same != assignment:
        notes = [f"notebook: its file is named {item.name!r}; taken for {assignment}", *notes]
    if item.late and not known:
        notes = [*notes, "notebook: the platform calls it late, but not by how much; no penalty is computed"]
    return assignment, Attempt(**facts, notebook=notebook, notes=tuple(notes))


def read(data):
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


def _submission(student, assignment, attempts, pile):
    """Choose the attempt that counts: of those that can be graded the latest."""
    uploads = [attempt.order[0] for attempt in attempts]
    certain = any(attempt.certain for attempt in attempts)
    if all(uploads) and not certain:
        # The dates in such an export are those of its download.
        attempts, why = sorted(attempts, key=lambda a: (a.order, a.time, str(a.path))), "the platform's upload number"
    else:
        attempts = sorted(attempts, key=lambda a: (a.time, a.order, str(a.path)))
        same = len(attempts) > 1 and attempts[-1].time == attempts[-2].time
        why = "the number in its name" if same else attempts[-1].dated
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
