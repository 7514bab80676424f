"""The pages: one a question, with its text, figures and answer, and a first page with a table of them."""

import io
import json
import os
import re
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from helpers.handin.answers import Found, find
from helpers.handin.assignment import Assignment
from helpers.pdf.markdown import Markdown, decoded, of_assignment
from helpers.pdf.press import Press, Sheet
from helpers.writeup.figures import collected_figure
from helpers.writeup.words import count_words

WIDTH, HEIGHT = 595.0, 842.0  # A4, in pt
MARGIN = 62.0  # left and right
FIGURES = 0.4  # of a page's height, at most, for the figures of a question


@dataclass(frozen=True)
class Made:
    """A PDF, and what there is to say about it.

    says: the number of pages and questions
    remarks: what the student may want to mend, in sentences
    """

    pdf: bytes
    says: str
    remarks: list[str]


def make(assignment: Assignment, name: str, notebook, saved: Callable[[str], Path] | None = None) -> Made:
    """Return the PDF of a notebook's written answers.

    Args:
        assignment: what was handed out.
        name: the student's.
        notebook: the notebook.
        saved: where the file of a figure would be that the notebook does not hold; None where none is to be looked for.
    """
    from pypdf import PdfReader, PdfWriter

    questions = assignment.questions
    if not questions:
        raise ValueError(f"found no written question in {assignment.name}; a PDF is made of written answers only.")
    common = {"name": name, "course": assignment.course, "assignment": assignment.title, "of": len(questions)}
    with tempfile.TemporaryDirectory(prefix="pdf-") as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        press = Press(Path(folder))
        found = find(assignment, notebook.cells)

        def question(number: int) -> Sheet:
            sheet = _question(press, number, found[questions[number - 1].id], notebook, saved, common)
            press.fit(sheet, first=number + 1, rest=len(questions) + 2, total=len(questions) + 1)
            return sheet

        sheets = list(pool.map(question, range(1, len(questions) + 1)))
        cover = _cover(press, sheets, common)
        press.fit(cover, first=1, rest=len(questions) + 2, total=len(questions) + 1)
        total = sum(sheet.pages for sheet in (cover, *sheets))
        # The first page of each in order; then what is left of the questions, and of the first page.
        places, rest = [], len(sheets) + 2
        for number, sheet in enumerate(sheets, start=2):
            places.append((sheet, number, rest))
            rest += sheet.pages - 1
        places.insert(0, (cover, 1, rest))

        def printed(place) -> PdfReader:
            sheet, first, rest = place
            press.set(sheet, sheet.size, first=first, rest=rest, total=total)
            return PdfReader(io.BytesIO(sheet.pdf))

        parts = list(pool.map(printed, places))

    writer = PdfWriter()
    for number, part in enumerate(parts):
        writer.append(part, pages=(0, 1), import_outline=False)
        writer.add_outline_item(title=f"Question {number}" if number else name, page_number=number)
    for part in (*parts[1:], parts[0]):
        if len(part.pages) > 1:
            writer.append(part, pages=(1, len(part.pages)), import_outline=False)
    title = f"{assignment.course}: {assignment.title}"
    writer.add_metadata({"/Title": title, "/Author": name, "/Creator": "helpers.pdf"})
    content = io.BytesIO()
    writer.write(content)
    missing = sum(not sheet.about["answered"] for sheet in sheets)
    says = f"{_count(total, 'page')}, {_count(len(sheets), 'question')}"
    says += f" ({missing} not answered)" if missing else ""
    # Typst prints a box, and the text has a zero, for a letter that no font has.
    if boxes := [
        number for number, part in enumerate(parts) if any("\0" in page.extract_text() for page in part.pages)
    ]:
        where = "your name" if boxes[0] == 0 else f"the answer to question {', '.join(map(str, boxes))}"
        fonts = [f"No font of this computer has some letters of {where}; boxes are printed for them."]
    else:
        fonts = []
    remarks = [f"Question {n}: {remark}" for n, sheet in enumerate(sheets, start=1) for remark in sheet.remarks]
    return Made(content.getvalue(), says, [*remarks, *fonts])


