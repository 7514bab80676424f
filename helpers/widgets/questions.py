"""What a quiz asks: a question with one right answer, a reason against each wrong one, and files of them."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, fields
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from helpers import DATA, toml

QUIZZES = DATA / "quizzes"


class NotAnswered(ValueError):
    """A question has no answer that counts; shown in a notebook as one sentence."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


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
            if plain(answer) in seen:
                raise self._malformed(f"the answer {answer!r} twice", "answers that differ", "Reword or delete one.")
            seen.add(plain(answer))

    def _malformed(self, found: str, wanted: str, do: str) -> ValueError:
        return ValueError(f"Question {self.text!r}: found {found}; wanted {wanted}. {do}")

    @property
    def answers(self) -> tuple[str, ...]:
        """All answers, the right one first."""
        return (self.right, *self.wrong)

    def feedback(self, answer: str) -> tuple[bool, str]:
        """Return whether `answer` is right, and the text that says why or why not."""
        return (True, self.because) if answer == self.right else (False, self.wrong[answer])


def plain(answer: str) -> str:
    """Return an answer without what makes no other answer of it: its capitals and its white space."""
    return " ".join(answer.split()).casefold()


def lettered(answers: Sequence[str]) -> list[tuple[str, str]]:
    """Return (letter, answer) for the answers in the order shown: a, b, c, and so on."""
    return list(zip(ascii_lowercase, answers, strict=False))


def place_of(given: Any, answers: Sequence[str]) -> int:
    """Return the place, from 0, of the answer that is given by its letter, or by its text; NotAnswered for no answer.

    Capitals and white space do not count, nor does what stands around a letter in "b)", "(b)" and "b.".
    """
    letters = ascii_lowercase[: len(answers)]
    if isinstance(given, str):
        said = plain(given)
        texts = [plain(answer) for answer in answers]
        if said in texts:
            return texts.index(said)
        letter = said.strip(" ().:")
        if len(letter) == 1 and letter in letters:
            return letters.index(letter)
    raise NotAnswered(f"found {given!r}; wanted {', '.join(letters[:-1])} or {letters[-1]}.")


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
