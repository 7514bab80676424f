"""The quiz that counts: what students see of it, what its check refuses, and what its hidden test says."""

import pytest

from helpers.widgets import GradedQuiz
from helpers.widgets.questions import NotAnswered


@pytest.fixture
def numbers():
    return GradedQuiz({"Which is even?": ["3", "4", "5"], "Is $2^n$ odd?": ["never", "only $2^0$"]})


def said(quiz, answers):
    return [values()["your answer"] for _, values in quiz.parts(lambda: answers)]


def test_questions_and_answers_are_shown_with_numbers_and_letters(numbers):
    assert repr(numbers).splitlines()[:5] == ["1. Which is even?", "", "   a) 3", "   b) 4", "   c) 5"]
    written = numbers._repr_markdown_()
    assert "**1.** Which is even?\n\n- **a)** 3\n- **b)** 4\n" in written
    assert "**2.** Is $2^n$ odd?" in written and "- **b)** only $2^0$" in written


@pytest.mark.parametrize("answers", [{1: "b", 2: "a"}, {1: "c", 2: "b"}, {2: "A.", 1: "(b)"}, {1: "4", 2: " Never"}])
def test_the_check_takes_right_and_wrong_alike_and_says_what_was_chosen(numbers, answers, capsys):
    numbers.check(answers)
    first, second, last = capsys.readouterr().out.splitlines()
    assert first in ("1b) 4", "1c) 5") and second in ("2a) never", "2b) only $2^0$")
    assert last == "Each of the 2 questions has an answer. Which are right is not told here."


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({1: "b"}, "found no answer to question 2; wanted the letter of one."),
        ({}, "found no answer to question 1; wanted the letter of one."),
        ({"1": "b", "2": "a"}, "found no answer to question 1; wanted the letter of one."),
        ({1: "d", 2: "a"}, "question 1: found 'd'; wanted a, b or c."),
        ({1: "b", 2: "c"}, "question 2: found 'c'; wanted a or b."),
        ({1: "", 2: "a"}, "question 1: found ''; wanted a, b or c."),
        ({1: "ab", 2: "a"}, "question 1: found 'ab'; wanted a, b or c."),
        ({1: 4, 2: "a"}, "question 1: found 4; wanted a, b or c."),
        ({1: ["b"], 2: "a"}, "question 1: found ['b']; wanted a, b or c."),
        ({1: "b", 2: "a", 3: "a"}, "found an answer to question 3; the quiz has 2 questions."),
        (["b", "a"], "found list as your answers; wanted a dict such as {1: 'a', 2: 'c'}."),
        (None, "found NoneType as your answers; wanted a dict such as {1: 'a', 2: 'c'}."),
    ],
)
def test_what_is_no_answer_is_refused_in_a_sentence_and_costs_its_question(numbers, answers, says):
    with pytest.raises(NotAnswered) as refused:
        numbers.check(answers)
    assert str(refused.value) == says
    assert refused.value._render_traceback_() == [says]
    if "question 3" not in says:
        assert 0 in said(numbers, answers)


def test_each_answer_is_said_by_a_number_of_its_own_wherever_it_stands(numbers):
    codes = [said(numbers, {1: letter, 2: "a"})[0] for letter in "abc"]
    assert 0 not in codes and len(set(codes)) == 3
    longer = GradedQuiz({"Which is even?": ["1", "3", "4", "5"]})
    assert [said(longer, {1: letter})[0] for letter in "bcd"] == codes


def test_a_stub_stays_a_stub(numbers):
    def stub():
        raise NotImplementedError("replace this line")

    for _, values in numbers.parts(stub):
        with pytest.raises(NotImplementedError):
            values()


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        (["4", "3"], r"an order of your own.*Write \['3', '4'\]"),
        (["4"], "two answers or more, all different"),
        (["4", "4 "], "two answers or more, all different"),
    ],
)
def test_a_malformed_question_is_refused(answers, says):
    with pytest.raises(ValueError, match=f"^Question 'Which is even\\?': found .*{says}"):
        GradedQuiz({"Which is even?": answers})
