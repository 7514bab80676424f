"""A quiz that tells at once what is wrong with an answer.

    quiz("07_writeup")

shows the questions of data/quizzes/07_writeup.toml and marks nothing.
"""

import random
import textwrap
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, fields
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets

from helpers import DATA, toml
from helpers.widgets.shown import show

QUIZZES = DATA / "quizzes"

# Colours carry no meaning of their own: an answer that was chosen has a sign, and its feedback begins with words.
STYLE = """<style>
.quiz { max-width: 48rem; font-size: var(--jp-content-font-size1, 14px); }
.quiz .widget-html, .quiz .widget-htmlmath { margin: 0; font-size: inherit; }
.quiz .widget-html > div, .quiz .widget-htmlmath > div { flex: 1; line-height: 1.5; white-space: normal; }
.quiz .quiz-text { margin: 1.8em 0 0.5em; }
.quiz .quiz-number { font-weight: 600; }
.quiz .quiz-answer { margin: 2px 0; padding: 0.45em 1em 0.45em 2.2em; text-indent: -1.3em; text-align: left;
  line-height: 1.45; white-space: normal; font-size: inherit; border: 1px solid rgba(128, 128, 128, 0.35);
  border-radius: 4px; box-shadow: none; }
.quiz .quiz-answer:hover { border-color: rgba(128, 128, 128, 0.9); box-shadow: none; }
.quiz .quiz-answer:focus { box-shadow: none; }
.quiz .quiz-answer:focus-visible { outline: 2px solid #1c7ed6; outline-offset: -2px; }
.quiz .quiz-feedback { margin: 0 0 0.5em; padding: 0.35em 1em 0.35em 2.2em; }
.quiz .quiz-right { border-left: 5px solid #2b8a3e; background: rgba(43, 138, 62, 0.12); }
.quiz .quiz-wrong { border-left: 5px solid #e8590c; background: rgba(232, 89, 12, 0.12); }
.quiz .quiz-score { margin: 1.8em 0 0.5em; padding-top: 0.6em; border-top: 1px solid rgba(128, 128, 128, 0.35); }
</style>"""


@dataclass(frozen=True)
class Question:
    """A question with one right answer; ValueError when it is malformed.

    text: the question
    right: the right answer
    wrong: each wrong answer, and why it is wrong; this must not give the right one away
    because: why the right answer is right

    Formulas between dollar signs are typeset in all texts but the answers, which stand on buttons.
    """

    text: str
    _: KW_ONLY
    right: str
    wrong: dict[str, str]
    because: str

    def __post_init__(self) -> None:
        """Refuse a question that cannot be asked."""
        if not isinstance(self.wrong, dict) or not self.wrong:
            raise self._malformed(
                f"wrong={self.wrong!r}",
                "a dict with at least one wrong answer",
                'Write "an answer" = "why it is wrong" below [question.wrong].',
            )
        texts = {"text": self.text, "right": self.right, "because": self.because}
        for answer, reason in self.wrong.items():
            texts |= {f"answer {answer!r} in wrong": answer, f"reason for {answer!r} in wrong": reason}
        for name, text in texts.items():
            if not isinstance(text, str) or not text.strip():
                raise self._malformed(f"{text!r} as {name}", "a text that is not empty", "Write one.")
        seen = set()
        for answer in self.answers:
            plain = " ".join(answer.split()).casefold()
            if plain in seen:
                raise self._malformed(f"the answer {answer!r} twice", "answers that differ", "Reword or delete one.")
            seen.add(plain)

    def _malformed(self, found: str, wanted: str, do: str) -> ValueError:
        return ValueError(f"Question {self.text!r}: found {found}; wanted {wanted}. {do}")

    @property
    def answers(self) -> tuple[str, ...]:
        """All answers, the right one first."""
        return (self.right, *self.wrong)

    def feedback(self, answer: str) -> tuple[bool, str]:
        """Return whether `answer` is right, and the text that says why or why not."""
        return (True, self.because) if answer == self.right else (False, self.wrong[answer])


