"""The files of a pile: a folder, a zip, zips in a folder, zips in a zip.

Everything is read where it lies; nothing is unpacked to disk, no link is followed, and no more is read than the
limits below say, whatever an archive claims of itself.
"""

import contextlib
import io
import re
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import IO

from helpers.course.intake import kinds
from helpers.course.intake.reading import LARGEST
from helpers.course.intake.spelling import readable

LARGEST_ZIP = 200_000_000  # bytes of a zip in a zip
MOST_BYTES = 4_000_000_000  # of all files of a student's zip together, unpacked
MOST_FILES = 50_000  # in one student's zip; in that of a class so many times more
CLASS = 100
LARGEST_RATIO = 200  # of unpacked to packed; notebooks reach 20
DEEPEST_ZIP = 2  # zips in zips, a whole class's not counted

UTF_8 = 0x800  # flag of an entry: its name is UTF-8
ENTRY, END = b"PK\x01\x02", b"PK\x05\x06"  # where the list of a zip's files has an entry, and where it ends

NO_DATE = datetime(1980, 1, 1)  # where zips begin to count
# What programs leave behind: the double that a Mac adds to every zip, settings of folders and editors, old copies.
DEBRIS = re.compile(
    r"__MACOSX|\._.*|\.DS_Store|Thumbs\.db|desktop\.ini|\.ipynb_checkpoints|__pycache__|\.git|\.venv|\.idea|\.vscode"
    r"|\.Trash.*|\.cache|\.pytest_cache|\.ruff_cache|\.mypy_cache|\.gitignore|\.gitattributes|\.gitkeep|\.github"
    r"|~\$.*|\.~lock\..*|lost\+found"
)

# Opens a zip: called for each of its files anew, so that a class of zips is not held in memory.
Opener = Callable[[], zipfile.ZipFile]


class Unreadable(Exception):
    """Why a file cannot be read, in words for the instructor."""


@dataclass(frozen=True)
class File:
    """One file or folder of a pile.

    path: its place in the pile, with the names that it has, which may hold any character; an archive counts as a folder
    time: when it was last changed, in UTC: an archive's date for it, else the file's own
    dated: which of the two, in words
    read: returns its bytes, at most LARGEST; raises Unreadable
    head: returns its first bytes, at most kinds.HEAD; none where it cannot be read
    problem: why it will not be read, or ""
    folder: whether it is one
    """

    path: PurePosixPath
    time: datetime
    dated: str
    read: Callable[[], bytes] = bytes
    head: Callable[[], bytes] = bytes
    problem: str = ""
    folder: bool = False

    @property
    def name(self) -> str:
        """Its own name, as it can be shown."""
        return readable(self.path.name)

    @property
    def shown(self) -> str:
        """Its place, as it can be shown."""
        return readable(str(self.path))


def is_notebook(name: str) -> bool:
    """Tell whether a file's name is a notebook's; some browsers and mail programs add an ending."""
    return re.search(r"\.ipynb(\.\w{1,12})*$", name, re.IGNORECASE) is not None


def is_zip(name: str) -> bool:
    """Tell whether a file's name is a zip's."""
    return name.lower().endswith(".zip")


def may_be_zip(name: str) -> bool:
    """Tell whether a file of this name is opened where it begins like a zip: an Office document is not."""
    return is_zip(name) or is_notebook(name) or re.search(r"\.(\w{1,5})$", name) is None


def files(pile: Path) -> Iterator[File]:
    """Yield every File of a pile, in the order of their names.

    Raises:
        Unreadable: the pile is a zip that cannot be opened.
    """
    if pile.is_dir():
        yield from _in_folder(pile)
    elif is_zip(pile.name):
        found = list(_in_zip(partial(_opened, pile), PurePosixPath(), _changed(pile), 0))
        if found[0].problem and found[0].path == PurePosixPath():
            raise Unreadable(f"{readable(pile.name)} {found[0].problem}")
        yield from found
    else:
        yield from _no_folder(pile, PurePosixPath(pile.name))


def _changed(path: Path) -> datetime:
    try:
        return datetime.fromtimestamp(int(path.lstat().st_mtime), timezone.utc).replace(tzinfo=None)
    except (OverflowError, ValueError, OSError):
        return NO_DATE


# ---------------------------------------------------------------------------------------------- folders


