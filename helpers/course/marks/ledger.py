"""The ledger that settles a dispute: one line for every verdict ever given, each sealed to the one before it.

A line holds hashes of what was submitted, of the source it was judged by and of the environment it ran in, and the
verdicts. The seal of a line covers its text and the seal before it, so that no line can be changed, removed or put
in between without `verify` noticing, as long as the last seal is known.
"""

import hashlib
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any


def append(path: Path, entry: dict[str, Any]) -> str:
    """Add `entry`, a dict of JSON values, as the last line of the ledger at `path`; return its seal."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    previous = json.loads(lines[-1])["seal"] if lines else ""
    line = {"time": datetime.now(timezone.utc).isoformat(timespec="seconds"), **entry}
    line["seal"] = seal(line, previous)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, sort_keys=True) + "\n")
    return line["seal"]


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
