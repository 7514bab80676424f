"""Formulas as MathML, so that formgrader and feedback pages show them in a browser without the net.

nbgrader's pages bring MathJax from the net, which typesets what is left, or nothing at all.
"""

import re
import subprocess
from collections.abc import Iterable
from functools import lru_cache
from html import unescape

from nbformat import NotebookNode

from helpers.course.report.harmless import is_harmless
from helpers.writeup import pandoc
from helpers.writeup.formulas import formulas_out


def typeset(cells: Iterable[NotebookNode]) -> None:
    """Put MathML in place of the formulas in Markdown cells; a formula that pandoc cannot read stays as it is."""
    for cell in cells:
        if cell.cell_type == "markdown":
            _typeset(cell)


def _typeset(cell: NotebookNode) -> None:
    found: list[tuple[str, bool]] = []
    source = cell.source
    formulas_out(source, lambda tex, displayed: found.append((unescape(tex), displayed)))
    if not found:
        return
    try:
        rendered = iter(_mathml(tuple(found)))
    except (OSError, subprocess.SubprocessError):
        return
    harmless = is_harmless(cell)
    cell.source = formulas_out(source, lambda tex, displayed: next(rendered))
    # A dollar that is used up may open to Markdown what NoScript took for a formula.
    if harmless and not is_harmless(cell):
        cell.source = source


@lru_cache(1000)  # most texts of a page are the same for a whole class
def _mathml(formulas: tuple[tuple[str, bool], ...]) -> list[str | None]:
    """Return for each (TeX, whether it is displayed) its MathML on one line, or None; raises as pandoc.convert."""
    blocks = [pandoc.formula(tex, displayed) for tex, displayed in formulas]
    page = pandoc.convert(pandoc.document(blocks), "json", "html", "--mathml")
    paragraphs = re.findall(r"<p>(.*?)</p>", page, re.DOTALL)
    if len(paragraphs) != len(formulas):
        return [None] * len(formulas)
    return [_in_markdown(text.strip()) for text in paragraphs]


def _in_markdown(mathml: str) -> str | None:
    """Return MathML that Markdown leaves alone; None for the TeX that pandoc puts in place of what it cannot read."""
    if not mathml.startswith("<math"):
        return None
    mathml = re.sub(r"<annotation.*?</annotation>", "", mathml, flags=re.DOTALL)
    marks = re.compile(r"[*_`~\\\[\]|$]")
    return re.sub(r">[^<]+<", lambda text: marks.sub(lambda mark: f"&#{ord(mark[0])};", text[0]), mathml)
