"""A quiz that counts: students see the questions, and no notebook or file of theirs holds the key.

    numbers = GradedQuiz({"Which is even?": ["3", "4", "5"], "Which is odd?": ["4", "7", "8"]})

shows the questions with letters. `numbers.check({1: "b", 2: "b"})` tells whether each has an answer, and never whether
it is the right one; a hidden test says the answers as numbers, and these are compared elsewhere. CONTRIBUTING.md has
the cells of a page.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from helpers.checks.named import Named
from helpers.widgets.questions import NotAnswered, lettered, place_of, plain
from helpers.words import counted


class GradedQuiz:
    """Questions, each with its answers in the order of the alphabet, which tells nothing about what is right.

    questions: {text: answers}, numbered from 1
    """

    def __init__(self, questions: Mapping[str, Sequence[str]]):
        """Take the questions; ValueError for one that is malformed.

        Args:
            questions: the text of each question, and its answers: two or more, all of them different, in the order of
                the alphabet. Formulas between dollar signs are typeset.
        """
        for text, answers in questions.items():
            ordered = sorted(answers, key=plain)
            if len(answers) < 2 or len(set(map(plain, answers))) < len(answers):
                raise ValueError(
                    f"Question {text!r}: found {list(answers)}; wanted two answers or more, all different."
                )
            if list(answers) != ordered:
                raise ValueError(
                    f"Question {text!r}: found its answers in an order of your own, which may tell what is right; "
                    f"wanted that of the alphabet. Write {ordered}."
                )
        self.questions = {text: tuple(answers) for text, answers in questions.items()}

    def _repr_markdown_(self) -> str:
        return self._written("**{number}.** {text}", "- **{letter})** {answer}")

    def __repr__(self) -> str:
        """Return the questions as plain text."""
        return self._written("{number}. {text}", "   {letter}) {answer}")

    def _written(self, question: str, line: str) -> str:
        blocks = []
        for number, (text, answers) in enumerate(self.questions.items(), 1):
            lines = [line.format(letter=letter, answer=answer) for letter, answer in lettered(answers)]
            blocks.append("\n".join([question.format(number=number, text=text) + "\n", *lines]))
        return "\n\n".join(blocks)

    def check(self, answers: Mapping[int, str]) -> None:
        """Print which answer is given to each question, without a word on whether it is right.

        Args:
            answers: {number of a question: letter of an answer}, in any order; an answer's text serves as well.

        Raises:
            NotAnswered: this is no dict, a question has no answer or none that there is, or there is no such question.
        """
        chosen = [self._chosen(number, answers) for number in self._numbers]
        if unknown := [number for number in answers if number not in self._numbers]:
            raise NotAnswered(
                f"found an answer to question {unknown[0]!r}; the quiz has {counted(len(chosen), 'question')}."
            )
        for number, (letter, answer) in zip(self._numbers, chosen, strict=True):
            print(f"{number}{letter}) {answer}")
        print(f"Each of the {counted(len(chosen), 'question')} has an answer. Which are right is not told here.")

    def parts(self, answered: Callable[[], Mapping[int, str]]) -> Iterator[tuple[str, Callable[[], Named]]]:
        """Yield what a hidden test emits, a part for each question: its name, and a function that returns its values.

        These hold a number for the text of the answer, whatever its letter, and 0 for what is no answer, which so costs
        this question alone.

        Args:
            answered: the student's function, which returns {number of a question: letter}.
        """
        for number in self._numbers:
            yield f"question {number}", partial(self._said, number, answered)

    @property
    def _numbers(self) -> range:
        return range(1, len(self.questions) + 1)

    def _said(self, number: int, answered: Callable[[], Mapping[int, str]]) -> Named:
        answers = answered()
        try:
            code = zlib.crc32(plain(self._chosen(number, answers)[1]).encode())
        except NotAnswered:
            code = 0
        return Named({"your answer": code})

    def _chosen(self, number: int, answers: Any) -> tuple[str, str]:
        """The letter and the text of the answer to a question."""
        if not isinstance(answers, Mapping):
            raise NotAnswered(
                f"found {type(answers).__name__} as your answers; wanted a dict such as {{1: 'a', 2: 'c'}}."
            )
        if number not in answers:
            raise NotAnswered(f"found no answer to question {number}; wanted the letter of one.")
        there = list(self.questions.values())[number - 1]
        try:
            return lettered(there)[place_of(answers[number], there)]
        except NotAnswered as error:
            raise NotAnswered(f"question {number}: {error}") from None
