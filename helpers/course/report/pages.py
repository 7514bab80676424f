"""The exporter of feedback pages: what a class has in common is compiled and rendered once for each process."""

from functools import lru_cache
from typing import Any

from jinja2 import BytecodeCache, Environment, pass_context
from jinja2.bccache import Bucket
from jinja2.runtime import Context
from nbconvert.exporters import HTMLExporter, TemplateExporter
from nbconvert.filters import Highlight2HTML, markdown2html_mistune
from nbformat import NotebookNode

from helpers.course.release.notebooks import NOTEBOOK_METADATA

HIGHLIGHT = Highlight2HTML(pygments_lexer=NOTEBOOK_METADATA["language_info"]["name"])


class Templates(BytecodeCache):
    """Compiled templates, in memory."""

    def __init__(self) -> None:
        """Begin without any."""
        self._code: dict[tuple[str, str], Any] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Put what was compiled from this very text into the bucket."""
        bucket.code = self._code.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what was compiled."""
        self._code[bucket.key, bucket.checksum] = bucket.code


TEMPLATES = Templates()


class FeedbackExporter(HTMLExporter):
    """nbconvert's, with the same pages for a third of the time.

    That one parses every finished page once more, to describe pictures that have no description. Here their cells are
    given one before.
    """

    def _create_environment(self) -> Environment:
        environment = super()._create_environment()
        environment.bytecode_cache = TEMPLATES
        environment.filters["highlight_code"] = highlighted
        return environment

    def from_notebook_node(  # type: ignore[override]
        self, nb: NotebookNode, resources: dict[str, Any] | None = None, **options: Any
    ) -> tuple[str, dict[str, Any]]:
        """Return the page of a notebook, and the resources."""
        for cell in nb.cells:
            cell.metadata.setdefault("alt", "No description has been provided for this image")
        return TemplateExporter.from_notebook_node(self, nb, resources, **options)

    @pass_context
    def markdown2html(self, context: Context, source: str) -> str:
        """Return Markdown as HTML."""
        if context.get("cell", {}).get("attachments"):
            return super().markdown2html(context, source)
        return rendered(source)


@lru_cache(1000)
def rendered(markdown: str) -> str:
    """Return Markdown without attachments as HTML."""
    return markdown2html_mistune(markdown)


@lru_cache(1000)
def _highlighted(code: str) -> str:
    return HIGHLIGHT(code)


def highlighted(code: str, metadata: dict[str, Any] | None = None) -> str:
    """Return Python code as HTML; no metadata of a cell changes how."""
    return _highlighted(code)
