"""What the names of files say: whose a file is, which assignment it holds, and which copy of it.

To teach it the names of another platform, set nbgrader's own option in nbgrader_config.py; it is tried first:

    c.FileNameCollectorPlugin.named_regexp = r"(?P<student_id>\\w+)-(?P<timestamp>[0-9-]+)-(?P<file_id>.+)"
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import yaml
from nbgrader.plugins import FileNameCollectorPlugin
from nbgrader.utils import parse_utc

from helpers.course.intake.unpack import readable

# A file beside all others, or what is in a zip beside all others.
FLAT = r"(?P<file_id>[^/]+?((?i:\.zip)/.*)?)$"

# Tried in this order on a file's place in the pile, from its beginning. Everything up to the student's name is as short
# as it can be: what follows is the file's own name, which a student chose and which may look like an export, too.
#   student_id, file_id  as in nbgrader: the student, and the file's own name
#   number               tells students of the same name apart
#   key                  a number that belongs to a student in every assignment: it becomes part of their id
#   upload               grows with each upload
#   late                 the platform calls it late
#   timestamp            when it was handed in
PATTERNS = (
    # Moodle, mod/assign/classes/downloader.php: <name>_<participant>_assignsubmission_file/<file>, or without folders
    # <name>_<participant>_assignsubmission_file_<file>. Older versions end the folder with a "_". An underscore in a
    # name becomes a space. The participant's number is another one in each assignment.
    r"(?P<student_id>[^/_]+)_(?P<number>\d+)_assignsubmission_[a-z]+(_?/|_)(?P<file_id>.*)",
    # Canvas, app/models/content_zipper.rb: <sortable name>[_LATE]_<user>_<attachment>_<file>, lower case, without
    # spaces; anonymous assignments have anon_<id> for name and user. Numbers have no leading zero: "01_..." is none.
    rf"(?P<student_id>anon_[A-Za-z0-9]{{5}})_((?P<late>LATE|late)_)?(?P<upload>[1-9]\d*)_{FLAT}",
    rf"(?P<student_id>[\w-]+?)_((?P<late>LATE|late)_)?(?P<key>[1-9]\d*)_(?P<upload>[1-9]\d*)_{FLAT}",
    # Blackboard: <assignment>_<user>_attempt_<time>_<file>; the example in nbgrader's documentation.
    rf"([^/]*?_)??(?P<student_id>[^/_]+)_attempt_(?P<timestamp>\d{{4}}(-\d\d){{5}})_{FLAT}",
    # Google Classroom names each student's copy of a file <name> - <file>.
    rf"(?P<student_id>[^/]+?) - {FLAT}",
)
GRADESCOPE = re.compile(r"submission_\d+")


class ExportCollector(FileNameCollectorPlugin):
    """nbgrader's collector, with PATTERNS besides its `named_regexp`."""

    def _match(self, filename: str) -> dict[str, Any] | None:
        for pattern in filter(None, (self.named_regexp, *PATTERNS)):
            if match := re.match(pattern, filename):
                return match.groupdict()
        return None

    def collect(self, submitted_file: str) -> dict[str, Any] | None:
        """Return the named groups for a file's place in the pile, or None."""
        return self._match(submitted_file)


@dataclass(frozen=True)
class Gradescope:
    """What submission_metadata.yml says of one submission_<number>: its students, and when it was handed in."""

    students: tuple[str, ...]
    time: datetime | None


def gradescope(text: str | bytes) -> dict[str, Gradescope]:
    """Return {submission: Gradescope} from the submission_metadata.yml of a Gradescope export.

    A student is known by the student number, else by the e-mail address, else by the name.

    Raises:
        ValueError: it is not such a file.
    """
    try:
        data = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ValueError("submission_metadata.yml is no YAML") from error
    if not isinstance(data, dict):
        raise ValueError("submission_metadata.yml names no submissions")
    return {str(name): _gradescope(entry) for name, entry in data.items() if isinstance(entry, dict)}


