"""The files of a pile: a folder, a zip, zips in a folder, zips in a zip.

Everything is read where it lies; nothing is unpacked to disk, no link is followed, and no more is read than the
limits below say, whatever an archive claims of itself.
"""

import io
import os
import re
import stat
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import IO

LARGEST = 20_000_000  # bytes of one file
LARGEST_ZIP = 200_000_000  # bytes of a zip in a zip
MOST_BYTES = 4_000_000_000  # of all files of a zip together, unpacked
MOST_FILES = 50_000  # in one zip
LARGEST_RATIO = 200  # of unpacked to packed; notebooks reach 20
DEEPEST = 20  # folders in folders

NO_DATE = datetime(1980, 1, 1)  # where zips begin to count
SKIPPED = ("__MACOSX",)  # besides hidden files: the double that a Mac adds to every zip
IMPOSSIBLE = "has a name with impossible characters"

# Opens a zip: called for each of its files anew, so that a class of zips is not held in memory.
Opener = Callable[[], zipfile.ZipFile]


class Unreadable(Exception):
    """Why a file cannot be read, in words for the instructor."""


@dataclass(frozen=True)
class File:
    """One file or folder of a pile.

    path: its place in the pile; an archive counts as a folder
    time: when it was last changed, in UTC: an archive's date for it, else the file's own
    dated: which of the two, in words
    read: returns its bytes, at most LARGEST; raises Unreadable
    problem: why it will not be read, or ""
    folder: whether it is one
    """

    path: PurePosixPath
    time: datetime
    dated: str
    read: Callable[[], bytes] = bytes
    problem: str = ""
    folder: bool = False


def is_notebook(name: str) -> bool:
    """Tell whether a file's name is a notebook's; some browsers and mail programs add .txt or .json."""
    return re.search(r"\.ipynb(\.txt|\.json)?$", name, re.IGNORECASE) is not None


def is_zip(name: str) -> bool:
    """Tell whether a file's name is a zip's."""
    return name.lower().endswith(".zip")


def is_wanted(name: str) -> bool:
    """Tell whether the content of a file of this name is ever read."""
    return is_notebook(name) or is_zip(name) or name in ("submission_metadata.yml", "timestamp.txt")


def files(pile: Path) -> Iterator[File]:
    """Yield every File of a pile, in the order of their names.

    Raises:
        Unreadable: the pile is a zip that cannot be opened.
    """
    if pile.is_dir():
        yield from _in_folder(pile, PurePosixPath())
    elif is_zip(pile.name):
        found = list(_in_zip(partial(_opened, pile), PurePosixPath(), _changed(pile), 1))
        if found[0].problem and found[0].path == PurePosixPath():
            raise Unreadable(f"{pile.name} {found[0].problem}")
        yield from found
    else:
        yield _on_disk(pile, PurePosixPath(pile.name))


def readable(name: str) -> str:
    """Return a file's name in composed Unicode, with a question mark for each character that no name should have."""
    return unicodedata.normalize("NFC", "".join("?" if _odd(character) else character for character in name))


def _odd(character: str) -> bool:
    # Control characters, line ends, halves of characters (a name that is no UTF-8), and what turns text around.
    if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
        return True
    return "\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069"


def _is_impossible(name: str) -> bool:
    return readable(name) != unicodedata.normalize("NFC", name)


def _changed(path: Path) -> datetime:
    try:
        return datetime.fromtimestamp(int(path.lstat().st_mtime), timezone.utc).replace(tzinfo=None)
    except (OverflowError, ValueError, OSError):
        return NO_DATE


# ---------------------------------------------------------------------------------------------- folders


def _in_folder(folder: Path, prefix: PurePosixPath) -> Iterator[File]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield File(prefix, _changed(folder), "", problem=f"cannot be read: {error.strerror}")
        return
    for entry in entries:
        path, place = Path(entry.path), prefix / readable(entry.name)
        if entry.name.startswith(".") or entry.name in SKIPPED:
            continue
        if _is_impossible(entry.name):
            yield File(place, _changed(path), "", problem=IMPOSSIBLE)
        elif entry.is_dir(follow_symlinks=False) and not is_notebook(entry.name):
            yield File(place, _changed(path), "", folder=True)
            if len(place.parts) < DEEPEST:
                yield from _in_folder(path, place)
        elif entry.is_file(follow_symlinks=False) and is_zip(entry.name):
            yield from _in_zip(partial(_opened, path), place, _changed(path), 1)
        else:
            yield _on_disk(path, place)


