"""One notebook put right against its release, with a line for everything that was put right.

Which cell is which is found out by `helpers.handin.matching`. Nothing in here runs a student's code or parses it.
"""

from typing import Any

import nbformat
from nbformat import NotebookNode

from helpers.course.intake import pictures
from helpers.handin.cells import Cell, outline, share_held
from helpers.handin.matching import match
from helpers.writeup.figures import collected_figure

MOST_CELLS = 20_000
STAMPS = ("execution", "executionInfo")  # when a cell was run, in its metadata: JupyterLab's, Colab's


def repair(notebook: NotebookNode, release: NotebookNode) -> tuple[NotebookNode, list[str]]:
    """Return a copy of `notebook` that has every graded cell of `release` exactly once, and a line for each repair.

    What is the student's to write stays; everything else comes from the release. Cells that are nobody's answer stay
    where they are, as ordinary cells. Outputs are dropped, but for the pictures of collected figures. Repairing twice
    is repairing once.

    Args:
        notebook: what a student handed in, in notebook format 4.
        release: the students' notebook of the assignment.

    Returns:
        The repaired notebook, and lines that begin with a grade id or with "notebook".

    Raises:
        ValueError: it has no cells, or more than MOST_CELLS.
    """
    cells, released = _outline(notebook), outline(release.cells)
    shown, remarks = _shown(cells, notebook, release)
    matched = match(cells, released)
    unchanged = {(cell.kind, cell.text): release.cells[n] for n, cell in enumerate(released) if not cell.tags}
    result = nbformat.v4.new_notebook(metadata=_kept_metadata(release))
    result.nbformat_minor = 5
    for cell in matched.cells:
        original = unchanged.get((cell.kind, cell.text)) if cell.place is None else release.cells[cell.place]
        source = release.cells[cell.place] if cell.at is None else notebook.cells[cell.at]
        result.cells.append(_built(cell, original, source, shown))
    notes = [*_about_format(notebook, release), *remarks, *_about_cells(cells, notebook), *matched.notes]
    return result, list(dict.fromkeys(notes))


def likeness(notebook: NotebookNode, release: NotebookNode) -> float:
    """Return the share of the exercises, checks and questions of `release` that `notebook` holds, by tag or text.

    Raises:
        ValueError: it has no cells, or more than MOST_CELLS.
    """
    return share_held(_outline(notebook), outline(release.cells))


def _outline(notebook: NotebookNode) -> list[Cell]:
    """Return the cells of a notebook that may hold anything; ValueError where there are none, or too many."""
    cells = notebook.get("cells")
    if isinstance(cells, list) and len(cells) > MOST_CELLS:
        raise ValueError(f"it has {len(cells)} cells; at most {MOST_CELLS} are taken")
    if not isinstance(cells, list) or not (sound := outline(cells)):
        raise ValueError("it has no cells")
    return sound


# ------------------------------------------------------------------------------------------------ building


def _kept_metadata(release: NotebookNode) -> dict[str, Any]:
    return {name: release.metadata[name] for name in ("kernelspec", "language_info") if name in release.metadata}


def _built(cell: Cell, original: NotebookNode | None, source: NotebookNode, shown: dict) -> NotebookNode:
    """Return a cell for the repaired notebook.

    nbformat's own functions validate each cell as they make it, which takes longer than all the rest.

    Args:
        cell: what it is to be.
        original: the cell of the release whose metadata it gets; a student's own cell has none.
        source: the cell that its text is from, whose attachments it gets, and the times when it was run.
        shown: {position: outputs} of the cells that keep theirs.
    """
    made = {
        "id": cell.id,
        "cell_type": cell.kind,
        "metadata": (original.metadata if original else {}) | _stamps(source),
        # JSON can hold halves of characters, which no file can.
        "source": cell.source.encode("utf-8", "replace").decode("utf-8"),
    }
    if cell.kind == "code":
        made |= {"execution_count": None, "outputs": [] if cell.tags else shown.get(cell.at, [])}
    elif cell.kind == "markdown" and _are_pictures(source.get("attachments")):
        made |= {"attachments": source["attachments"]}
    return nbformat.from_dict(made)


def _stamps(source: NotebookNode) -> dict[str, dict]:
    """Return when a cell was run, as JupyterLab or Colab noted it in the cell's metadata."""
    noted = _metadata(source)
    return {
        name: {
            key: value for key, value in noted[name].items() if isinstance(value, str | int) and len(str(value)) < 50
        }
        for name in STAMPS
        if isinstance(noted.get(name), dict)
    }


def _shown(cells: list[Cell], notebook: NotebookNode, release: NotebookNode) -> tuple[dict, list[str]]:
    """Return the outputs of the cells that show a collected figure, by position; a line for each that is left out."""
    figures, shown, notes = pictures.figures(release), {}, []
    for cell in cells:
        figure = collected_figure(cell.source)
        if cell.kind == "code" and figure in figures:
            try:
                shown[cell.at] = pictures.pictures(notebook.cells[cell.at])
            except ValueError as error:
                notes.append(f"notebook: the picture of {figure} {error}; left out")
    return shown, notes


def _are_pictures(attachments: Any) -> bool:
    """Tell whether a cell's attachments are {name: {MIME type: text}}, with text that a file can hold."""
    if not isinstance(attachments, dict) or not all(isinstance(data, dict) for data in attachments.values()):
        return False
    texts = [text for data in attachments.values() for text in data.values()]
    # A name may have any letters, but no half of one, which no file can hold.
    named = not any("\ud800" <= letter <= "\udfff" for name in attachments for letter in name)
    return named and all(isinstance(text, str) and text.isascii() for text in texts)


# ------------------------------------------------------------------------------------------------ notes


def _about_format(notebook: NotebookNode, release: NotebookNode) -> list[str]:
    """Return a line for each thing about the notebook as a whole that is put right."""
    version, kernel, wanted = _version(notebook), _kernel(notebook), _kernel(release)
    notes = []
    if version != "4.5":
        notes.append(f"notebook: it was saved in notebook format {version}; converted to 4.5")
    if "widgets" in _metadata(notebook):
        notes.append("notebook: the saved state of progress bars is left out")
    if kernel and wanted and kernel != wanted:
        notes.append(f"notebook: its kernel was {kernel[:50]!r}; it is run with {wanted!r}")
    return notes


def _about_cells(cells: list[Cell], notebook: NotebookNode) -> list[str]:
    notes, without_id = [], sum(cell.id is None for cell in cells)
    if broken := len(notebook.cells) - len(cells):
        notes.append(f"notebook: things in it that are no cells: {broken}; left out")
    if without_id and _version(notebook) == "4.5":
        notes.append(f"notebook: cells without an id: {without_id}; given one")
    return notes


def _version(notebook: NotebookNode) -> str:
    """Return the notebook format that a notebook was saved in, which may be anything."""
    return "3" if "orig_nbformat" in _metadata(notebook) else f"4.{notebook.get('nbformat_minor', 0)}"[:9]


def _kernel(notebook: NotebookNode) -> str:
    spec = _metadata(notebook).get("kernelspec")
    name = spec.get("name") if isinstance(spec, dict) else None
    return name if isinstance(name, str) else ""


def _metadata(node: NotebookNode) -> dict[str, Any]:
    """Return the metadata of a notebook or a cell; none where they are malformed."""
    metadata = node.get("metadata")
    return metadata if isinstance(metadata, dict) else {}
