"""Widgets for notebooks: quizzes, and explorers to play with.

Where there are no widgets (a page on GitHub, a PDF, a run without a browser), plain text stands there.
"""

from helpers.widgets.explorers import between, explore
from helpers.widgets.graded import GradedQuiz
from helpers.widgets.quizzes import quiz

__all__ = ["GradedQuiz", "between", "explore", "quiz"]
