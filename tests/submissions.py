"""What students hand in to the toy assignments, and what happens to their notebooks on the way."""

import base64
import copy
import io

import nbformat
from PIL import Image

from helpers import COURSE
from helpers.course import demo
from helpers.course.release import notebooks

TOYS = COURSE / "tests" / "toy"
RIGHT = {"double": "def double(x):\n    return 2 * x", "half": "def half(x):\n    return x / 2"}


def filled(page, answers, change=lambda notebook: None):
    """Return the students' notebook of `page` with answers in it, after `change`."""
    notebook = demo.filled(notebooks.student_notebook(page), answers)
    change(notebook)
    return notebook


def hand_in(notebook, folder, student, name="01_toy"):
    """Write a notebook to `<folder>/<student>/<name>.ipynb`."""
    path = folder / student / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


def cell(notebook, name):
    """Return the first cell with this grade id, or else with this text in it."""
    tagged = (c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == name)
    return next(tagged, None) or next(c for c in notebook.cells if name in c.source)


def code(text, place=3):
    """Return a change that puts a cell of code in; a place behind all others is the end."""
    return lambda nb: nb.cells.insert(place, nbformat.v4.new_code_cell(text, id="own"))


def copied(grade_id):
    """Return a change that pastes a copy of a cell to the end."""
    return lambda nb: nb.cells.append(copy.deepcopy(cell(nb, grade_id)))


def deleted(grade_id):
    """Return a change that deletes a cell."""
    return lambda nb: nb.cells.remove(cell(nb, grade_id))


def png(colour="red", size=(8, 8), kind="PNG"):
    """Return a picture of one colour, in base64."""
    data = io.BytesIO()
    Image.new("RGB", size, colour).save(data, kind)
    return base64.b64encode(data.getvalue()).decode()


def shown(text, kind="image/png", **more):
    """Return an output that shows `text`."""
    return nbformat.v4.new_output("display_data", data={kind: text}, **more)
