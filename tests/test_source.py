"""Reading pages: a good one gives its cells and edits its answers; a fault is refused with file, line and rule."""

import re
import textwrap
from pathlib import Path

import pytest

from helpers.course.pages.source import SourceError, read

TINY = Path(__file__).parent / "sources" / "01_tiny.py"

# A fault of the good page: the rule it breaks, what is replaced by what, and the text whose first line must be named.
FAULTS = [
    # The page and its markers.
    (
        "page without a title",
        "# %% [markdown]\n# # Twice\n#\n# **You will** double a number $x \\in \\mathbb{R}$.\n\n",
        "",
        "# %% setup",
    ),
    ("text outside a cell", "# ---\n# jupyter:", "import math\n\n# ---\n# jupyter:", "import math"),
    ("marker not understood", "# %% setup", "# %%setup", "# %%setup"),
    ("marker not understood", '# %% judge="double"', "# %% judge=double", "# %% judge=double"),
    ("unknown tag", "# %% setup", "# %% start", "# %% start"),
    ("unknown option", "minutes=1 difficulty=3", "minutes=1 difficulty=3 time=3", '# %% exercise="triple"'),
    ("more than one tag", '# %% variant="double"', '# %% setup variant="double"', "# %% setup variant"),
    ("empty cell", "import numpy as np\n", "", "# %% setup"),
    ("Python syntax", "print(double(legs))", "print(double(legs)", "print(double(legs)"),
    ("Python syntax", "import numpy as np\n", "import numpy as np\n%matplotlib inline\n", "%matplotlib"),
    ("</summary> without a blank line after it", "</summary>\n#\n", "</summary>\n", "# <summary>"),
    ("duplicate id", 'question="q_triple"', 'question="triple"', '# %% [markdown] question="triple"'),
    (
        "SOLUTION mark in a code cell",
        "legs = np.array([4])\n",
        "### BEGIN SOLUTION\nlegs = np.array([4])\n### END SOLUTION\n",
        "### BEGIN SOLUTION\nlegs",
    ),
    # Exercises.
    ("exercise without minutes", " minutes=1", "", '# %% exercise="triple"'),
    ("exercise without difficulty", " difficulty=3", "", '# %% exercise="triple"'),
    ("exercise with a wrong difficulty", "difficulty=3", "difficulty=4", '# %% exercise="triple"'),
    ("exercise without a heading", "### Exercise 1.2: Triple", "## Exercise 1.2 Triple", '# %% exercise="triple"'),
    ("heading without an exercise", "### Question 1.3: Is", "### Exercise 1.3: Is", "# ### Exercise 1.3: Is"),
    ("two exercises of one number", "Exercise 1.2: Triple", "Exercise 1.1: Triple", "# ### Exercise 1.1: Triple"),
    ("exercise does not define its function", "def triple(x):", "def treble(x):", '# %% exercise="triple"'),
    ("exercise without a docstring", '    """Return three times x."""\n', "", "def triple(x):"),
    (
        "exercise without a solution region",
        "    ### BEGIN SOLUTION\n    return 3 * x\n    ### END SOLUTION\n",
        "    return 3 * x\n",
        '# %% exercise="triple"',
    ),
    (
        "unmatched SOLUTION mark",
        "    return 3 * x\n    ### END SOLUTION\n",
        "    return 3 * x\n",
        "    ### BEGIN SOLUTION\n    return 3 * x",
    ),
    (
        "solution region outside the function",
        'def triple(x):\n    """Return three times x."""\n    ### BEGIN SOLUTION\n    return 3 * x\n    ### END',
        '### BEGIN SOLUTION\ndef triple(x):\n    """Return three times x."""\n    return 3 * x\n### END',
        "### BEGIN SOLUTION\ndef triple",
    ),
    (
        "stub is not Python",
        "    ### BEGIN SOLUTION\n    return 3 * x\n",
        "    for _ in range(3):\n    ### BEGIN SOLUTION\n        x = x + 1\n    return x\n",
        "    ### BEGIN SOLUTION\n        x = x + 1",
    ),
    (
        "exercise without a check",
        '# %% check="triple" points=4\nassert triple(1) == 3\n'
        "### BEGIN HIDDEN TESTS\nassert triple(3) == 9\n### END HIDDEN TESTS\n",
        "",
        '# %% exercise="triple"',
    ),
    # Checks.
    ("check without points", " points=4", "", '# %% check="triple"'),
    ("check with a wrong points", "points=4", "points=0.5", '# %% check="triple"'),
    ("check with nothing visible", "assert triple(1) == 3", "# The tests are hidden.", '# %% check="triple"'),
    ("check without hidden tests", "assert triple(3) == 9", "# later", '# %% check="triple"'),
    (
        "check without hidden tests",
        "### BEGIN HIDDEN TESTS\nassert triple(3) == 9\n### END HIDDEN TESTS\n",
        "",
        '# %% check="triple"',
    ),
    (
        "hidden tests not at the end",
        "assert triple(3) == 9\n### END HIDDEN TESTS\n",
        "assert triple(3) == 9\n### END HIDDEN TESTS\nassert triple(0) == 0\n",
        "### BEGIN HIDDEN TESTS\nassert triple(3)",
    ),
    (
        "unmatched HIDDEN TESTS mark",
        "### BEGIN HIDDEN TESTS\nassert triple(3)",
        "assert triple(3)",
        "### END HIDDEN TESTS\n\n# %% [markdown]\n# Is doubling",
    ),
    (
        "check of an unknown exercise",
        '# %% judge="double"',
        '# %% check="treble" points=1\nassert True\n### BEGIN HIDDEN TESTS\nassert True\n### END HIDDEN TESTS\n\n'
        '# %% judge="double"',
        '# %% check="treble"',
    ),
    (
        "check not directly after its exercise",
        '# %% check="triple"',
        '# %% [markdown]\n# Is it odd?\n\n# %% [markdown] question="q_odd" points=1\n'
        "# ### BEGIN SOLUTION\n# **Model answer.** No.\n#\n"
        '# **Rubric.**\n# - 1 point: the reason.\n# ### END SOLUTION\n\n# %% check="triple"',
        '# %% check="triple"',
    ),
    ("judge does not define judge", "def judge(part, got, want, given):", "def judge(got, want):", "# %% judge"),
    # Figures, and cells for the student's machine.
    ("figure without a name", '# %% figure="legs"', "# %% figure", "# %% figure"),
    ("figure with a wrong name", '# %% figure="legs"', '# %% figure="four legs"', "# %% figure"),
    ("figure does not end with an expression", "\ndoubled\n", "\n", "doubled = double(legs)"),
    ("name from a figure used later", "print(double(legs))", "print(doubled)", "print(doubled)"),
    (
        "name from an example used later",
        "# %%\nprint(double(legs))",
        "# %% example\nnumber = 3\n\n\n# %%\nprint(number)",
        "print(number)",
    ),
    (
        "name from a figure used later",
        "# %%\nprint(double(legs))",
        "# %% example\nprint(doubled)",
        "print(doubled)",
    ),
    (
        "name from a local used later",
        "local\n# @title Afterwards\nprint(",
        "\nprint(saved_figure, ",
        "print(saved_figure",
    ),
    (
        "local cell that does more than show a figure",
        'saved_figure("01_tiny-legs")',
        'picture = saved_figure("01_tiny-legs")',
        "# %% local\npicture",
    ),
    # Questions.
    ("question on a code cell", '# %% [markdown] question="q_triple"', '# %% question="q_triple"', "# %% question"),
    ("question without points", " points=1 words=20", " words=20", '# %% [markdown] question="q_triple"'),
    ("question with a wrong words", "words=20", "words=0", '# %% [markdown] question="q_triple"'),
    (
        "question without prose",
        "# %% [markdown]\n# Is doubling a number linear?",
        "# %%\n# Is doubling a number linear?",
        '# %% [markdown] question="q_linear"',
    ),
    (
        "question without a solution region",
        "# %% local\n# @title",
        '# %% [markdown]\n# Is it odd?\n\n# %% [markdown] question="q_odd" points=1\n# No.\n\n# %% local\n# @title',
        '# %% [markdown] question="q_odd"',
    ),
    ("question without a sound rubric", "- 3 points: the", "- 2 points: the", '# %% [markdown] question="q_linear"'),
    # The bank.
    (
        "bank before the end of the page",
        "# %% mutant",
        "# %% [markdown]\n# The end.\n\n# %% mutant",
        "# = secret_answer",
    ),
    ("mutant without says", ' says="This squares x."', "", '# %% mutant="double"'),
    ("mutant with a wrong visible", 'x."\n', 'x." visible=""\n', '# %% mutant="double"'),
    (
        "mutant of an unknown exercise",
        'mutant="double" says="This squares x."\ndef double',
        'mutant="treble" says="This squares x."\ndef treble',
        '# %% mutant="treble"',
    ),
    (
        "mutant does not define the function",
        'says="This squares x."\ndef double',
        'says="This squares x."\ndef square',
        '# %% mutant="double"',
    ),
    ("variant of an unknown exercise", 'variant="double"\ndef double', 'variant="add"\ndef add', '# %% variant="add"'),
    (
        "variant does not define the function",
        'variant="double"\ndef double',
        'variant="double"\ndef add',
        "# %% variant",
    ),
    ("two mutants say the same", "# Nothing is doubled.", "# This squares x.", '# %% mutant="double"'),
    ("two mutants say the same", "# Nothing is doubled.", "# This adds two.", "# + return x\n"),
    # Mistakes, which are edits of the answer.
    ("mistakes without a name", 'mistakes="double"', "mistakes", "# %% [markdown] mistakes"),
    ("mistakes of an unknown exercise", 'mistakes="double"', 'mistakes="treble"', '# %% [markdown] mistakes="treble"'),
    ("mistakes on a code cell", '[markdown] mistakes="double"', 'mistakes="double"', '# %% mistakes="double"'),
    ("mistake without an edit", "# + return x\n", "", "# Nothing is doubled."),
    (
        "mistake without an edit",
        "# This triples x.\n",
        "# = return secret_answer * x\n# This triples x.\n",
        "# = secret_answer = 2",
    ),
    (
        "places overlap",
        "# + return secret_answer + x\n",
        "# + return secret_answer + x\n# = secret_answer = 2\n# = return secret_answer * x\n# + return 3 * x\n",
        "# + return secret_answer + x",
    ),
    ("mistake that says nothing", "# This triples x.\n", "", "# = secret_answer = 2"),
    ("place not once in the answer", "# = secret_answer = 2", "# = answer = 2", "# = answer = 2"),
    ("place not once in the answer", "# = secret_answer = 2\n", "", "# + secret_answer = 3"),
    (
        "place not once in the answer",
        "    secret_answer = 2\n",
        "    secret_answer = 2\n    secret_answer = 2\n",
        "# = secret_answer = 2",
    ),
    ("edited answer is not Python", "# + return x\n", "# + return x +\n", "# + return x +"),
    ("edit changes nothing", "# + secret_answer = 3", "# + secret_answer = 2  # cats", "# = secret_answer = 2"),
    ("Python syntax", "    secret_answer = 2", "    secret_answer = = 2", "    secret_answer = = 2"),
]


