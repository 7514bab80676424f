"""The PDF of the written answers, judged by its pages: number and order, their text, and what is drawn on them."""

import base64
import io
import json
import random
import re
import subprocess
import sys
import types
from datetime import datetime
from functools import cached_property

import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

pytestmark = pytest.mark.slow  # all together; one by one they take no time

pytest.importorskip("typst")
pytest.importorskip("pypandoc")
pypdf = pytest.importorskip("pypdf")
pypdfium2 = pytest.importorskip("pypdfium2")

from helpers import pdf  # noqa: E402
from helpers.handin.assignment import NOT_ANSWERED, Assignment, Item  # noqa: E402
from helpers.handin.notebook import Current, read  # noqa: E402
from helpers.pdf import markdown, pages, press  # noqa: E402
from helpers.pdf.__main__ import main, name_in  # noqa: E402
from helpers.words import shortened  # noqa: E402
from helpers.writeup import pandoc  # noqa: E402
from tests.submissions import png  # noqa: E402

COLOURS = {"01_saliency-maps": (255, 0, 255), "02_gradcam-guided": (0, 200, 255)}
GREEN = (0, 160, 60)
SENTENCE = "The gradient of the score with respect to the pixels says how the score changes with one pixel. "
FORMULA = "$\\frac{\\partial s_y}{\\partial x_i}$"


def question(name, title, words=None, figures=()):
    """The cells of a question: its prose, the figures collected for it, the place for the answer."""
    text = f"### {title}\n\nThis asks about {name}: {FORMULA}.\n"
    collected = (Item(f"local-{figure}", "figure", source=f'saved_figure("{figure}")') for figure in figures)
    answer = Item(name, "question", title, NOT_ANSWERED, 3, words, text, tuple(figures))
    return Item(f"prose-{name}", "prose", source=text), *collected, answer


ASSIGNMENT = Assignment(
    "07_writeup",
    "Writeup",
    "Looking inside",
    (
        *question("q_sum", "Question 1: the sum", words=20),
        *question("q_maps", "Question 2: two maps", figures=COLOURS),
        *question("q_claim", "Question 3: a claim $a_b$"),
        *question("q_review", "Question 4: a review", words=150),
    ),
)
QUESTIONS = ASSIGNMENT.questions


def notebook(answers, figures=COLOURS, attachments=None, name="Ada Lovelace", size=(40, 20)):
    """A student's notebook with answers by name; an answer None stands for a deleted cell."""
    cells = [new_code_cell(f"%pip install x\nYOUR_NAME = {name!r}")]
    for item in QUESTIONS:
        cells.append(new_markdown_cell(item.text))
        for figure in item.figures:
            cell = new_code_cell(f'saved_figure("{figure}")')
            if figure in figures:
                cell.outputs = [new_output("display_data", {"image/png": png(figures[figure], size)})]
            cells.append(cell)
        if answers.get(item.id, "") is not None:
            cell = new_markdown_cell(answers.get(item.id, NOT_ANSWERED))
            cell.metadata["nbgrader"] = {"grade_id": item.id}
            if attachments and item.id in attachments:
                cell.attachments = attachments[item.id]
            cells.append(cell)
    return new_notebook(cells=cells)


class Pages:
    """A PDF's pages: their texts and their pixels."""

    def __init__(self, content):
        self.reader = pypdf.PdfReader(io.BytesIO(content))
        self.texts = [" ".join(page.extract_text().split()) for page in self.reader.pages]
        self.content = content

    @cached_property
    def pixels(self):
        document = pypdfium2.PdfDocument(self.content)
        return [np.asarray(page.render(scale=1).to_pil().convert("RGB"), int) for page in document]

    def __len__(self):
        return len(self.texts)

    def area(self, page, colour):
        """How many pixels of a page have a colour."""
        return int((abs(self.pixels[page - 1] - colour).max(axis=2) < 12).sum())

    def ink(self, page, rows=slice(None), columns=slice(None)):
        """How many pixels are not white in a part of a page."""
        return int((self.pixels[page - 1][rows, columns].min(axis=2) < 240).sum())