def _in_folder(pile: Path) -> Iterator[File]:
    """Yield what is in a folder and in all below it; a stack of its own, as folders may be deeper than Python's."""
    todo = [(pile, PurePosixPath())]
    while todo:
        path, place = todo.pop()
        if path != pile and (is_notebook(path.name) or not _is_plain_folder(path)):
            yield from _no_folder(path, place)
            continue
        if path != pile:
            yield File(place, _changed(path), "", folder=True)
        try:
            entries = sorted(path.iterdir(), key=lambda entry: entry.name)
        except OSError as error:
            yield File(place, _changed(path), "", problem=f"cannot be read: {error.strerror}")
            continue
        todo += [(entry, place / entry.name) for entry in reversed(entries) if not DEBRIS.fullmatch(entry.name)]


def _is_plain_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _no_folder(path: Path, place: PurePosixPath) -> Iterator[File]:
    """Yield a file, or what is in it where it is a zip, whatever its name says."""
    file = _on_disk(path, place)
    plain = not file.problem or file.problem == _too_large()
    if plain and may_be_zip(path.name) and (is_zip(path.name) or _is_archive(file.head())):
        yield from _in_zip(partial(_opened, path), place, file.time, 1)
    else:
        yield file


def _is_archive(head: bytes) -> bool:
    return kinds.is_zip(head) and kinds.kind(head) == "a zip archive"


def _on_disk(path: Path, place: PurePosixPath) -> File:
    try:
        status = path.lstat()
    except OSError as error:
        return File(place, NO_DATE, "", problem=f"cannot be read: {error.strerror}")
    problem = ""
    if stat.S_ISLNK(status.st_mode):
        problem = "is a link, not a plain file"
    elif not stat.S_ISREG(status.st_mode):
        problem = "is not a plain file"
    elif status.st_size > LARGEST:
        problem = _too_large()
    if problem and problem != _too_large():
        return File(place, _changed(path), "the file's date", problem=problem)

    def read() -> bytes:
        try:
            return _bounded(path.open("rb"), LARGEST)
        except OSError as error:
            raise Unreadable(f"cannot be read: {error.strerror}") from error

    return File(place, _changed(path), "the file's date", read, partial(_head, lambda: path.open("rb")), problem)


def _too_large() -> str:
    return f"is larger than {LARGEST // 1_000_000} MB; clear its outputs"


def _bounded(file: IO[bytes], most: int) -> bytes:
    with file:
        data = file.read(most + 1)
    if len(data) > most:
        raise Unreadable(f"is larger than {most // 1_000_000} MB")
    return data


def _head(open_file: Callable[[], IO[bytes]]) -> bytes:
    try:
        with open_file() as file:
            return file.read(kinds.HEAD)
    except Exception:
        # What cannot be read says so when it is read as a whole; here it is only not known what it is.
        return b""


# ---------------------------------------------------------------------------------------------- zips


def _opened(path: Path) -> zipfile.ZipFile:
    status = path.stat()
    return _open_zip(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)
def _open_zip(path: Path, _changed: int, _size: int) -> zipfile.ZipFile:
    return _opened_zip(path)


@lru_cache(maxsize=2)
def _open_inner_zip(read: Callable[[], bytes]) -> zipfile.ZipFile:
    return _opened_zip(io.BytesIO(read()))


def _opened_zip(file: Path | io.BytesIO) -> zipfile.ZipFile:
    """Open a zip, also one that calls names UTF-8 which are none: these are read as if it had not said so."""
    try:
        return zipfile.ZipFile(file)
    except UnicodeDecodeError:
        data = bytearray(file.getvalue() if isinstance(file, io.BytesIO) else _bounded(file.open("rb"), LARGEST_ZIP))
        at = data.find(ENTRY, int.from_bytes(data[data.rfind(END) + 16 :][:4], "little"))
        while data[at : at + 4] == ENTRY:
            data[at + 9] &= ~(UTF_8 >> 8)
            data[int.from_bytes(data[at + 42 : at + 46], "little") + 7] &= ~(UTF_8 >> 8)  # and where the file itself is
            at += 46 + sum(int.from_bytes(data[at + n : at + n + 2], "little") for n in (28, 30, 32))
        return zipfile.ZipFile(io.BytesIO(data))


