"""The expected pictures: what the figure cells of a solved notebook draw, on the picture book or another network."""

import base64
import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from tqdm.auto import tqdm

from helpers import DATA
from helpers.course.pages.cells import BEFORE_FIGURES, Page


def draw(page: Page, folder: Path = DATA / "expected", model: str = "picturebook") -> list[Path]:
    """Run the solved `page` with `model` as the default network and write <folder>/<page>-<figure>.png.

    Returns:
        The paths written.

    Raises:
        RuntimeError: a figure cell drew nothing.
    """
    if not page.figures:
        return []
    named: dict[str, str] = {}
    cells: list[nbformat.NotebookNode] = []
    for cell in page.cells:
        if cell.kind in (*BEFORE_FIGURES, "figure"):
            cells.append(nbformat.v4.new_code_cell(cell.source, id=f"cell-{len(cells)}"))
            if cell.kind == "figure":
                named[cells[-1].id] = cell.name
    notebook = nbformat.v4.new_notebook(cells=cells)
    with (
        tempfile.TemporaryDirectory() as scratch,
        tqdm(total=len(cells), desc=f"drawing {page.name} on {model}", unit="cell") as bar,
    ):
        client = NotebookClient(
            notebook,
            timeout=1800,
            kernel_name="python3",
            resources={"metadata": {"path": scratch}},
            on_cell_complete=lambda **_: bar.update(),
        )
        client.execute(env=os.environ | {"COURSE_MODEL": model, "OMP_NUM_THREADS": "1"})
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for cell in notebook.cells:
        if cell.id in named:
            path = folder / f"{page.name}-{named[cell.id]}.png"
            pictures = [output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})]
            if not pictures:
                raise RuntimeError(f"{page.path}: the figure {named[cell.id]!r} drew no picture")
            path.write_bytes(base64.b64decode(pictures[-1]))
            paths.append(path)
    return paths
