"""Reading pages: a good one gives its cells; a malformed one is refused with file, line and rule."""

from pathlib import Path

import pytest

from helpers.course.pages.source import SourceError, read

SOURCES = Path(__file__).parent / "sources"

# Each bad page is named for its fault; here stand the line and the words it must be refused with.
FAULTS = {
    "check_far_from_its_exercise": (25, "check not directly after its exercise"),
    "check_of_an_unknown_exercise": (20, "check of an unknown exercise"),
    "check_with_empty_hidden_tests": (14, "check without hidden tests"),
    "check_with_half_a_point": (14, "check with a wrong points"),
    "check_with_lines_after_the_hidden_tests": (16, "hidden tests not at the end"),
    "check_with_nothing_visible": (14, "check with nothing visible"),
    "check_with_unmatched_marks": (17, "unmatched HIDDEN TESTS mark"),
    "check_without_hidden_tests": (14, "check without hidden tests"),
    "check_without_points": (14, "check without points"),
    "difficulty_out_of_range": (7, "exercise with a wrong difficulty"),
    "duplicate_id": (23, "duplicate id"),
    "empty_cell": (4, "empty cell"),
    "exercise_with_unmatched_marks": (10, "unmatched SOLUTION mark"),
    "exercise_without_check": (7, "exercise without a check"),
    "exercise_without_difficulty": (7, "exercise without difficulty"),
    "exercise_without_docstring": (8, "exercise without a docstring"),
    "exercise_without_heading": (7, "exercise without a heading"),
    "exercise_without_its_function": (7, "exercise does not define its function"),
    "exercise_without_minutes": (7, "exercise without minutes"),
    "exercise_without_solution_region": (7, "exercise without a solution region"),
    "figure_needed_later": (25, "name from a figure used later"),
    "figure_without_expression": (21, "figure does not end with an expression"),
    "figure_without_name": (20, "figure without a name"),
    "heading_without_exercise": (21, "heading without an exercise"),
    "judge_of_other_arguments": (20, "judge does not define judge"),
    "local_collects_and_does_more": (7, "local cell that does more than show a figure"),
    "local_needed_later": (25, "name from a local used later"),
    "magic_command": (7, "Python syntax"),
    "marker_without_a_space": (4, "marker not understood"),
    "mutant_of_an_unknown_exercise": (20, "mutant of an unknown exercise"),
    "mutant_without_says": (20, "mutant without says"),
    "mutant_without_the_function": (20, "mutant does not define the function"),
    "option_without_quotes": (20, "marker not understood"),
    "page_without_a_title": (1, "page without a title"),
    "question_in_a_code_cell": (7, "question on a code cell"),
    "question_of_no_words": (7, "question with a wrong words"),
    "question_without_points": (7, "question without points"),
    "question_without_prose": (20, "question without prose"),
    "question_without_solution_marks": (7, "question without a solution region"),
    "rubric_of_other_points": (7, "question without a sound rubric"),
    "solution_around_the_function": (8, "solution region outside the function"),
    "solution_in_an_ordinary_cell": (5, "SOLUTION mark in a code cell"),
    "stub_is_not_python": (12, "stub is not Python"),
    "summary_without_blank_line": (6, "</summary> without a blank line after it"),
    "syntax_error": (6, "Python syntax"),
    "text_before_the_first_cell": (1, "text outside a cell"),
    "two_exercises_of_one_number": (21, "two exercises of one number"),
    "two_mutants_say_the_same": (24, "two mutants say the same"),
    "two_tags": (20, "more than one tag"),
    "unknown_option": (7, "unknown option"),
    "unknown_tag": (4, "unknown tag"),
    "variant_of_an_unknown_exercise": (20, "variant of an unknown exercise"),
    "variant_without_the_function": (20, "variant does not define the function"),
}


def refusal(name):
    with pytest.raises(SourceError) as caught:
        read(SOURCES / f"{name}.py")
    return caught.value


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_with_file_line_and_rule_and_nothing_else_is(name, monkeypatch):
    monkeypatch.chdir(SOURCES)
    error = refusal(name)
    line, rule = FAULTS[name]
    assert [(problem.line, problem.rule) for problem in error.problems] == [(line, rule)]
    assert str(error).startswith(f"{name}.py:{line}: {rule}\n")
    for part in ("found:", "wanted:", "to do:"):
        assert part in str(error)


def test_every_bad_page_is_tested():
    pages = {path.stem for path in SOURCES.glob("*.py")}
    assert pages == {*FAULTS, "01_tiny", "two_exercises_of_one_name", "three_faults"}


