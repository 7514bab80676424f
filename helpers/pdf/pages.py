"""The pages: one a question, with its text, figures and answer, and a first page with a table of them."""

import io
import json
import os
import re
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from helpers.handin.answers import Found, find
from helpers.handin.assignment import Assignment
from helpers.pdf import binding
from helpers.pdf.figures import arranged, collected, pasted
from helpers.pdf.markdown import Markdown, of_assignment
from helpers.pdf.press import Press, Sheet
from helpers.words import counted
from helpers.writeup.words import count_words


@dataclass(frozen=True)
class Made:
    """A PDF, and what there is to say about it.

    says: the number of pages and questions
    remarks: what the student may want to mend, in sentences
    """

    pdf: bytes
    says: str
    remarks: list[str]


def make(assignment: Assignment, name: str, notebook: NotebookNode, saved: Callable[[str], Path] | None = None) -> Made:
    """Return the PDF of a notebook's written answers.

    Args:
        assignment: what was handed out.
        name: the student's.
        notebook: the notebook.
        saved: where the file of a figure would be that the notebook does not hold; None where none is to be looked for.

    Raises:
        ValueError: the assignment has no question.
    """
    from pypdf import PdfReader

    if not assignment.questions:
        raise ValueError(f"found no written question in {assignment.name}; a PDF is made of written answers only.")
    with tempfile.TemporaryDirectory(prefix="pdf-") as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        pages = _Pages(Press(Path(folder)), assignment, name, notebook, saved)
        sheets = list(pool.map(pages.question, range(1, len(assignment.questions) + 1)))
        places = binding.numbered(pages.cover(sheets), sheets)
        contents = list(pool.map(lambda place: pages.press.printed(place[0], **place[1]), places))
    parts = [PdfReader(io.BytesIO(content)) for content in contents]
    content = binding.bound(parts, f"{assignment.course}: {assignment.title}", name)
    remarks = [f"Question {n}: {remark}" for n, sheet in enumerate(sheets, start=1) for remark in sheet.remarks]
    return Made(content, _says(parts, sheets), [*remarks, *_about_fonts(binding.with_boxes(parts))])


def _says(parts: list, sheets: list[Sheet]) -> str:
    missing = sum(not sheet.about["answered"] for sheet in sheets)
    pages = counted(sum(len(part.pages) for part in parts), "page")
    return f"{pages}, {counted(len(sheets), 'question')}" + (f" ({missing} not answered)" if missing else "")


def _about_fonts(boxes: list[int]) -> list[str]:
    """Return a remark on the parts in which boxes stand for letters, if there are any."""
    if not boxes:
        return []
    where = "your name" if boxes[0] == 0 else f"the answer to question {', '.join(map(str, boxes))}"
    return [f"No font of this computer has some letters of {where}; boxes are printed for them."]


class _Pages:
    """The sheets of a notebook, on their way through a press."""

    def __init__(
        self,
        press: Press,
        assignment: Assignment,
        name: str,
        notebook: NotebookNode,
        saved: Callable[[str], Path] | None,
    ):
        found = find(assignment, notebook.cells)
        self.press, self.notebook, self.saved = press, notebook, saved
        self.found = [found[item.id] for item in assignment.questions]
        self.count = len(self.found)
        self.common = {"name": name, "course": assignment.course, "assignment": assignment.title, "of": self.count}

    def question(self, number: int) -> Sheet:
        """Return the sheet of a question, from 1, as large as it can be set on its page."""
        sheet = self._question(number, self.found[number - 1])
        self._fit(sheet, number + 1)
        return sheet

    def cover(self, questions: list[Sheet]) -> Sheet:
        """Return the sheet of the first page; remark on each question's sheet where it continues."""
        rows, rest = [], self.count + 2
        for number, sheet in enumerate(questions, start=1):
            row = {key: sheet.about[key] for key in ("points", "answered", "words", "limit")}
            row["page"] = str(number + 1)
            if more := sheet.pages - 1:
                row["page"] += f", {rest}" + f"\u2013{rest + more - 1}" * (more > 1)
                sheet.remarks.append(f"the answer is too long for its page in 7 pt, too; it continues on page {rest}.")
            rest += more
            rows.append(row)
        self.press.put("0.json", json.dumps(self.common | {"rows": rows}))
        titles = "".join(f'include "{number}-title.typ", ' for number in range(1, self.count + 1))
        self.press.put("0.typ", f'#import "layout.typ": *\n#cover(json("0.json"), ({titles}))\n')
        cover = Sheet("0.typ", self.common)
        self._fit(cover, 1)
        return cover

    def _fit(self, sheet: Sheet, first: int) -> None:
        """Set a sheet as if each took one page."""
        self.press.fit(sheet, first=first, rest=self.count + 2, total=self.count + 1)

    def _question(self, number: int, found: Found) -> Sheet:
        """Return the sheet of a question, with its files in the press."""
        item, answer, typeset = found.item, None, ""
        if found.at is not None and found.is_answered:
            answer = Markdown(found.source, pasted(self.notebook.cells[found.at]), self.press)
            typeset = answer.typeset("This answer")
        figures = [collected(self.press, name, self.notebook, self.saved) for name in item.figures]
        placed, columns = arranged(figures)
        about = self.common | {
            "number": number,
            "points": item.points,
            "answered": bool(typeset),
            "words": count_words(found.source) if answer else 0,
            "limit": item.words,
            "gone": found.at is None,
            "figures": [asdict(figure) for figure in placed],
            "columns": columns,
        }
        text = re.sub(r"\A\s*#+[^\n]*\n?", "", item.text)
        self._put(number, about, title=of_assignment(item.title), text=of_assignment(text), answer=typeset)
        remarks = [f"the figure {figure.name} is missing." for figure in figures if not figure.file]
        return Sheet(f"{number}.typ", about, remarks + (answer.remarks if answer else []))

    def _put(self, number: int, about: dict[str, Any], **parts: str) -> None:
        """Put the files of a question into the press: its parts in Typst, what is known of it, and the page."""
        for part, typst in parts.items():
            self.press.put(f"{number}-{part}.typ", f'#import "layout.typ": *\n{typst}')
        self.press.put(f"{number}.json", json.dumps(about))
        included = ", ".join(f'include "{number}-{part}.typ"' for part in parts)
        page = f'#import "layout.typ": *\n#question(json("{number}.json"), {included})\n'
        self.press.put(f"{number}.typ", page)
