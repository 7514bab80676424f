"""Figures that one notebook saves and another collects.

A figure cell ends with `save_figure(figure, "01_saliency-maps")`. The writeup shows the figure with
`saved_figure("01_saliency-maps")`; the picture in that cell's output is the one that is handed in.
"""

import html
import io
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from IPython.display import Image
from PIL.Image import open as open_picture

from helpers.writeup import colab

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRIVE = Path("/content/drive/MyDrive")  # where Colab mounts Google Drive
ON_DRIVE = Path("looking-inside-cnns", "figures")
DPI = 150

_NAME = re.compile(r"(\d\d_\w+)-([\w-]+)", re.ASCII)
_SHOWS = re.compile(r"""\s*saved_figure\(\s*(["'])(\d\d_\w+-[\w-]+)\1\s*\);?\s*""", re.ASCII)
_said_once: set[str] = set()


def save_figure(figure: "Figure", name: str) -> "Figure":
    """Save a figure as <name>.png for the writeup, say where, and return it, so that the cell shows it.

    The folder is $COURSE_FIGURES if set; in Colab with Google Drive mounted, looking-inside-cnns/figures on the drive;
    else `figures` in the working folder.

    Args:
        figure: a matplotlib Figure.
        name: the notebook and a name of its own in it, such as "01_saliency-maps".
    """
    _parts(name)
    if not hasattr(figure, "savefig"):
        raise TypeError(
            f"found {type(figure).__name__}, wanted a matplotlib Figure. Save the figure, not what is in it."
        )
    content = io.BytesIO()
    metadata = {"Software": None, "Description": getattr(figure, "alt", None)}
    figure.savefig(content, format="png", dpi=DPI, bbox_inches="tight", metadata=metadata)
    path = figure_path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.getvalue())
    print(f"Saved {path}")
    if colab.is_here() and not DRIVE.is_dir() and not os.environ.get("COURSE_FIGURES") and "drive" not in _said_once:
        _said_once.add("drive")
        print(
            "Colab forgets this file when the session ends. To keep your figures for the writeup, run\n"
            '    from google.colab import drive; drive.mount("/content/drive")\n'
            "and then this cell again."
        )
    return figure


def saved_figure(name: str) -> "Image | MissingFigure":
    """Return the figure that `save_figure` saved under this name; a box that says where it is made, if it was not."""
    _parts(name)
    path = figure_path(name)
    if not path.is_file():
        return MissingFigure(name)
    with open_picture(path) as picture:
        alt = picture.info.get("Description")
    return Image(data=path.read_bytes(), format="png", alt=alt)


class MissingFigure:
    """What a cell shows in place of a figure that was not saved. It is no picture, so nobody takes it for one."""

    def __init__(self, name: str):
        """Keep the figure's name."""
        self.name = name

    def __repr__(self) -> str:
        """Return the message: what is missing, which notebook makes it, what to do."""
        notebook, figure = _parts(self.name)
        return (
            f"Missing figure: {figure}, of notebook {notebook}. Open {notebook}.ipynb and run it down to "
            f'save_figure(..., "{self.name}"), then run this cell again. Looked for: {figure_path(self.name)}'
        )

    def _repr_html_(self) -> str:
        style = "border: 2px dashed #b42318; border-radius: 4px; padding: 1em; color: #b42318; max-width: 45em"
        return f'<div style="{style}">{html.escape(repr(self))}</div>'


def collected_figure(source: str) -> str:
    """Return the name of the figure that a cell shows, where it does this alone; "" elsewhere."""
    found = _SHOWS.fullmatch(source)
    return found[2] if found else ""


def figure_path(name: str) -> Path:
    """Return where the figure `name` is saved, or would be."""
    if chosen := os.environ.get("COURSE_FIGURES"):
        folder = Path(chosen)
    elif colab.is_here() and DRIVE.is_dir():
        folder = DRIVE / ON_DRIVE
    else:
        folder = Path("figures")
    return folder / f"{name}.png"


def _parts(name: str) -> tuple[str, str]:
    """Return notebook and figure of a name such as "01_saliency-maps"."""
    found = _NAME.fullmatch(name) if isinstance(name, str) else None
    if not found:
        raise ValueError(f'found the name {name!r} of a figure; wanted notebook-figure, such as "01_saliency-maps".')
    return found[1], found[2]
