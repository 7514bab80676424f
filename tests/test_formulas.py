"""Formulas on nbgrader's pages: MathML that a browser shows without the net, and nothing else is touched."""

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbconvert.filters import markdown2html_mistune

from helpers.course.report import formulas
from helpers.writeup import pandoc


def rendered(source):
    """The page that a Markdown cell becomes, and its text without what MathML brackets carry."""
    cell = nbformat.v4.new_markdown_cell(source)
    formulas.typeset([nbformat.v4.new_code_cell("cost = '$5 and $6'"), cell])
    return BeautifulSoup(markdown2html_mistune(cell.source), "html.parser")


def test_formulas_in_lines_on_lines_of_their_own_and_in_tables_become_mathml():
    page = rendered("The $s_y$:\n\n$$\\frac{a}{b} * c * d$$\n\n| a | $|g|$ |\n|---|---|\n| 1 | $x_1$ |")
    assert [formula["display"] for formula in page.find_all("math")] == ["inline", "block", "inline", "inline"]
    assert page.find("msub").text == "sy" and page.find("mfrac").text == "ab"
    assert page.find("table").find_all("math")[0].text == "|g|"
    assert not page.find("em") and "$" not in page.text and "\\" not in page.text


def test_what_is_no_formula_stays():
    page = rendered("It costs \\$5, `$x$`, and $\\nosuch{x}$.")
    assert not page.find("math")
    assert page.text.strip() == "It costs $5, $x$, and $\\nosuch{x}$."


def test_a_formula_of_a_student_brings_no_markup_along():
    # NoScript has written &lt; for <.
    page = rendered(r"$a &lt; b$ and $\text{&lt;script&gt;x()&lt;/script&gt;}$ and $\href{javascript:x()}{y}$")
    assert not page.find("script") and not page.find("a")
    assert page.find_all("math")[0].text == "a<b"


@pytest.mark.parametrize("tex", ["a^{" * 30 + "}" * 30, r"a^\left(" * 30 + r"b\right)" * 30])
def test_a_formula_too_deep_to_be_read_costs_no_other_cell_its_formulas(tex):
    cells = [nbformat.v4.new_markdown_cell(f"${text}$") for text in (tex, "x")]
    formulas.typeset(cells)
    assert cells[0].source == f"${tex}$" and cells[1].source.startswith("<math")


@pytest.mark.parametrize("fault", [OSError, pandoc.subprocess.TimeoutExpired("pandoc", 1)])
def test_without_pandoc_formulas_stay_as_they_are(monkeypatch, fault):
    def convert(*_):
        raise fault

    monkeypatch.setattr(pandoc, "convert", convert)
    monkeypatch.setattr(pandoc, "document", str)
    assert rendered("$without$").text.strip() == "$without$"
