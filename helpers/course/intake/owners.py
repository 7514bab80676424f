"""Whose each file of a pile is, and what else names tell of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from helpers.course.intake import kinds, names, platforms, times, unpack
from helpers.course.intake.spelling import possible, readable
from helpers.course.intake.unpack import File

NOBODY = "(unknown)"  # the student of what cannot be matched to one
METADATA = PurePosixPath("submission_metadata.yml")  # of Gradescope's


@dataclass(frozen=True)
class Owned:
    """A file of the pile with what is known of it from names: whose, its own name, when.

    source: where it lies, or the archive that it is in and its place there
    called: what the pile calls the student, where that is a name
    upload, counted: a number that grows from upload to upload, and what says so
    twin: tells students of the same name apart, where there are any
    notes: what is not certain about it, and what of its student's name was changed
    from_platform: whether the platform wrote it, not the student
    """

    file: File
    student: str
    name: str
    source: Path = Path()
    time: datetime | None = None
    dated: str = ""
    upload: int = 0
    counted: str = ""
    late: bool = False
    twin: str = ""
    called: str = ""
    notes: tuple[str, ...] = ()
    from_platform: bool = False

    @property
    def is_notebook(self) -> bool:
        """Whether it is a notebook, or was meant to be one, by its name or by how it begins."""
        if self.file.folder:
            return False
        return unpack.is_notebook(self.file.path.name) or kinds.begins_like_a_notebook(self.file.head())


def owners(files: list[File], pile: Path, releases: Iterable[str], collector: platforms.ExportCollector) -> list[Owned]:
    """Return the files of one export with their owners.

    Args:
        files: the pile's.
        pile: where it lies.
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
    files = _without_classes([file for file in files if file.path != METADATA or not metadata], collector)
    collector.learn(map(_place, files), releases, dict(filter(None, map(_told, files))))
    return [
        replace(_with_possible_name(item), source=pile / file.path)
        for file in files
        for item in _owned(file, stamps.get(file.path.parent), metadata, releases, collector)
    ]


def _place(file: File) -> str:
    """Return the place of a file as the names of exports are looked for in it: a folder ends with a slash."""
    return str(file.path) + "/" * (file.folder and not unpack.is_zip(str(file.path)))


def _told(file: File) -> tuple[str, str] | None:
    """Return which user Blackboard itself names for an <assignment>_<user>, where this file says it."""
    if len(file.path.parts) > 1 or not file.path.name.endswith(".txt") or "_attempt_" not in file.path.name:
        return None
    return platforms.blackboard_user(str(file.path), file.head().decode("utf-8-sig", "replace"))


def _owned(
    file: File,
    stamp: File | None,
    metadata: Mapping[str, platforms.Gradescope],
    releases: Iterable[str],
    collector: platforms.ExportCollector,
) -> list[Owned]:
    """Return a file once for each of its owners."""
    top = file.path.parts[0]
    if platforms.GRADESCOPE.fullmatch(top):
        # An export without names is graded under its numbers.
        entry = metadata.get(top, platforms.Gradescope((), None))
        said = "submission_metadata.yml"
        return [Owned(file, who, file.path.name, time=entry.time, dated=said) for who in entry.students or (top,)]
    match = collector.collect(_place(file))
    if match and match.get("student_id"):
        return [_exported(file, match)]
    if len(file.path.parts) > 1 or file.folder:
        return [_in_folder(file, stamp, releases)]
    if own := names.student_and_own_name(top, releases):
        return [Owned(file, *own, called=own[0])]
    if unpack.is_zip(top) and not names.assignment_of(top, releases):
        return [Owned(file, names.person(top), top, called=names.ENDING.sub("", top))]
    return [Owned(file, NOBODY, top, from_platform=collector.is_index(top))]


def _exported(file: File, match: dict[str, Any]) -> Owned:
    """Return a file that a learning platform named."""
    key, number = match.get("key"), match.get("number") or ""
    student = match["student_id"].strip()
    nameless = match.get("platform") == "Moodle" and student.casefold() in platforms.NAMELESS
    apart = key or (number if nameless else "")
    return Owned(
        file,
        f"{student}_{apart}" if apart else student,
        PurePosixPath(match.get("file_id") or file.path).name or file.path.name,
        time=times.in_words(match["words"]) if match.get("words") else times.utc(match.get("timestamp")),
        dated="the time in its name",
        upload=int(match.get("upload") or 0),
        counted="the platform's upload number",
        late=bool(match.get("late")),
        twin="" if nameless else number,
        called="" if key else student,
        notes=(match["doubt"],) if match.get("doubt") else (),
        from_platform=bool(match.get("part")) and match["part"] != "file",
    )


