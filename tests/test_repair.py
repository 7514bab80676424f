"""A notebook put right against its release, with a line for everything that was put right."""

import copy
import json
import random

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from helpers.course.intake.attempts import read
from helpers.course.intake.repair import MOST_CELLS, likeness, repair
from tests.handed_out import QUESTION, RELEASE, WHY, F, G, tagged

TITLE, SETUP, F_CELL, F_TEST, G_CELL, G_TEST, ASKED, Q_CELL = 0, 1, 3, 4, 6, 7, 8, 9
ALL = ["setup-1", "f", "test_f", "g", "test_g", "q_why"]


@pytest.fixture
def submission():
    notebook = copy.deepcopy(RELEASE)
    notebook.cells[F_CELL].source, notebook.cells[G_CELL].source, notebook.cells[Q_CELL].source = F, G, WHY
    return notebook


def graded(notebook):
    return [cell.metadata.nbgrader.grade_id for cell in notebook.cells if "nbgrader" in cell.metadata]


def by_id(notebook, grade_id):
    return next(cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == grade_id)


def repaired(notebook):
    """Repair a notebook; whatever was wrong, the result has these properties."""
    result, notes = repair(notebook, RELEASE)
    nbformat.validate(result)
    assert sorted(graded(result)) == sorted(ALL)
    assert len({cell.id for cell in result.cells}) == len(result.cells)
    for cell in RELEASE.cells:
        if "nbgrader" in cell.metadata:
            here = by_id(result, cell.metadata.nbgrader.grade_id)
            assert here.metadata == cell.metadata and here.cell_type == cell.cell_type
            assert not cell.metadata.nbgrader.locked or here.source == cell.source
    assert repair(result, RELEASE) == (result, [])
    assert repair(notebook, RELEASE) == (result, notes)
    return result, notes


def ran(notebook):
    """Run the code cells of a notebook here, as a kernel would, without its checks; return what is defined then."""
    names = {}
    for cell in notebook.cells:
        if cell.cell_type == "code" and not cell.source.startswith(("check", "draw", "import torch")):
            exec(cell.source, names)
    return names


def test_an_untouched_submission_needs_no_repair(submission):
    result, notes = repaired(submission)
    assert notes == [] and result.cells == submission.cells


def test_repair_leaves_its_argument_alone(submission):
    del submission.cells[F_TEST]
    before = copy.deepcopy(submission)
    repair(submission, RELEASE)
    assert submission == before


# ------------------------------------------------------------------------------------------------ copies


@pytest.mark.parametrize("place", [0, F_CELL, F_TEST + 1, 11])
def test_a_copied_test_cell_counts_once_after_its_exercise(submission, place):
    submission.cells.insert(place, copy.deepcopy(submission.cells[F_TEST]))
    result, notes = repaired(submission)
    assert notes == ["test_f: 2 copies of this cell; the one that counts is the one in its place"]
    assert graded(result) == ALL


@pytest.mark.parametrize("place", [0, F_CELL, F_TEST, 11])
def test_an_untouched_copy_of_an_answered_cell_does_not_undo_the_answer(submission, place):
    submission.cells.insert(place, copy.deepcopy(RELEASE.cells[F_CELL]))
    result, notes = repaired(submission)
    assert by_id(result, "f").source == F and ran(result)["f"](3) == 6
    assert notes == ["f: 2 copies of this cell; the one that counts is the last one changed"]


def test_of_several_changed_copies_the_last_counts_and_all_are_kept(submission):
    better = copy.deepcopy(submission.cells[F_CELL])
    better.source = "def f(x):\n    return x + x"
    submission.cells.append(better)
    result, _ = repaired(submission)
    assert by_id(result, "f").source == better.source and F in [cell.source for cell in result.cells]


def test_of_copied_written_answers_the_changed_one_counts(submission):
    submission.cells.append(copy.deepcopy(RELEASE.cells[Q_CELL]))
    result, _ = repaired(submission)
    assert by_id(result, "q_why").source == WHY


