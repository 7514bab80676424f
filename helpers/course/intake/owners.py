"""Whose each file of a pile is, and what else names tell of it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from helpers.course.intake import names, unpack
from helpers.course.intake.unpack import File

NOBODY = "(unknown)"  # the student of what cannot be matched to one


@dataclass(frozen=True)
class Owned:
    """A file of the pile with what is known of it from names: whose, its own name, when."""

    file: File
    student: str
    name: str
    time: datetime | None = None
    dated: str = ""
    upload: int = 0
    late: bool = False
    twin: str = ""  # tells students of the same name apart, where there are any


def owners(files: list[File], releases: Iterable[str], collector: names.ExportCollector) -> list[Owned]:
    """Return the files with their owners.

    Args:
        files: the pile's.
        releases: names of the assignments.
        collector: knows the names of exports.

    Raises:
        unpack.Unreadable: whose the files are cannot be told.
    """
    metadata = _gradescope(files)
    # A folder counts by what is in it; an empty one may be all that a student left.
    full = {folder for file in files if not file.folder for folder in file.path.parents}
    files = [file for file in files if not (file.folder and file.path in full)]
    stamps = {f.path.parent: f for f in files if f.path.name == "timestamp.txt" and len(f.path.parts) == 3}
    owned = []
    for file in _without_classes(files, collector):
        owned += _owned(file, stamps.get(file.path.parent), metadata, releases, collector)
    doubled = _doubled(owned, releases)
    return [replace(item, student=f"{item.student}_{item.twin}") if item.student in doubled else item for item in owned]


def _owned(
    file: File,
    stamp: File | None,
    metadata: dict[str, names.Gradescope],
    releases: Iterable[str],
    collector: names.ExportCollector,
) -> list[Owned]:
    """Return a file once for each of its owners."""
    path, top = str(file.path), file.path.parts[0]
    if names.GRADESCOPE.fullmatch(top):
        # An export without names is graded under its numbers.
        entry = metadata.get(top, names.Gradescope((), None))
        students = entry.students or (top,)
        return [Owned(file, student, file.path.name, entry.time, "submission_metadata.yml") for student in students]
    match = collector.collect(path + "/" * (file.folder and not unpack.is_zip(path)))
    if match and match.get("student_id"):
        return [_exported(file, match)]
    if len(file.path.parts) > 1 or file.folder:
        return [_in_folder(file, stamp, releases)]
    if unpack.is_zip(top):
        return [Owned(file, names.person(top), top)]
    return [Owned(file, *(names.student_and_own_name(top, releases) or (NOBODY, top)))]


def _exported(file: File, match: dict[str, Any]) -> Owned:
    """Return a file that a learning platform named."""
    key = f"_{match['key']}" if match.get("key") else ""
    return Owned(
        file,
        unpack.readable(match["student_id"]).strip() + key,
        PurePosixPath(match.get("file_id") or file.path).name,
        names.utc(match.get("timestamp")),
        "the time in its name",
        int(match.get("upload") or 0),
        bool(match.get("late")),
        match.get("number") or "",
    )


def _in_folder(file: File, stamp: File | None, releases: Iterable[str]) -> Owned:
    """Return a file in a student's folder or zip; nbgrader's timestamp.txt beside it says when it was handed in."""
    top, *below = file.path.parts
    time = _stamp(stamp) if stamp and names.assignment_of(below[0], releases) else None
    return Owned(file, names.person(top) if unpack.is_zip(top) else top.strip(), file.path.name, time, "timestamp.txt")


def _doubled(owned: list[Owned], releases: Iterable[str]) -> set[str]:
    """Return the names behind which there are several students.

    One student has another number in each assignment, so two numbers are one student where each belongs to
    assignments of its own; where that cannot be told, they are two.
    """
    numbers: dict[str, dict[str, set[str | None]]] = {}
    for item in owned:
        if item.twin and unpack.is_notebook(item.file.path.name):
            things = numbers.setdefault(item.student, {}).setdefault(item.twin, set())
            things.add(names.assignment_of(item.name, releases))
    return {student for student, things in numbers.items() if len(things) > 1 and _overlap(list(things.values()))}


def _overlap(things: list[set[str | None]]) -> bool:
    """Tell whether a thing is in several sets, or may be: None stands for one that is not known."""
    together = {thing for some in things for thing in some}
    return None in together or sum(map(len, things)) > len(together)


def _without_classes(files: list[File], collector: names.ExportCollector) -> list[File]:
    """Return the files, but for each zip beside others that looks like a whole class only that it does.

    It might as well be one student's who gave the files in it the names of others.
    """
    zips: dict[str, list[File]] = {}
    for file in files:
        if unpack.is_zip(file.path.parts[0]) and not collector.collect(file.path.parts[0]):
            zips.setdefault(file.path.parts[0], []).append(file)
    for name, inside in zips.items():
        inner = [PurePosixPath(*f.path.parts[1:]) for f in inside if len(f.path.parts) > 1 and not f.folder]
        matches = filter(None, (collector.collect(str(path)) for path in inner if unpack.is_notebook(path.name)))
        if len({match["student_id"] for match in matches}) > 1 or len(folders(inside, 1)) > 2:
            problem = "looks like the export of a whole class; grade it on its own, not in a folder with others"
            files = [file for file in files if file.path.parts[0] != name]
            files.append(File(PurePosixPath(name), inside[0].time, "", problem=problem))
    return files


def _gradescope(files: list[File]) -> dict[str, names.Gradescope]:
    """Return what the submission_metadata.yml at the top of the pile says, by submission."""
    for file in files:
        if file.path == PurePosixPath("submission_metadata.yml"):
            try:
                return names.gradescope(file.read())
            except (ValueError, unpack.Unreadable) as error:
                raise unpack.Unreadable(f"whose the submissions are cannot be told: {error}") from error
    return {}


def _stamp(file: File) -> datetime | None:
    """Return the time in a timestamp.txt of nbgrader, or None."""
    try:
        return names.utc(file.read().decode("utf-8").strip())
    except (UnicodeDecodeError, unpack.Unreadable):
        return None


def folders(files: list[File], level: int) -> set[str]:
    """Return the folders at a level that hold a notebook which others of them hold, too."""
    holders: dict[str, set[str]] = {}
    for file in files:
        if unpack.is_notebook(file.path.name) and len(file.path.parts) > level + 1:
            holders.setdefault(names.plain(file.path.name)[0].lower(), set()).add(file.path.parts[level])
    return max(holders.values(), key=len, default=set())