def _gradescope(entry: dict) -> Gradescope:
    submitters = [person for person in entry.get(":submitters") or [] if isinstance(person, dict)]
    names = [next((str(p[key]) for key in (":sid", ":email", ":name") if p.get(key)), "") for p in submitters]
    return Gradescope(tuple(dict.fromkeys(filter(None, names))), utc(entry.get(":created_at")))


def utc(moment: Any) -> datetime | None:
    """Return a time as nbgrader counts it, in UTC and without a zone, or None for what is no time."""
    if isinstance(moment, datetime):
        return moment.astimezone(timezone.utc).replace(tzinfo=None) if moment.tzinfo else moment
    try:
        return parse_utc(moment) if isinstance(moment, str) and moment.strip() else None
    except (ValueError, OverflowError, TypeError):
        return None


# ---------------------------------------------------------------------------------------------- plain names

ENDING = re.compile(r"(\.ipynb(\.txt|\.json)?|\.zip)$", re.IGNORECASE)
# What is added to the name of a copy: by Drive, browsers, Windows and macOS, JupyterLab, Canvas.
BEFORE = re.compile(r"(copy of|kopie von|copie de|copia de|cópia de|kopia av|kopie van)\s+", re.IGNORECASE)
AFTER = re.compile(r"(\s*\((\d+)\)|\s*-\s*copy ?(\d*)|\s+copy ?(\d*)|-(\d{1,3}))$", re.IGNORECASE)
LONGEST = 100  # characters of a student's name; gradebook.db has room for 128


def plain(name: str) -> tuple[str, int]:
    """Return a file's name without its ending and without what copying added, and the number that copying gave it."""
    stem, number = ENDING.sub("", name).strip(), 0
    while match := BEFORE.match(stem):
        stem = stem[match.end() :]
    while (match := AFTER.search(stem)) and match.start():
        number = max(number, *(int(digits or 1) for digits in match.groups()[1:] if digits is not None))
        stem = stem[: match.start()]
    return stem, number


def assignment_of(name: str, assignments: Iterable[str]) -> str | None:
    """Return the assignment that a file's or folder's name says, or None."""
    for stem in (ENDING.sub("", name).strip(), plain(name)[0]):
        for assignment in assignments:
            if re.fullmatch(_spelled(assignment), stem, re.IGNORECASE):
                return assignment
    return None


def person(name: str) -> str:
    """Return the student whose name a file has; "-2" may well be part of it, " (2)" is a browser's."""
    return re.sub(r"\s*\(\d+\)$", "", BEFORE.sub("", ENDING.sub("", name).strip())).strip(" _.-")


def student_and_own_name(name: str, assignments: Iterable[str]) -> tuple[str, str] | None:
    """Return whose a file <student>_<assignment>.ipynb or <assignment>_<student>.ipynb is, and its name without that.

    None where it is neither.
    """
    if assignment_of(name, assignments):
        return None
    stem, number = plain(name)
    copy = f" ({number})" if number else ""
    for assignment in sorted(assignments, key=len, reverse=True):
        words = _spelled(assignment)
        first = re.fullmatch(rf"(?P<student>.+?)[ _.-]+(?:{words})", stem, re.IGNORECASE)
        if first and person(first["student"]):
            return person(first["student"]), f"{assignment}{copy}.ipynb"
        last = re.fullmatch(rf"(?:{words})[ _.-]+(?P<student>.+)", ENDING.sub("", name), re.IGNORECASE)
        if last and person(last["student"]):
            return person(last["student"]), f"{assignment}.ipynb"
    return None


def _spelled(assignment: str) -> str:
    """Return a pattern for an assignment's name with any separator between its words."""
    return "[ _-]*".join(re.escape(word) for word in re.split(r"[ _-]+", assignment) if word)


def impossible(student: str) -> str:
    """Return why a name cannot be a student's, or ""; it becomes the name of a folder and a key of gradebook.db."""
    if not student.strip(". "):
        return "a student's name is empty"
    if student != readable(student) or re.search(r"[/\\]", student) or student.startswith("."):
        return "a student's name has impossible characters"
    if len(student) > LONGEST or len(student.encode()) > 2 * LONGEST:
        return f"a student's name is longer than {LONGEST} characters"
    return ""
