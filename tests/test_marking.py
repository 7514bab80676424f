"""Marking written answers: the rubric on the marker's page, marks that stay, what a student gets to see and when."""

import base64
import hashlib
import re
import shutil
from types import SimpleNamespace

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbconvert.exporters import HTMLExporter
from nbconvert.filters import markdown2html_mistune
from nbgrader.api import Gradebook
from nbgrader.server_extensions.formgrader.formgrader import FormgradeExtension

from helpers.course import grade
from helpers.course.intake import pictures
from helpers.course.pages import registry, rubric
from helpers.course.release import notebooks
from helpers.course.report import harmless, tables
from tests import submissions
from tests.submissions import cell, png, shown

ANSWER = "No score depends on another image. BatchNorm breaks it."
SECRETS = ("names a layer that breaks it", "Train-mode BatchNorm", "scaled to its own maximum", "matter of scaling")
TICK = "[x] 2 points: names a layer that breaks it."


@pytest.fixture
def page(toys):
    return toys["02_toy"]


def hand_in(page, folder, student="ada", answer=ANSWER, change=lambda notebook: None):
    notebook = notebooks.student_notebook(page)
    cell(notebook, "q_sum").source = answer
    cell(notebook, "01_toy-dots").outputs = [shown(png())]
    change(notebook)
    submissions.hand_in(notebook, folder, student, "02_toy")


def rows(table, student="ada"):
    return {
        row["question"]: (row["score"], row["verdict"], row["message"]) for row in table if row["student"] == student
    }


def give_mark(into, score, comment=None, question="q_sum", student="ada"):
    """What formgrader does when a marker has typed both."""
    with Gradebook(f"sqlite:///{into}/gradebook.db") as gradebook:
        found = gradebook.find_grade(question, "02_toy", "02_toy", student)
        found.manual_score, found.needs_manual_grade = score, False
        gradebook.find_comment(question, "02_toy", "02_toy", student).manual_comment = comment
        gradebook.db.commit()


def waits(into, question="q_sum"):
    with Gradebook(f"sqlite:///{into}/gradebook.db") as gradebook:
        return gradebook.find_grade(question, "02_toy", "02_toy", "ada").needs_manual_grade


def autograded(into, student="ada"):
    return into / "autograded" / student / "02_toy" / "02_toy.ipynb"


def feedback(into, student="ada"):
    return (into / "feedback" / student / "02_toy" / "02_toy.html").read_text("utf-8")


def marker_page(into, notebook, assignment="02_toy"):
    """The page that formgrader makes of a notebook, with its exporter."""
    config = grade.nbgrader_config(into)
    config.merge(FormgradeExtension(config=config).build_extra_config())
    about = {"assignment_id": assignment, "notebook_id": assignment, "submission_id": "0", "student": "ada"}
    about |= {"index": 0, "total": 1, "base_url": "", "last_name": "", "first_name": "", "notebook_path": "x"}
    return HTMLExporter(config=config).from_filename(str(notebook), resources=about)[0]


def question(text, points=3):
    return SimpleNamespace(source=text, points=points)


# ------------------------------------------------------------------------------------------------ the rubric