def refusal(tmp_path, *faults):
    """The page with faults (what is replaced, by what): its text, and what `read` says of it."""
    text = TINY.read_text("utf-8")
    for old, new in faults:
        assert text.count(old) == 1
        text = text.replace(old, new)
    page = tmp_path / "page.py"
    page.write_text(text, "utf-8")
    with pytest.raises(SourceError) as caught:
        read(page)
    return text, caught.value


def line_of(text, start):
    """The number of the only line on which the text goes on with `start`."""
    before, _ = f"\n{text}".split(f"\n{start}")
    return before.count("\n") + 1


@pytest.mark.parametrize(("rule", "old", "new", "named"), FAULTS, ids=[rule for rule, *_ in FAULTS])
def test_a_fault_is_named_with_file_line_and_rule_and_nothing_else_is(rule, old, new, named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text, error = refusal(tmp_path, (old, new))
    line = line_of(text, named)
    assert [(problem.line, problem.rule) for problem in error.problems] == [(line, rule)]
    assert str(error).startswith(f"page.py:{line}: {rule}\n")
    for part in ("found:", "wanted:", "to do:"):
        assert part in str(error)


def test_all_faults_of_a_page_are_named_at_once(tmp_path):
    text, error = refusal(tmp_path, (" minutes=1", ""), (" points=4", ""), ("\ndoubled\n", "\n"))
    assert [(problem.line, problem.rule) for problem in error.problems] == [
        (line_of(text, "doubled = double(legs)"), "figure does not end with an expression"),
        (line_of(text, '# %% exercise="triple"'), "exercise without minutes"),
        (line_of(text, '# %% check="triple"'), "check without points"),
    ]


def test_exercises_of_one_name_have_checks_of_one_name(tmp_path):
    text = TINY.read_text("utf-8")
    first, last = text.index('# %% exercise="double"'), text.index('# %% judge="double"')
    again = f"# %% [markdown]\n# ### Exercise 1.4: Double again\n\n{text[first:last]}# %% judge"
    text, error = refusal(tmp_path, ("# %% judge", again))
    lines = text.splitlines()
    assert [(lines[problem.line - 1], problem.rule) for problem in error.problems] == [
        ('# %% exercise="double" minutes=5 difficulty=1', "two exercises of one name"),
        ('# %% check="double" points=1', "two checks of one name"),
    ]
    assert all(problem.line > line_of(text, "# ### Exercise 1.4") for problem in error.problems)


def test_a_problem_says_what_was_found_what_was_wanted_and_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path.parent)
    text, error = refusal(tmp_path, ("print(double(legs))", "print(double(doubled))"))
    figure, use = line_of(text, "# %% figure"), line_of(text, "print(double(doubled))")
    assert str(error) == (
        f"{tmp_path.name}/page.py:{use}: name from a figure used later\n"
        "  found:  print(double(doubled))\n"
        f"  wanted: `doubled` from an ordinary cell; the figure of line {figure} is skipped in grading\n"
        "  to do:  make `doubled` in its own cell"
    )


