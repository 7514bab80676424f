"""Recording is cheap, and what it records is what nbgrader and nbconvert would."""

import copy

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbconvert.exporters import HTMLExporter
from nbgrader.api import Gradebook
from nbgrader.converters import GenerateFeedback
from nbgrader.coursedir import CourseDirectory
from sqlalchemy import event

from helpers.course import grade
from helpers.course.marks.gradebook import one_engine
from helpers.course.marks.place import released, solved
from helpers.course.report.pages import FeedbackExporter
from tests.submissions import RIGHT, filled, hand_in, png, shown

UNDESCRIBED = "No description has been provided for this image"


def page(exporter_class, notebook, folder):
    config = grade.nbgrader_config(folder)
    config = GenerateFeedback(coursedir=CourseDirectory(config=config), config=config).config
    about = {"notebook": "01_toy", "score": 1.0, "max_score": 2.0, "late_penalty": 0}
    resources = {"nbgrader": about, "inlining": {"css": []}, "metadata": {"name": "01_toy"}}
    return exporter_class(config=config).from_notebook_node(copy.deepcopy(notebook), resources=resources)[0]


@pytest.mark.parametrize("answer", ["2 * x", "x * 2  # <b> & $a_b$"])
def test_a_feedback_page_is_nbconverts(toys, tmp_path, answer):
    notebook = filled(toys["01_toy"], RIGHT | {"double": f"def double(x):\n    return {answer}"})
    picture = nbformat.v4.new_markdown_cell("![a](attachment:a.png) and *this*, $x_1$ <i>b</i>", id="picture")
    picture.attachments = {"a.png": {"image/png": png()}}
    code = nbformat.v4.new_code_cell("%time 1 + 1", id="code")
    code.outputs = [shown(png()), nbformat.v4.new_output("stream", text="a < b\n")]
    code.outputs.append(nbformat.v4.new_output("error", ename="E", evalue="<e>", traceback=["\x1b[31mE\x1b[0m: <e>"]))
    notebook.cells += [picture, code]
    for cell in notebook.cells:
        if "nbgrader" in cell.metadata:
            cell.metadata.nbgrader |= {"score": 1.0, "points": 2.0, "comment": "Well **said**."}
    ours, theirs = (page(exporter, notebook, tmp_path) for exporter in (FeedbackExporter, HTMLExporter))
    assert str(BeautifulSoup(ours, "html.parser")).split() == theirs.split()
    assert ours.count(f'alt="{UNDESCRIBED}"') == 1
    # A second page, of what is kept by then.
    assert page(FeedbackExporter, notebook, tmp_path) == ours


@pytest.mark.slow
def test_gradebooks_share_an_engine_for_a_while(tmp_path):
    def engine(name="gradebook"):
        with Gradebook(f"sqlite:///{tmp_path}/{name}.db") as gradebook:
            return gradebook.engine

    with one_engine():
        assert engine() is engine() is not engine("another")
    assert engine() is not engine()


def test_what_a_class_shares_is_built_once(toys):
    page = toys["01_toy"]
    assert released(page) is released(page) and solved(page) is solved(page)


def test_the_marks_of_a_submission_are_one_transaction(toys, grade_class, tmp_path, monkeypatch):
    hand_in(filled(toys["01_toy"], RIGHT), tmp_path / "class", "ada")
    written = []

    class Watched(Gradebook):
        def __init__(self, *options):
            super().__init__(*options)
            event.listen(self.db, "after_commit", lambda session: written.append("commit"))

    monkeypatch.setattr("helpers.course.marks.preprocessors.Gradebook", Watched)
    grade_class(tmp_path / "class", tmp_path / "grading")
    assert written == ["commit"]