def made(answers, name="Ada Lovelace", **given):
    result = pages.make(ASSIGNMENT, name, notebook(answers, **given))
    return result, Pages(result.pdf)


def answered(text, **given):
    """The pages of a notebook in which the third question alone is answered."""
    return made({"q_claim": text}, **given)


def assert_inside_margins(pages):
    for page in range(1, len(pages) + 1):
        assert pages.pixels[page - 1].shape[:2] == (842, 595)
        assert pages.ink(page, columns=slice(0, 60)) == 0, page
        assert pages.ink(page, columns=slice(535, None)) == 0, page
        assert pages.ink(page, rows=slice(0, 40)) == 0, page
        assert pages.ink(page, rows=slice(812, None)) == 0, page


@pytest.fixture(scope="module")
def filled():
    answers = {
        "q_sum": f"Each score has {FORMULA} of its own:\n\n$$\\sum_{{i}} s_i \\odot m$$\n\n" + SENTENCE,
        "q_maps": "Both maps.\n\n![mine](attachment:my%20sketch.png)\n\nThe end.",
        "q_claim": "## Wrong\n\n1. one\n   - two\n\n| a | b |\n|---|---|\n| c | $x|y$ |\n\n"
        "```python\nmaps = [1]\n```\n\n> so",
        "q_review": SENTENCE * 3,
    }
    return made(answers, attachments={"q_maps": {"my sketch.png": {"image/png": png(GREEN, (400, 200))}}})


def test_the_first_page_has_name_and_course_and_then_there_is_one_question_a_page(filled):
    result, pages = filled
    assert len(pages) == 5
    assert result.says == "5 pages, 4 questions"
    assert result.remarks == []
    for words in ("Looking inside", "Writeup", "Ada Lovelace", "54 of 150 words", "Total 12"):
        assert words in pages.texts[0]
    for number, item in enumerate(QUESTIONS, start=1):
        text = pages.texts[number]
        assert text.startswith(f"Ada Lovelace Question {number} of 4 Looking inside · Writeup page {number + 1} of 5")
        assert item.title.partition(" $")[0] in text
        assert f"This asks about {item.id}" in text
        assert "3 points" in text
    assert "54 of at most 150 words" in pages.texts[4]
    assert_inside_margins(pages)


def test_the_file_names_its_author_and_has_an_outline(filled):
    _, pages = filled
    assert pages.reader.metadata.author == "Ada Lovelace"
    assert pages.reader.metadata.title == "Looking inside: Writeup"
    titles = [entry.title for entry in pages.reader.outline]
    assert titles == ["Ada Lovelace", "Question 1", "Question 2", "Question 3", "Question 4"]


def test_figures_are_on_the_page_of_their_question_side_by_side_and_leave_room(filled):
    _, pages = filled
    tops = []
    for colour in COLOURS.values():
        assert [pages.area(page, colour) > 0 for page in range(1, 6)] == [False, False, True, False, False]
        rows, columns = np.nonzero(abs(pages.pixels[2] - colour).max(axis=2) < 12)
        tops.append((rows.min(), columns.min()))
        assert np.ptp(rows) < 0.4 * 842
    assert tops[0][0] == tops[1][0]
    assert tops[0][1] < tops[1][1]
    assert pages.area(3, GREEN) > 5000


@pytest.mark.parametrize("size", [(600, 1800), (1800, 600), (1500, 1500)])
def test_large_figures_share_two_fifths_of_the_page_and_shrink_with_a_long_answer(size):
    heights = []
    for count in (1, 30):
        _, pages = made({"q_maps": SENTENCE * count}, size=size)
        rows = [np.nonzero(abs(pages.pixels[2] - colour).max(axis=2) < 12)[0] for colour in COLOURS.values()]
        together = np.concatenate(rows)
        heights.append(np.ptp(together))
        assert count > 1 or all(len(found) > 20_000 for found in rows)
        assert f"{18 * count} words" in pages.texts[2]
        assert_inside_margins(pages)
    assert 0.4 * 842 > heights[0] > heights[1]