def test_all_faults_of_a_page_are_named_at_once():
    assert [(problem.line, problem.rule) for problem in refusal("three_faults").problems] == [
        (7, "exercise without minutes"),
        (14, "check without points"),
        (21, "figure does not end with an expression"),
    ]


def test_exercises_of_one_name_have_checks_of_one_name():
    assert [(problem.line, problem.rule) for problem in refusal("two_exercises_of_one_name").problems] == [
        (23, "two exercises of one name"),
        (30, "two checks of one name"),
    ]


def test_a_problem_says_what_was_found_what_was_wanted_and_what_to_do(monkeypatch):
    monkeypatch.chdir(SOURCES.parent)
    assert str(refusal("figure_needed_later")) == (
        "sources/figure_needed_later.py:25: name from a figure used later\n"
        "  found:  last = max(points)\n"
        "  wanted: `points` from an ordinary cell; the figure of line 20 is skipped in grading\n"
        "  to do:  make `points` in its own cell"
    )


def test_a_good_page_gives_its_cells():
    page = read(SOURCES / "01_tiny.py")
    assert (page.name, page.title, page.points) == ("01_tiny", "Twice", 9)
    assert list(page.exercises) == list(page.checks) == ["double", "triple"]
    assert page.exercises["double"].heading == "### Exercise 1.1: Double"
    assert (page.exercises["double"].minutes, page.exercises["double"].difficulty) == (5, 1)
    assert page.checks["triple"].points == 4
    assert list(page.questions) == ["q_linear", "q_triple"]
    assert [question.words for question in page.questions.values()] == [None, 20]
    assert [cell.collects for cell in page.cells if cell.kind == "local"] == ["", "01_tiny-legs", ""]
    assert list(page.figures) == ["legs"]
    assert list(page.judges) == ["double"]
    assert [mutant.says for mutant in page.mutants("double")] == ["This squares x."]
    assert len(page.variants("double")) == 1
    assert page.mutants("triple") == page.variants("triple") == []


def test_a_cell_knows_where_it_stands():
    page = read(SOURCES / "01_tiny.py")
    lines = page.path.read_text("utf-8").splitlines()
    for cell in page.cells:
        assert lines[cell.line - 1] == cell.marker
        first = cell.source.splitlines()[0]
        assert lines[cell.start - 1] in (first, f"# {first}")


def test_a_comment_is_no_shell_command():
    """Jupytext's own default turns `# cat ...` into the command `cat`."""
    sources = [cell.source for cell in read(SOURCES / "01_tiny.py").cells]
    assert "# A cat has four legs.\nlegs = np.array([4])" in sources


def test_a_local_name_of_a_figures_name_is_no_dependence(tmp_path):
    """A parameter, and a name bound again, have nothing to do with the figure's."""
    page = tmp_path / "page.py"
    page.write_text(
        "# %% [markdown]\n# # Page\n"
        '# %% figure="line"\nxs = [1, 2]\nys = [x**2 for x in xs]\nys\n'
        "# %%\ndef area(xs):\n    ys = sum(xs)\n    return ys\n\nys = 3\nprint(ys, [x for x in range(2)])\n"
        "# %%\nprint(ys)\n"
    )
    assert list(read(page).figures) == ["line"]


def test_ids_do_not_move_with_other_cells(tmp_path):
    text = (SOURCES / "01_tiny.py").read_text("utf-8")
    before = read(SOURCES / "01_tiny.py")
    longer = tmp_path / "01_tiny.py"
    longer.write_text(text.replace("# %% setup", "# %% [markdown]\n# One more remark.\n\n# %% setup"))
    added = [cell.id for cell in read(longer).cells]
    assert [name for name in added if name in {cell.id for cell in before.cells}] == [cell.id for cell in before.cells]
    assert len(added) == len(before.cells) + 1


def test_equal_cells_have_different_ids(tmp_path):
    page = tmp_path / "page.py"
    page.write_text("# %% [markdown]\n# # Page\n" + "# %%\nprint(1)\n" * 3)
    ids = [cell.id for cell in read(page).cells]
    assert len(set(ids)) == 4


def test_an_edit_leaves_a_setup_cell_its_id(tmp_path):
    """nbgrader knows locked cells by their ids: the students' copy must still be the same cell."""
    page = tmp_path / "01_tiny.py"
    page.write_text((SOURCES / "01_tiny.py").read_text("utf-8").replace("import numpy as np", "import numpy as np  #"))
    assert [cell.id for cell in read(page).cells if cell.kind == "setup"] == ["setup-1"]
