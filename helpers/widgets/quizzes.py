"""A quiz that tells at once what is wrong with an answer.

    quiz("07_writeup")

shows the questions of data/quizzes/07_writeup.toml and marks nothing. Where no buttons appear,

    quiz("07_writeup").answer(3, "b")

answers its third question.
"""

import random
import re
import textwrap
from collections.abc import Sequence
from functools import partial
from html import escape
from pathlib import Path

import ipywidgets

from helpers.widgets.questions import QUIZZES, NotAnswered, Question, lettered, place_of, read_questions
from helpers.widgets.shown import bundle

wrapped = partial(textwrap.fill, width=100)

# Colours carry no meaning of their own: an answer that was chosen has a sign, and its feedback begins with words.
STYLE = """<style>
.quiz { max-width: 48rem; font-size: var(--jp-content-font-size1, 14px); }
.quiz .widget-html, .quiz .widget-htmlmath { margin: 0; font-size: inherit; }
.quiz .widget-html > div, .quiz .widget-htmlmath > div { flex: 1; line-height: 1.5; white-space: normal; }
.quiz .quiz-text { margin: 1.8em 0 0.5em; }
.quiz .quiz-number { font-weight: 600; }
.quiz .quiz-answer { margin: 2px 0; padding: 0.45em 1em 0.45em 3.4em; text-indent: -2.5em; text-align: left;
  line-height: 1.45; white-space: normal; font-size: inherit; border: 1px solid rgba(128, 128, 128, 0.35);
  border-radius: 4px; box-shadow: none; }
.quiz .quiz-answer:hover { border-color: rgba(128, 128, 128, 0.9); box-shadow: none; }
.quiz .quiz-answer:focus { box-shadow: none; }
.quiz .quiz-answer:focus-visible { outline: 2px solid #1c7ed6; outline-offset: -2px; }
.quiz .quiz-feedback { margin: 0 0 0.5em; padding: 0.35em 1em 0.35em 3.4em; }
.quiz .quiz-right { border-left: 5px solid #2b8a3e; background: rgba(43, 138, 62, 0.12); }
.quiz .quiz-wrong { border-left: 5px solid #e8590c; background: rgba(232, 89, 12, 0.12); }
.quiz .quiz-score { margin: 1.8em 0 0.5em; padding-top: 0.6em; border-top: 1px solid rgba(128, 128, 128, 0.35); }
</style>"""

# A notebook takes plain keys as commands, even while an answer has the focus: b would put a cell below. So they are
# kept from it. A script in a widget does not run; what is to be done when a picture cannot be loaded does.
KEYS = """
if (!window.quizKeys) {
  window.quizKeys = true;
  window.addEventListener('keydown', event => {
    const question = event.target.closest?.('.quiz-question');
    if (!question || event.ctrlKey || event.metaKey || event.altKey) return;
    const all = [...question.closest('.quiz').querySelectorAll('.quiz-answer')];
    const step = {ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1}[event.key];
    if (step) all[all.indexOf(event.target) + step]?.focus();
    else if (event.key.length === 1 && event.key !== ' ') {
      const own = question.querySelectorAll('.quiz-answer');
      const chosen = own['abcdefghijklmnopqrstuvwxyz'.indexOf(event.key.toLowerCase())];
      chosen?.focus();
      chosen?.click();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }, true);
}"""
HEAD = f'{STYLE}<img alt="" hidden src="data:," onerror="{escape(KEYS)}">'