def test_formulas_are_drawn(filled):
    _, pages = filled
    for text in pages.texts:
        assert "\\" not in text
        assert "$" not in text
    assert "⊙" in pages.texts[1]
    # A displayed formula stands alone in the middle; the page is blank to its left.
    assert "frac" not in pages.texts[1]


def test_markdown_is_set_and_its_headings_are_smaller_than_the_page_s(filled):
    _, pages = filled
    assert "Wrong 1. one" in pages.texts[3]
    for mark in ("##", "```", "|---", "> so"):
        assert mark not in pages.texts[3]
    sizes = {}

    def note(text, _, matrix, font, size):
        if text.strip():
            sizes.setdefault(text.strip(), size * matrix[0])

    pages.reader.pages[3].extract_text(visitor_text=note)
    assert sizes["Wrong"] < 0.8 * next(size for text, size in sizes.items() if text.startswith("Question 3: a claim"))


def test_too_many_words_are_red():
    _, pages = made({"q_sum": SENTENCE * 2, "q_review": SENTENCE * 2})
    assert "36 of at most 20 words" in pages.texts[1]
    assert "36 of at most 150 words" in pages.texts[4]

    def red(page):
        return int((page[..., 0] - page[..., 1:].max(axis=2) > 60).sum())

    assert red(pages.pixels[1]) > 50
    assert red(pages.pixels[4]) == 0


def test_a_half_filled_notebook_keeps_its_pages_and_shows_what_is_missing():
    result, pages = made({"q_sum": "So.", "q_claim": "  ", "q_review": None}, figures={})
    assert len(pages) == 5
    assert result.says == "5 pages, 4 questions (3 not answered)"
    assert [text.count("Not answered") for text in pages.texts] == [0, 0, 1, 1, 1]
    assert pages.texts[0].count("not answered") == 3
    assert "The cell for the answer is not in the notebook" in pages.texts[4]
    assert pages.texts[2].count("Figure missing") == 2
    assert result.remarks == [f"Question 2: the figure {name} is missing." for name in COLOURS]
    assert_inside_margins(pages)


def test_an_empty_notebook_has_all_pages():
    result = pages.make(ASSIGNMENT, "Ada", new_notebook())
    assert result.says == "5 pages, 4 questions (4 not answered)"
    assert len(Pages(result.pdf)) == 5


def test_an_answer_in_which_nothing_is_to_be_seen_is_none():
    result, pages = answered("<!-- later -->")
    assert "(4 not answered)" in result.says
    assert "Not answered" in pages.texts[3]


def test_a_long_answer_is_set_smaller_until_it_fits():
    sizes = []
    for count in (30, 55, 90):
        _, pages = answered(SENTENCE * count)
        assert len(pages) == 5
        size = re.search(r"Set in ([0-9.]+) pt to fit the page\.", pages.texts[3])
        sizes.append(float(size[1]) if size else 10.5)
        assert_inside_margins(pages)
    assert sizes[0] == 10.5
    assert sizes == sorted(set(sizes), reverse=True)
    assert set(sizes) < set(press.SIZES)


def test_what_does_not_fit_continues_after_the_last_question():
    result, pages = made({"q_sum": SENTENCE * 200, "q_claim": (SENTENCE * 20 + "\n\n") * 20 + "The last words."})
    assert [f"Question {n} of 4" in pages.texts[n] for n in range(1, 5)] == [True] * 4
    assert len(pages) >= 8
    for number, text in enumerate(pages.texts[5:], start=6):
        assert f"Question {1 if number == 6 else 3} of 4, continued" in text
    assert "Continues on page 6." in pages.texts[1]
    assert "Continued from page 2." in pages.texts[5]
    assert "Continues on page 7." in pages.texts[3]
    assert "Continued from page 7." in pages.texts[7]
    assert "The last words. " in pages.texts[-1]
    assert f"page {len(pages)} of {len(pages)}" in pages.texts[-1]
    assert f"4, 7\u2013{len(pages)}" in pages.texts[0]
    assert "Question 1: the answer is too long for its page in 7 pt, too; it continues on page 6." in result.remarks
    assert_inside_margins(pages)


