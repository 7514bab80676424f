"""The quiz: what it shows, what it says to an answer, how it counts. The explorer: what it draws, when, and when not.

And what a reader without widgets sees of both.
"""

import asyncio
import base64
import io
import json
import random
import re
import threading
import time

import ipywidgets
import nbclient
import nbformat.v4
import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib import pyplot
from PIL import Image

from helpers import COURSE, plots
from helpers.course.pages import registry
from helpers.widgets import between, explore, explorers, quiz, quizzes
from helpers.widgets.questions import NotAnswered, Question
from helpers.widgets.quizzes import Quiz


def question(text="Which is even?", right="4", **changes):
    parts = {"wrong": {"3": "3 = 2 + 1.", "5": "5 = 4 + 1.", "7": "7 = 6 + 1."}, "because": "It is twice a number."}
    return Question(text, right=right, **(parts | changes))


def three(seed=0):
    asked = [question("Which is even?"), question("Which is a square?"), question("Which is after 3?")]
    return Quiz("three", asked, seed)


def parts(box):
    """All widgets in a box, in the order in which they stand."""
    children = getattr(box, "children", ())
    return [part for child in children for part in (parts(child) if hasattr(child, "children") else [child])]


def press(shown, number, answer):
    """Click the button with an answer; return what stands below it then."""
    row = parts(shown.box.children[1 + number])
    [place] = [i for i, part in enumerate(row) if getattr(part, "description", "")[5:] == answer]
    row[place].click()
    assert row[place].description[5:] == answer
    return row[place].description[0], row[place + 1]


# Order of the answers


def test_answers_are_a_permutation():
    for shown in (three(seed) for seed in range(20)):
        for asked, answers in zip(shown.questions, shown.answers, strict=True):
            assert sorted(answers) == sorted(asked.answers)


def test_order_depends_on_the_seed():
    assert three(1).answers == three(1).answers
    assert len({three(seed).answers for seed in range(20)}) > 15


def test_order_without_a_seed_is_new_each_time_whatever_the_notebook_has_seeded():
    orders = set()
    for _ in range(5):
        random.seed(0)
        orders.add(three(None).answers)
    assert len(orders) > 1


def test_right_answer_comes_at_every_place():
    places = {shown.answers[0].index("4") for shown in map(three, range(40))}
    assert places == {0, 1, 2, 3}


def test_buttons_stand_in_the_order_of_the_answers():
    shown = three(5)
    labels = [part.description for part in parts(shown.box) if isinstance(part, ipywidgets.Button)]
    assert labels == [
        f"○ {letter}) {answer}" for each in shown.answers for letter, answer in zip("abcd", each, strict=True)
    ]


# Feedback


@pytest.mark.parametrize("seed", range(4))
def test_each_answer_gets_its_own_feedback_wherever_it_stands(seed):
    shown = three(seed)
    assert shown.choose(1, "4") == (True, "It is twice a number.")
    assert shown.choose(1, "5") == (False, "5 = 4 + 1.")


def test_pressing_an_answer_marks_it_and_shows_why_below_it():
    shown = three()
    sign, below = press(shown, 2, "5")
    assert sign == "✗"
    assert "Not this one." in below.value
    assert "5 = 4 + 1." in below.value
    assert below.layout.display is None
    sign, below = press(shown, 2, "4")
    assert sign == "✓"
    assert "Right." in below.value
    assert "It is twice a number." in below.value


def test_nothing_is_told_before_an_answer_is_chosen():
    shown = three()
    feedback = [part for part in parts(shown.box) if part.layout.display == "none"]
    assert len(feedback) == 12
    assert {part.value for part in feedback} == {""}
    press(shown, 0, "3")
    told = "".join(part.value for part in parts(shown.box) if isinstance(part, ipywidgets.HTMLMath))
    assert "3 = 2 + 1." in told
    assert "twice" not in told


def test_texts_are_no_markup():
    shown = Quiz("odd", [question("Is 1 < 2 & <b>bold</b>?", because="$a < b$ <script> `a <b`")])
    text = shown.box.children[1].children[0].value
    assert "1 &lt; 2 &amp; &lt;b&gt;" in text
    _, below = press(shown, 0, "4")
    assert "$a &lt; b$ &lt;script&gt; <code>a &lt;b</code>" in below.value


