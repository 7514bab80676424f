"""What the notebooks import: models, pictures, plots and checks. No answers in here."""

from pathlib import Path

COURSE = Path(__file__).resolve().parent.parent
DATA = COURSE / "data"