def _in_zip(opener: Opener, place: PurePosixPath, time: datetime, level: int) -> Iterator[File]:
    """Yield the files of a zip.

    Args:
        opener: opens it.
        place: the zip's place in the pile.
        time: the zip's own.
        level: 0 for the pile itself, 1 for a zip in it or in a folder, 2 for a zip in such a zip.
    """
    try:
        entries = opener().infolist()
    except Exception as error:
        # BadZipFile, NotImplementedError, UnicodeDecodeError, struct.error, OSError and more: all the same to us.
        yield File(place, time, "", problem=f"cannot be opened as a zip file: {_reason(error)}")
        return
    total, times = sum(entry.file_size for entry in entries), 1 if level else CLASS
    if len(entries) > MOST_FILES * times or total > MOST_BYTES * times:
        size = f"{len(entries)} files of {total / 1e9:.1f} GB together"
        most = f"{MOST_FILES * times} of {MOST_BYTES * times / 1e9:.0f} GB"
        yield File(place, time, "", problem=f"unpacks to {size}; the most is {most}")
        return
    yield File(place, time, "", folder=True)
    for entry in sorted(entries, key=lambda entry: entry.filename):
        yield from _entry(opener, entry, place, level)


def _entry(opener: Opener, entry: zipfile.ZipInfo, place: PurePosixPath, level: int) -> Iterator[File]:
    """Yield a file or a folder in a zip, and what is in it where it is a zip itself.

    Of debris only the folder that it is in: it may be all that is there.
    """
    name, time, dated = _name(entry), _date(entry.date_time), "the date in the zip"
    parts = PurePosixPath(name).parts
    debris = next((n for n, part in enumerate(parts) if DEBRIS.fullmatch(part)), None)
    if debris is not None:
        if debris:
            yield File(place.joinpath(*parts[:debris]), time, dated, folder=True)
        return
    if _leads_out(name):
        shown = readable(name)[:200]
        yield File(place / "unsafe name", time, "", problem=f"holds {shown!r}, a name that leads out of the archive")
        return
    path = place / name
    if entry.is_dir():
        yield File(path, time, dated, folder=True)
        return
    read, problem = partial(_unpacked, opener, entry), _refusal(entry)
    head = partial(_head, lambda: opener().open(entry)) if not problem else bytes
    if may_be_zip(name) and (is_zip(name) or _is_archive(head())) and not problem:
        if level >= DEEPEST_ZIP:
            yield File(path, time, dated, problem="is a zip in a zip in a zip, which is not opened")
        else:
            yield from _in_zip(partial(_open_inner_zip, read), path, time, level + 1)
    else:
        yield File(path, time, dated, read, head, problem)


def _name(entry: zipfile.ZipInfo) -> str:
    """Return the name of a file in a zip: some programs write UTF-8 and do not say so, some write Windows's slashes."""
    name = entry.filename
    if not entry.flag_bits & UTF_8 and not name.isascii():
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name if _leads_out(name) else name.replace("\\", "/")


def _leads_out(name: str) -> bool:
    """Tell whether a name in a zip is a place outside of it, on one system or another."""
    absolute = name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name) is not None
    return absolute or ".." in name.replace("\\", "/").split("/") or not PurePosixPath(name).parts


def _refusal(entry: zipfile.ZipInfo) -> str:
    """Return why a file in a zip will not be read, or ""."""
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "is a link, not a plain file"
    if entry.flag_bits & 0x1:
        return "is encrypted"
    if entry.file_size > _largest(entry):
        return _too_large() if not is_zip(entry.filename) else f"is larger than {LARGEST_ZIP // 1_000_000} MB"
    return _swollen(entry) if is_zip(entry.filename) and _swells(entry) else ""


def _swells(entry: zipfile.ZipInfo) -> bool:
    return entry.file_size > 1_000_000 and entry.file_size > LARGEST_RATIO * entry.compress_size


def _swollen(entry: zipfile.ZipInfo) -> str:
    return f"unpacks to {entry.file_size // max(entry.compress_size, 1)} times its size, as a zip bomb does"


def _largest(entry: zipfile.ZipInfo) -> int:
    return LARGEST_ZIP if is_zip(entry.filename) else LARGEST


def _unpacked(opener: Opener, entry: zipfile.ZipInfo) -> bytes:
    """Return the bytes of a file in a zip. One that swells like a bomb is read where it begins like a notebook."""
    try:
        if _swells(entry) and not kinds.begins_like_a_notebook(_head(lambda: opener().open(entry))):
            raise Unreadable(_swollen(entry))
        return _bounded(opener().open(entry), _largest(entry))
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable(f"cannot be unpacked: {_reason(error)}") from error


def _date(parts: tuple[int, int, int, int, int, int]) -> datetime:
    try:
        return datetime(*parts)
    except ValueError:
        return NO_DATE


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {readable(str(error))[:200]}".rstrip(": ")