# Score


def score_shown(shown):
    return shown.box.children[-1].value


def test_score_counts_first_tries_and_names_open_questions():
    shown = three()
    assert shown.score == "0 of 3 right at the first try. Still open: 1, 2, 3."
    press(shown, 0, "4")
    press(shown, 1, "7")
    assert shown.score == "1 of 3 right at the first try. Still open: 2, 3."
    press(shown, 1, "4")
    assert shown.score == "1 of 3 right at the first try. Still open: 3."
    assert shown.score in score_shown(shown)
    press(shown, 2, "4")
    assert shown.score.startswith("2 of 3 right at the first try. All questions are answered.")
    assert shown.score in score_shown(shown)


def test_looking_at_other_answers_afterwards_changes_no_score():
    shown = three()
    for answer in ("4", "3", "4", "3"):
        press(shown, 0, answer)
    assert shown.tried[0] == ["4", "3"]
    assert shown.score.startswith("1 of 3")
    for answer in ("3", "3", "4"):
        press(shown, 1, answer)
    assert shown.score == "1 of 3 right at the first try. Still open: 3."


# Without widgets


def test_an_answer_by_its_letter_prints_why_and_counts_as_if_it_were_pressed(capsys):
    shown = three()
    wrong, right = ("abcd"[shown.answers[1].index(answer)] for answer in ("5", "4"))
    shown.answer(2, wrong)
    assert capsys.readouterr().out.splitlines() == [
        f"2{wrong}) 5",
        "✗ Not this one. 5 = 4 + 1.",
        "0 of 3 right at the first try. Still open: 1, 2, 3.",
    ]
    shown.answer(2, f" {right.upper()})")
    assert "✓ Right. It is twice a number." in capsys.readouterr().out
    assert shown.score == "0 of 3 right at the first try. Still open: 1, 3."
    assert shown.score in score_shown(shown)
    assert [part.description[0] for part in parts(shown.box.children[2]) if isinstance(part, ipywidgets.Button)].count(
        "✓"
    ) == 1


@pytest.mark.parametrize(
    ("number", "letter", "says"),
    [
        (0, "a", "quiz: found question 0; wanted a number from 1 to 3."),
        (4, "a", "quiz: found question 4; wanted a number from 1 to 3."),
        ("1", "a", "quiz: found question '1'; wanted a number from 1 to 3."),
        (1, "e", "quiz, question 1: found 'e'; wanted a, b, c or d."),
        (1, "", "quiz, question 1: found ''; wanted a, b, c or d."),
        (1, 2, "quiz, question 1: found 2; wanted a, b, c or d."),
    ],
)
def test_what_is_no_answer_is_refused_and_not_counted(number, letter, says):
    shown = three()
    with pytest.raises(NotAnswered) as refused:
        shown.answer(number, letter)
    assert refused.value._render_traceback_() == [str(refused.value)] == [says]
    assert not any(shown.tried)


def test_the_text_says_how_to_answer_and_letters_are_those_of_the_buttons():
    text = str(Quiz("odd", [question()], 3))
    assert 'quiz("odd", 3).answer(1, "b")' in text
    assert 'quiz("odd").answer(1, "b")' in str(Quiz("odd", [question()]))
    lettered = [
        f"{letter}) {answer}" for letter, answer in zip("abcd", Quiz("odd", [question()], 3).answers[0], strict=True)
    ]
    assert [line.strip() for line in text.splitlines()[-4:]] == lettered


def test_answers_are_to_the_quiz_on_show_which_begins_anew_when_it_is_shown_again(file, capsys):
    file(EVEN)
    shown = quiz("even")
    shown._repr_mimebundle_()
    quiz("even").answer(1, "a")
    assert shown.tried[0] == [shown.answers[0][0]]
    orders = set()
    for _ in range(20):
        shown._repr_mimebundle_()
        orders.add(shown.answers)
        assert shown.tried == ([],)
    assert len(orders) > 1
    file(EVEN.replace("Which is even?", "Which is not odd?"))
    assert quiz("even").questions[0].text == "Which is not odd?"