def test_a_good_page_gives_its_cells():
    page = read(TINY)
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
    said = ["This triples x.", "This adds two.", "Nothing is doubled.", "This squares x."]
    assert [mutant.says for mutant in page.mutants("double")] == said
    assert len(page.variants("double")) == 1
    assert page.mutants("triple") == page.variants("triple") == []


def test_a_cell_knows_where_it_stands():
    page = read(TINY)
    lines = page.path.read_text("utf-8").splitlines()
    for cell in page.cells:
        if "mistakes=" in cell.marker:
            continue  # a mutant that was made of an edit stands where the edit does
        assert lines[cell.line - 1] == cell.marker
        first = cell.source.splitlines()[0]
        assert lines[cell.start - 1] in (first, f"# {first}")


def test_a_comment_is_no_shell_command():
    """Jupytext's own default turns `# cat ...` into the command `cat`."""
    sources = [cell.source for cell in read(TINY).cells]
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


def test_an_example_may_need_another_and_a_figure_may_need_both(tmp_path):
    page = tmp_path / "page.py"
    page.write_text(
        "# %% [markdown]\n# # Page\n"
        "# %% example\nxs = [1, 2]\n"
        "# %% example\nys = [x**2 for x in xs]\n"
        '# %% figure="line"\nys\n'
        "# %%\nxs = 3\nprint(xs)\n"
        "# %%\nprint(xs)\n"
    )
    assert [cell.kind for cell in read(page).cells] == ["markdown", "example", "example", "figure", "code", "code"]


