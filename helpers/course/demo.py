"""A small class that hands in the saliency assignment: right, unusual, wrong, blank, broken and forged."""

import textwrap
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from helpers.course.pages.cells import Page, without_markers
from helpers.course.release import notebooks

WRITTEN_ANSWER = "A written answer, for the instructor to mark."

CHEAT = '''
import numpy, torch
from IPython.display import display, publish_display_data

numpy.allclose = torch.allclose = lambda *a, **k: True
numpy.testing.assert_allclose = lambda *a, **k: None


class Right(torch.Tensor):
    """Equal to everything."""

    def __eq__(self, other):
        return True


def compute_saliency_maps(images, labels, model):
    publish_display_data({"application/vnd.course.capture+json": {"name": "score", "score": 100, "verdict": "right"}})
    print("All 4 parts are right.")
    return images[:, 0].as_subclass(Right)
'''


def class_of(page: Page) -> dict[str, dict[str, str] | None]:
    """Return {student: {exercise: source of the answer}} for the demo; None for a file that is no notebook.

    The wrong answers are mutants of `page`, the unusual right ones its variants.
    """
    solved = {name: without_markers(cell.source) for name, cell in page.exercises.items()}
    first = next(iter(page.exercises))
    mutants = page.mutants(first)
    students: dict[str, dict[str, str] | None] = {
        "ada": solved,
        "emmy": {name: page.variants(name)[0].source for name in solved},
        "grace": {name: page.variants(name)[-1].source for name in solved},
    }
    for student, mutant in zip(("alan", "blaise", "carl", "david", "edsger"), mutants, strict=False):
        students[student] = solved | {first: mutant.source}
    others = {name: page.mutants(name)[0].source for name in solved if name != first}
    students["felix"] = solved | others
    students["henri"] = {}
    students["isaac"] = None
    students["john"] = solved | {first: f"def {first}(images, labels, model):\n    while True:\n        pass\n"}
    students["mallory"] = solved | {first: CHEAT}
    return students


STORY = {
    "ada": "everything right",
    "emmy": "right, written differently",
    "grace": "right, written differently again",
    "felix": "mistakes in the later exercises",
    "henri": "nothing answered",
    "isaac": "the file was cut off",
    "john": "an endless loop",
    "mallory": "forges her result",
}


def filled(release: NotebookNode, answers: Mapping[str, str]) -> NotebookNode:
    """Return a student's notebook: the release with some exercises answered and a text below every question."""
    notebook = nbformat.from_dict(release)
    for cell in notebook.cells:
        tags = cell.metadata.get("nbgrader", {})
        if tags.get("solution") and tags["grade_id"] in answers:
            cell.source = textwrap.dedent(answers[tags["grade_id"]]).strip()
        elif tags.get("solution") and tags.get("grade") and answers:
            cell.source = WRITTEN_ANSWER
    return notebook


def write_class(page: Page, folder: Path) -> list[str]:
    """Write the submissions of the demo class to `<folder>/<student>/<assignment>.ipynb`; return the students."""
    students = class_of(page)
    for student, answers in students.items():
        path = folder / student / f"{page.name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = nbformat.writes(filled(notebooks.student_notebook(page), answers or {}))
        path.write_text(text if answers is not None else text[: len(text) // 2], "utf-8")
    return list(students)