def test_plain_text_has_all_questions_and_answers_and_no_feedback():
    shown = Quiz("odd", [question("Which is even? " + 30 * "word "), question("And now?", right="nine " * 40)], 3)
    text = str(shown)
    assert max(map(len, text.splitlines())) <= 100
    flat = " ".join(text.split())
    places = [flat.index(f") {' '.join(answer.split())}") for answer in shown.answers[0]]
    assert places == sorted(places)
    for asked in shown.questions:
        assert " ".join(asked.text.split()) in flat
        assert asked.because not in flat
        assert not any(reason in flat for reason in asked.wrong.values())


def test_plain_text_marks_no_answer_after_one_was_chosen():
    shown = three()
    before = str(shown)
    press(shown, 0, "4")
    assert str(shown) == before


def test_display_carries_both_the_widget_and_the_text():
    shown = three()
    data, _ = DisplayFormatter().format(shown)
    assert data["text/plain"] == str(shown)
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == shown.box.model_id


@pytest.mark.kernel
def test_notebook_run_without_a_browser_keeps_the_text_and_no_reasons():
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell('from helpers.widgets import quiz\nquiz("07_writeup")')]
    )
    nbclient.NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(COURSE)}}).execute()
    [output] = notebook.cells[0].outputs
    assert output.output_type == "execute_result"
    first, *_ = quizzes.read_questions(quizzes.QUIZZES / "07_writeup.toml")
    assert f"1. {first.text}" in output.data["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in output.data
    kept = json.dumps([output, notebook.metadata], ensure_ascii=False)
    assert first.right in kept
    assert not any(reason in kept for reason in (first.because, *first.wrong.values()))


# Malformed questions


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"wrong": {}}, "wrong={}"),
        ({"wrong": ["3", "5"]}, "wrong=['3', '5']"),
        ({"wrong": None}, "wrong=None"),
        ({"wrong": {"4": "No."}}, "the answer '4' twice"),
        ({"wrong": {" 4 ": "No."}}, "the answer ' 4 ' twice"),
        ({"right": "Four", "wrong": {"fOUR": "No."}}, "the answer 'fOUR' twice"),
        ({"wrong": {"3": "No.", "3 ": "No."}}, "the answer '3 ' twice"),
        ({"wrong": {"3": ""}}, "'' as reason for '3' in wrong"),
        ({"wrong": {"3": None}}, "None as reason for '3' in wrong"),
        ({"wrong": {"": "No."}}, "'' as answer '' in wrong"),
        ({"wrong": {3: "No."}}, "3 as answer 3 in wrong"),
        ({"right": ""}, "'' as right"),
        ({"right": 4}, "4 as right"),
        ({"because": " \n"}, "' \\n' as because"),
        ({"text": ""}, "'' as text"),
    ],
)
def test_malformed_question_says_found_wanted_and_what_to_do(changes, found):
    with pytest.raises(ValueError) as refused:
        question(**changes)
    message = str(refused.value)
    assert message.startswith(f"Question {changes.get('text', 'Which is even?')!r}: found {found}; wanted ")
    assert message.endswith(".")


# Files of questions

EVEN = """
[[question]]
text = "Which is even?"
right = "4"
because = '''
  It is twice
  a number.'''

[question.wrong]
"3" = "3 = 2 + 1."
"5" = '''
  5 = 4
    + 1.'''
"""


@pytest.fixture
def file(monkeypatch, tmp_path):
    """Return a function that writes a quiz, even.toml, where quizzes are looked for."""
    monkeypatch.setattr(quizzes, "QUIZZES", tmp_path)
    return lambda text: (tmp_path / "even.toml").write_text(text, "utf-8")


def test_line_breaks_and_indentation_in_a_file_do_not_count(file):
    file(EVEN)
    [asked] = quiz("even").questions
    assert asked == question(wrong={"3": "3 = 2 + 1.", "5": "5 = 4 + 1."})


