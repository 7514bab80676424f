"""How the book is built: `make book` runs Sphinx on this repository as it is, and nothing is fetched or executed."""

import json
import re
import sys
from pathlib import Path

from docutils import nodes

COURSE = Path(__file__).parent.parent
sys.path.insert(0, str(COURSE))

from helpers import plots, toml  # noqa: E402
from helpers.picturebook.objects import CLASSES  # noqa: E402
from helpers.picturebook.scenes import draw_scene  # noqa: E402
from helpers.picturebook.styles import STYLES  # noqa: E402
from helpers.pictures import picture_book, picture_pairs, style_picture  # noqa: E402
from helpers.writeup import pandoc  # noqa: E402

terms = toml.read(COURSE / "course.toml")

project = terms["name"]
author = "The authors"
copyright = "the authors; prose and pictures CC BY 4.0, code MIT"
release = toml.read(COURSE / "pyproject.toml")["project"]["version"]
language = "en"
highlight_language = "none"
root_doc = "docs/index"
include_patterns = ["docs/*.md", "notebooks/*.ipynb", "data/README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
exclude_patterns = [".*", "build", "grading", "helpers", "solutions", "tests", "**/__pycache__"]

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
copybutton_exclude = ".linenos, .gp"

html_theme = "furo"
html_title = project
html_static_path = ["book.css"]  # seen from the folder of this file
html_css_files = ["book.css"]
html_copy_source = False
html_show_sphinx = False
html_show_search_summary = False  # which are fetched, and a page opened from disk may not fetch
html_theme_options = {"footer_icons": []}
html_math_renderer = "mathml"


def links_that_lead_on(app, name, source):
    """Leave out links to folders, and to the README, whose place this book takes."""

    def text(link):
        place = (COURSE / name).parent / link[2]
        return link[1] if place.is_dir() or place.resolve() == COURSE / "README.md" else link[0]

    if not name.startswith("notebooks/"):
        source[0] = re.sub(r"\[([^]]+)\]\(([^)#:]+)\)", text, source[0])


def page_of_notebook(app, name, source):
    """Leave out of a student's notebook what is of use only where it runs, and fold what is long."""
    if not name.startswith("notebooks/"):
        return
    notebook = json.loads(source[0])
    cells = []
    for cell in notebook["cells"]:
        tags = cell["metadata"].setdefault("tags", [])
        locked = cell["metadata"].get("nbgrader", {}).get("locked")
        if cell["id"] == "colab-badge" or cell["id"].startswith("setup-0"):
            continue
        if "expected" in tags:
            tags.append("remove-input")
        elif cell["cell_type"] == "code" and (locked or tags):
            tags.append("hide-input")
        cells.append(cell)
    text = f"This page is `{name}.ipynb`. Its pictures are those of the model answers, on the picture book."
    cells.insert(1, {"cell_type": "markdown", "id": "about", "metadata": {}, "source": text})
    source[0] = json.dumps(notebook | {"cells": cells})


def formulas(app, tree, name):
    """Typeset all formulas of a page at once, as MathML: no script, no font from elsewhere, and read aloud."""
    found = list(tree.findall(lambda node: isinstance(node, (nodes.math, nodes.math_block))))
    if not found:
        return
    blocks = [pandoc.formula(node.astext(), isinstance(node, nodes.math_block)) for node in found]
    html = pandoc.convert(pandoc.document(blocks), "json", "html", "--mathml")
    typeset = re.findall(r"<math.*?</math>", html, re.DOTALL)
    if len(typeset) != len(found):
        raise ValueError(f"{name}: {len(found)} formulas, of which {len(typeset)} could be typeset")
    for node, text in zip(found, typeset, strict=True):
        display = isinstance(node, nodes.math_block)
        raw = nodes.raw("", f'<div class="formula">{text}</div>' if display else text, format="html")
        node.replace_self(raw)


def plain_text(app, what, name, thing, options, lines):
    """Docstrings are plain text with `names` between single backticks: make reStructuredText say the same."""
    for number, line in enumerate(lines):
        pieces = re.split(r"(`[^`]+`)", line)
        pieces[::2] = [re.sub(r"([*|\\]|_(?!\w))", r"\\\1", piece) for piece in pieces[::2]]
        pieces[1::2] = [f"`{piece}`" for piece in pieces[1::2]]
        lines[number] = "".join(pieces)
        following = lines[number + 1 : number + 3]
        if line.endswith(":") and len(following) == 2 and not following[0] and following[1].startswith("    "):
            lines[number] += ":"


def with_masks(scenes):
    """Return two rows of panels: scenes with their names, and their masks."""
    shown = [plots.picture(*one) for one in zip(scenes.images, scenes.names, strict=True)]
    return shown, [plots.unsigned(mask.float()) for mask in scenes.masks]


def drawings(app):
    """Draw the pictures of the page about the picture book."""
    folder = COURSE / "build" / "drawings"
    folder.mkdir(parents=True, exist_ok=True)
    ten, harder = picture_book(10, seed=7), picture_book(10, seed=7, harder=True)
    two, cat = picture_pairs(4, seed=3), draw_scene(7, 0, size=128)
    parts = [plots.unsigned(cat.part(name) * 1.0, name) for name in cat.part_names[:4]]
    stamped = picture_book(5, seed=7, stamp=True)
    drawn = {
        "classes": [row for five in (ten[:5], ten[5:]) for row in with_masks(five)],
        "parts": [[plots.picture(cat.image.transpose(2, 0, 1) / 255, CLASSES[cat.label]), *parts]],
        "harder": [list(map(plots.picture, ten.images[:5])), list(map(plots.picture, harder.images[:5]))],
        "pairs": [
            [plots.picture(image, " and ".join(names)) for image, names in zip(two.images, two.names, strict=True)]
        ],
        "stamp": [list(map(plots.picture, stamped.images))],
        "styles": [[plots.picture(style_picture(name)[0], name) for name in STYLES]],
    }
    for name, rows in drawn.items():
        plots.panels(rows).savefig(folder / f"{name}.png", dpi=120, bbox_inches="tight")


def first_page(app, failure):
    """Lead from the folder of the book to its first page."""
    if failure is None:
        page = f"{root_doc}.html"
        head = f'<meta charset="utf-8"><meta http-equiv="refresh" content="0; url={page}"><title>{project}</title>'
        Path(app.outdir, "index.html").write_text(f'<!doctype html>{head}<a href="{page}">{project}</a>\n', "utf-8")


def setup(app):
    """Tell Sphinx of all this."""
    replaced = (lambda *_: None, None)  # no formula is left when pages are written
    app.add_html_math_renderer("mathml", replaced, replaced)
    app.connect("builder-inited", drawings)
    app.connect("source-read", links_that_lead_on)
    app.connect("source-read", page_of_notebook)
    app.connect("autodoc-process-docstring", plain_text)
    app.connect("doctree-resolved", formulas)
    app.connect("build-finished", first_page)
