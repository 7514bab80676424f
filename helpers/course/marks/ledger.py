"""The ledger that settles a dispute: one line for every verdict ever given, each sealed to the one before it.

A line holds hashes of what was submitted, of the source it was judged by and of the environment it ran in, and the
verdicts. The seal of a line covers its text and the seal before it, so that no line can be changed, removed or put
in between without `verify` noticing, as long as the last seal is known.
"""

import errno
import hashlib
import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO


class LedgerError(ValueError):
    """The ledger cannot be written to as it is; the text says why and what to do."""


def append(path: Path, entry: dict[str, Any]) -> str:
    """Add `entry`, a dict of JSON values, as the last line of the ledger at `path`; return its seal.

    Raises:
        OSError: the disk is full, for instance; no part of the line is in the ledger.
        LedgerError: the last line is not as it was written.
    """
    line = {"time": datetime.now(timezone.utc).isoformat(timespec="seconds"), **entry}
    with path.open("a+b", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        line["seal"] = seal(line, last_seal(file, end))
        text = (json.dumps(line, sort_keys=True) + "\n").encode()
        try:
            # Without a buffer, a full disk takes a part and says how much.
            if file.write(text) < len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        except OSError:
            file.truncate(end)
            raise
    return line["seal"]


def require_whole(path: Path) -> None:
    """Raise LedgerError where the ledger at `path` is there and its last line is not as it was written."""
    if path.exists():
        with path.open("rb") as file:
            last_seal(file, file.seek(0, os.SEEK_END))


def last_seal(file: BinaryIO, end: int) -> str:
    """Return the seal of the last line of a ledger that is `end` bytes long; "" where it has none."""
    read = b""
    # Not all of it: it has a line for every verdict ever given.
    while len(read) < end and b"\n" not in read[:-1]:
        size = min(end, 2 * len(read) or 1 << 14)
        file.seek(end - size)
        read = file.read(size)
    try:
        return json.loads(read.splitlines()[-1])["seal"] if read else ""
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerError(
            f"{file.name}: the last line is not as it was written, so that nothing can be sealed to it. Move the "
            "ledger away and keep it; the next grading begins a new one."
        ) from error


def seal(line: dict[str, Any], previous: str) -> str:
    """Return the seal of a line, a dict whose own "seal" does not count, after a line with the seal `previous`."""
    text = json.dumps({key: value for key, value in line.items() if key != "seal"}, sort_keys=True)
    return hashlib.sha256((previous + text).encode()).hexdigest()


def verify(path: Path) -> str:
    """Return the last seal of the ledger at `path`.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is not as it was written; the text names the first line that is not.
    """
    if not path.is_file():
        raise FileNotFoundError(f"found no ledger {path}; wanted one that `make grade` wrote")
    previous = ""
    for number, text in enumerate(path.read_text("utf-8", errors="replace").splitlines(), start=1):
        try:
            line = json.loads(text)
            intact = line["seal"] == seal(line, previous)
        except (ValueError, KeyError, TypeError):
            intact = False
        if not intact:
            raise ValueError(f"{path}: line {number} is not as it was written, or a line before it is missing")
        previous = line["seal"]
    if not previous:
        raise ValueError(f"{path}: all lines are missing")
    return previous