def test_order_of_a_quiz_from_a_file_depends_on_the_seed(file):
    file(EVEN)
    assert quiz("even", 1).answers == quiz("even", 1).answers
    assert len({quiz("even", seed).answers for seed in range(20)}) == 6


def test_unknown_quiz_lists_the_known_ones(file):
    file(EVEN)
    with pytest.raises(ValueError, match=r"^quiz: found 'odd'; wanted one of even\.$"):
        quiz("odd")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('right = "4"', "right = 4", ", question 1: Question 'Which is even?': found 4 as right; wanted a text"),
        ('right = "4"', "", ", question 1: found no right; wanted text, right, wrong, because."),
        ('right = "4"', 'right = "4"\nhint = ""', ", question 1: found an unknown hint; wanted text, right, wrong, b"),
        ('"3" =', '"4" =', ", question 1: Question 'Which is even?': found the answer '4' twice; wanted"),
        ('"3" =', '"5" =', ": "),  # the words are those of TOML's reader
        ('right = "4"', "right = 4 apples", ": "),
        ("[question.wrong]", '[question.wrong."3"]', ", question 1: Question 'Which is even?': found {"),
        ("[[question]]", "[[questions]]", ": found questions"),
        (EVEN, "", ": found no question; wanted tables that begin with [[question]]"),
        (EVEN, "question = []", ": found question = []; wanted tables"),
        (EVEN, 'question = "Which is even?"', ": found question = 'Which is even?'; wanted tables"),
        (EVEN, EVEN + EVEN, ", question 2: found 'Which is even?' twice; wanted each question once."),
    ],
)
def test_malformed_file_says_where_and_what(file, tmp_path, old, new, message):
    assert EVEN.count(old) == 1
    file(EVEN.replace(old, new))
    with pytest.raises(ValueError) as refused:
        quiz("even")
    assert str(refused.value).startswith(f"{tmp_path / 'even.toml'}{message}")


def test_file_that_is_no_text_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(quizzes, "QUIZZES", tmp_path)
    (tmp_path / "even.toml").write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"even\.toml: 'utf-8' codec can't decode"):
        quiz("even")


# The quizzes of the course


@pytest.mark.parametrize("path", sorted(quizzes.QUIZZES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_quiz_of_the_course_can_be_asked(path):
    asked = quiz(path.stem).questions
    assert len(asked) >= 5
    # Who picks the longest answer each time must not be right more often than not.
    assert sum(max(each.answers, key=len) == each.right for each in asked) <= len(asked) / 2


def test_every_page_asks_the_quiz_of_its_name_and_no_other():
    pages = [path.stem for path in registry.paths().values()]
    asked = {
        (path.stem, name)
        for path in registry.paths().values()
        for name in re.findall(r'\bquiz\("(.*?)"\)', path.read_text("utf-8"))
    }
    assert asked == {(name, name) for name in pages}
    assert set(pages) == {path.stem for path in quizzes.QUIZZES.glob("*.toml")}


# Explorer


def told(**chosen):
    """Draw a figure that says what it was asked for."""
    picture = np.full((3, 4, 4), 0.5)
    return plots.strip([plots.picture(picture, ", ".join(f"{name}={value}" for name, value in chosen.items()))])


@pytest.fixture
def drawn():
    """What `explorer` was asked to draw, in order."""
    return []


@pytest.fixture
def explorer(drawn):
    def draw(**chosen):
        drawn.append(chosen)
        return told(**chosen)

    return explore(draw, picture={"a cat": 3, "a car": 7}, steps=between(20, 80), sigma=between(0.0, 0.4, at=0.1))


def place(explorer):
    """What stands where the figure belongs, as HTML."""
    return explorer.box.children[-1].value


def test_an_explorer_draws_the_first_choices_and_then_each_change_at_once(explorer, drawn):
    explorer.show()
    explorer.controls["picture"].label = "a car"
    explorer.controls["steps"].value = 21
    first = {"picture": 3, "steps": 20, "sigma": 0.1}
    assert drawn == [first, first | {"picture": 7}, first | {"picture": 7, "steps": 21}]
    assert 'alt="Grid of 1 by 1 panels. Row 1: picture, picture=7, steps=21, sigma=0.1."' in place(explorer)


def test_a_picture_keeps_its_place_free(explorer):
    explorer.show()
    width, height = Image.open(io.BytesIO(explorer._repr_png_())).size
    assert f'width="{width}" height="{height}"' in place(explorer)


def test_each_choice_gets_a_labelled_control_of_its_kind():
    made = explore(
        told, seen_by=["a", "b"], count=between(1, 9), share=between(0, 1.0), size=between(0.5, 64, log=True)
    )
    kinds = [ipywidgets.Dropdown, ipywidgets.IntSlider, ipywidgets.FloatSlider, ipywidgets.FloatLogSlider]
    assert [type(control) for control in made.controls.values()] == kinds
    assert [control.description for control in made.controls.values()] == ["seen by", "count", "share", "size"]
    share, size = made.controls["share"], made.controls["size"]
    assert (share.step, size.base**size.min, size.base**size.max, size.value) == (1 / 50, 0.5, 64, 0.5)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"low": 5, "high": 5}, "5 to 5, at 5; wanted low < high"),
        ({"low": 5, "high": 1}, "5 to 1, at 5"),
        ({"low": 1, "high": 5, "at": 6}, "1 to 5, at 6"),
        ({"low": 0, "high": 5, "log": True}, "a logarithmic range from 0 on; wanted numbers above 0"),
    ],
)
def test_a_range_that_is_none_says_found_and_wanted(given, found):
    with pytest.raises(ValueError, match=f"^between: found {re.escape(found)}"):
        between(**given)


