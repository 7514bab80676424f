"""The same grader on platforms that run it themselves."""
