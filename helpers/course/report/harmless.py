"""What makes a student's text harmless: markers and other students read it in their browsers."""

import re
from functools import lru_cache
from html.parser import HTMLParser

from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor

from helpers.course.marks.place import Place

SAFE = {"text/plain", "image/png", "image/jpeg"}


class NoScript(NbGraderPreprocessor):
    """Leaves nothing of a student's that a browser would run."""

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Keep text and images of outputs; show HTML in a student's own text as text."""
        released = {cell.source for cell in Place.of(resources).release.cells}
        for cell in nb.cells:
            for output in cell.get("outputs", []):
                for kind in [kind for kind in output.get("data", {}) if kind not in SAFE]:
                    del output.data[kind]
                if "metadata" in output:
                    output.metadata = {}  # nbconvert writes sizes from here into the tag as they are
            if cell.cell_type != "code" and cell.source not in released:
                disarm(cell)
        return nb, resources


def disarm(cell: NotebookNode) -> None:
    """Make a text cell harmless: HTML is shown as text, and of attachments only pictures are kept."""
    typed = cell.source
    cell.source = re.sub(r"<(?=[a-zA-Z/!?])", "&lt;", cell.source)
    if "attachments" in cell:
        cell.attachments = {name: kinds for name, data in cell.attachments.items() if (kinds := _safe(data))}
    if not is_harmless(cell):
        cell.source = as_text(typed)


def _safe(attachment: dict[str, str]) -> dict[str, str]:
    """Return the part of an attachment that is a picture in base64."""
    kinds = {kind: text for kind, text in attachment.items() if kind in SAFE and kind.startswith("image/")}
    return {kind: text for kind, text in kinds.items() if re.fullmatch(r"[A-Za-z0-9+/=\s]*", text)}


def is_harmless(cell: NotebookNode) -> bool:
    """Tell whether a Markdown cell can be rendered, and nothing in the page it becomes runs anything."""
    attachments = cell.get("attachments", {})
    return _runs_nothing(cell.source, attachments) if attachments else _text_runs_nothing(cell.source)


def _runs_nothing(source: str, attachments: dict[str, dict[str, str]]) -> bool:
    renderer = IPythonRenderer(escape=False, attachments=attachments)
    try:
        finder = _Finder()
        finder.feed(MarkdownWithMath(renderer=renderer).render(source))
    except Exception:
        # An attachment that is not there, a list a thousand levels deep: one such cell stops a whole page.
        return False
    return not finder.found


@lru_cache(1000)  # most texts of a page are the same for a whole class
def _text_runs_nothing(source: str) -> bool:
    return _runs_nothing(source, {})


def as_text(source: str) -> str:
    """Return Markdown that shows `source` line by line as it was typed: a character as a number is never markup."""
    lines = (re.sub(r"[^\w\s]|_", lambda match: f"&#{ord(match[0])};", line.strip()) for line in source.splitlines())
    return "  \n".join(lines)


class _Finder(HTMLParser):
    """Finds what runs something in HTML made of Markdown: event handlers, and addresses other than those of the web."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            address = re.sub(r"[\x00-\x20]", "", value or "")
            scheme = re.match(r"([^/?#:]*):", address)
            allowed = not scheme or re.match(r"https?:|mailto:|data:image/(png|jpeg);", address, re.IGNORECASE)
            if tag == "script" or name.startswith("on") or (name in ("href", "src") and not allowed):
                self.found.append((tag, name, value))