def test_a_choice_without_values_is_refused():
    with pytest.raises(ValueError, match=r"^explore: found no value for 'picture'"):
        explore(told, picture=[])


async def settled(explorer):
    """Wait until an explorer has drawn what it has to draw."""
    while explorer._waits:
        await asyncio.sleep(explorers.PAUSE)


def test_a_slider_that_is_dragged_draws_where_it_ends_and_not_each_value(explorer, drawn):
    async def drag():
        for value in range(21, 80):
            explorer.controls["steps"].value = value
        assert drawn == []
        await settled(explorer)
        explorer.controls["steps"].value = 50
        await settled(explorer)

    asyncio.run(drag())
    assert [chosen["steps"] for chosen in drawn] == [79, 50]


def test_what_goes_wrong_is_told_in_the_place_of_the_figure_and_the_controls_stay():
    def draw(steps):
        if steps == 21:
            raise NotImplementedError("fgsm: replace <this> line")
        return told(steps=steps)

    shown = explore(draw, steps=between(20, 80))
    shown.show()
    shown.controls["steps"].value = 21
    assert shown.error == "NotImplementedError: fgsm: replace <this> line"
    assert "replace &lt;this&gt; line" in place(shown) and "<img" not in place(shown)
    assert "in draw" in place(shown) and "in show" not in place(shown)
    assert shown.error in str(shown)
    shown.controls["steps"].value = 22
    assert shown.error == "" and "steps=22" in place(shown) and "replace" not in place(shown)


def test_an_explorer_that_cannot_draw_ends_no_run_of_a_notebook():
    def draw(steps):
        raise NotImplementedError("fgsm: replace this line")

    bundle = explore(draw, steps=[1])._repr_mimebundle_()
    assert "image/png" not in bundle
    assert bundle["text/plain"].endswith("NotImplementedError: fgsm: replace this line")


def test_where_there_are_no_widgets_stand_the_first_figure_and_the_choices(explorer, drawn):
    bundle = explorer._repr_mimebundle_()
    assert bundle["text/plain"].splitlines()[1:] == [
        "picture: a cat, a car",
        "steps: 20 to 80, here 20",
        "sigma: 0 to 0.4, here 0.1",
        "Grid of 1 by 1 panels. Row 1: picture, picture=3, steps=20, sigma=0.1.",
    ]
    assert base64.b64decode(bundle["image/png"]) == explorer._repr_png_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == explorer.box.model_id
    assert len(drawn) == 1


