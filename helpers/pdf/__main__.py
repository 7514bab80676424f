"""The command: python -m helpers.pdf NOTEBOOK ... [--name NAME] [--to FILE-OR-FOLDER]."""

import argparse
import ast
import sys
from pathlib import Path

from nbformat import NotebookNode
from tqdm.auto import tqdm

from helpers import DATA
from helpers.handin.assignment import handed_out
from helpers.handin.cells import outline
from helpers.handin.notebook import read
from helpers.pdf import checked_name, find_packages, place_for, slug, write
from helpers.pdf.pages import Made, make


def main(arguments: list[str] | None = None) -> int:
    """Make the PDFs of notebooks; return 1 where one could not be made."""
    parser = argparse.ArgumentParser(
        prog="python -m helpers.pdf", description="The written answers of notebooks as PDF."
    )
    parser.add_argument("notebooks", nargs="+", type=Path, metavar="NOTEBOOK")
    parser.add_argument("--name", help="the student's name; else what the notebook assigns to YOUR_NAME")
    parser.add_argument("--to", help="file (.pdf) or folder; else the PDF is beside its notebook")
    given = parser.parse_args(arguments)
    if len(given.notebooks) > 1 and given.name:
        parser.error("--name is of one student; found several notebooks. Leave it out, or name one notebook.")
    if len(given.notebooks) > 1 and given.to and given.to.lower().endswith(".pdf"):
        parser.error("--to is one file; found several notebooks. Give a folder.")
    try:
        find_packages()
    except ImportError as error:
        parser.exit(1, f"{error}\n")
    written: set[Path] = set()
    failed = False
    for path in tqdm(given.notebooks, unit="notebook", disable=len(given.notebooks) == 1):
        try:
            target, made = _made_from(path, given.name, given.to, written)
            write(target, made.pdf)
        except Exception as error:
            tqdm.write(f"{path}: {_one_line(error)}", file=sys.stderr)
            failed = True
            continue
        written.add(target)
        tqdm.write("\n".join([f"Wrote {target}: {made.says}", *(f"  {remark}" for remark in made.remarks)]))
    return int(failed)


def _made_from(path: Path, name: str | None, to: str | None, written: set[Path]) -> tuple[Path, Made]:
    """Return where to write the PDF of a notebook's file, and the PDF. Its figures are those in the notebook."""
    notebook = read(path)
    assignment = handed_out(_assignment(path, notebook))
    student = _student(path)
    name = name or (name_in(notebook) or "").strip() or student
    if not name:
        raise ValueError('found no name in the notebook (YOUR_NAME = "..."); wanted one. Give it with --name.')
    name = checked_name(name)
    target = place_for(to, path.parent, f"{assignment.name}-{student or slug(name)}")
    number = 2
    free = target
    while free in written:
        free, number = target.with_stem(f"{target.stem}-{number}"), number + 1
    return free, make(assignment, name, notebook)


def _student(path: Path) -> str:
    """Return whose notebook a file is in nbgrader's tree, submitted/<student>/<assignment>/; "" elsewhere."""
    *_, tree, student, _, _ = ("", "", *path.absolute().parts)
    return student if tree == "submitted" else ""


def _assignment(path: Path, notebook: NotebookNode) -> str:
    """Return which assignment a notebook is of: by the file's name, else by the grade ids of its cells."""
    known = sorted(file.stem for file in (DATA / "released").glob("*.json"))
    for name in known:
        if path.name.startswith(name):
            return name
    held = {cell.name for cell in outline(notebook.cells)}
    shared = {name: sum(question.id in held for question in handed_out(name).questions) for name in known}
    best = max(known, key=shared.__getitem__, default="")
    if not best or not shared[best]:
        raise ValueError(
            "found no question of the course in it, and no assignment's name at the start of the file's; wanted a "
            "notebook such as 07_writeup.ipynb"
        )
    return best


def name_in(notebook: NotebookNode) -> str | None:
    """Return the string that the notebook's code assigns to YOUR_NAME, the last one; the code is not run."""
    found = None
    for cell in notebook.cells:
        if cell.cell_type != "code" or "YOUR_NAME" not in cell.source:
            continue
        # IPython's own lines are no Python.
        lines = ["" if line.lstrip().startswith(("%", "!")) else line for line in cell.source.splitlines()]
        try:
            body = ast.parse("\n".join(lines)).body
        except (SyntaxError, ValueError, RecursionError):
            continue
        for line in body:
            targets = line.targets if isinstance(line, ast.Assign) else [getattr(line, "target", None)]
            value = getattr(line, "value", None)
            if any(getattr(target, "id", "") == "YOUR_NAME" for target in targets) and isinstance(value, ast.Constant):
                found = value.value if isinstance(value.value, str) else found
    return found


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
