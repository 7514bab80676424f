"""What an instructor sets for a course, in course.toml."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

from helpers import COURSE, DATA, toml
from helpers.course.pages import registry
from helpers.words import counted

FILE = COURSE / "course.toml"
KEYS = {"name": str, "repository": str, "branch": str, "late": dict, "due": dict, "gradescope": dict}
LATE = ("per_day", "grace_minutes")
SHOWN = ("show_scores", "show_messages")
WHEN = ("visible", "after_due_date", "after_published", "hidden")  # Gradescope's words
PLACEHOLDER = "your-organisation"


class MalformedTerms(ValueError):
    """course.toml is not as it must be; the text lists all that is wrong."""


@dataclass(frozen=True)
class Terms:
    """The name of the course, where its students' copy is, and when work is due.

    `per_day` is the share of the score that a day begun after the due date costs, from 0 to 1; `grace_minutes` after it
    cost nothing; `due` holds times with a zone, by assignment. On Gradescope students see scores and messages from when
    `show_scores` and `show_messages` say, in that platform's words.
    """

    name: str
    repository: str
    branch: str
    per_day: float = 0.0
    grace_minutes: float = 0.0
    due: Mapping[str, datetime] = field(default_factory=dict)
    show_scores: str = "visible"
    show_messages: str = "visible"

    @property
    def is_placed(self) -> bool:
        """Whether the address of the students' copy is one of this course, not the one it comes with."""
        return PLACEHOLDER not in self.repository


@cache
def terms(path: Path = FILE) -> Terms:
    """Return what is set in course.toml.

    Raises:
        MalformedTerms: with everything that is wrong, and what was wanted.
    """
    try:
        found = toml.read(path)
    except (ValueError, FileNotFoundError) as error:
        raise MalformedTerms(str(error)) from None
    late, due, shown = (found.get(key, {}) for key in ("late", "due", "gradescope"))
    if wrong := [*_wrong(found), *_wrong_late(late), *_wrong_due(due), *_wrong_shown(shown)]:
        raise MalformedTerms("\n".join([f"{path}: {counted(len(wrong), 'problem')}", *(f"  {line}" for line in wrong)]))
    due = {assignment: time.astimezone(timezone.utc) for assignment, time in due.items()}
    return Terms(found["name"], found["repository"], found["branch"], **late, due=due, **shown)


def _wrong(found: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the keys of the file."""
    wrong = [f"there is no {key}" for key in ("name", "repository", "branch") if key not in found]
    for key, value in found.items():
        if key not in KEYS:
            wrong.append(f"{key}: unknown; wanted one of {', '.join(KEYS)}")
        elif not isinstance(value, KEYS[key]):
            wrong.append(f"{key}: found {value!r}; wanted {'a table' if KEYS[key] is dict else 'a text'}")
    return wrong


def _wrong_late(late: Any) -> list[str]:
    if not isinstance(late, dict):
        return []
    wrong = [f"late.{key}: unknown; wanted {' or '.join(LATE)}" for key in late if key not in LATE]
    for key, most in zip(LATE, (1, float("inf")), strict=True):
        value = late.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
            wrong.append(f"late.{key}: found {value!r}; wanted a number from 0" + " to 1" * (most == 1))
    return wrong


def _wrong_due(due: Any) -> list[str]:
    if not isinstance(due, dict):
        return []
    # A platform's autograder holds the page of one assignment alone.
    wrong, known = [], sorted({*registry.paths(), *(path.stem for path in (DATA / "released").glob("*.json"))})
    for assignment, time in due.items():
        if assignment not in known:
            wrong.append(f"due.{assignment}: unknown; wanted one of {', '.join(known)}")
        if not isinstance(time, datetime) or time.tzinfo is None:
            wrong.append(f"due.{assignment}: found {time}; wanted a time with its zone: 2027-03-01T23:59:00+01:00")
    return wrong


def _wrong_shown(shown: Any) -> list[str]:
    if not isinstance(shown, dict):
        return []
    wrong = [f"gradescope.{key}: unknown; wanted {' or '.join(SHOWN)}" for key in shown if key not in SHOWN]
    for key in SHOWN:
        if shown.get(key, WHEN[0]) not in WHEN:
            wrong.append(f"gradescope.{key}: found {shown[key]!r}; wanted one of {', '.join(WHEN)}")
    return wrong
