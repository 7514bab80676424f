"""The marker of a cell, such as `# %% check="f" points=4`: what it says of the cell, and what is wrong with it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from helpers.course.pages.cells import MARKDOWN, NAMELESS, OPTIONAL, OPTIONS, Cell
from helpers.course.pages.problems import Problem, problem

_GARBLED = "incorrectly_encoded_metadata"
_OF_JUPYTEXT = ("lines_to_next_cell", "lines_to_end_of_cell_marker", "cell_marker", "region_name", _GARBLED)
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


def read_marker(cell: Cell, metadata: dict[str, Any]) -> tuple[Cell, list[Problem]]:
    """Return a cell with what its marker says, and what is wrong with that.

    Args:
        cell: the cell, of kind markdown or code.
        metadata: what Jupytext reads on the marker: an option and its value, a word and None, more words as title.
    """
    words, options = _parted(metadata)
    tags = [tag for tag in (*OPTIONS, *NAMELESS) if tag in words or (tag in options and tag in OPTIONS)]
    kind = tags[0] if tags else cell.kind
    values = {option: options[option] for option in _allowed(kind) if option in options}
    problems = [*_about_tags(cell, words, tags)]
    if _GARBLED in metadata:
        wanted, advice = 'option="text" or option=number', "put texts in double quotes"
        problems.append(problem(cell, "marker not understood", wanted, advice))
    if kind in OPTIONS:
        values["name"] = str(options.get(kind, ""))
        problems += _about_name(cell, kind, options.get(kind, ""))
    problems += _about_options(cell, kind, {key: value for key, value in options.items() if key not in tags})
    return replace(cell, kind=kind, **values), problems


def _parted(metadata: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """The words on a marker, and its options with their values."""
    given = {key: value for key, value in metadata.items() if key not in _OF_JUPYTEXT}
    words = (given.pop("title", None) or "").split() + [key for key, value in given.items() if value is None]
    return words, {key: value for key, value in given.items() if value is not None}


def _allowed(kind: str) -> tuple[str, ...]:
    return (*OPTIONS.get(kind, ()), *OPTIONAL.get(kind, ()))


def _about_tags(cell: Cell, words: list[str], tags: list[str]) -> Iterator[Problem]:
    if strange := [word for word in words if word not in tags]:
        wanted = f"one of {', '.join((*NAMELESS, *OPTIONS))}"
        yield problem(cell, "unknown tag", wanted, f"take `{' '.join(strange)}` off the marker")
    if len(tags) > 1:
        advice = f"split the cell, or keep one of {', '.join(tags)}"
        yield problem(cell, "more than one tag", "one tag for a cell", advice)
    if tags and cell.is_markdown != (tags[0] in MARKDOWN):
        right, wrong = ("# %% [markdown]", "code") if tags[0] in MARKDOWN else ("# %%", "markdown")
        yield problem(cell, f"{tags[0]} on a {wrong} cell", f"`{right}` before {tags[0]}", "change the cell's marker")


def _about_name(cell: Cell, kind: str, name: object) -> Iterator[Problem]:
    pattern = _FIGURE_NAME if kind == "figure" else _NAME
    if name == "":
        yield problem(cell, f"{kind} without a name", f'{kind}="name"', "name it on the marker")
    elif not isinstance(name, str) or not pattern.fullmatch(name):
        letters = "letters, digits, _ and -" if kind == "figure" else "letters, digits, _"
        yield problem(cell, f"{kind} with a wrong name", f"{letters}; at most 59 characters", f"rename {name!r}")


def _about_options(cell: Cell, kind: str, options: dict[str, Any]) -> Iterator[Problem]:
    for option in _allowed(kind):
        if option in options:
            if not _good(option, options[option]):
                advice = f"replace {options[option]!r}"
                yield problem(cell, f"{kind} with a wrong {option}", _WANTED[option], advice)
        elif option in OPTIONS[kind]:
            yield problem(cell, f"{kind} without {option}", _WANTED[option], f"add {option}= to the marker")
    for option in options.keys() - set(_allowed(kind)):
        wanted = ", ".join(_allowed(kind)) or "no other option"
        yield problem(cell, "unknown option", f"{wanted} on a {kind} cell", f"take `{option}` off the marker")


def _good(option: str, value: object) -> bool:
    if option in ("says", "visible"):
        return isinstance(value, str) and bool(value.strip())
    return type(value) is int and value >= 1 and (option != "difficulty" or value <= 3)