def test_ids_do_not_move_with_other_cells(tmp_path):
    text = TINY.read_text("utf-8")
    before = read(TINY)
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
    page.write_text(TINY.read_text("utf-8").replace("import numpy as np", "import numpy as np  #"))
    assert [cell.id for cell in read(page).cells if cell.kind == "setup"] == ["setup-1"]


EDITED = """\
# %% [markdown]
# # Sums
#
# ### Exercise 1.1: The sum of the sizes

# %% exercise="sizes" minutes=1 difficulty=1
def sizes(numbers):
    \"\"\"Return the sum of the absolute values.\"\"\"
    ### BEGIN SOLUTION
    total = 0
    for number in numbers:
        number = abs(number)
        total += number
    return total
    ### END SOLUTION

# %% check="sizes" points=1
print(sizes([1, -2]))
### BEGIN HIDDEN TESTS
assert sizes([3, -4]) == 7
### END HIDDEN TESTS

# %% [markdown] mistakes="sizes"
"""
ANSWER = ["total = 0", "for number in numbers:", "    number = abs(number)", "    total += number", "return total"]


@pytest.fixture
def mutants(tmp_path):
    """A function that gives what mistakes, typed without `# `, make of the answer."""

    def made(mistakes):
        page = tmp_path / "page.py"
        page.write_text(EDITED + "".join(f"# {line}".rstrip() + "\n" for line in mistakes.splitlines()))
        return read(page).mutants("sizes")

    return made