def test_a_rubric_is_read_from_its_cell(page):
    found = rubric.of(page.questions["q_sum"])
    assert found.model_answer.startswith("Score $s_i$") and found.model_answer.endswith("breaks this.")
    assert [criterion.points for criterion in found.criteria] == [1, 2]
    assert str(found.criteria[0]).endswith('whatever the "size" of the batch.') and "\n" not in str(found.criteria[0])
    assert found.criteria[1].tick == TICK


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("**Model answer.** Yes.", "found no line `**Rubric.**`"),
        ("**Model answer.** Yes.\n**Rubric.** 3 points: yes.", "found no line `**Rubric.**`"),
        ("**Model answer.** Yes.\n**Rubric.**\n- 3 points: a\n\n**Rubric.**\n- 3 points: b", "found 2 lines"),
        ("**Model answer.**\n\n**Rubric.**\n- 3 points: yes", "found no model answer"),
        ("Yes.\n\n**Rubric.**\n- 3 points: yes", "found no model answer"),
        ("**Model answer.** Yes.\n\n**Rubric.**", "found `nothing` in the rubric"),
        ("**Model answer.** Yes.\n\n**Rubric.**\n- 1 point each: a\n- 2 points: b", "found `- 1 point each: a`"),
        ("**Model answer.** Yes.\n\n**Rubric.**\n- 0 points: a\n- 3 points: b", "found `- 0 points: a`"),
        ("**Model answer.** Yes.\n\n**Rubric.**\n- 1 point: a\n- 1 point: b", "add up to 2; wanted 3"),
        ("**Model answer.** Yes.\n\n**Rubric.**\n- 1 point: a\n- 1 point: a\n- 1 point: b", "`1 point: a` twice"),
        ("**Model answer.** Yes.\n\n**Rubric.**\n- 3 points: a\n\nAt most 3.", "found `At most 3.`"),
    ],
)
def test_a_wrong_rubric_is_refused_with_what_is_wrong(text, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        rubric.of(question(f"### BEGIN SOLUTION\n{text}\n### END SOLUTION"))


def test_a_comment_is_what_was_typed_and_what_was_ticked(page):
    found = rubric.of(page.questions["q_sum"])
    assert found.read(None) == ("", (False, False))
    assert found.read(f"Well put.\n\nTwice.\n\n{TICK}\n") == ("Well put.\n\nTwice.", (False, True))
    assert found.read("Good.\n[x] 2 points: words of before") == ("Good.", (False, False))  # no student reads it


# ------------------------------------------------------------------------------------------------ the marker


def test_the_marker_sees_rubric_model_answer_and_length_and_no_file_changes(page, grade_class, tmp_path):
    into = tmp_path / "grading"
    long = ANSWER + " And so on, and so forth, for many words more."
    hand_in(page, tmp_path / "class", answer=long)
    grade_class(tmp_path / "class", into)
    before = hashlib.sha256(autograded(into).read_bytes()).digest()
    text = marker_page(into, autograded(into))
    assert hashlib.sha256(autograded(into).read_bytes()).digest() == before
    for secret in SECRETS:
        assert secret in text
        for path in [into / "release" / "02_toy" / "02_toy.ipynb", autograded(into)]:
            assert secret not in path.read_text("utf-8"), path
    assert re.search(r'class="length over">\d+ words; the limit is 12<', text)
    assert '<p class="length">Not answered</p>' in text  # q_claim, which has no limit
    ticks = [box["data-tick"] for box in BeautifulSoup(text, "html.parser").select(".rubric input[type=checkbox]")]
    assert ticks == [c.tick for q in page.questions.values() for c in rubric.of(q).criteria]
    assert text.index(long) < text.index("the limit is 12") < text.index("A brighter map")
    assert text.count("<script>\n(function") == 1


def test_a_notebook_without_a_page_is_shown_as_it_is(page, tmp_path):
    into, path = tmp_path / "grading", tmp_path / "other.ipynb"
    into.mkdir()
    registry.remember([page], into)
    nbformat.write(notebooks.student_notebook(page), path)
    assert 'class="rubric"' in marker_page(into, path)
    text = marker_page(into, path, "no-such-assignment")
    assert "A brighter map" in text and 'class="rubric"' not in text


def test_an_answer_of_a_whole_notebook_is_shown_without_rubrics_to_any_other_exporter(page, tmp_path):
    path = tmp_path / "other.ipynb"
    nbformat.write(notebooks.student_notebook(page), path)
    text, _ = HTMLExporter(config=grade.nbgrader_config(tmp_path)).from_filename(str(path))
    assert 'class="rubric"' not in text


# ------------------------------------------------------------------------------------------------ the student


def test_feedback_shows_the_rubric_of_marked_answers_only(page, grade_class, tmp_path):
    into = tmp_path / "grading"
    hand_in(page, tmp_path / "class", change=lambda nb: cell(nb, "q_claim").update(source="It is not."))
    table = grade_class(tmp_path / "class", into)
    assert rows(table)["q_sum"][:2] == ("", "to be marked")
    assert feedback(into).count("This answer waits to be marked.") == 2
    assert not any(secret in feedback(into) for secret in SECRETS)

    give_mark(into, 2, f"Which *layer*?\n\n{TICK}")
    runs = {path: path.stat().st_mtime_ns for path in (into / "runs").iterdir()}
    table = grade_class(into / "submitted", into)  # what the README says to do after marking
    assert {path: path.stat().st_mtime_ns for path in (into / "runs").iterdir()} == runs
    text = feedback(into)
    assert rows(table)["q_sum"] == ("2", "marked", f"Which *layer*?\n\n{TICK}")
    assert "Score: 2.0 / 3.0" in text and "Which <em>layer</em>?" in text and "[x]" not in text
    well = BeautifulSoup(text, "html.parser").select_one(".well").text
    assert re.search(r"✓\s*2 points: names a layer", well) and "1 point: says when it holds" in well
    assert "Train-mode BatchNorm" in text
    assert text.count("This answer waits to be marked.") == 1  # q_claim
    assert not any(secret in text for secret in SECRETS[2:])


def test_a_score_without_ticks_gets_the_rubric_without_ticks(page, grade_class, tmp_path):
    into = tmp_path / "grading"
    hand_in(page, tmp_path / "class")
    grade_class(tmp_path / "class", into)
    give_mark(into, 1.5)
    table = grade_class(into / "submitted", into)
    assert rows(table)["q_sum"] == ("1.5", "marked", "marked by hand")
    assert "2 points: names a layer" in feedback(into) and "✓" not in feedback(into)


def test_an_empty_answer_keeps_nbgraders_own_rule_and_shows_no_rubric(page, grade_class, tmp_path):
    into = tmp_path / "grading"
    hand_in(page, tmp_path / "class")
    table = grade_class(tmp_path / "class", into)
    assert rows(table)["q_claim"][:2] == ("0", "not answered") and not waits(into, "q_claim")
    assert "matter of scaling" not in feedback(into)


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_answer_that_was_emptied_is_not_answered(page, grade_class, tmp_path, text):
    into = tmp_path / "grading"
    hand_in(page, tmp_path / "class", answer=text)
    table = grade_class(tmp_path / "class", into)
    assert rows(table)["q_sum"][:2] == ("0", "not answered") and not waits(into)


# ------------------------------------------------------------------------------------------------ marks stay


def test_a_mark_whose_text_is_not_known_waits_until_it_is_looked_at(page, grade_class, tmp_path):
    into, handed = tmp_path / "grading", tmp_path / "class"
    hand_in(page, handed)
    grade_class(handed, into)
    give_mark(into, 2)
    shutil.rmtree(into / "marked")  # as in a gradebook of an older version
    hand_in(page, handed, answer="Another text.")
    for _ in range(2):
        grade_class(handed, into)
        assert waits(into)


def test_marks_survive_and_only_another_text_is_marked_again(page, grade_class, tmp_path):
    into, handed = tmp_path / "grading", tmp_path / "class"
    hand_in(page, handed)
    grade_class(handed, into)
    give_mark(into, 2, TICK)
    for _ in range(2):
        table = grade_class(handed, into)
        assert rows(table)["q_sum"] == ("2", "marked", TICK) and not waits(into)

    def attach(notebook):
        cell(notebook, "q_sum").attachments = {"a.png": {"image/png": png()}}

    for change in ({"answer": "Another text."}, {"change": attach}):
        hand_in(page, handed, **change)
        for _ in range(2):
            table = grade_class(handed, into)
            score, verdict, message = rows(table)["q_sum"]
            assert (score, verdict) == ("2", "to be marked") and "changed since it was marked" in message
            assert waits(into) and tables.total_scores(table)["ada", "02_toy"] == (2.0, 4.0, 1)
        assert "has changed since it was marked and waits" in feedback(into)
        assert not any(secret in feedback(into) for secret in SECRETS)

    hand_in(page, handed)  # the marked text again
    assert rows(grade_class(handed, into))["q_sum"][:2] == ("2", "marked")
    hand_in(page, handed, answer="Another text.")
    grade_class(handed, into)
    give_mark(into, 3, TICK)
    assert rows(grade_class(handed, into))["q_sum"][:2] == ("3", "marked")
    hand_in(page, handed)
    assert rows(grade_class(handed, into))["q_sum"][:2] == ("3", "to be marked")


# ------------------------------------------------------------------------------------------------ figures


def figure_of(into, name):
    return cell(nbformat.read(autograded(into), 4), name)


def test_the_picture_of_a_collected_figure_comes_through_and_no_other_output(page, grade_class, tmp_path):
    into = tmp_path / "grading"

    def more(notebook):
        stranger = nbformat.v4.new_code_cell("1", id="stranger", outputs=[shown(png("blue"))])
        notebook.cells.insert(3, stranger)
        cell(notebook, "01_toy-lines").outputs = [shown(png("green", kind="JPEG"), "image/jpeg")]
        cell(notebook, "01_toy-dots").metadata.pop("tags")

    hand_in(page, tmp_path / "class", change=more)
    for pile in (tmp_path / "class", into / "submitted"):
        grade_class(pile, into)
        assert figure_of(into, "01_toy-dots").outputs[0].data["image/png"] == png()
        for text in (marker_page(into, autograded(into)), feedback(into)):
            assert png() in text and png("green", kind="JPEG") in text
            assert png("blue") not in text and "Missing figure" not in text


NO_PICTURES = {
    "nothing": ([], ""),
    "the box": ([shown("no figure", "text/plain"), shown("<b>no figure</b>", "text/html")], ""),
    "markup": ([shown('aa"><script>steal()</script>')], "is no PNG file"),
    "script": ([shown(base64.b64encode(b"<script>steal()</script>").decode())], "is no PNG file"),
    "cut off": ([shown(base64.b64encode(base64.b64decode(png())[:-30]).decode())], "is no PNG file"),
    "another kind": ([shown(png(kind="GIF"))], "is no PNG file"),
    "too large": ([shown("A" * 8_000_000)], "is larger than 5 MB"),
    "too wide": ([shown(png(size=(10_000, 5_001)))], "has 10000 x 5001 pixels"),
}


def test_without_a_picture_the_marker_reads_that_it_is_missing(page, grade_class, tmp_path):
    into = tmp_path / "grading"
    for name, (outputs, _) in NO_PICTURES.items():
        change = cell_with(outputs=outputs)
        hand_in(page, tmp_path / "class", name, change=change)
    table = grade_class(tmp_path / "class", into)
    for name, (_, says) in NO_PICTURES.items():
        assert says in "\n".join(row["message"] for row in table if row["student"] == name), name
        for text in (marker_page(into, autograded(into, name)), feedback(into, name)):
            assert "Missing figure:</b> the notebook as handed in holds no picture of 01_toy-dots." in text, name
            assert_harmless(text)


def cell_with(**values):
    """A change of the cell of the first figure."""
    return lambda notebook: cell(notebook, "01_toy-dots").update(values)


def test_a_deleted_figure_is_missing_before_its_question(page, grade_class, tmp_path):
    into = tmp_path / "grading"
    hand_in(page, tmp_path / "class", change=lambda nb: nb.cells.remove(cell(nb, "01_toy-dots")))
    grade_class(tmp_path / "class", into)
    sources = [c.source for c in nbformat.read(autograded(into), 4).cells]
    assert sources.index('saved_figure("01_toy-dots")') < sources.index(ANSWER)
    assert "no picture of 01_toy-dots" in feedback(into)


def test_a_picture_that_is_taken_is_taken_as_it_is():
    wide = nbformat.v4.new_code_cell(
        "x", outputs=[shown(png() + "\n", metadata={"image/png": {"width": "1 onerror=a()"}})]
    )
    (output,) = pictures.pictures(wide)
    assert output.data == {"image/png": png()} and output.metadata == {}


# ------------------------------------------------------------------------------------------------ no script


STEAL = "<script>steal()</script>"
HOSTILE = {
    "html": f"Fine.\n\n{STEAL}",
    "handler": "Fine. <img src=x onerror=steal()>",
    "link": "[click](javascript:steal())",
    "disguised link": "[click](JaVa&#115;cript:steal())",
    "reference": "[click][a]\n\n[a]: javascript:steal()",
    "link after mathematics": "    $$a$$ [click](javascript:steal())",
    "autolink": "<javascript:steal()>",
    "data": "[click](data:text/html;base64,PHNjcmlwdD5zdGVhbCgpPC9zY3JpcHQ+)",
    "missing attachment": "![a](attachment:none.png)",
    "deep": "> " * 3000 + "deep",
    # Markdown takes the first two dollars for the start of a formula, until the last formula has become MathML.
    "dollars": "$$\n\n[deep](javascript:steal()) $$x$$",
    "dollars and a picture": "$$\n\n![deep](attachment:none.png) $$x$$",
    "end of the box": "</div></div></details></textarea>" + STEAL,
}


def assert_harmless(text):
    """What a browser would run of a page is nothing of a student's: it would call steal()."""
    for tag in BeautifulSoup(text, "html.parser").find_all(True):
        assert tag.name != "script" or "steal" not in tag.text
        for name, value in tag.attrs.items():
            assert not name.startswith("on") or "steal" not in value, tag
            assert name not in ("href", "src") or not re.match(r"\s*(javascript|data:text)", value, re.IGNORECASE), tag


def test_no_script_of_an_answer_reaches_marker_or_feedback(page, grade_class, tmp_path):
    into = tmp_path / "grading"
    for name, answer in HOSTILE.items():
        hand_in(page, tmp_path / "class", name, answer)
    table = grade_class(tmp_path / "class", into)
    for name in HOSTILE:
        assert rows(table, name)["q_sum"][1] == "to be marked", name
        for text in (marker_page(into, autograded(into, name)), feedback(into, name)):
            assert_harmless(text)
            assert sum(map(text.count, ("steal", "deep", "none.png", "data:text"))) > 0, name  # it is not left out


def test_no_script_of_an_attachment_or_an_output_comes_through(page, grade_class, tmp_path):
    into = tmp_path / "grading"
    bad = '" onerror="steal()" x="'

    def change(notebook):
        cell(notebook, "q_sum").source = f"![a](attachment:a.png) ![b](<attachment:{bad}>) ![c](attachment:c.png)"
        cell(notebook, "q_sum").attachments = {
            "a.png": {"image/png": f"aa{bad}"},
            bad: {"image/png": png()},
            "c.png": {f"image/png{bad}": png(), "text/html": base64.b64encode(STEAL.encode()).decode()},
        }
        publish = (
            "from IPython.display import publish_display_data as say\n"
            "say({'image/png': 'AAAA'}, metadata={'image/png': {'width': '1 onerror=steal()'}})\n"
            f"say({{'image/png': 'AA\"><script>steal()</script>', 'text/html': {STEAL!r}}})"
        )
        notebook.cells.insert(3, nbformat.v4.new_code_cell(publish, id="own"))

    hand_in(page, tmp_path / "class", change=change)
    grade_class(tmp_path / "class", into)
    for text in (marker_page(into, autograded(into)), feedback(into)):
        assert_harmless(text)
        assert "width=1" not in text


@pytest.mark.parametrize(
    "typed", [*HOSTILE.values(), "    $$a$$ *b*\n- `c` & <d>\n\n    1. e\n# f\n&amp;lt; \\\\[g\\\\]"]
)
def test_what_is_shown_as_text_reads_as_it_was_typed(typed):
    safe = nbformat.v4.new_markdown_cell(harmless.as_text(typed))
    assert harmless.is_harmless(safe)
    page = BeautifulSoup(markdown2html_mistune(safe.source), "html.parser")
    assert {tag.name for tag in page.find_all(True)} <= {"p", "br"}
    assert page.text.split() == typed.split()
