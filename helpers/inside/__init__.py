"""All of the grader that a graded kernel ever sees: how it starts, is kept in, and says values."""