WIDE = "+".join(f"x_{{{n}}}" for n in range(150))


@pytest.mark.parametrize(
    "text",
    [
        f"$${WIDE}$$ and ${WIDE}$",
        f"$$\\frac{{{WIDE}}}{{2}}$$ and $\\frac{{{WIDE}}}{{2}}$",
        f"$$\\begin{{aligned}} a &= {WIDE} \\\\ b &= {WIDE} \\end{{aligned}}$$",
        "$$\\begin{pmatrix}" + "\\\\".join(["a & b"] * 120) + "\\end{pmatrix}$$",
        "W" * 400 + " `" + "c" * 300 + "` https://example.org/" + "z" * 300,
        "```\n" + "y" * 400 + "\n" + "word " * 60 + "\n```",
        "|" + "|".join(["W" * 30] * 25) + "|\n" + "|---" * 25 + "|\n" + ("|" + "|".join(["abc"] * 25) + "|\n") * 3,
        f"| a | b |\n|---|---|\n| {'W' * 29} | {'W' * 29} |",
        f"| a | b |\n|---|---|\n| {'W' * 100} | $\\frac{{{WIDE}}}{{2}}$ |",
        "\n".join("  " * depth + "- " + "W" * 60 for depth in range(30)),
        ">" * 40 + " " + "W" * 200,
        "![](attachment:wide.png) ![](attachment:tall.png)",
        "kept words a" + "\u0301" * 500,
    ],
    ids=lambda text: text[:12],
)
def test_nothing_stands_in_the_margins(text):
    pasted = {"wide.png": {"image/png": png(GREEN, (6000, 30))}, "tall.png": {"image/png": png(GREEN, (30, 6000))}}
    result, pages = answered(text, attachments={"q_claim": pasted})
    assert result.remarks == [] or "too long" in result.remarks[0]
    assert "printed as it was typed" not in pages.texts[3]
    assert sum(pages.ink(page, rows=slice(190, 780)) for page in (4, *range(6, len(pages) + 1))) > 10
    assert_inside_margins(pages)


def test_a_long_name_stays_inside_the_margins():
    _, pages = made({}, name="W" * 300)
    assert len(pages) == 5
    assert_inside_margins(pages)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('#panic("x") #let x = [', '#panic("x") #let x = ['),
        ("*a* @b \\<c> = d // e /\\* f ~ -- 'g' \"h\" [i", "a @b <c> = d // e /* f ~ -- 'g' \"h\" [i"),
        ('```{=typst}\n#panic("x")\n```', '#panic("x")'),
        ('`#panic("x")`{=typst}', '#panic("x"){=typst}'),
        ('<span typst:text:fill="#panic()" typst:x="y">kept</span>', "kept"),
        ('<table typst:fill="#panic()"><tr><td>kept</td></tr></table>', "kept"),
        ('<p style="color: blue">a blue <b>answer</b></p>', "a blue answer"),
        ("a<script>alert(1)</script>b", "b"),
        ("<div>\n\nkept\n\n</div>", "kept"),
        ("---\ntitle: [\n---\n\nkept", "kept"),
        ("[kept](#nowhere) [also](javascript:alert)", "kept also"),
        ("![gone](https://example.org/x.png) kept", "Picture not in the notebook: gone kept"),
        ("![](attachment:none.png) kept", "Picture not in the notebook: attachment:none.png kept"),
        ("note[^1].\n\n[^1]: kept below", "kept below"),
        ("kept \x00\x1b[31m\ud800 \ue0005\ue001", "kept [31m 5"),
    ],
    ids=lambda text: text[:16],
)
def test_what_looks_like_code_is_text(text, shown):
    result, pages = answered(text)
    assert shown in pages.texts[3]
    assert len(pages) == 5
    assert not any("as it was typed" in remark for remark in result.remarks)


