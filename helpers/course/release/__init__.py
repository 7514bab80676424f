"""A page becomes what is handed out: notebooks, data/released/, data/expected/."""