class Quiz:
    """Questions below each other, each with its answers in an order of chance.

    questions: tuple of Question
    answers: for each question, its answers in the order shown
    tried: for each question, the answers chosen so far, without repetitions
    box: the widget
    """

    def __init__(self, questions: Sequence[Question], seed: int | None = None):
        """Shuffle the answers, by `seed` or anew each time."""
        self.questions = tuple(questions)
        chance = random.Random(seed)
        self.answers = tuple(tuple(chance.sample(q.answers, len(q.answers))) for q in self.questions)
        self.tried: tuple[list[str], ...] = tuple([] for _ in self.questions)
        self._score = ipywidgets.HTML()
        intro = (
            f"{STYLE}Choose an answer to each question. If it is wrong, try again. The score counts first tries; none "
            "of this is graded."
        )
        self.box = ipywidgets.VBox(
            [ipywidgets.HTML(intro), *map(self._asked, range(len(self.questions))), self._score]
        ).add_class("quiz")
        self._show_score()

    def choose(self, number: int, answer: str) -> tuple[bool, str]:
        """Choose an answer of question `number`, counted from 0; return whether it is right, and the feedback."""
        verdict = self.questions[number].feedback(answer)
        if answer not in self.tried[number]:
            self.tried[number].append(answer)
        return verdict

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
        wrap = partial(textwrap.fill, width=100)
        blocks = ["A quiz. Run this cell in JupyterLab or Colab to choose answers."]
        for number, (question, answers) in enumerate(zip(self.questions, self.answers, strict=True), 1):
            lines = [wrap(f"{number}. {question.text}", subsequent_indent="   ")]
            lines += [wrap(answer, initial_indent="   ( ) ", subsequent_indent="       ") for answer in answers]
            blocks.append("\n".join(lines))
        return "\n\n".join(blocks)

    def _ipython_display_(self) -> None:
        show(self.box, str(self))

    def _asked(self, number: int) -> ipywidgets.VBox:
        """Return the widget of one question: its text, and below each answer a place for the feedback."""
        text = f'<span class="quiz-number">Question {number + 1}.</span> {escape(self.questions[number].text)}'
        rows = [ipywidgets.HTMLMath(f'<div class="quiz-text">{text}</div>')]
        for answer in self.answers[number]:
            button = ipywidgets.Button(description=f"○ {answer}", layout={"width": "auto", "height": "auto"})
            feedback = ipywidgets.HTMLMath(layout={"display": "none"})
            button.add_class("quiz-answer").on_click(partial(self._press, number, answer, feedback))
            rows += [button, feedback]
        return ipywidgets.VBox(rows)

    def _press(self, number: int, answer: str, feedback: ipywidgets.HTMLMath, button: ipywidgets.Button) -> None:
        right, why = self.choose(number, answer)
        sign, words, kind = ("✓", "Right.", "quiz-right") if right else ("✗", "Not this one.", "quiz-wrong")
        button.description = f"{sign} {answer}"
        # role: a screen reader reads the feedback out as it appears.
        feedback.value = f'<div class="quiz-feedback {kind}" role="alert"><b>{words}</b> {escape(why)}</div>'
        feedback.layout.display = None
        self._show_score()

    def _show_score(self) -> None:
        self._score.value = f'<div class="quiz-score">{self.score}</div>'


def quiz(name: str, seed: int | None = None) -> Quiz:
    """Return a quiz for the last line of a cell, which shows it.

    Args:
        name: that of a file in data/quizzes/, without its `.toml`.
        seed: a number that fixes the order of the answers; without one it is another at each run.

    Raises:
        ValueError: for a name that has no file, and for a file that is malformed.
    """
    path = QUIZZES / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(path.stem for path in QUIZZES.glob("*.toml")))
        raise ValueError(f"quiz: found {name!r}; wanted one of {known}.")
    return Quiz(read_questions(path), seed)


def read_questions(path: Path) -> list[Question]:
    """Return the questions in a TOML file; ValueError names file, question and what is wrong.

    Each is a table `[[question]]` with the fields of Question. Line breaks and indentation inside a text do not count.
    """
    tables = toml.read(path)
    entries = tables.pop("question", None)
    if tables or not entries or not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        found = ", ".join(tables) or ("no question" if entries is None else f"question = {entries!r}")
        raise ValueError(f"{path}: found {found}; wanted tables that begin with [[question]], and nothing else.")
    questions: list[Question] = []
    for number, entry in enumerate(entries, 1):
        try:
            question = _question(entry)
            if question.text in [earlier.text for earlier in questions]:
                raise ValueError(f"found {question.text!r} twice; wanted each question once. Delete one.")
        except ValueError as error:
            raise ValueError(f"{path}, question {number}: {error}") from error
        questions.append(question)
    return questions


def _question(entry: dict[str, Any]) -> Question:
    """A table of a file as a Question; ValueError when it is malformed."""
    wanted = [field.name for field in fields(Question)]
    missing = [name for name in wanted if name not in entry]
    unknown = [name for name in entry if name not in wanted]
    if missing or unknown:
        found = f"no {', '.join(missing)}" if missing else f"an unknown {', '.join(unknown)}"
        raise ValueError(f"found {found}; wanted {', '.join(wanted)}.")
    return Question(**_unwrapped(entry))


def _unwrapped(value: Any) -> Any:
    """Each text of a table in one line."""
    if isinstance(value, dict):
        return {key: _unwrapped(part) for key, part in value.items()}
    return " ".join(value.split()) if isinstance(value, str) else value
