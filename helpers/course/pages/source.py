"""Reads a page: one assignment, typed as Jupytext percent text in solutions/NN_topic.py.

A tag on a cell's marker says what the cell is: `setup`, `exercise="f"`, `check="f"`, `question="q"`,
`figure="name"`, `mistakes="f"`, `mutant="f"`, `variant="f"`, `judge="f"`; a cell without a tag is prose or ordinary
code.
`read` gives the page as data, or refuses it with all of its faults, each with file, line and rule.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import jupytext

from helpers.course.pages.cells import Cell, Page, hashed_id
from helpers.course.pages.markers import read_marker
from helpers.course.pages.mistakes import expanded
from helpers.course.pages.problems import Problem, problem
from helpers.course.pages.rules import problems_of

_MARKER = re.compile(r"^\s*#\s*%%")


class SourceError(ValueError):
    """A malformed page, with all its problems; its text has one paragraph for each."""

    def __init__(self, path: Path, problems: list[Problem]):
        """Keep path and problems, and make the text of them."""
        self.path, self.problems = path, sorted(set(problems))
        shown = os.path.relpath(path) if path.resolve().is_relative_to(Path.cwd()) else path
        super().__init__(
            "\n".join(
                f"{shown}:{p.line}: {p.rule}\n  found:  {p.found}\n  wanted: {p.wanted}\n  to do:  {p.advice}"
                for p in self.problems
            )
        )


def read(path: str | Path) -> Page:
    """The page in a file; SourceError where the page is malformed."""
    path = Path(path)
    cells, problems = _split(path.read_text("utf-8"))
    cells, unsound = expanded(cells)
    problems += unsound + problems_of(cells)
    if problems:
        raise SourceError(path, problems)
    title = cells[0].source.splitlines()[0].removeprefix("# ").strip()
    return Page(path, path.stem, title, tuple(_with_ids(_with_headings(cells))))


def _split(text: str) -> tuple[list[Cell], list[Problem]]:
    """The cells of a page as Jupytext reads them, and what is wrong with their markers."""
    lines = text.splitlines()
    markers = {number: line for number, line in enumerate(lines, 1) if _MARKER.match(line)}
    # Jupytext does not say where a cell was: the line number travels through it as one more option.
    numbered = [f"{line} source_line={number}" if number in markers else line for number, line in enumerate(lines, 1)]
    # Without comment_magics=False, Jupytext takes a comment such as `# cat in a tree` for a shell command.
    percent = {"extension": ".py", "format_name": "percent", "comment_magics": False}
    notebook = jupytext.reads("\n".join(numbered), fmt=percent)

    cells, problems, line = [], [], 1
    for found in notebook.cells:
        metadata = dict(found.metadata)
        if "source_line" not in metadata:
            first = found.source.strip().split("\n")[0]
            advice = "move it into a cell; a YAML header holds `jupyter:` alone"
            problems.append(Problem(line, "text outside a cell", first, "a marker `# %%` before it", advice))
            continue
        line = metadata.pop("source_line")
        marker = markers.pop(line).strip()
        first = found.source.split("\n")[0]
        below = range(line + 1, len(lines) + 1) if found.source else []
        start = next((number for number in below if lines[number - 1].endswith(first)), line)
        kind = "markdown" if found.cell_type == "markdown" else "code"
        cell = Cell(kind, found.source, line, start, marker)
        if found.cell_type == "raw":
            problems.append(problem(cell, "unknown tag", "a markdown or a code cell", "write it as one of them"))
        elif not found.source.strip():
            problems.append(problem(cell, "empty cell", "text or code", "fill the cell or delete its marker"))
        cell, wrong = read_marker(cell, metadata)
        cells.append(cell)
        problems += wrong
    for line, marker in markers.items():
        wanted = "`# %%` and a space to start a cell; no line like it inside a text"
        advice = "add the space, or write the text another way"
        problems.append(Problem(line, "marker not understood", marker.strip(), wanted, advice))
    return cells, problems


def _with_headings(cells: Iterable[Cell]) -> Iterator[Cell]:
    """The cells, each exercise with its heading."""
    heading = ""
    for cell in cells:
        if cell.headings:
            _, heading = cell.headings[-1]
        yield replace(cell, heading=heading) if cell.kind == "exercise" else cell


def _with_ids(cells: Iterable[Cell]) -> Iterator[Cell]:
    """The cells with their ids, which depend on the cell alone and, between equal cells, on their order.

    A setup cell is numbered: nbgrader knows it by its id, so that an edit must not make it another cell.
    """
    seen: Counter[str] = Counter()
    for cell in cells:
        if cell.kind in ("exercise", "question"):
            name = cell.name
        elif cell.kind == "check":
            name = f"test_{cell.name}"
        elif cell.kind == "setup":
            seen["setup"] += 1
            name = f"setup-{seen['setup']}"
        else:
            # Students know no difference: a cell that becomes an example stays the cell it was.
            name = hashed_id("code" if cell.kind == "example" else cell.kind, cell.source)
            seen[name] += 1
            name += f"-{seen[name]}" if seen[name] > 1 else ""
        yield replace(cell, id=name)
