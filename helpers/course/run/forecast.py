"""How long a grading will take, from what runs took before in the same course folder."""

import json
import math
import statistics
from collections import Counter, defaultdict
from pathlib import Path

from helpers.course import whole
from helpers.words import counted

REMEMBERED = 100  # runs of each kind


class Forecast:
    """The seconds of earlier runs by kind of notebook, such as an assignment, in a file of a course folder."""

    def __init__(self, path: Path) -> None:
        """Read what is known; a file that cannot be read tells nothing."""
        self.path = path
        try:
            known = {kind: [float(each) for each in took] for kind, took in json.loads(path.read_text("utf-8")).items()}
        except (OSError, ValueError, TypeError, AttributeError):
            known = {}
        self._seconds = defaultdict(list, known)

    def note(self, kind: str, seconds: float) -> None:
        """Remember what a run took."""
        self._seconds[kind] = [*self._seconds[kind], round(seconds, 1)][-REMEMBERED:]

    def write(self) -> None:
        """Keep it for the next time."""
        whole.write(self.path, json.dumps(self._seconds))

    def seconds(self, new: Counter[str], workers: int) -> float | None:
        """Return how long so many new runs of each kind will take, or None where one of a kind was never run."""
        if any(not self._seconds[kind] for kind in new):
            return None
        typical = {kind: statistics.median(self._seconds[kind]) for kind in new}
        shared = sum(count * typical[kind] for kind, count in new.items()) / workers
        return max(shared, *typical.values()) if typical else 0.0

    def line(self, notebooks: int, new: Counter[str], references: Counter[str], workers: int) -> str:
        """Return what is said before a grading.

        Args:
            notebooks: how many there are.
            new: how many of them have to be run, by kind.
            references: how many solved notebooks have to be run before, by kind.
            workers: how many run at once.
        """
        said = f"{counted(notebooks, 'notebook')}, {new.total() or 'none'} of them new"
        if references:
            said += f", and {counted(references.total(), 'solved notebook')} to compare with"
        if not new and not references:
            return f"{said}."
        about = self.seconds(new + references, workers)
        if about is None:
            return f"{said}. How long that takes is not known: nothing like it was run here before."
        return f"{said}: about {shown(about)}, as runs took here before."


def shown(seconds: float) -> str:
    """Return a time in whole seconds or, from two minutes on, in whole minutes."""
    if seconds < 120:
        return counted(math.ceil(seconds), "second")
    return counted(round(seconds / 60), "minute")
