"""The numbers that the prose leans on, measured by the pages' own cells.

    python -m tests.claims 03_fooling training    # what the figure "training" of 03 is drawn from

Names of the figure cell are printed where they are numbers, or tables of numbers. COURSE_MODEL chooses the network.
"""

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from numbers import Number
from typing import Any

from helpers.course.pages.registry import page_of

RUN = ("setup", "code", "exercise")


def after(page: str, *figures: str, model: str = "picturebook") -> dict[str, Any]:
    """Return what a page's cells have named once its code, its reference answers and these figures were run.

    Args:
        page: its name, such as "03_fooling".
        figures: figure cells to run, each at its place; checks and the other figures are left out.
        model: the network the page takes by default.
    """
    names: dict[str, Any] = {"__name__": page}
    before = {name: os.environ.get(name) for name in ("COURSE_MODEL", "COURSE_FIGURES")}
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"COURSE_MODEL": model, "COURSE_FIGURES": folder}
        try:
            for cell in page_of(page).cells:
                if cell.kind in RUN or (cell.kind == "figure" and cell.name in figures):
                    exec(compile(cell.source, f"{page}:{cell.line}", "exec"), names)
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
    return names


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
    for name, value in after(page, figure, model=os.environ.get("COURSE_MODEL", "picturebook")).items():
        if is_numbers(value):
            print(f"{name}: {rounded(value)}")


if __name__ == "__main__":
    main()