# ------------------------------------------------------------------------------------------------ deletions


@pytest.mark.parametrize("name", ["setup-1", "test_f", "test_g", "q_why"])
def test_a_deleted_cell_that_is_not_an_exercise_comes_back_in_its_place(submission, name):
    submission.cells.remove(by_id(submission, name))
    result, notes = repaired(submission)
    assert graded(result) == ALL and notes == [f"{name}: the cell was deleted; put back as released"]


def test_the_place_of_a_deleted_exercise_is_marked_and_no_stub_undoes_what_stands_elsewhere(submission):
    submission.cells[F_CELL] = new_code_cell("globals()['f'] = lambda x: 2 * x")
    del submission.cells[G_CELL]
    result, notes = repaired(submission)
    assert notes == ["f: the cell had lost its grading data; found again by its place", "g: the cell was deleted"]
    assert by_id(result, "g").source == "# The cell of g was deleted." and ran(result)["f"](3) == 6


def test_an_empty_or_endless_notebook_is_an_error():
    for cells in ([], None, {"a": 1}, [{}] * (MOST_CELLS + 1)):
        with pytest.raises(ValueError, match="cells"):
            repair(nbformat.from_dict({"cells": cells, "metadata": {}}), RELEASE)


# ------------------------------------------------------------------------------------------------ grading data


def stripped(notebook):
    for cell in notebook.cells:
        cell.metadata.pop("nbgrader", None)


def test_all_grading_data_lost_is_found_again_by_content(submission):
    stripped(submission)
    for cell in submission.cells:
        del cell["id"]
    result, notes = repaired(submission)
    assert (by_id(result, "f").source, by_id(result, "g").source, by_id(result, "q_why").source) == (F, G, WHY)
    assert {note.split(":")[0] for note in notes} == {*ALL, "notebook"}
    assert "notebook: cells without an id: 11; given one" in notes
    assert "f: the cell had lost its grading data; found again by its content" in notes


def test_lost_grading_data_is_found_again_by_id_where_the_text_is_another(submission):
    stripped(submission)
    submission.cells[F_CELL].source = "f = None  # no idea"
    submission.cells[F_TEST].source = "check(f)  # fails"
    submission.cells[Q_CELL].source, submission.cells[ASKED].source = "Perhaps so.", "?"
    submission.cells.insert(Q_CELL, new_markdown_cell("I had a talk with Bob about this."))
    result, notes = repaired(submission)
    assert by_id(result, "q_why").source == "Perhaps so."
    assert "test_f: the cell had lost its grading data; found again by its id" in notes
    assert "q_why: the cell had lost its grading data; found again by its id" in notes


def test_lost_grading_data_and_ids_and_an_edited_question_are_found_again_by_place(submission):
    stripped(submission)
    for cell in submission.cells:
        del cell["id"]
    submission.cells[ASKED].source = QUESTION.replace("one sentence", "**two** sentences")
    submission.cells[F_CELL].source = "%%time\nexec('f = lambda x: 2 * x')"
    result, notes = repaired(submission)
    assert by_id(result, "q_why").source == WHY and by_id(result, "f").source.startswith("%%time")
    assert "q_why: the cell had lost its grading data; found again by its place" in notes
    assert "f: the cell had lost its grading data; found again by its place" in notes


@pytest.mark.parametrize(
    "answer",
    [
        "f = lambda x: 2 * x",
        "!pip install x\n%matplotlib inline\n" + F,
        "async def f(x): ...",
        F + "\nif :",
        "class f: ...",
    ],
)
def test_an_answer_without_grading_data_is_known_by_what_it_defines_even_where_it_is_no_python(submission, answer):
    submission.cells[F_CELL] = new_code_cell(answer, id="x")
    submission.cells.append(submission.cells.pop(F_CELL))
    result, notes = repaired(submission)
    assert by_id(result, "f").source == answer
    assert notes == ["f: the cell had lost its grading data; found again by its content"]


