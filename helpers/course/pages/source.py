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

from helpers.course.pages.cells import MARKDOWN, NAMELESS, OPTIONAL, OPTIONS, Cell, Page, hashed_id
from helpers.course.pages.mistakes import expanded
from helpers.course.pages.problems import Problem, problem
from helpers.course.pages.rules import problems_of

_MARKER = re.compile(r"^\s*#\s*%%")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,58}")  # with "test_" before it, it fits a cell id's 64 characters
_FIGURE_NAME = re.compile(r"[A-Za-z0-9_-]{1,59}")
_WANTED = {
    "minutes": "minutes=N, a whole number, 1 or more",
    "points": "points=N, a whole number, 1 or more",
    "words": "words=N, a whole number, 1 or more",
    "difficulty": "difficulty=1, 2 or 3",
    "says": 'says="a sentence to the student"',
    "visible": 'visible="words that the visible check must say"',
}


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
        cell, wrong = _read_marker(cell, metadata)
        cells.append(cell)
        problems += wrong
    for line, marker in markers.items():
        wanted = "`# %%` and a space to start a cell; no line like it inside a text"
        advice = "add the space, or write the text another way"
        problems.append(Problem(line, "marker not understood", marker.strip(), wanted, advice))
    return cells, problems


def _read_marker(cell: Cell, metadata: dict) -> tuple[Cell, list[Problem]]:
    """The cell with what the options of its marker say, and what is wrong with them."""
    problems = []

    def refuse(rule: str, wanted: str, advice: str) -> None:
        problems.append(problem(cell, rule, wanted, advice))

    for key in ("lines_to_next_cell", "lines_to_end_of_cell_marker", "cell_marker", "region_name"):
        metadata.pop(key, None)
    if metadata.pop("incorrectly_encoded_metadata", None):
        refuse("marker not understood", 'option="text" or option=number', "put texts in double quotes")

    words = (metadata.pop("title", None) or "").split() + [key for key in metadata if metadata[key] is None]
    options = {key: value for key, value in metadata.items() if value is not None}
    tags = [tag for tag in (*OPTIONS, *NAMELESS) if tag in words or (tag in options and tag in OPTIONS)]
    if strange := [word for word in words if word not in tags]:
        wanted = f"one of {', '.join((*NAMELESS, *OPTIONS))}"
        refuse("unknown tag", wanted, f"take `{' '.join(strange)}` off the marker")
    if len(tags) > 1:
        refuse("more than one tag", "one tag for a cell", f"split the cell, or keep one of {', '.join(tags)}")
    kind = tags[0] if tags else cell.kind
    if tags and cell.is_markdown != (kind in MARKDOWN):
        right, wrong = ("# %% [markdown]", "code") if kind in MARKDOWN else ("# %%", "markdown")
        refuse(f"{kind} on a {wrong} cell", f"`{right}` before {kind}", "change the cell's marker")

    values = {}
    if kind in OPTIONS:
        name = options.pop(kind, "")
        values["name"] = str(name)
        pattern = _FIGURE_NAME if kind == "figure" else _NAME
        if name == "":
            refuse(f"{kind} without a name", f'{kind}="name"', "name it on the marker")
        elif not isinstance(name, str) or not pattern.fullmatch(name):
            letters = "letters, digits, _" if pattern is _NAME else "letters, digits, _ and -"
            refuse(f"{kind} with a wrong name", f"{letters}; at most 59 characters", f"rename {name!r}")
    may = OPTIONAL.get(kind, ())
    for option in (*OPTIONS.get(kind, ()), *(option for option in may if option in options)):
        if option not in options:
            refuse(f"{kind} without {option}", _WANTED[option], f"add {option}= to the marker")
            continue
        values[option] = value = options.pop(option)
        if option in ("says", "visible"):
            good = isinstance(value, str) and value.strip()
        else:
            good = type(value) is int and 1 <= value <= (3 if option == "difficulty" else value)
        if not good:
            refuse(f"{kind} with a wrong {option}", _WANTED[option], f"replace {value!r}")
    for option in options.keys() - set(tags):
        wanted = ", ".join((*OPTIONS.get(kind, ()), *may)) or "no other option"
        refuse("unknown option", f"{wanted} on a {kind} cell", f"take `{option}` off the marker")
    return replace(cell, kind=kind, **values), problems


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
    seen = Counter()
    for cell in cells:
        if cell.kind in ("exercise", "question"):
            name = cell.name
        elif cell.kind == "check":
            name = f"test_{cell.name}"
        elif cell.kind == "setup":
            seen["setup"] += 1
            name = f"setup-{seen['setup']}"
        else:
            name = hashed_id(cell.kind, cell.source)
            seen[name] += 1
            name += f"-{seen[name]}" if seen[name] > 1 else ""
        yield replace(cell, id=name)
