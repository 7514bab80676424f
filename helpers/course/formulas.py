"""Formulas as MathML, so that formgrader and feedback pages show them in a browser without the net.

nbgrader's pages bring MathJax from the net, which typesets what is left, or nothing at all.
"""

import re
import subprocess
from html import unescape

from helpers import pandoc
from helpers.writeup import formulas_out


def typeset(cells):
    """Put MathML in place of the formulas in Markdown cells; a formula that pandoc cannot read stays as it is."""
    found = []

    def note(tex, displayed):
        found.append((unescape(tex), displayed))
        return ""

    texts = [cell for cell in cells if cell.cell_type == "markdown"]
    for cell in texts:
        formulas_out(cell.source, note)
    if not found:
        return
    rendered = iter(_mathml(found))

    def put(tex, displayed):
        mathml, mark = next(rendered), "$$" if displayed else "$"
        return f"{mark}{tex}{mark}" if mathml is None else mathml

    for cell in texts:
        cell.source = formulas_out(cell.source, put)


def _mathml(formulas):
    """Return for each (TeX, whether it is displayed) its MathML on one line, or None."""
    kinds = {True: "DisplayMath", False: "InlineMath"}
    blocks = [{"t": "Para", "c": [{"t": "Math", "c": [{"t": kinds[shown]}, tex]}]} for tex, shown in formulas]
    try:
        page = pandoc.convert(pandoc.document(blocks), "json", "html", "--mathml")
    except (OSError, subprocess.SubprocessError):
        return [None] * len(formulas)
    paragraphs = re.findall(r"<p>(.*?)</p>", page, re.DOTALL)
    if len(paragraphs) != len(formulas):
        return [None] * len(formulas)
    return [_in_markdown(text.strip()) for text in paragraphs]


def _in_markdown(mathml):
    """Return MathML that Markdown leaves alone; None for the TeX that pandoc puts in place of what it cannot read."""
    if not mathml.startswith("<math"):
        return None
    mathml = re.sub(r"<annotation.*?</annotation>", "", mathml, flags=re.DOTALL)
    marks = re.compile(r"[*_`~\\\[\]|$]")
    return re.sub(r">[^<]+<", lambda text: marks.sub(lambda mark: f"&#{ord(mark[0])};", text[0]), mathml)
