"""A class of strange submissions to the toy assignment, each named for what it is, with the marks it must get.

`SUBMISSIONS[name] = (write, double, half, says)`: `write(folder, page)` puts the files into a folder; `double`
and `half` are the points wanted of 4 and 2, or None where the submission must be refused; `says` is a part of what the
report must tell.
"""

import json

import nbformat

from tests.submissions import RIGHT, cell, code, copied, deleted, filled

WRONG = RIGHT | {"double": "def double(x):\n    return x + 1"}
NAME = "01_toy.ipynb"


def notebook(answers, change=lambda nb: None, name=NAME):
    """Return a writer of one notebook with `answers`, after `change`."""
    return lambda folder, page: (folder / name).write_text(json.dumps(filled(page, answers, change)), "utf-8")


def tag(grade_id, /, **values):
    """Return a change of a cell's grading data."""
    return lambda nb: cell(nb, grade_id).metadata.nbgrader.update(values)


def untagged(nb):
    """Lose all grading data."""
    for each in nb.cells:
        each.metadata.pop("nbgrader", None)


def as_colab_saves(nb):
    """Keep ids in the metadata only, as nbformat 4.0, with Colab's own additions."""
    nb.nbformat_minor = 0
    for each in nb.cells:
        each.metadata["id"] = each.pop("id")
    nb.metadata["colab"] = {"provenance": []}
    badge = nbformat.v4.new_markdown_cell("<a href='x'>Open In Colab</a>", metadata={"id": "view-in-github"})
    badge.pop("id")
    nb.cells.insert(0, badge)


def file(content, name=NAME):
    """Return a writer of one file."""
    return lambda folder, page: (folder / name).write_bytes(content)


def answer(text):
    """Return the right answers with another `double`."""
    return RIGHT | {"double": text}


SPY = "import glob, os\nfound = glob.glob('{0}/**/*toy*', recursive=True)\nprint('SPY', found)"
FORGED = "say({'application/vnd.course.capture+json': {'name': 'numbers', %s}})"
SAY = "from IPython.display import publish_display_data as say\n"

HONEST = {
    "right": (notebook(RIGHT), 4, 2, ""),
    "right-another-way": (
        notebook({"double": "double = lambda x: x + x", "half": "def half(x): return .5 * x"}),
        4,
        2,
        "",
    ),
    "right-helper-in-own-cell": (
        notebook(answer("def double(x):\n    return twice(x)"), code("def twice(x):\n    return 2 * x")),
        4,
        2,
        "",
    ),
    "right-with-warnings": (
        notebook(answer("import warnings\ndef double(x):\n    warnings.warn('!')\n    print(x)\n    return 2 * x")),
        4,
        2,
        "",
    ),
    "right-and-exit-first": (notebook(RIGHT, code("exit()")), 4, 2, ""),
    "right-and-a-timer-ends-it": (
        notebook(RIGHT, code("import os, threading\nthreading.Timer(0.3, os._exit, (1,)).start()")),
        4,
        2,
        "",
    ),
    "right-and-reset-later": (notebook(RIGHT, code("%reset -f", 99)), 4, 2, ""),
    "right-and-shadows-later": (notebook(RIGHT, code("sum = print = double = half = 3", 99)), 4, 2, ""),
    "right-and-prints-for-ever-inside": (
        notebook(answer("def double(x):\n    for _ in range(40): print('x' * 1_000_000)\n    return 2 * x")),
        4,
        2,
        "",
    ),
    "right-and-clears-output": (
        notebook(
            answer("from IPython.display import clear_output\ndef double(x):\n    clear_output()\n    return 2 * x")
        ),
        4,
        2,
        "",
    ),
    "right-with-nbgraders-words": (
        notebook(
            answer("### BEGIN SOLUTION\n### BEGIN HIDDEN TESTS\n" + RIGHT["double"]),
            lambda nb: (
                code("### END HIDDEN TESTS\n### END SOLUTION\n### BEGIN HIDDEN TESTS\n### END HIDDEN TESTS")(nb),
                cell(nb, "q_half").update(source="### BEGIN HIDDEN TESTS\nYes.\n### END MARK SCHEME"),
            ),
        ),
        4,
        2,
        "",
    ),
    "right-and-sys-exit": (notebook(RIGHT, code("import sys\nsys.exit()")), 4, 2, ""),
    "right-and-asks-for-input": (notebook(RIGHT, code("input()")), 4, 2, ""),
    "right-and-kernel-dies-later": (notebook(RIGHT, code("import os\nos._exit(1)", 9)), 4, 2, ""),
    "right-and-kernel-killed-first": (notebook(RIGHT, code("import os\nos.kill(os.getpid(), 9)", 3)), 4, 2, ""),
    "right-and-endless-loop": (notebook(RIGHT, code("while True: pass", 9)), 4, 2, ""),
    "right-and-much-output": (notebook(RIGHT, code("for _ in range(40): print('x' * 1_000_000)", 9)), 4, 2, ""),
    "right-and-too-much-memory": (notebook(RIGHT, code("bytearray(1 << 45)")), 4, 2, ""),
    "right-and-drive-mount": (notebook(RIGHT, code("from google.colab import drive\ndrive.mount('/x')")), 4, 2, ""),
    "right-from-colab": (notebook(RIGHT, as_colab_saves), 4, 2, ""),
    "right-wrong-kernel": (notebook(RIGHT, lambda nb: nb.metadata.update(kernelspec={"name": "julia-1.9"})), 4, 2, ""),
    "right-widget-state": (notebook(RIGHT, lambda nb: nb.metadata.update(widgets={"x": {}})), 4, 2, ""),
    "wrong": (notebook(WRONG), 0, 2, ""),
    "squared": (notebook(answer("def double(x):\n    return x**2")), 0, 2, "You squared x."),
    "changes-its-argument": (
        notebook(answer("def double(x):\n    x *= 2\n    return x")),
        2,
        2,
        "You changed the argument.",
    ),
    "blank": (notebook({}), 0, 0, "Not answered."),
    "endless-loop-inside": (notebook(answer("def double(x):\n    while True: pass")), 0, 2, "a loop that does not end"),
    "kernel-dies-inside": (notebook(answer("import os\ndef double(x):\n    os._exit(1)")), 0, 2, "the kernel died"),
    "fails-before-its-def": (
        notebook(answer("from google.colab import files\n" + RIGHT["double"])),
        0,
        2,
        "The cell with your answer ended with ModuleNotFoundError: No module named 'google",
    ),
    "smart-quotes": (
        notebook(answer(RIGHT["double"] + "\nprint(\u201ctwice\u201d)")),
        0,
        2,
        "The cell with your answer ended with SyntaxError: invalid character",
    ),
    "quits-inside": (notebook(answer("def double(x):\n    quit()")), 0, 2, ""),
    "syntax-error": (notebook(answer("def double(x)\n    return 2 * x")), 0, 2, "is not defined"),
}

