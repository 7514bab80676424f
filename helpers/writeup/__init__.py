"""What written answers are made of: figures that one notebook saves and another collects, formulas, words."""

from helpers.writeup.figures import save_figure, saved_figure

__all__ = ["save_figure", "saved_figure"]
