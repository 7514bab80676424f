"""What an instructor sets for a course, in course.toml."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

from helpers import COURSE, DATA, toml
from helpers.course.pages import registry
from helpers.words import counted

FILE = COURSE / "course.toml"
TEXTS, TABLES = ("name", "repository", "branch"), ("late", "due", "gradescope")
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
    if wrong := list(_wrong(found)):
        raise MalformedTerms("\n".join([f"{path}: {counted(len(wrong), 'problem')}", *(f"  {line}" for line in wrong)]))
    late, due, shown = (found.get(table, {}) for table in TABLES)
    due = {assignment: time.astimezone(timezone.utc) for assignment, time in due.items()}
    return Terms(found["name"], found["repository"], found["branch"], **late, due=due, **shown)


def _wrong(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong in the file, and what was wanted."""
    # A platform's autograder holds the page of one assignment alone.
    known = sorted({*registry.paths(), *(path.stem for path in (DATA / "released").glob("*.json"))})
    rules: dict[str, dict[str, tuple[Callable[[Any], bool], str]]] = {
        "late": {
            "per_day": (lambda value: _is_number(value) and value <= 1, "a number from 0 to 1"),
            "grace_minutes": (_is_number, "a number from 0"),
        },
        "due": dict.fromkeys(known, (_has_zone, "a time with its zone: 2027-03-01T23:59:00+01:00")),
        "gradescope": dict.fromkeys(
            ("show_scores", "show_messages"), (lambda value: value in WHEN, f"one of {', '.join(WHEN)}")
        ),
    }
    yield from (f"there is no {key}" for key in TEXTS if key not in found)
    for key, value in found.items():
        if key not in (*TEXTS, *TABLES):
            yield f"{key}: unknown; wanted one of {', '.join((*TEXTS, *TABLES))}"
        elif not isinstance(value, str if key in TEXTS else dict):
            yield f"{key}: found {value!r}; wanted a {'text' if key in TEXTS else 'table'}"
        for name, each in value.items() if key in TABLES and isinstance(value, dict) else ():
            fits, wanted = rules[key].get(name, (None, ""))
            if fits is None:
                yield f"{key}.{name}: unknown; wanted one of {', '.join(rules[key])}"
            elif not fits(each):
                yield f"{key}.{name}: found {each if isinstance(each, date) else repr(each)}; wanted {wanted}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def _has_zone(value: Any) -> bool:
    return isinstance(value, datetime) and value.tzinfo is not None