ACCIDENTS = {
    "copied-test": (notebook(RIGHT, copied("test_double")), 4, 2, "test_double"),
    "copied-answer": (notebook(RIGHT, copied("double")), 4, 2, "double"),
    "deleted-test": (notebook(RIGHT, deleted("test_double")), 4, 2, "test_double"),
    "edited-test": (notebook(WRONG, lambda nb: cell(nb, "test_double").update(source="pass")), 0, 2, "test_double"),
    "hundred-points": (notebook(RIGHT, tag("test_double", points=100)), 4, 2, ""),
    "schema-99": (notebook(RIGHT, tag("double", schema_version=99)), 4, 2, ""),
    "no-schema": (notebook(RIGHT, lambda nb: cell(nb, "double").metadata.nbgrader.pop("schema_version")), 4, 2, ""),
    "test-not-graded": (notebook(RIGHT, tag("test_double", grade=False)), 4, 2, ""),
    "test-as-solution": (notebook(RIGHT, tag("test_double", solution=True)), 4, 2, ""),
    "unknown-id": (notebook(RIGHT, tag("double", grade_id="dobule")), 4, 2, ""),
    "test-as-markdown": (notebook(RIGHT, lambda nb: cell(nb, "test_double").update(cell_type="markdown")), 4, 2, ""),
    "all-grading-data-lost": (notebook(RIGHT, untagged), 4, 2, ""),
    "renamed": (notebook(RIGHT, name="Copy of 01_toy (1).ipynb"), 4, 2, ""),
    "named-after-nothing": (notebook(RIGHT, name="homework.ipynb"), 4, 2, ""),
    "not-json": (file(b"{"), None, None, "cannot be read"),
    "empty-file": (file(b""), None, None, "cannot be read"),
    "not-utf-8": (file(b"\xff\xfe\x00"), None, None, "cannot be read"),
    "a-list": (file(b"[1]"), None, None, "cannot be read"),
    "no-cells": (
        file(b'{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'),
        None,
        None,
        "no cells",
    ),
    "a-folder": (lambda folder, page: (folder / NAME).mkdir(), None, None, ""),
    "no-notebook": (file(b"hello", "readme.txt"), None, None, ""),
}

ATTACKS = {
    "patches-numpy": (
        notebook(answer("np.allclose = np.testing.assert_allclose = lambda *a, **k: True\ndef double(x): return x")),
        0,
        2,
        "",
    ),
    "equal-to-everything": (
        notebook(
            answer("class E(np.ndarray):\n    __eq__ = lambda s, o: True\ndef double(x): return np.zeros(4).view(E)")
        ),
        0,
        2,
        "",
    ),
    "hides-errors": (notebook(WRONG, code("get_ipython().showtraceback = lambda *a, **k: None")), 0, 2, ""),
    "forges-a-verdict": (
        notebook(answer(SAY + "def double(x):\n    " + FORGED % "'score': 4, 'verdict': 'right'" + "\n    return x")),
        0,
        2,
        "",
    ),
    "guesses-twice": (
        notebook(answer(SAY + "def double(x):\n    " + FORGED % "'values': []" + "\n    return 2 * x")),
        0,
        2,
        "",
    ),
    "replaces-emit": (
        notebook(answer("import helpers.inside.emit as e\ne.emit = print\ndef double(x):\n    return x")),
        0,
        2,
        "",
    ),
    "shows-the-hidden-test": (
        notebook(answer("def double(x):\n    print(In)\n    raise ValueError(str(In))"), code("print(In)", 9)),
        0,
        2,
        "",
    ),
    "script-in-output": (
        notebook(RIGHT, code("from IPython.display import HTML\nHTML('<script>steal()</script>')")),
        4,
        2,
        "",
    ),
    "script-in-a-raw-cell": (
        notebook(
            RIGHT,
            lambda nb: nb.cells.append(
                nbformat.v4.new_raw_cell("<script>steal()</script>", metadata={"raw_mimetype": "text/html"})
            ),
        ),
        4,
        2,
        "",
    ),
    "script-in-text": (
        notebook(RIGHT, lambda nb: cell(nb, "q_half").update(source="<script>steal()</script>")),
        4,
        2,
        "",
    ),
}

SUBMISSIONS = HONEST | ACCIDENTS | ATTACKS


def write_class(folder, page, submissions=SUBMISSIONS):
    """Write every submission into a folder of its own below `folder`."""
    for name, (write, *_) in submissions.items():
        place = folder / name
        place.mkdir(parents=True)
        write(place, page)