def _in_folder(file: File, stamp: File | None, releases: Iterable[str]) -> Owned:
    """Return a file in a student's folder or zip; nbgrader's timestamp.txt beside it says when it was handed in."""
    top, *below = file.path.parts
    own = names.student_and_own_name(top, releases)
    time = _stamp(stamp) if stamp and names.assignment_of(below[0], releases) else None
    version = platforms.TEAMS.fullmatch(below[1]) if len(below) > 2 else None
    return Owned(
        file,
        _student_of(top, releases),
        file.path.name,
        time=time,
        dated="timestamp.txt",
        upload=int(version[1]) if version else 0,
        counted="the number of its version",
        called=own[0] if own else names.ENDING.sub("", top),
        from_platform=file is stamp,
    )


def _student_of(folder: str, releases: Iterable[str]) -> str:
    """Return whose a folder or a zip is: of one named <assignment>-<student>, as GitHub Classroom does, the latter."""
    if own := names.student_and_own_name(folder, releases):
        return own[0]
    if names.assignment_of(folder, releases) and (unpack.is_zip(folder) or unpack.is_notebook(folder)):
        return NOBODY
    return names.person(folder) if unpack.is_zip(folder) or unpack.is_notebook(folder) else folder.strip()


def _with_possible_name(item: Owned) -> Owned:
    """Return a file whose student has a name that can be kept, with a line where that is another one."""
    student = item.student if item.student == NOBODY else possible(item.student)
    notes = item.notes
    if "~" in student and student != item.student:
        notes += (f"the name {ascii(item.student)[:200]} cannot be kept as it is; the student is called {student!r}",)
    return replace(item, student=student, name=readable(item.name), notes=notes)


def _without_classes(files: list[File], collector: platforms.ExportCollector) -> list[File]:
    """Return the files, but for each zip or folder beside others that looks like a whole class only that it does.

    It might as well be one student's who gave the files in it the names of others.
    """
    classes = {name: inside for name, inside in zips(files, collector).items() if is_class(inside, collector)}
    tops: dict[str, list[File]] = {}
    for file in files:
        tops.setdefault(file.path.parts[0], []).append(file)
    for name, inside in tops.items():
        wrapped = platforms.WRAPPERS.fullmatch(name) and len(folders(inside, 1)) > 1
        if not collector.collect(f"{name}/") and (wrapped or is_export(inside, collector)):
            classes[name] = inside
    for name, inside in classes.items():
        problem = "looks like the export of a whole class; grade it on its own, not in a folder with others"
        files = [file for file in files if file.path.parts[0] != name]
        files.append(File(PurePosixPath(name), inside[0].time, "", problem=problem, folder=not unpack.is_zip(name)))
    return files


def is_export(inside: list[File], collector: platforms.ExportCollector) -> bool:
    """Tell whether all notebooks in a folder have the names that a platform gives those of several students."""
    inner = [PurePosixPath(*file.path.parts[1:]) for file in inside if len(file.path.parts) > 1 and not file.folder]
    handed_in = [str(path) for path in inner if unpack.is_notebook(path.name)]
    matches = [collector.collect(place) or {} for place in handed_in]
    return len({match.get("student_id") for match in matches}) > 1 and all(match.get("student_id") for match in matches)


def zips(files: list[File], collector: platforms.ExportCollector) -> dict[str, list[File]]:
    """Return the zips at the top of a pile that no platform named, each with its files."""
    found: dict[str, list[File]] = {}
    for file in files:
        if unpack.is_zip(file.path.parts[0]) and not collector.collect(file.path.parts[0]):
            found.setdefault(file.path.parts[0], []).append(file)
    return found


def is_class(inside: list[File], collector: platforms.ExportCollector) -> bool:
    """Tell whether the files of a zip look like those of a class."""
    inner = [PurePosixPath(*f.path.parts[1:]) for f in inside if len(f.path.parts) > 1 and not f.folder]
    matches = filter(None, (collector.collect(str(path)) for path in inner if unpack.is_notebook(path.name)))
    return len({match["student_id"] for match in matches}) > 1 or len(folders(inside, 1)) > 2


def _gradescope(files: list[File]) -> dict[str, platforms.Gradescope]:
    """Return what the submission_metadata.yml at the top of the pile says, by submission."""
    for file in files:
        if file.path == METADATA:
            try:
                return platforms.gradescope(file.read())
            except (ValueError, unpack.Unreadable) as error:
                raise unpack.Unreadable(f"whose the submissions are cannot be told: {error}") from error
    return {}


def _stamp(file: File) -> datetime | None:
    """Return the time in a timestamp.txt of nbgrader, or None."""
    try:
        return times.utc(file.read().decode("utf-8").strip())
    except (UnicodeDecodeError, unpack.Unreadable):
        return None


def folders(files: list[File], level: int) -> set[str]:
    """Return the folders at a level that hold a notebook which others of them hold, too."""
    holders: dict[str, set[str]] = {}
    for file in files:
        if unpack.is_notebook(file.path.name) and len(file.path.parts) > level + 1:
            holders.setdefault(names.plain(file.path.name)[0].lower(), set()).add(file.path.parts[level])
    return max(holders.values(), key=len, default=set())
