"""How a report is set: lines of one width, tables, times and sizes in words."""

import textwrap
from pathlib import Path

from helpers.words import counted, shortened

WIDTH = 92  # characters
WIDEST = 56  # of a table's second column

Row = tuple[str, str, str]  # mark, what, remark


def table(rows: list[Row]) -> list[str]:
    """Return rows as aligned lines."""
    width = min(max(len(what) for _, what, _ in rows), WIDEST) + 2
    starts = [f"  {mark:<9}{shortened(what, WIDEST):<{width}}" for mark, what, _ in rows]
    return [line for start, (_, _, remark) in zip(starts, rows, strict=True) for line in filled(start, remark)]


def filled(start: str, text: str) -> list[str]:
    """Return a text as lines, the further ones below where the text starts; names are not broken."""
    lines = textwrap.wrap(text, WIDTH - len(start), break_long_words=False, break_on_hyphens=False) or [""]
    lines = [f"{start}{lines[0]}".rstrip(), *(" " * len(start) + line for line in lines[1:])]
    return [line.replace("\0", " ") for line in lines]


def unbroken(path: Path) -> str:
    """Return a path whose spaces break no line."""
    return str(path).replace(" ", "\0")


def span(seconds: float) -> str:
    """Return a time in its largest unit of which there are two: "119 seconds", "2 minutes"."""
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 2 * size:
            return counted(int(seconds // size), unit)
    return counted(int(seconds), "second")


def size(count: int) -> str:
    """Return a number of bytes in kB or MB."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(1, round(count / 1e3))} kB"