def test_changed_points_flags_types_and_tests_are_put_back(submission):
    test, answer = submission.cells[F_TEST], submission.cells[F_CELL]
    test.metadata.nbgrader.points, test.source, test.cell_type = 400, "pass", "markdown"
    answer.metadata.nbgrader.schema_version, answer.metadata.nbgrader.grade = 99, True
    _, notes = repaired(submission)
    assert notes == [
        "test_f: this cell is not yours to change; put back as released",
        "f: its grading data were changed (grade, schema_version); put back",
        "test_f: its grading data were changed (points); put back",
        "test_f: the cell's type was changed; put back to code",
    ]


def test_grading_data_on_the_wrong_cells_is_put_right(submission):
    f, g = submission.cells[F_CELL].metadata, submission.cells[G_CELL].metadata
    f.nbgrader.grade_id, g.nbgrader.grade_id = "test_f", "nonsense"
    submission.cells[F_TEST].metadata.nbgrader.grade_id = "f"
    result, _ = repaired(submission)
    assert ran(result)["f"](3) == 6 and by_id(result, "g").source == G


def test_unknown_and_broken_metadata_is_dropped(submission):
    submission.cells.append(tagged(new_code_cell("1"), "bonus", grade=True, points=50))
    broken = [{}, {"points": "many"}, "x", None, [1], {"grade_id": ["f"]}, {"grade_id": None}]
    submission.cells += [new_code_cell(str(n), metadata={"nbgrader": tags}) for n, tags in enumerate(broken)]
    strange = {"tags": None, "course": "x", "jupyter": 3}
    submission.cells.append(nbformat.from_dict({**new_code_cell("2"), "metadata": strange}))
    result, notes = repaired(submission)
    assert notes == [] and all(cell.metadata == {} for cell in result.cells[11:])


def test_no_cell_of_a_student_passes_for_one_of_ours(submission):
    for name in ("test_f-hidden", "test_f-visible", "f", "repairs"):
        submission.cells.insert(1, new_code_cell("1", id=name, metadata={"course": {"half": "hidden"}}))
    result, _ = repaired(submission)
    assert [(cell.id, cell.metadata) for cell in result.cells[1:5]] == [(f"own-{n}", {}) for n in range(1, 5)]


# ------------------------------------------------------------------------------------------------ answers elsewhere


def test_two_exercises_in_one_cell_both_count_and_the_empty_stub_does_not_undo_one(submission):
    submission.cells[F_CELL].source = f"{F}\n\n\n{G}"
    submission.cells[G_CELL].source = RELEASE.cells[G_CELL].source
    result, notes = repaired(submission)
    assert ran(result)["f"](3) == 6 and ran(result)["g"](3) == 1.5
    assert notes == ["g: answered in the cell of another exercise, where it counts"]


def test_two_exercises_merged_into_one_cell_both_count(submission):
    submission.cells[F_CELL].source = f"{F}\n\n\n{G}"
    del submission.cells[G_CELL]
    stripped(submission)
    result, _ = repaired(submission)
    assert ran(result)["f"](3) == 6 and ran(result)["g"](3) == 1.5


@pytest.mark.parametrize("place", [F_CELL, F_CELL + 1])
def test_an_answer_in_a_cell_of_its_own_beside_the_stub_counts(submission, place):
    submission.cells[F_CELL].source = RELEASE.cells[F_CELL].source
    submission.cells.insert(place, new_code_cell(F))
    result, notes = repaired(submission)
    assert ran(result)["f"](3) == 6 and by_id(result, "f").source == F
    assert notes == ["f: answered in another cell; that cell counts, the released one is left out"]


@pytest.mark.parametrize("copied_tags", [False, True])
def test_an_exercise_split_in_two_cells_keeps_both(submission, copied_tags):
    helper = new_code_cell("def twice(x):\n    return x + x")
    if copied_tags:  # as JupyterLab does
        helper.metadata = copy.deepcopy(submission.cells[F_CELL].metadata)
    submission.cells[F_CELL].source = "def f(x):\n    return twice(x)"
    submission.cells.insert(F_CELL, helper)
    result, _ = repaired(submission)
    assert ran(result)["f"](3) == 6 and by_id(result, "f").source.startswith("def f(x)")


