"""What keeps a course folder whole: one grader at a time, a gradebook that can be read, and dated copies of it."""

import contextlib
import errno
import os
import socket
import sqlite3
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy.exc import DBAPIError

# The errors of a disk that is full or cannot be written to, as the system and as SQLite say them.
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
SQLITE = {
    "disk is full": errno.ENOSPC,
    "readonly database": errno.EROFS,
    "disk I/O error": errno.EIO,
    "unable to open database file": errno.EACCES,
    "database is locked": errno.EBUSY,
}
BACKUPS = 7  # days on which it was graded


class CannotGrade(RuntimeError):
    """The course folder cannot be graded in as it is; the text says why and what to do."""


@contextlib.contextmanager
def one_grader(folder: Path) -> Iterator[None]:
    """Keep other graders out of a course folder; CannotGrade where one is at work in it."""
    lock, holder = FileLock(folder / "grading.lock"), folder / "grading.pid"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        who = holder.read_text("utf-8") if holder.exists() else "unknown"
        raise CannotGrade(
            f"{folder} is being graded by process {who}; wait for it, or grade into another folder"
        ) from None
    try:
        holder.write_text(f"{os.getpid()} on {socket.gethostname()}", "utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def back_up(gradebook: Path) -> None:
    """Copy a gradebook to one beside it with the day's date, as gradebook.2026-03-02.db; CannotGrade if it is damaged.

    The copies of the last days are kept.
    """
    if not gradebook.exists():
        return
    copies = sorted(gradebook.parent.glob(f"{gradebook.stem}.????-??-??.db"))
    target = gradebook.with_suffix(f".{date.today().isoformat()}.db")
    partial = target.with_suffix(".part")
    with contextlib.closing(sqlite3.connect(gradebook)) as source:
        try:
            found = source.execute("PRAGMA integrity_check").fetchone()[0]
        except sqlite3.DatabaseError as error:
            if disk_failure(error):
                raise
            found = str(error)
        if not gradebook.stat().st_size:  # which is sound, to SQLite
            found = "it is empty"
        if found != "ok":
            kept = f"the last copy of it is {copies[-1].name}" if copies else "there is no copy of it"
            raise CannotGrade(
                f"{gradebook} is damaged ({' '.join(found.split())[:100]}); {kept}. Nothing was changed: move the "
                "damaged file away, put a copy in its place if there is one, and grade again. Marks by hand that are "
                "in no copy have to be given again."
            )
        try:
            with contextlib.closing(sqlite3.connect(partial)) as copy:
                source.backup(copy)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    for old in sorted({*copies, target})[:-BACKUPS]:
        old.unlink()


def disk_failure(error: BaseException | None) -> OSError | None:
    """Return the failure of the disk that an error came of, which is no notebook's; None where it came of none."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in DISK:
            return error
        if isinstance(error, (DBAPIError, sqlite3.Error)):
            for words, number in SQLITE.items():
                if words in str(error):
                    return OSError(number, os.strerror(number), "gradebook.db")
        error = error.__cause__ or error.__context__
    return None


def require_writable(folder: Path, after: BaseException) -> None:
    """Raise the OSError that keeps a course folder from being written to, if one does: a full disk, for instance.

    `after` is the error that asks for it, and may be that one, or have come of it.
    """
    if failure := disk_failure(after):
        raise failure
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(1 << 18))
        file.flush()
        os.fsync(file.fileno())