def _question(press: Press, number: int, found: Found, notebook, saved, common: dict) -> Sheet:
    """Return the sheet of a question, with its files in the press."""
    item = found.item
    text = re.sub(r"\A\s*#+[^\n]*\n?", "", item.text)
    pasted = _attachments(notebook.cells[found.at]) if found.is_answered else {}
    answer = Markdown(found.source, pasted, press) if found.is_answered else None
    remarks = []
    figures = [_figure(press, name, notebook, saved) for name in item.figures]
    remarks += [f"the figure {figure['name']} is missing." for figure in figures if not figure["file"]]
    typeset = answer.typeset("This answer") if answer else ""
    about = common | {
        "number": number,
        "points": item.points,
        "answered": bool(typeset),
        "words": count_words(found.source) if answer else 0,
        "limit": item.words,
        "gone": found.at is None,
        **_arranged(figures),
    }
    if answer:
        remarks += answer.remarks
    for part, typst in (("title", of_assignment(item.title)), ("text", of_assignment(text)), ("answer", typeset)):
        press.put(f"{number}-{part}.typ", f'#import "layout.typ": *\n{typst}')
    press.put(f"{number}.json", json.dumps(about))
    main = f"{number}.typ"
    parts = ", ".join(f'include "{number}-{part}.typ"' for part in ("title", "text", "answer"))
    press.put(main, f'#import "layout.typ": *\n#question(json("{number}.json"), {parts})\n')
    return Sheet(main, about, remarks)


def _cover(press: Press, sheets: list[Sheet], common: dict) -> Sheet:
    """Return the sheet of the first page; add to each question's sheet where it continues."""
    rows, rest = [], len(sheets) + 2
    for number, sheet in enumerate(sheets, start=1):
        row = {key: sheet.about[key] for key in ("points", "answered", "words", "limit")}
        row["page"] = str(number + 1)
        if more := sheet.pages - 1:
            row["page"] += f", {rest}" + f"\u2013{rest + more - 1}" * (more > 1)
            sheet.remarks.append(f"the answer is too long for its page in 7 pt, too; it continues on page {rest}.")
        rest += more
        rows.append(row)
    press.put("0.json", json.dumps(common | {"rows": rows}))
    titles = "".join(f'include "{number}-title.typ", ' for number in range(1, len(sheets) + 1))
    press.put("0.typ", f'#import "layout.typ": *\n#cover(json("0.json"), ({titles}))\n')
    return Sheet("0.typ", common)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


# ------------------------------------------------------------------------------------------------ figures


def _figure(press: Press, name: str, notebook, saved: Callable[[str], Path] | None) -> dict:
    """Return a collected figure: the picture in its cell's output, else the saved file, else no file."""
    content = _shown(notebook, name)
    if content is None and saved and saved(name).is_file():
        content = saved(name).read_bytes()
    file, width, height = (content and press.picture(content)) or ("", 220.0, 60.0)
    return {"name": name, "file": file, "width": width, "height": height}


def _shown(notebook, name: str) -> bytes | None:
    """Return the PNG in the output of the cell that collects a figure."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and collected_figure(cell.source) == name:
            for output in cell.get("outputs", []):
                if (content := decoded((output.get("data") or {}).get("image/png"))) is not None:
                    return content
    return None


def _attachments(cell) -> dict[str, bytes]:
    """Return the pictures pasted into a cell."""
    found = {}
    for name, kinds in (cell.get("attachments") or {}).items():
        for content in map(decoded, kinds.values()):
            if content is not None:
                found[name] = content
    return found


def _arranged(figures: list[dict]) -> dict:
    """Return a question's figures in as many columns as show them largest, within the room there is for them."""
    gap, caption = 12.0, 16.0
    full = WIDTH - 2 * MARGIN
    best = {"figures": [], "columns": 1}
    area = 0.0
    for columns in range(1, len(figures) + 1):
        column = (full - gap * (columns - 1)) / columns
        sized = [(min(1.0, column / figure["width"]), figure) for figure in figures]
        heights = [scale * figure["height"] for scale, figure in sized]
        rows = [max(heights[at : at + columns]) for at in range(0, len(figures), columns)]
        shrink = min(1.0, (FIGURES * HEIGHT - len(rows) * caption - gap * (len(rows) - 1)) / sum(rows))
        placed = [
            figure | {"width": scale * shrink * figure["width"], "height": scale * shrink * figure["height"]}
            for scale, figure in sized
        ]
        covered = sum(figure["width"] * figure["height"] for figure in placed)
        if covered >= area:
            best, area = {"figures": placed, "columns": columns}, covered
    return best