def test_no_figure_stays_open(explorer):
    for steps in range(20, 30):
        explorer.controls["steps"].value = steps
    assert pyplot.get_fignums() == []


@pytest.mark.kernel
def test_notebook_run_without_a_browser_keeps_the_first_figure():
    source = """
from helpers import plots
from helpers.widgets import between, explore

explore(lambda level: plots.strip([plots.ranked({"level": level})]), level=between(1, 9, at=4))
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    nbclient.NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(COURSE)}}).execute()
    [output] = notebook.cells[0].outputs
    assert base64.b64decode(output.data["image/png"]).startswith(b"\x89PNG")
    assert "level: 1 to 9, here 4\n" in output.data["text/plain"]


# Explorers that grow


@pytest.fixture
def growing():
    def grow(target):
        for step in range(6):
            yield told(target=target, step=step)

    return explore(grow, target=["cat", "fish"])


def at(explorer):
    """What its figure says."""
    return re.search(r"target=\w+, step=\d", explorer.figure.alt)[0]


def test_a_growing_explorer_starts_stops_goes_on_and_ends(growing):
    async def play():
        growing.show()
        assert at(growing) == "target=cat, step=0"
        growing.start.value = True
        assert growing.start.description == "Stop"
        while at(growing) != "target=cat, step=2":
            await asyncio.sleep(0.01)
        growing.start.value = False
        await settled(growing)
        stopped = at(growing)
        await asyncio.sleep(4 * explorers.PAUSE)
        assert at(growing) == stopped < "target=cat, step=5"
        growing.start.value = True
        while growing.start.value:
            await asyncio.sleep(0.01)
        assert at(growing) == "target=cat, step=5"
        assert growing.start.description == "Start"

    asyncio.run(asyncio.wait_for(play(), 20))


def test_another_choice_begins_anew_while_it_grows_and_while_it_does_not(growing):
    async def play():
        growing.show()
        growing.controls["target"].value = "fish"
        await settled(growing)
        assert at(growing) == "target=fish, step=0"
        growing.start.value = True
        while at(growing) != "target=fish, step=3":
            await asyncio.sleep(0.01)
        growing.controls["target"].value = "cat"
        await asyncio.sleep(1.5 * explorers.PAUSE)
        assert at(growing) < "target=cat, step=3"
        growing.start.value = False

    asyncio.run(asyncio.wait_for(play(), 20))


def test_one_explorer_grows_at_a_time_and_none_when_a_cell_is_run_again(growing):
    other = explore(growing.draw, target=["cat"])

    async def play():
        growing.start.value = True
        other.start.value = True
        assert (growing.start.value, other.start.value) == (False, True)
        growing._repr_mimebundle_()
        assert not other.start.value
        await settled(other)
        await settled(growing)

    asyncio.run(asyncio.wait_for(play(), 20))


def test_what_fails_while_it_grows_stops_it():
    def grow(target):
        yield told(target=target, step=0)
        raise ValueError("too dark")

    shown = explore(grow, target=["cat"])
    shown.show()
    shown.start.value = True
    assert shown.error == "ValueError: too dark" and not shown.start.value


def test_controls_that_are_served_by_threads_of_their_own_do_not_meet(monkeypatch):
    """As in JupyterLab, which gives each of them a part of the kernel with an event loop of its own."""
    seen, errors = [], []

    def grow(size, share):
        for step in range(100):
            seen.append((size, share))
            time.sleep(0.05)
            yield told(step=step)

    shown = explore(grow, size=between(0, 9), share=between(0, 9))
    show = shown.show
    monkeypatch.setattr(shown, "show", lambda: (show(), errors.append(shown.error))[0])
    shown.show()

    async def change(control, values):
        for value in values:
            control.value = value
            await asyncio.sleep(0.05)
        await settled(shown)

    moved = {shown.controls["size"]: range(1, 8), shown.controls["share"]: range(1, 8), shown.start: 3 * [True, False]}
    threads = [threading.Thread(target=lambda given=given: asyncio.run(change(*given))) for given in moved.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    shown.show()
    assert not any(errors)
    assert seen[-1] == (7, 7)
