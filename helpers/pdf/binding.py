"""The PDF of the sheets: the first page of each in its place, what is left of them at the end."""

import io
from typing import TYPE_CHECKING

from helpers.pdf.press import Sheet

if TYPE_CHECKING:
    from pypdf import PdfReader


def numbered(cover: Sheet, questions: list[Sheet]) -> list[tuple[Sheet, dict[str, int]]]:
    """Return the sheets, the cover first, each with the numbers of its first page, of its second, and of all pages.

    The first page of each comes in order; then what is left of the questions, and of the cover.
    """
    total, rest = sum(sheet.pages for sheet in (cover, *questions)), len(questions) + 2
    places = []
    for first, sheet in enumerate(questions, start=2):
        places.append((sheet, {"first": first, "rest": rest, "total": total}))
        rest += sheet.pages - 1
    return [(cover, {"first": 1, "rest": rest, "total": total}), *places]


def bound(parts: "list[PdfReader]", title: str, name: str) -> bytes:
    """Return one PDF of those of the cover and of the questions, with an outline.

    Args:
        parts: the cover's and the questions'.
        title: of the whole.
        name: the student's.
    """
    from pypdf import PdfWriter

    writer = PdfWriter()
    for number, part in enumerate(parts):
        writer.append(part, pages=(0, 1), import_outline=False)
        writer.add_outline_item(title=f"Question {number}" if number else name, page_number=number)
    for part in (*parts[1:], parts[0]):
        if len(part.pages) > 1:
            writer.append(part, pages=(1, len(part.pages)), import_outline=False)
    writer.add_metadata({"/Title": title, "/Author": name, "/Creator": "helpers.pdf"})
    content = io.BytesIO()
    writer.write(content)
    return content.getvalue()


def with_boxes(parts: "list[PdfReader]") -> list[int]:
    """Return the numbers of the parts in which a letter is printed as a box, since no font has it."""
    # The text of the page has a zero for it.
    return [number for number, part in enumerate(parts) if any("\0" in page.extract_text() for page in part.pages)]
