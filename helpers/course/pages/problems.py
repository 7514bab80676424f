"""A fault of a page, and how it is told."""

from dataclasses import dataclass

from helpers.course.pages.cells import Cell


@dataclass(frozen=True, order=True)
class Problem:
    """A fault of a page: the line it is on, the rule it breaks, and the way out."""

    line: int
    rule: str
    found: str
    wanted: str
    advice: str


def problem(cell: Cell, rule: str, wanted: str, advice: str, found: str = "", line: int = 0) -> Problem:
    """A problem of a cell; what was found and where is its marker unless said otherwise."""
    return Problem(line or cell.line, rule, found or cell.marker, wanted, advice)