@pytest.mark.parametrize("tex", ["\\badmacro{x}", "\\frac{1", "x^", "x^{" * 300 + "}" * 300])
def test_a_formula_that_cannot_be_set_is_printed_as_tex_and_the_others_are_set(tex):
    result, pages = answered(f"before ${tex}$ and $\\odot \\otimes \\cap$ after")
    assert result.remarks == [f"Question 3: a formula could not be set and is printed as TeX: {shortened(tex, 60)}"]
    assert tex[:10] in pages.texts[3]
    assert all(sign in pages.texts[3] for sign in "⊙⊗∩")
    assert_inside_margins(pages)


TEX = r"""
\text{a_b "c"} \operatorname{sign}(x) \operatorname*{arg\,max}_c s_c \mathrm{softmax}(s)_y \max\limits_{c}
\lVert x \rVert_2 \left\lVert x \right\rVert_2^2 \|x\|_2^2 \left. a \right|_{x=0} \Big( x \Big) \langle x \rangle
\mathbb{E}_{x \sim p}[f] \mathcal{L} \boldsymbol{x} {\bf x} \mathbf{1}_{[x>0]} \ell_2
\textcolor{red}{x} \label{a} x^\top
\begin{cases} 1 & x>0 \\ 0 & \text{else}\end{cases} \begin{bmatrix}1&2\\3&4\end{bmatrix} \underbrace{a}_{b}
\begin{align*} a &= b \\ c &= d \end{align*}
\begin{aligned} a_i &= b \\ c &= d \end{aligned} \tag{1}
\dfrac12 \cfrac{1}{2} \sum_{i=1}^{N}\limits x \sqrt[3]{x} \nabla \partial \infty \approx \in \to \stackrel{d}{=}
\hat{x} \tilde{x} \bar{x} \vec{x} \widehat{xy} \overline{xy} x' 5\% \$1 \#2
\bigcap_i A_i \ominus y \llbracket x \rrbracket a \odot b \otimes c \cap d \sqcap e ∩ ⊙
"""


def test_the_tex_of_the_field_is_set():
    lines = TEX.strip().splitlines()
    result, pages = answered("\n\n".join(f"$${line}$$ ${line}$" for line in lines))
    assert result.remarks == []
    assert "\\" not in pages.texts[3]
    assert_inside_margins(pages)


def test_what_is_nested_beyond_reason_is_printed_as_it_was_typed():
    result, pages = answered(">" * 3000 + " deep")
    assert "This answer could not be typeset. It is printed as it was typed." in pages.texts[3]
    assert ">" * 30 in pages.texts[3]
    assert "as it was typed" in result.remarks[0]
    assert_inside_margins(pages)


def test_what_typst_cannot_set_is_printed_as_it_was_typed(monkeypatch):
    monkeypatch.setattr(markdown.Markdown, "_typst", lambda *_: "#unknown()")
    _, pages = answered("`a` and *b*")
    assert "as it was typed. `a` and *b*" in pages.texts[3]


def test_a_forged_token_stops_nothing():
    result = pages.make(ASSIGNMENT, "Ada", notebook({ASSIGNMENT.questions[0].id: "$x$ &#xe000;99&#xe001; and more"}))
    assert "more" in pypdf.PdfReader(io.BytesIO(result.pdf)).pages[1].extract_text()


def test_a_footnote_that_refers_to_itself_does_not_hang(monkeypatch):
    monkeypatch.setattr(pandoc, "SECONDS", 1)
    result, pages = answered("kept[^1]\n\n[^1]: more [^1]")
    assert "kept[^1]" in pages.texts[3]
    assert result.remarks == []


