"""The numbers that the prose leans on, measured by the pages' own cells.

    python -m tests.claims 03_fooling training    # what the figure "training" of 03 is drawn from

Names of the figure cell are printed where they are numbers, or tables of numbers. COURSE_MODEL chooses the network.
"""

import ast
import os
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from numbers import Number
from types import SimpleNamespace
from typing import Any
from unittest import mock

from helpers.course.pages.cells import BEFORE_FIGURES, Cell
from helpers.course.pages.registry import page_of

BOOK = "picturebook"


def run(page: str, figures: Collection[str], model: str) -> Iterator[tuple[Cell, list[Any], dict[str, Any]]]:
    """Run a page's cells in this process, checks left out; yield each with what it shows and what is named by then.

    Args:
        page: its name, such as "03_fooling".
        figures: figure cells to run, each at its place; the others are left out.
        model: the network the page takes by default.
    """
    names: dict[str, Any] = {"__name__": page}
    shown: list[Any] = []

    def display(value: Any, **_: Any) -> SimpleNamespace:
        shown.append(value)
        return SimpleNamespace(update=shown.append)

    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.dict(os.environ, {"COURSE_MODEL": model, "COURSE_FIGURES": folder}),
        mock.patch("IPython.display.display", display),
        mock.patch("helpers.plots.display", display),
    ):
        for cell in page_of(page).cells:
            if cell.kind in BEFORE_FIGURES or (cell.kind == "figure" and cell.name in figures):
                *lines, last = ast.parse(cell.source).body
                where = f"{page}:{cell.line}"
                if isinstance(last, ast.Expr):
                    exec(compile(ast.Module(lines, []), where, "exec"), names)
                    shown.append(eval(compile(ast.Expression(last.value), where, "eval"), names))
                else:
                    exec(compile(ast.Module([*lines, last], []), where, "exec"), names)
                yield cell, [value for value in shown if value is not None], names
                shown.clear()


def after(page: str, *figures: str, model: str = BOOK) -> dict[str, Any]:
    """Return what a page's cells have named once its code, its reference answers and these figures were run."""
    *_, (_, _, names) = run(page, figures, model)
    return names


@cache
def states(page: str, model: str = BOOK) -> dict[str, tuple[list[Any], dict[str, Any]]]:
    """Return what each figure of a page shows, and what is named right after it, from one run of all its cells."""
    cells = run(page, page_of(page).figures, model)
    return {cell.name: (shown, dict(names)) for cell, shown, names in cells if cell.kind == "figure"}


def is_numbers(value: Any) -> bool:
    """Whether a value is a number, or a list or table of nothing but numbers."""
    if isinstance(value, Mapping):
        return bool(value) and all(map(is_numbers, value.values()))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return bool(value) and all(map(is_numbers, value))
    return isinstance(value, Number) and not isinstance(value, bool)


def rounded(value: Any) -> Any:
    """The same numbers with three digits that count, for people to read."""
    if isinstance(value, Mapping):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, Sequence):
        return [rounded(each) for each in value]
    return float(f"{value:.3g}")


def main() -> None:
    """Print the numbers of one figure."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    page, figure = sys.argv[1:]
    for name, value in after(page, figure, model=os.environ.get("COURSE_MODEL", BOOK)).items():
        if is_numbers(value):
            print(f"{name}: {rounded(value)}")


if __name__ == "__main__":
    main()
