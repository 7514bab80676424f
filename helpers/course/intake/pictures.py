"""The figures that a student's notebook brings along from others: the pictures below its `saved_figure(...)` cells.

Nothing can draw them again in grading. So these pictures, and no other output, are taken from what was handed in.
"""

import base64
import binascii
import io
import warnings

import nbformat
from nbformat import NotebookNode
from PIL import Image

from helpers.writeup.figures import collected_figure

LARGEST = 5_000_000  # bytes of a picture's file
MOST_PIXELS = 50_000_000
FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG"}


def figures(release: NotebookNode) -> set[str]:
    """Return the names of the figures that a students' notebook collects, as released."""
    return {name for cell in release.cells if (name := figure_of(cell))}


def figure_of(cell: NotebookNode) -> str:
    """Return the name of the figure that a cell collects; "" where it collects none."""
    return collected_figure(cell.source) if cell.cell_type == "code" else ""


def pictures(cell: NotebookNode) -> list[NotebookNode]:
    """Return the last picture among the outputs of a code cell that may hold anything, as the one output of a list.

    The list is empty where there is none.

    Raises:
        ValueError: what is there is no picture that can be taken, and why.
    """
    outputs = cell.get("outputs")
    bundles = (
        [output.get("data") for output in outputs if isinstance(output, dict)] if isinstance(outputs, list) else []
    )
    found = [
        (kind, bundle[kind])
        for bundle in bundles
        if isinstance(bundle, dict)
        for kind in FORMATS
        if isinstance(bundle.get(kind), str)
    ]
    if not found:
        return []
    kind, text = found[-1]
    data = _decoded(text, kind)
    return [nbformat.v4.new_output("display_data", data={kind: base64.b64encode(data).decode()})]


def _decoded(text: str, kind: str) -> bytes:
    """Return the bytes of a picture, once it is certain that they are one."""
    if len(text) > 1.5 * LARGEST:
        raise ValueError(f"is larger than {LARGEST // 1_000_000} MB")
    try:
        data = base64.b64decode(text)
    except (binascii.Error, ValueError) as error:
        raise ValueError("is damaged") from error
    if len(data) > LARGEST:
        raise ValueError(f"is larger than {LARGEST // 1_000_000} MB")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about size; told below
            image = Image.open(io.BytesIO(data), formats=[FORMATS[kind]])
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"has {image.width} x {image.height} pixels; at most {MOST_PIXELS} are taken")
            image.load()
    except ValueError:
        raise
    except Exception as error:
        # Pillow raises many types for a file that is no picture.
        raise ValueError(f"is no {FORMATS[kind]} file") from error
    return data
