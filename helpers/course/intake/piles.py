"""Where the students' files begin: the folders and zips that a download wraps around them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from helpers.course.intake import names, unpack
from helpers.course.intake.owners import folders, is_class, is_export, zips
from helpers.course.intake.platforms import WORKING, WRAPPERS, ExportCollector
from helpers.course.intake.spelling import readable
from helpers.course.intake.unpack import File

# Drive cuts a large folder into several zips, each of which has some of the files: <folder>-20250301T101112Z-001.zip.
DRIVE = re.compile(r"(.+?)-\d{8}T\d{6}Z?(-\d+)?-\d{3}", re.IGNORECASE)


class IntakeError(Exception):
    """Why nothing of the pile can be graded, and what to do."""


def exports(handed_in: Path, releases: Iterable[str], collector: ExportCollector) -> Iterator[tuple[Path, list[File]]]:
    """Yield where the files of an export lie, and the files: one export, or the zips of several in a folder.

    Raises:
        FileNotFoundError: there is nothing at this place.
        IntakeError: what is there cannot be read, or whose it is cannot be told.
    """
    pile = _pile(handed_in, collector)
    try:
        files = [file for file in unpack.files(pile) if file.path.parts]
        if pile.parent == handed_in and any(_is_bare(file, releases) for file in files):
            # The zip that is alone in its folder is a student's.
            pile, files = handed_in, [file for file in unpack.files(handed_in) if file.path.parts]
    except unpack.Unreadable as error:
        raise IntakeError(str(error)) from error
    if (inside := zips(files, collector)) and _are_exports(files, inside, collector):
        for name, each in inside.items():
            own = [replace(file, path=PurePosixPath(*file.path.parts[1:])) for file in each if file.path.parts[1:]]
            yield pile / name, _unwrapped(own, pile / name, releases, collector)
    else:
        yield pile, _unwrapped(files, pile, releases, collector)


def _pile(path: Path, collector: ExportCollector) -> Path:
    """Return the folder or zip that holds the students' files: a zip that is alone in its folder, too."""
    if not path.exists():
        raise FileNotFoundError(f"found no folder {path}; wanted a folder or a zip with <student>/<notebook>.ipynb")
    if (path / "submitted").is_dir() and _is_course_folder(path):
        return path / "submitted"
    if path.is_dir():
        return _zip_alone_in(path, collector) or path
    if not (unpack.is_zip(path.name) or unpack.is_notebook(path.name)):
        raise IntakeError(f"{path} is neither a folder nor a zip")
    return path


def _is_course_folder(path: Path) -> bool:
    """Tell whether a folder is one of nbgrader's, and not one of students of which one is called "submitted"."""
    beside = {entry.name for entry in path.iterdir()} - {"submitted", "repairs"}
    return not beside or "gradebook.db" in beside


def _zip_alone_in(folder: Path, collector: ExportCollector) -> Path | None:
    """Return the only file in a folder where it is a zip, and no student's."""
    inside = [entry for entry in folder.iterdir() if not unpack.DEBRIS.fullmatch(entry.name)]
    archives = [entry for entry in inside if unpack.is_zip(entry.name) and entry.is_file() and not entry.is_symlink()]
    return archives[0] if len(inside) == 1 and archives and not collector.collect(archives[0].name) else None


def _is_bare(file: File, releases: Iterable[str]) -> bool:
    """Tell whether a file lies in no folder and has an assignment's name, without a student's."""
    named = names.assignment_of(file.path.name, releases)
    return len(file.path.parts) == 1 and unpack.is_notebook(file.path.name) and named is not None


def _are_exports(files: list[File], inside: dict[str, list[File]], collector: ExportCollector) -> bool:
    """Tell whether all that is in a folder are zips of classes, or the parts that Drive cut one folder into."""
    if len(inside) < 2 or {file.path.parts[0] for file in files} != set(inside):
        return False
    parts = [DRIVE.fullmatch(name[: -len(".zip")]) for name in inside]
    return all(parts) or all(is_class(each, collector) for each in inside.values())


def _unwrapped(files: list[File], pile: Path, releases: Iterable[str], collector: ExportCollector) -> list[File]:
    """Return the files without the folders that an export wraps around them.

    Only a folder of a known name is taken for a wrapper: a student's own folder may hold anything.

    Raises:
        IntakeError: there is one folder of another name, and it looks like a class.
    """
    title = pile.name.removesuffix("-submissions") if pile.name.endswith("-submissions") else ""
    while (top := _only_folder(files, releases)) and _wraps(top, pile, files):
        title = top.removesuffix("-submissions")
        files = [file for each in files for file in _below(each)]
    tops = {file.path.parts[0] for file in files if not _is_stray(file)}
    if title and tops and all(top.startswith(f"{title}-") for top in tops):
        # GitHub Classroom: <assignment>-submissions/<assignment>-<user>/.
        cut = len(title) + 1
        return [
            f if _is_stray(f) else replace(f, path=PurePosixPath(f.path.parts[0][cut:], *f.path.parts[1:]))
            for f in files
        ]
    if top and (len(folders(files, 1)) > 1 or is_export(files, collector)):
        where = f"{pile}/{top}" if pile.is_dir() else f"what {pile} unpacks to, {top}"
        raise IntakeError(
            f"{pile} holds one folder, {readable(top)}, with the notebooks of several students or several attempts of "
            f"one in it. If these are the students, grade {readable(where)}"
        )
    return files


def _is_stray(file: File) -> bool:
    """Tell whether a file lies in no folder and is nothing that a student hands in: a list, a log."""
    name = file.path.name
    return len(file.path.parts) == 1 and not (file.folder or unpack.is_notebook(name) or unpack.is_zip(name))


def _below(file: File) -> Iterator[File]:
    """Yield a file without the folder around it, one that is in none as it is; nothing for that folder itself."""
    top, *rest = file.path.parts
    if _is_stray(file):
        yield file
    elif rest:
        problem = "lies among the working files, which are not handed in" if WORKING.fullmatch(top) else file.problem
        yield replace(file, path=PurePosixPath(*rest), problem=problem)


def _only_folder(files: list[File], releases: Iterable[str]) -> str:
    """Return the folder that everything but strays is in; "" where there is none, or one that is like a student's."""
    files = [file for file in files if not _is_stray(file)]
    tops = {file.path.parts[0] for file in files}
    if len(tops) > 1 and all(WRAPPERS.fullmatch(top) or WORKING.fullmatch(top) for top in tops):
        return max(tops, key=lambda top: WRAPPERS.fullmatch(top) is not None)
    inside = {file.path.parts[1] for file in files if len(file.path.parts) > 1}
    alone = len(tops) == 1 and inside and not any(names.assignment_of(name, releases) for name in inside)
    return tops.pop() if alone else ""


def _wraps(folder: str, pile: Path, files: list[File]) -> bool:
    """Tell whether an export has a folder around its files: by its name, or as it is named like its zip."""
    stem = "" if pile.is_dir() else pile.stem
    parts = DRIVE.fullmatch(stem)
    if folder in (stem, names.plain(pile.name)[0] if stem else "", parts[1] if parts else ""):
        return True
    if WRAPPERS.fullmatch(folder) or folder.endswith("-submissions"):
        return True
    # ILIAS puts a folder of a known name into one that has the name of the exercise.
    inside = {file.path.parts[1] for file in files if len(file.path.parts) > 1}
    return len(inside) == 1 and WRAPPERS.fullmatch(inside.pop()) is not None
