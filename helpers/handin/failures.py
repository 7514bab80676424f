"""Why cells fail in the run: by themselves, or for want of an answer or of a deleted set-up."""

import re
from dataclasses import dataclass, field

from nbformat import NotebookNode

from helpers.handin.answers import Found
from helpers.handin.assignment import Item
from helpers.handin.running import Run, is_run
from helpers.words import first_line, shortened

_STUB_SAYS = re.compile(r"(\w+): replace this line")


@dataclass(frozen=True)
class Failures:
    """The cells that fail.

    own: {position: the error in one line} of those that fail by themselves
    waiting: {position: id of the exercise or the set-up it waits for} of the others
    """

    own: dict[int, str] = field(default_factory=dict)
    waiting: dict[int, str] = field(default_factory=dict)


def failures(found: dict[str, Found], cells: list[NotebookNode], run: Run) -> Failures:
    """Tell the cells that fail by themselves from those that fail for want of something that is not there."""
    unanswered = {name for name, place in found.items() if place.item.kind == "exercise" and not place.is_answered}
    checks = {n: name for name in unanswered for n in _places(found.get(f"test_{name}"))}
    gone = [place.item for place in found.values() if place.item.kind == "setup" and place.at is None]
    result = Failures()
    for n, (error, text) in sorted(run.errors.items()):
        lacks = _lacks(error, text)
        failed = [cells[m].source for m in result.waiting]
        wanted = checks.get(n) or _stub(error, text) or _maker(lacks, unanswered, failed, gone)
        if wanted:
            result.waiting[n] = wanted
        else:
            result.own[n] = _in_one_line(error, text) + _hint(lacks, n, cells)
    return result


def _places(check: Found | None) -> list[int]:
    return [] if check is None else [n for n in (*check.copies, check.at) if n is not None]


def _lacks(error: str, text: str) -> str:
    """Return the name that a cell found nowhere, "" where it failed otherwise."""
    quoted = re.search(r"'(\w+)'", text) if error == "NameError" else None
    return quoted[1] if quoted else ""


def _stub(error: str, text: str) -> str:
    """Return the exercise whose stub was called, if one was."""
    says = _STUB_SAYS.search(text) if error == "NotImplementedError" else None
    return says[1] if says else ""


def _maker(name: str, unanswered: set[str], failed: list[str], gone: list[Item]) -> str:
    """Return what a missing name waits for: an exercise, a cell that itself waits, a set-up that is gone."""
    if not name:
        return ""
    if name in unanswered or any(_makes(source, name) for source in failed):
        return name
    return next((item.id for item in gone if _makes(item.source, name)), "")


def _in_one_line(name: str, text: str) -> str:
    """Return an error in one line. What a check says names the check, and needs no name of the error."""
    line = shortened(first_line(text), 160)
    return line if name == "CheckFailed" and line else f"{name}: {line}".rstrip(": ")


def _hint(name: str, n: int, cells: list[NotebookNode]) -> str:
    """Return where a name that a cell lacks might come from; "" where it lacks none."""
    if not name:
        return ""
    makers = [m for m, cell in enumerate(cells) if cell.cell_type == "code" and m != n and _makes(cell.source, name)]
    if any(is_run(cells[m]) for m in makers if m > n):
        return "; a cell further down makes it: move one of the two"
    if any(not is_run(cells[m]) for m in makers):
        return "; a figure cell makes it, and figures are left out here and in grading: make it in another cell"
    return "" if makers else "; no cell makes it: was a cell deleted?"


def _makes(source: str, name: str) -> bool:
    """Whether a line of a cell seems to bind a name, at any depth."""
    pattern = rf"^\s*(?:(?:async\s+)?def|class)\s+{name}\b|^[^#\n=(]*\b{name}\b[^=\n(]*=(?!=)"
    return bool(
        re.search(rf"{pattern}|^\s*(?:from|import)\b.*\b{name}\b|\b(?:for|as)\s+{name}\b", source, re.MULTILINE)
    )