def test_letters_that_no_font_has_stop_nothing():
    result, pages = answered("李雷 😀 عربى kept", name="Ada 李雷")
    assert "kept" in pages.texts[3]
    assert "Ada" in pages.texts[0]
    assert len(pages) == 5
    assert ("No font" in "".join(result.remarks)) == ("李雷" not in pages.texts[0])


def test_a_huge_answer_comes_out_whole():
    text = " ".join(f"w{n}" for n in range(20_000))
    _, pages = answered(text)
    words = set(" ".join(pages.texts).split())
    # Some words are broken at the end of a line.
    assert sum(f"w{n}" in words for n in range(20_000)) > 19_000
    assert "20000 words" in pages.texts[-1]


PIECES = """#panic("x")|#|$|$$|\\|\\frac{1}{2}|\\text{|}|{|[|]|(|)|<b>|<div>|</div>|*|**|_|`|```|~~~
{=typst}|> |- |1. |![|](
attachment:x)|<|@x|//|/*|*/|"|'|word|é|😀|&amp;|%|\\begin{align}|\\end{align}|\\odot|\\left(|^2|=|+|~|---
<table><tr><td>|#let x = [|#import "layout.typ": *|<label>|<span typst:text:fill='#panic()'>|<!--|-->|\\\\("""


def test_any_heap_of_marks_gives_a_pdf(tmp_path):
    pieces = [*PIECES.replace("\n", "|").split("|"), "|", "|---|---|\n", "\n", "\n\n", " "]
    rng = random.Random(0)
    folder = press.Press(tmp_path)
    for _ in range(15):
        text = "".join(rng.choices(pieces, k=40))
        typst = markdown.Markdown(text, {}, folder).typeset("It")
        assert folder.takes(typst), text
        assert not typst.startswith("#as-typed"), text


# ------------------------------------------------------------------------------------------------ in the notebook


@pytest.fixture
def course(monkeypatch, tmp_path):
    """The assignment above is the one handed out; the working folder is empty."""
    for module in ("helpers.pdf", "helpers.pdf.__main__"):
        monkeypatch.setattr(f"{module}.handed_out", lambda name: ASSIGNMENT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COURSE_FIGURES", raising=False)
    return tmp_path


@pytest.fixture
def saved(course):
    path = course / "07_writeup.ipynb"
    path.write_text(json.dumps(notebook({"q_sum": "So."}, figures={})), "utf-8")
    return path


def test_write_pdf_says_what_it_wrote_and_returns_the_path(saved, capsys, monkeypatch):
    monkeypatch.setattr(pdf, "current", lambda name, path: Current(read(saved), saved, datetime(2030, 1, 2, 3, 4, 5)))
    path = pdf.write_pdf("07_writeup", "Zoë  O'Neill\n")
    assert path == saved.with_name("07_writeup-zoe-o-neill.pdf")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"Wrote {path}: 5 pages, 4 questions (3 not answered), ")
    assert lines[0].endswith("from the notebook as saved at 03:04:05")
    assert "Zoë O'Neill" in Pages(path.read_bytes()).texts[0]


def test_the_saved_file_stands_in_for_a_figure_that_the_notebook_does_not_show(saved, course):
    (course / "figures").mkdir()
    (course / "figures" / "01_saliency-maps.png").write_bytes(base64.b64decode(png((255, 0, 255))))
    pages = Pages(pdf.write_pdf("07_writeup", "Ada", saved, course / "out").read_bytes())
    assert pages.area(3, (255, 0, 255)) > 0
    assert pages.texts[2].count("Figure missing") == 1


@pytest.mark.parametrize("output", ["junk", "", png((1, 2, 3))[:60], None])
def test_a_damaged_figure_is_a_missing_one(output):
    broken = notebook({})
    for cell in broken.cells:
        for shown in cell.get("outputs", []):
            shown["data"] = {"image/png": output} if output is not None else None
    result = pages.make(ASSIGNMENT, "Ada", broken)
    assert Pages(result.pdf).texts[2].count("Figure missing") == 2