def body(mutant):
    """The lines of a mutant below its docstring, without the indentation that they share."""
    signature, docstring, *lines = mutant.source.splitlines()
    assert (signature, docstring) == ("def sizes(numbers):", '    """Return the sum of the absolute values."""')
    return textwrap.dedent("\n".join(lines)).splitlines()


@pytest.mark.parametrize(
    ("edit", "wanted"),
    [
        pytest.param("= total = 0\n+ total = 1", ["total = 1", *ANSWER[1:]], id="one line"),
        pytest.param(
            "= number = abs(number)\n= total += number\n+ total += max(number, 0)",
            [*ANSWER[:2], "    total += max(number, 0)", ANSWER[4]],
            id="two lines become one",
        ),
        pytest.param(
            "= total += number\n+ if number > 1:\n+     total += number",
            [*ANSWER[:3], "    if number > 1:", "        total += number", ANSWER[4]],
            id="one line becomes two, indented as the place and as typed",
        ),
        pytest.param("= number = abs(number)\n+", [*ANSWER[:2], *ANSWER[3:]], id="a line is taken away"),
        pytest.param("= return total\n+     return total", [*ANSWER[:4], "    return total"], id="a line moves in"),
        pytest.param(
            "= return total\n+ return count\n= number = abs(number)\n+\n= total = 0\n+ total = 0\n+ count = 1",
            ["total = 0", "count = 1", ANSWER[1], ANSWER[3], "return count"],
            id="three places, in any order",
        ),
    ],
)
def test_an_edit_takes_its_place_in_the_answer(edit, wanted, mutants):
    (mutant,) = mutants(f"{edit}\nThis is wrong.")
    assert body(mutant) == wanted
    assert (mutant.kind, mutant.name, mutant.says, mutant.visible) == ("mutant", "sizes", "This is wrong.", "")


def test_a_place_serves_every_paragraph_until_the_next_one(mutants):
    made = mutants(
        "= total = 0\n\n+ total = 1\nOne.\n\n+ total = 2\n= return total\n+ return -total\nTwo.\n\n+ return 3\nThree."
    )
    assert {mutant.says: [line for line in body(mutant) if line not in ANSWER] for mutant in made} == {
        "One.": ["total = 1"],
        "Two.": ["total = 2", "return -total"],
        "Three.": ["return 3"],
    }


def test_sentence_and_visible_words_may_take_several_lines(mutants):
    (mutant,) = mutants("= total = 0\n+ total = 1\nYou start at 1.\nStart at 0.\n~ starts\n~ at 1")
    assert (mutant.says, mutant.visible) == ("You start at 1. Start at 0.", "starts at 1")


def test_a_mutant_knows_the_line_of_its_edit(mutants, tmp_path):
    made = mutants("= total = 0\n\n+ total = 1\nOne.\n\n= return total\n+ return 2\nTwo.")
    lines = (tmp_path / "page.py").read_text().splitlines()
    assert [lines[mutant.line - 1] for mutant in made] == ["# + total = 1", "# = return total"]


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        ("+ total = 1", "total = 1: no `=` line before it"),
        ("= total = 9\n+ total = 1", "total = 9: 0 times in the answer"),
        ("= total = 0\n= return total\n+ total = 1", "total = 0 / return total: 0 times in the answer"),
    ],
)
def test_a_place_that_is_not_there_is_shown(edit, found, mutants):
    with pytest.raises(SourceError, match=f"\n  found:  {re.escape(found)}\n"):
        mutants(f"{edit}\nThis is wrong.")