class Quiz:
    """Questions below each other, each with its answers in an order of chance, with letters.

    name: the quiz, as `quiz` takes it
    questions: tuple of Question
    answers: for each question, its answers in the order shown
    tried: for each question, the answers chosen so far, without repetitions
    box: the widget

    Shown again, it begins anew, with another order of the answers.
    """

    answers: tuple[tuple[str, ...], ...]
    tried: tuple[list[str], ...]
    box: ipywidgets.VBox

    def __init__(self, name: str, questions: Sequence[Question], seed: int | None = None):
        """Shuffle the answers, by `seed` or anew each time."""
        self.name, self.questions, self.seed = name, tuple(questions), seed
        self._shown = False
        self._begin()

    def _begin(self) -> None:
        chance = random.Random(self.seed)
        self.answers = tuple(tuple(chance.sample(q.answers, len(q.answers))) for q in self.questions)
        self.tried = tuple([] for _ in self.questions)
        self._rows: list[dict[str, tuple[ipywidgets.Button, ipywidgets.HTMLMath]]] = [{} for _ in self.questions]
        self._score = ipywidgets.HTML()
        intro = (
            f"{HEAD}Choose an answer to each question, by mouse, or by keyboard: Tab and the arrow keys go from answer "
            "to answer, Enter or a letter chooses one. If it is wrong, try again. The score counts first tries; none "
            "of this is graded."
        )
        self.box = ipywidgets.VBox(
            [ipywidgets.HTML(intro), *map(self._asked, range(len(self.questions))), self._score]
        ).add_class("quiz")
        self._show_score()

    def choose(self, number: int, answer: str) -> tuple[bool, str]:
        """Choose an answer of question `number`, counted from 0; return whether it is right, and the feedback."""
        right, why = self.questions[number].feedback(answer)
        if answer not in self.tried[number]:
            self.tried[number].append(answer)
        sign, words, kind = ("✓", "Right.", "quiz-right") if right else ("✗", "Not this one.", "quiz-wrong")
        button, feedback = self._rows[number][answer]
        button.description = f"{sign}{button.description[1:]}"
        # role: a screen reader reads the feedback out as it appears.
        feedback.value = f'<div class="quiz-feedback {kind}" role="alert"><b>{words}</b> {_html(why)}</div>'
        feedback.layout.display = None
        self._show_score()
        return right, why

    def answer(self, number: int, letter: str) -> None:
        """Answer a question without a mouse: print whether it is right, why, and the score.

        Args:
            number: the question, counted from 1.
            letter: the answer, "a", "b" and so on.

        Raises:
            NotAnswered: there is no such question, or no such answer to it.
        """
        if number not in range(1, len(self.questions) + 1):
            raise NotAnswered(f"quiz: found question {number!r}; wanted a number from 1 to {len(self.questions)}.")
        try:
            place = place_of(letter, self.answers[number - 1])
        except NotAnswered as error:
            raise NotAnswered(f"quiz, question {number}: {error}") from None
        mark, answer = lettered(self.answers[number - 1])[place]
        right, why = self.choose(number - 1, answer)
        lines = [f"{number}{mark}) {answer}", f"{'✓ Right.' if right else '✗ Not this one.'} {why}", self.score]
        print(*map(wrapped, lines), sep="\n")

    @property
    def score(self) -> str:
        """The line below the questions: how many were right at the first try, and which are open."""
        pairs = list(zip(self.questions, self.tried, strict=True))
        at_once = sum(tried[:1] == [question.right] for question, tried in pairs)
        still_open = [str(number) for number, (question, tried) in enumerate(pairs, 1) if question.right not in tried]
        line = f"{at_once} of {len(pairs)} right at the first try."
        if not still_open:
            return f"{line} All questions are answered. Run the cell again for another order of the answers."
        return f"{line} Still open: {', '.join(still_open)}."

    def __str__(self) -> str:
        """Return the questions and answers as plain text, without a hint at what is right."""
        call = f'quiz("{self.name}"{"" if self.seed is None else f", {self.seed}"}).answer(1, "b")'
        intro = (
            "A quiz. Run this cell in JupyterLab or Colab to choose answers. Where no buttons appear, answer in a cell "
            "of your own, by the number of a question and the letter of an answer:"
        )
        blocks = [f"{wrapped(intro)}\n\n    {call}"]
        for number, (question, answers) in enumerate(zip(self.questions, self.answers, strict=True), 1):
            lines = [wrapped(f"{number}. {question.text}", subsequent_indent="   ")]
            for letter, answer in lettered(answers):
                lines.append(wrapped(answer, initial_indent=f"   {letter}) ", subsequent_indent="      "))
            blocks.append("\n".join(lines))
        return "\n\n".join(blocks)

    __repr__ = __str__  # what a terminal shows

    def _repr_mimebundle_(self, **_: object) -> dict[str, object]:
        if self._shown:
            self._begin()
        self._shown = True
        return bundle(self.box, str(self))

    def _asked(self, number: int) -> ipywidgets.VBox:
        """Return the widget of one question: its text, and below each answer a place for the feedback."""
        text = f'<span class="quiz-number">Question {number + 1}.</span> {_html(self.questions[number].text)}'
        rows = [ipywidgets.HTMLMath(f'<div class="quiz-text">{text}</div>')]
        for letter, answer in lettered(self.answers[number]):
            button = ipywidgets.Button(description=f"○ {letter}) {answer}", layout={"width": "auto", "height": "auto"})
            feedback = ipywidgets.HTMLMath(layout={"display": "none"})
            button.add_class("quiz-answer").on_click(partial(self._press, number, answer))
            self._rows[number][answer] = button, feedback
            rows += [button, feedback]
        return ipywidgets.VBox(rows).add_class("quiz-question")

    def _press(self, number: int, answer: str, button: ipywidgets.Button) -> None:
        self.choose(number, answer)

    def _show_score(self) -> None:
        self._score.value = f'<div class="quiz-score">{self.score}</div>'


def _html(text: str) -> str:
    """Return a text as HTML: nothing in it is markup but what stands between backticks."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


_quizzes: dict[tuple[Path, int | None], Quiz] = {}


def quiz(name: str, seed: int | None = None) -> Quiz:
    """Return a quiz for the last line of a cell, which shows it.

    Called again, it returns the same quiz, so that `quiz(name).answer(3, "b")` is an answer to what is on show.

    Args:
        name: that of a file in data/quizzes/, without its `.toml`.
        seed: a number that fixes the order of the answers; without one it is another each time the quiz is shown.

    Raises:
        ValueError: for a name that has no file, and for a file that is malformed.
    """
    path = QUIZZES / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(path.stem for path in QUIZZES.glob("*.toml")))
        raise ValueError(f"quiz: found {name!r}; wanted one of {known}.")
    questions = tuple(read_questions(path))
    if (path, seed) not in _quizzes or _quizzes[path, seed].questions != questions:
        _quizzes[path, seed] = Quiz(name, questions, seed)
    return _quizzes[path, seed]
