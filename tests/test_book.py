"""What the book says of the code is what the code says: messages, pages, numbers."""

import ast
import re
from functools import cache

import pytest

from helpers import COURSE
from helpers.course.pages import registry

DOCS = sorted((COURSE / "docs").glob("*.md"))
SLOT = "\N{HORIZONTAL ELLIPSIS}"
HEADINGS = re.findall(r"^### (`+)(.+)\1$", (COURSE / "docs" / "troubleshooting.md").read_text("utf-8"), re.MULTILINE)
MESSAGES = [text for _, text in HEADINGS]


def text_of(node):
    """Return a string of the code, with a slot where it puts a value in; None for all else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(value) or SLOT for value in node.values)
    return None


@cache
def said():
    """Every string of the code that users run."""
    trees = [ast.parse(path.read_text("utf-8")) for path in (COURSE / "helpers").rglob("*.py")]
    return {text for tree in trees for node in ast.walk(tree) if (text := text_of(node))}


def is_said(message):
    """Tell whether some string of the code has the pieces of a message, in their order."""
    pieces = [piece for piece in message.split(SLOT) if piece]
    pattern = re.compile(".*?".join(map(re.escape, pieces)), re.DOTALL)
    return any(pattern.search(text) for text in said())


@pytest.mark.parametrize("message", MESSAGES)
def test_each_message_in_troubleshooting_is_one_that_the_code_says(message):
    assert len(max(message.split(SLOT), key=len).split()) >= 2, "too little of it is said to be found by"
    assert is_said(message)


def test_a_message_that_nobody_says_would_be_noticed():
    assert len(MESSAGES) > 30
    assert not is_said("found no such thing on …; wanted another")
    assert not is_said("wanted the address that …found no Dask scheduler at"), "the order counts"


def test_every_page_of_the_book_is_in_its_contents():
    index = (COURSE / "docs" / "index.md").read_text("utf-8")
    listed = {line for block in re.findall(r"```{toctree}\n(.*?)```", index, re.DOTALL) for line in block.splitlines()}
    assert {path.stem for path in DOCS} - {"index"} <= listed


def test_the_table_of_assignments_has_their_points_and_times():
    readme = (COURSE / "README.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| \[[^]]+\]\(notebooks/(\w+)\.ipynb\) \|.*\| ([^|]+\| [^|]+) \|$", readme, re.MULTILINE))
    assert rows.keys() >= registry.pages().keys()
    for name, page in registry.pages().items():
        points = sum(check.points for check in page.checks.values())
        points += sum(cell.points for cell in page.cells if cell.kind == "question")
        [time] = re.findall(r"\*\*Time\*\* about (\d+ \w+)", page.cells[0].source)
        assert rows[name] == f"{time} | {points}"