def test_a_picture_in_the_text_is_printed_as_colab_pastes_it():
    _, pages = answered(f"![image.png](data:image/png;base64,{png(GREEN, (300, 200))})")
    assert pages.area(4, GREEN) > 5000


def test_in_colab_the_file_is_written_here_and_offered(course, monkeypatch):
    offered = []
    colab = types.ModuleType("google.colab")
    colab.files = types.SimpleNamespace(download=offered.append)
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    monkeypatch.setattr(pdf, "current", lambda name, path: Current(notebook({})))
    path = pdf.write_pdf("07_writeup", "Ada")
    assert path.is_file()
    assert offered == [str(path)]


@pytest.mark.parametrize("name", ["", "  \n", None, 7, "\x00\u202e"])
def test_a_name_is_asked_for(name, saved):
    with pytest.raises(ValueError, match=r"wanted yours\. Write it between the quotes of YOUR_NAME"):
        pdf.write_pdf("07_writeup", name, saved)


def test_an_assignment_without_questions_is_refused():
    with pytest.raises(ValueError, match="found no written question in 01_saliency"):
        pages.make(Assignment("01_saliency", "Saliency", "Looking inside", ()), "Ada", new_notebook())


@pytest.mark.parametrize("package", ["typst", "pypandoc", "pypdf"])
def test_a_missing_package_is_named_with_the_line_that_installs_it(package, saved, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError) as caught:
        pdf.write_pdf("07_writeup", "Ada", saved)
    said = str(caught.value)
    assert package in said
    assert "    %pip install typst pypandoc_binary pypdf\n" in said
    assert "    pip install typst pypandoc_binary pypdf\n" in said


@pytest.mark.parametrize(
    ("name", "slug"),
    [("Ada Lovelace", "ada-lovelace"), ("José Ñúñez", "jose-nunez"), ("../../etc/passwd", "etc-passwd")],
)
def test_the_file_s_name_is_plain(name, slug):
    assert pdf.slug(name) == slug


def test_names_in_other_letters_give_names_of_files_too():
    first, second = pdf.slug("李雷"), pdf.slug("韩梅梅")
    assert first != second
    assert first.isascii()
    assert first.isalnum()


# ------------------------------------------------------------------------------------------------ in the shell


@pytest.fixture
def pile(course):
    """A folder of notebooks that a class handed in."""
    contents = {
        "07_writeup-1.ipynb": json.dumps(notebook({"q_sum": "So."})),
        "07_writeup-2.ipynb": json.dumps(notebook({}, name="Ada Lovelace")),
        "07_writeup-3.ipynb": json.dumps(notebook({}, name="Grace Hopper")),
        "07_writeup-nameless.ipynb": json.dumps(notebook({}, name="")),
        "07_writeup-broken.ipynb": "{",
    }
    for name, content in contents.items():
        (course / name).write_text(content, "utf-8")
    return [str(course / name) for name in (*contents, "07_writeup-none.ipynb")]


def test_the_command_makes_all_pdfs_it_can_and_says_which_it_cannot(pile, course, capsys):
    assert main([*pile, "--to", str(course / "pdf")]) == 1
    written = sorted(path.name for path in (course / "pdf").iterdir())
    names = ["07_writeup-ada-lovelace-2.pdf", "07_writeup-ada-lovelace.pdf", "07_writeup-grace-hopper.pdf"]
    assert written == names
    said = capsys.readouterr()
    assert said.out.count("Wrote ") == 3
    lines = [line for line in said.err.splitlines() if line.startswith(str(course))]
    assert len(lines) == 3
    assert "07_writeup-nameless.ipynb: found no name in the notebook" in lines[0]
    assert "07_writeup-broken.ipynb" in lines[1]
    assert "found no file" in lines[2]