def test_an_answer_in_a_merged_locked_cell_is_kept(submission):
    submission.cells[SETUP].source += f"\n\n{F}"
    submission.cells[F_TEST].source = "import math\ncheck(f)"
    del submission.cells[F_CELL]
    result, notes = repaired(submission)
    kept = "this cell is not yours to change; put back as released; what you defined in it is kept in a cell of its own"
    assert f"setup-1: {kept}" in notes and f"test_f: {kept}" in notes
    assert F in result.cells[SETUP].source and result.cells[SETUP + 1].source == RELEASE.cells[SETUP].source


def test_a_changed_locked_cell_that_defines_nothing_new_leaves_nothing_behind(submission):
    submission.cells[F_TEST].source = "print('all right')"
    result, notes = repaired(submission)
    assert notes == ["test_f: this cell is not yours to change; put back as released"]
    assert len(result.cells) == len(submission.cells)


def test_a_written_answer_in_a_cell_below_the_untouched_one_is_the_one_to_be_marked(submission):
    submission.cells[Q_CELL].source = RELEASE.cells[Q_CELL].source
    submission.cells.insert(Q_CELL + 1, new_markdown_cell(WHY))
    result, notes = repaired(submission)
    assert by_id(result, "q_why").source == WHY and len(result.cells) == len(submission.cells) - 1
    assert notes == ["q_why: answered in another cell; that cell counts, the released one is left out"]


def test_a_written_answer_in_the_cell_of_its_question_is_moved_to_its_own(submission):
    submission.cells[Q_CELL].source = RELEASE.cells[Q_CELL].source
    submission.cells[ASKED].source += f"\n\n{WHY}"
    result, notes = repaired(submission)
    assert by_id(result, "q_why").source == WHY and result.cells[ASKED].source == QUESTION
    assert notes == ["q_why: the answer stood in the cell of the question; moved to its own"]


def test_a_picture_goes_with_the_answer_that_is_moved(submission):
    submission.cells[Q_CELL].source = RELEASE.cells[Q_CELL].source
    submission.cells[ASKED].source += "\n\n![proof](attachment:proof.png)"
    submission.cells[ASKED].attachments = {"proof.png": {"image/png": "aGVsbG8="}}
    result, _ = repaired(submission)
    assert by_id(result, "q_why").attachments == {"proof.png": {"image/png": "aGVsbG8="}}


def test_an_unanswered_notebook_stays_unanswered():
    result, notes = repaired(copy.deepcopy(RELEASE))
    assert notes == [] and result.cells == RELEASE.cells


# ------------------------------------------------------------------------------------------------ formats


def test_old_formats_and_missing_ids_are_converted_in_the_same_way_every_time(submission):
    three = nbformat.v3.nbjson.writes(nbformat.convert(copy.deepcopy(submission), 3))
    four = json.loads(nbformat.writes(submission)) | {"nbformat_minor": 0}
    for cell in four["cells"]:
        del cell["id"]
    for text, version in ((three, "3"), (json.dumps(four), "4.0")):
        result, notes = repaired(read(text.encode()))
        assert f"notebook: it was saved in notebook format {version}; converted to 4.5" in notes
        assert [cell.source for cell in result.cells] == [cell.source for cell in submission.cells]
        assert repair(read(text.encode()), RELEASE) == (result, notes)


