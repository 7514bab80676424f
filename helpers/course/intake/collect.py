"""From a pile of files to submissions that can be run: which student, which assignment, which attempt, which repairs.

Nothing in here runs code of a student, and nothing is unpacked to disk.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

from nbformat import NotebookNode

from helpers.course.intake import names, unpack
from helpers.course.intake.attempts import Submission, submissions
from helpers.course.intake.owners import folders, owners
from helpers.course.intake.unpack import File

WRAPPERS = re.compile(r"(submitted|submissions|assignment_\d+_export)$", re.IGNORECASE)


class IntakeError(Exception):
    """Why nothing of the pile can be graded, and what to do."""


def collect(handed_in: str | Path, releases: Mapping[str, NotebookNode], config: Any = None) -> list[Submission]:
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
        files = _unwrapped(list(unpack.files(pile)), pile, releases)
        owned = owners(files, releases, collector)
    except unpack.Unreadable as error:
        raise IntakeError(str(error)) from error
    found = []
    for student, group in groupby(sorted(owned, key=lambda item: item.student), lambda item: item.student):
        found += submissions(student, list(group), pile, releases)
    if not found:
        raise FileNotFoundError(f"{pile} holds no submissions; wanted one folder per student with the notebook in it")
    return found


def _pile(path: Path, collector: names.ExportCollector) -> Path:
    """Return the folder or zip that holds the students' files: a zip that is alone in its folder, too."""
    if not path.exists():
        raise FileNotFoundError(f"found no folder {path}; wanted a folder or a zip with <student>/<notebook>.ipynb")
    if (path / "submitted").is_dir():
        return path / "submitted"
    if path.is_dir():
        return _zip_alone_in(path, collector) or path
    if not (unpack.is_zip(path.name) or unpack.is_notebook(path.name)):
        raise IntakeError(f"{path} is neither a folder nor a zip")
    return path


def _zip_alone_in(folder: Path, collector: names.ExportCollector) -> Path | None:
    """Return the only file in a folder where it is a zip, and no student's."""
    inside = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    zips = [entry for entry in inside if unpack.is_zip(entry.name) and entry.is_file() and not entry.is_symlink()]
    return zips[0] if len(inside) == 1 and zips and not collector.collect(zips[0].name) else None


def _unwrapped(files: list[File], pile: Path, releases: Iterable[str]) -> list[File]:
    """Return the files without the one folder that an export wraps around them.

    Only a folder of a known name is taken for a wrapper: a student's own folder may hold anything.

    Raises:
        IntakeError: there is one folder of another name, and it looks like a class.
    """
    files = [file for file in files if file.path.parts]
    while (top := _only_folder(files, releases)) and _wraps(top, pile):
        files = [replace(file, path=PurePosixPath(*file.path.parts[1:])) for file in files if file.path.parts[1:]]
    if top and len(folders(files, 1)) > 1:
        where = f"{pile}/{top}" if pile.is_dir() else f"what {pile} unpacks to, {top}"
        raise IntakeError(
            f"{pile} holds one folder, {top}, with several folders of notebooks in it. If these are the students, "
            f"grade {where}"
        )
    return files


def _only_folder(files: list[File], releases: Iterable[str]) -> str:
    """Return the folder that everything is in; "" where there is none, or one that is like a student's."""
    tops = {file.path.parts[0] for file in files}
    inside = {file.path.parts[1] for file in files if len(file.path.parts) > 1}
    alone = len(tops) == 1 and inside and not any(names.assignment_of(name, releases) for name in inside)
    return tops.pop() if alone else ""


def _wraps(folder: str, pile: Path) -> bool:
    """Tell whether an export has a folder around its files: by its name, or as it is named like its zip."""
    stems = () if pile.is_dir() else (pile.stem, names.plain(pile.name)[0])
    return folder in stems or WRAPPERS.fullmatch(folder) is not None
