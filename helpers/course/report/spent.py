"""How long students worked on a notebook, as the time stamps in it tell.

JupyterLab notes when a cell was run where its setting "Record timing" is on, Colab always; each keeps a cell's last
run only.
"""

import statistics
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

from nbformat import NotebookNode

from helpers.course.intake.repair import STAMPS

PAUSE = timedelta(minutes=20)  # whoever runs nothing for longer is taken to do something else
FEWEST = 5  # cells with a time; less tells nothing


def times(metadata: Mapping[str, Any]) -> Iterator[datetime]:
    """Yield when a cell was begun and ended, where its metadata say so; what is malformed says nothing."""
    for key in STAMPS:
        found = metadata.get(key)
        for name, value in found.items() if isinstance(found, dict) else ():
            try:
                if name == "timestamp":
                    yield datetime.fromtimestamp(float(value) / 1000, timezone.utc)
                elif key == "execution":
                    moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
                    yield moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
            except (ValueError, OverflowError, OSError, TypeError):
                continue


def spent(notebook: NotebookNode) -> timedelta | None:
    """Return the time between the cells that were run, without pauses: at least so long; None without enough stamps."""
    of_cells = [found for cell in notebook.cells if (found := sorted(times(cell.metadata)))]
    if len(of_cells) < FEWEST:
        return None
    stamps = sorted(moment for found in of_cells for moment in found)
    gaps = (later - earlier for earlier, later in pairwise(stamps))
    return sum((gap for gap in gaps if gap <= PAUSE), timedelta())


def said(notebooks: Iterable[NotebookNode]) -> str:
    """Return a sentence on the time that a class spent, or "" where no notebook tells."""
    hours = sorted(found / timedelta(hours=1) for each in notebooks if (found := spent(each)) is not None)
    if not hours:
        return ""
    middle, who = statistics.median(hours), "1 notebook" if len(hours) == 1 else f"{len(hours)} notebooks"
    return (
        f"Time spent, by the time stamps in {who}, without pauses of over {PAUSE // timedelta(minutes=1)} minutes: "
        f"at least {middle:.1f} hours in the middle, {hours[0]:.1f} to {hours[-1]:.1f}."
    )