def test_what_colab_adds_is_taken_off(submission):
    for cell in submission.cells:
        cell.metadata.update({"id": cell.pop("id"), "colab": {"base_uri": "x"}, "outputId": "y"})
    badge = new_markdown_cell("<a>Open in Colab</a>", metadata={"id": "view-in-github", "colab_type": "text"})
    submission.cells.insert(0, {key: value for key, value in badge.items() if key != "id"})
    submission.metadata.colab = {"provenance": []}
    submission.nbformat_minor = 0
    result, notes = repaired(nbformat.from_dict(submission))
    assert notes == ["notebook: it was saved in notebook format 4.0; converted to 4.5"]
    assert [cell.metadata for cell in result.cells[1:]] == [cell.metadata for cell in RELEASE.cells]


def test_widgets_kernel_and_outputs_are_put_right(submission):
    submission.metadata.widgets = {"application/vnd.jupyter.widget-state+json": {}}
    submission.metadata.kernelspec = {"name": "ir", "display_name": "R"}
    submission.cells[F_CELL].outputs = [nbformat.v4.new_output("stream", text="42")]
    result, notes = repaired(submission)
    assert notes == [
        "notebook: the saved state of progress bars is left out",
        "notebook: its kernel was 'ir'; it is run with 'python3'",
    ]
    assert result.metadata == {"kernelspec": RELEASE.metadata.kernelspec}
    assert all(cell.get("outputs", []) == [] for cell in result.cells)


def test_what_is_no_cell_is_left_out_and_pictures_in_answers_stay(submission):
    submission.cells[Q_CELL].attachments = {"proof.png": {"image/png": "aGVsbG8="}}
    submission.cells[ASKED].attachments = {"a": "b"}
    submission.cells += [None, 3, {"cell_type": "code"}, {"cell_type": "video", "source": ""}]
    submission.cells.append(nbformat.from_dict({"cell_type": "code", "id": "x", "source": "'\ud800'", "metadata": 7}))
    result, notes = repaired(submission)
    assert notes == ["notebook: things in it that are no cells: 4; left out"]
    assert by_id(result, "q_why").attachments == {"proof.png": {"image/png": "aGVsbG8="}}
    assert result.cells[-1].source == "'?'" and nbformat.writes(result).encode()


def test_likeness_is_the_share_of_graded_cells_that_are_there(submission):
    assert likeness(submission, RELEASE) == 1
    stripped(submission)
    assert likeness(submission, RELEASE) == 0.8  # the written answer is anybody's
    assert likeness(new_notebook(cells=[new_code_cell("import torch")]), RELEASE) == 0
    assert (
        likeness(nbformat.from_dict({"cells": [None, {"cell_type": "code", "source": F, "metadata": 1}]}), RELEASE)
        == 0.2
    )


# ------------------------------------------------------------------------------------------------ everything at once

ACCIDENTS = {
    "delete": lambda cells, n, m: cells.pop(n),
    "copy": lambda cells, n, m: cells.insert(m, copy.deepcopy(cells[n])),
    "move": lambda cells, n, m: cells.insert(m, cells.pop(n)),
    "strip": lambda cells, n, m: cells[n].metadata.pop("nbgrader", None),
    "swap": lambda cells, n, m: cells[n].update(metadata=cells[m].metadata, id=cells[m].get("id")),
    "merge": lambda cells, n, m: cells[n].update(source=f"{cells[n].source}\n\n{cells[m].source}"),
    "edit": lambda cells, n, m: cells[n].update(source=f"{cells[n].source}  # edited"),
    "blank": lambda cells, n, m: cells[n].update(source=""),
    "stub": lambda cells, n, m: cells.insert(m, copy.deepcopy(RELEASE.cells[n % len(RELEASE.cells)])),
    "type": lambda cells, n, m: cells[n].update(cell_type="raw"),
    "id": lambda cells, n, m: cells[n].pop("id", None),
}


@pytest.mark.parametrize("seed", range(60))
def test_after_any_accidents_every_graded_cell_is_there_once_and_a_second_repair_finds_nothing(submission, seed):
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 8)):
        accident = chance.choice(sorted(ACCIDENTS))
        ACCIDENTS[accident](submission.cells, *(chance.randrange(len(submission.cells)) for _ in range(2)))
        if not submission.cells:
            return
    repaired(submission)