def _on_disk(path: Path, place: PurePosixPath) -> File:
    time, mode, problem = _changed(path), path.lstat().st_mode, ""
    if stat.S_ISLNK(mode):
        problem = "is a link, not a plain file"
    elif not stat.S_ISREG(mode):
        problem = "is not a plain file"
    elif path.lstat().st_size > LARGEST:
        problem = _too_large()
    return File(place, time, "the file's date", lambda: _bounded(path.open("rb"), LARGEST), problem)


def _too_large() -> str:
    return f"is larger than {LARGEST // 1_000_000} MB; clear its outputs"


def _bounded(file: IO[bytes], most: int) -> bytes:
    with file:
        data = file.read(most + 1)
    if len(data) > most:
        raise Unreadable(f"is larger than {most // 1_000_000} MB")
    return data


# ---------------------------------------------------------------------------------------------- zips


def _opened(path: Path) -> zipfile.ZipFile:
    status = path.stat()
    return _open_zip(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)
def _open_zip(path: Path, _changed: int, _size: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def _in_zip(opener: Opener, place: PurePosixPath, time: datetime, level: int) -> Iterator[File]:
    """Yield the files of a zip.

    Args:
        opener: opens it.
        place: the zip's place in the pile.
        time: the zip's own.
        level: 1 for a zip in a folder or the pile itself, 2 for a zip in a zip.
    """
    try:
        entries = opener().infolist()
    except Exception as error:
        # BadZipFile, NotImplementedError, UnicodeDecodeError, struct.error, OSError and more: all the same to us.
        yield File(place, time, "", problem=f"cannot be opened as a zip file: {_reason(error)}")
        return
    total = sum(entry.file_size for entry in entries)
    if len(entries) > MOST_FILES or total > MOST_BYTES:
        size = f"{len(entries)} files of {total / 1e9:.1f} GB together"
        yield File(place, time, "", problem=f"unpacks to {size}; the most is {MOST_FILES} of {MOST_BYTES / 1e9:.0f} GB")
        return
    yield File(place, time, "", folder=True)
    for entry in sorted(entries, key=lambda entry: entry.filename):
        yield from _entry(opener, entry, place, level)


def _entry(opener: Opener, entry: zipfile.ZipInfo, place: PurePosixPath, level: int) -> Iterator[File]:
    """Yield a file or a folder in a zip, and what is in it where it is a zip itself; nothing for what is hidden."""
    name, time, dated = entry.filename, _date(entry.date_time), "the date in the zip"
    if _is_hidden(name):
        return
    if _leads_out(name):
        shown = readable(name)[:200]
        yield File(place / "unsafe name", time, "", problem=f"holds {shown!r}, a name that leads out of the archive")
        return
    path, problem = place / readable(name), IMPOSSIBLE if _is_impossible(name) else ""
    if entry.is_dir():
        yield File(path, time, dated, folder=True, problem=problem)
        return
    read, problem = partial(_unpacked, opener, entry), _refusal(entry, level) or problem
    if is_zip(name) and not problem:
        yield from _in_zip(lambda: zipfile.ZipFile(io.BytesIO(read())), path, time, level + 1)
    else:
        yield File(path, time, dated, read, problem)


def _is_hidden(name: str) -> bool:
    parts = _parts(name)
    return parts[0] in SKIPPED or any(part.startswith(".") and part not in (".", "..") for part in parts)


def _leads_out(name: str) -> bool:
    """Tell whether a name in a zip is a place outside of it, on one system or another."""
    absolute = name.startswith("/") or re.match(r"[A-Za-z]:", name) is not None
    return absolute or "\\" in name or ".." in _parts(name)


def _parts(name: str) -> list[str]:
    # zipfile itself ends a name at a zero byte.
    return name.replace("\\", "/").split("/")


def _refusal(entry: zipfile.ZipInfo, level: int) -> str:
    """Return why a file in a zip will not be read, or ""; of a file that nobody reads, size does not matter."""
    name, largest = PurePosixPath(readable(entry.filename)).name, _largest(entry)
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "is a link, not a plain file"
    if entry.flag_bits & 0x1:
        return "is encrypted"
    if not is_wanted(name):
        return ""
    if entry.file_size > largest:
        return _too_large() if largest == LARGEST else f"is larger than {largest // 1_000_000} MB"
    if entry.file_size > 1_000_000 and entry.file_size > LARGEST_RATIO * entry.compress_size:
        return f"unpacks to {entry.file_size // max(entry.compress_size, 1)} times its size, as a zip bomb does"
    return "is a zip in a zip in a zip, which is not opened" if is_zip(name) and level > 1 else ""


def _largest(entry: zipfile.ZipInfo) -> int:
    return LARGEST_ZIP if is_zip(entry.filename) else LARGEST


def _unpacked(opener: Opener, entry: zipfile.ZipInfo) -> bytes:
    try:
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
