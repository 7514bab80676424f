"""Tables that an instructor typed or a platform exported: read whatever wrote them, or refused with the line."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

DELIMITERS = ",;\t"


class SheetError(ValueError):
    """Why a table cannot be used: the file, the line, what was found and what was wanted."""


@dataclass(frozen=True)
class Line:
    """A line of a table: its number in the file, and {column: text} without white space around it."""

    path: Path
    number: int
    values: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        """Return the text in a column, "" where the table has none."""
        return self.values.get(column, "")

    def wrong(self, what: str) -> SheetError:
        """Return an error that names this line."""
        return SheetError(f"{self.path}, line {self.number}: {what}")


def read(path: Path, headings: Mapping[str, Sequence[str]], wanted: Sequence[str]) -> list[Line]:
    """Return the lines of a table, but for empty ones.

    It may be UTF-8, UTF-16 or a Windows code page, with or without a mark at its beginning, and its columns may be
    parted by commas, semicolons or tabs.

    Args:
        path: the file.
        headings: {column: the headings that it may have}, in lower case.
        wanted: columns that must be there.

    Raises:
        SheetError: they are not there.
    """
    text = _text(path.read_bytes())
    first = next((line for line in text.splitlines() if line.strip()), "")
    marks = [each for each in DELIMITERS if each in first] or [","]
    tables = [list(csv.reader(io.StringIO(text, newline=""), delimiter=each)) for each in marks]
    found = [(_columns(row, headings), n, table) for table in tables for n, row in enumerate(table[:5])]
    columns, start, table = max(found, key=lambda each: len(each[0]), default=({}, 0, []))
    if missing := [column for column in wanted if column not in columns.values()]:
        raise SheetError(
            f"{path}, line 1: found no column {' and no '.join(missing)} in {first[:200]!r}; wanted the columns "
            f"{', '.join(wanted[:-1])} and {wanted[-1]}, parted by commas, semicolons or tabs"
        )
    lines = []
    for number, row in enumerate(table[start + 1 :], start + 2):
        values = {columns[n]: " ".join(text.split()) for n, text in enumerate(row) if n in columns}
        if any(values.values()):
            lines.append(Line(path, number, values))
    return lines


def _text(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _columns(row: Sequence[str], headings: Mapping[str, Sequence[str]]) -> dict[int, str]:
    """Return {position: column} for a row of headings."""
    found: dict[int, str] = {}
    for n, heading in enumerate(row):
        for column, spellings in headings.items():
            if " ".join(heading.split()).casefold() in (column, *spellings) and column not in found.values():
                found[n] = column
    return found


def meant(name: str, known: Sequence[str]) -> str | None:
    """Return which of some names is meant: the same, or the only one that differs in case and spaces alone; or None."""
    if name in known:
        return name
    alike = [each for each in known if _bare(each) == _bare(name)]
    return alike[0] if len(alike) == 1 else None


def _bare(name: str) -> str:
    return " ".join(name.split()).casefold()