def test_the_command_finds_the_assignment_by_the_cells_where_the_file_has_another_name(course, monkeypatch, capsys):
    (course / "released").mkdir()
    (course / "released" / "07_writeup.json").touch()
    monkeypatch.setattr("helpers.pdf.__main__.DATA", course)
    (course / "mine.ipynb").write_text(json.dumps(notebook({})), "utf-8")
    (course / "foreign.ipynb").write_text(json.dumps(new_notebook(cells=[new_markdown_cell("Hello")])), "utf-8")
    assert main([str(course / "mine.ipynb"), "--to", str(course / "mine.pdf")]) == 0
    assert (course / "mine.pdf").is_file()
    assert main([str(course / "foreign.ipynb"), "--name", "Ada"]) == 1
    assert "foreign.ipynb: found no question of the course in it" in capsys.readouterr().err


def test_below_submitted_a_pdf_is_named_after_the_student_s_folder(course):
    files = []
    for student, name in {"ada": "", "ben": "Ada Lovelace"}.items():
        files.append(course / "submitted" / student / "07_writeup" / "07_writeup.ipynb")
        files[-1].parent.mkdir(parents=True)
        files[-1].write_text(json.dumps(notebook({}, name=name)), "utf-8")
    assert main([*map(str, files), "--to", str(course / "pdf")]) == 0
    names = {path.name: Pages(path.read_bytes()).texts[0] for path in (course / "pdf").iterdir()}
    assert names.keys() == {"07_writeup-ada.pdf", "07_writeup-ben.pdf"}
    assert "ada" in names["07_writeup-ada.pdf"] and "Ada Lovelace" in names["07_writeup-ben.pdf"]


def test_an_old_file_is_told(saved, capsys, monkeypatch):
    monkeypatch.setattr(pdf, "current", lambda name, path: Current(read(saved), saved, datetime.now()))
    pdf.write_pdf("07_writeup", "Ada")
    assert "save (Ctrl+S" not in capsys.readouterr().out
    monkeypatch.setattr(pdf, "current", lambda name, path: Current(read(saved), saved, datetime(2020, 1, 2)))
    pdf.write_pdf("07_writeup", "Ada")
    assert "save (Ctrl+S" in capsys.readouterr().out


def test_letters_without_a_font_are_told_with_their_question(course):
    result = pages.make(ASSIGNMENT, "Ada", notebook({"q_sum": "Private \u0378 letter"}))
    boxes = "\0" in "".join(Pages(result.pdf).texts)
    assert any("letters of the answer to question 1" in remark for remark in result.remarks) == boxes


def test_a_figure_on_the_grader_s_disk_is_no_figure_of_the_student_s(saved, course):
    (course / "figures").mkdir()
    (course / "figures" / "01_saliency-maps.png").write_bytes(base64.b64decode(png((255, 0, 255))))
    assert main([str(saved)]) == 0
    pages = Pages((course / "07_writeup-ada-lovelace.pdf").read_bytes())
    assert pages.texts[2].count("Figure missing") == 2


@pytest.mark.parametrize("more", [["--name", "Ada"], ["--to", "one.pdf"]])
def test_what_fits_one_notebook_only_is_refused_for_several(pile, more, capsys):
    with pytest.raises(SystemExit) as caught:
        main([*pile, *more])
    assert caught.value.code == 2
    assert "found several notebooks" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ('YOUR_NAME = "Ada"', "Ada"),
        ('%pip install x\n!ls\nYOUR_NAME = "Ada"  # yours', "Ada"),
        ('YOUR_NAME: str = "Ada"', "Ada"),
        ("YOUR_NAME = open('x').read()", None),
        ('YOUR_NAME = "Ada', None),
        ("YOUR_NAME = 7", None),
        ('print("YOUR_NAME")', None),
    ],
)
def test_the_name_is_read_from_the_notebook_and_nothing_is_run(source, name):
    assert name_in(new_notebook(cells=[new_code_cell(source)])) == name


def test_the_command_can_be_called():
    done = subprocess.run(
        [sys.executable, "-m", "helpers.pdf", "none.ipynb"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr == "none.ipynb: found no file none.ipynb; wanted a notebook (.ipynb). Check name and folder.\n"
