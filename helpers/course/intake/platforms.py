"""The exports of learning platforms: whose a file is, and when it was handed in, as its place in an export says.

To teach it the names of another platform, set nbgrader's own option in nbgrader_config.py; it is tried first:

    c.FileNameCollectorPlugin.named_regexp = r"(?P<student_id>\\w+)-(?P<timestamp>[0-9-]+)-(?P<file_id>.+)"
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

import yaml
from nbgrader.plugins import FileNameCollectorPlugin

from helpers.course.intake import names, times
from helpers.course.intake.spelling import readable

# A file beside all others, or what is in a zip beside all others.
INSIDE = r"((?i:\.(zip|ipynb))/.*)?"
FLAT = rf"(?P<file_id>[^/]+?{INSIDE})\Z"
TIME = r"\d{4}(-\d\d){5}"

# Everything up to the student's name is as short as it can be: what follows is the file's own name, which a student
# chose and which may look like an export, too.
#   student_id, file_id  as in nbgrader: the student, and the file's own name
#   number               tells students of the same name apart
#   key                  a number that belongs to a student in every assignment: it becomes part of their id
#   upload               grows with each upload
#   late                 the platform calls it late
#   timestamp            when it was handed in
#   part                 what the platform itself wrote
PATTERNS = {
    # mod/assign/classes/downloader.php: <name>_<participant>_assignsubmission_file/<file>, or without folders
    # <name>_<participant>_assignsubmission_file_<file>. Older versions end the folder with a "_". An underscore in a
    # name becomes a space. The participant's number is another one in each assignment; those in no group have none.
    "Moodle": r"(?P<student_id>[^/_]+)(_(?P<number>\d+))?_assignsubmission_(?P<part>[a-z]+)(_?/|_)(?P<file_id>.*)",
    # <number>-<number> - <name> - Sep 24, 2024 926 PM/<file>, or with " - " before the file. The numbers are those of
    # the assignment, not of the student.
    "Brightspace": r"\d+-\d+ - (?P<student_id>[^/]+?) - (?P<words>(?:(?! - )[^/])*\d{4}(?:(?! - )[^/])*)(/| - )"
    r"(?P<file_id>.*)",
    # <assignment>_<user>_attempt_<time>_<file>, and with .txt after the time what the platform tells of it. Where the
    # assignment's name ends is found out from all files together: both it and the user's may have underscores.
    "Blackboard": rf"(?P<head>[^/]+?)_attempt_(?P<timestamp>{TIME})(?P<part>\.txt\Z)?"
    rf"(_(?P<file_id>[^/]+?{INSIDE}))?\Z",
    # app/models/content_zipper.rb: <sortable name>[_LATE]_<user>_<attachment>_<file>, lower case, without spaces;
    # anonymous assignments have anon_<id> for name and user. Numbers have no leading zero: "01_..." is none. What was
    # typed in is <name>[_LATE]_<user>_text.html.
    "Canvas, anonymous": rf"(?P<student_id>anon_[A-Za-z0-9]{{5}})_((?P<late>LATE|late)_)?(?P<upload>[1-9]\d*)_{FLAT}",
    "Canvas": rf"(?P<student_id>[\w-]+?)_((?P<late>LATE|late)_)?(?P<key>[1-9]\d*)_(?P<upload>[1-9]\d*)_{FLAT}",
    "Canvas, typed": r"(?P<student_id>[\w-]+?)_((?P<late>LATE|late)_)?(?P<key>[1-9]\d*)_"
    r"(?P<file_id>(text|link)\.html)\Z",
    # Each student's copy of a file is named <name> - <file>.
    "Google Classroom": rf"(?P<student_id>[^/]+?) - {FLAT}",
}
_COMPILED = {platform: re.compile(pattern, re.DOTALL) for platform, pattern in PATTERNS.items()}

# Moodle's word for a student without a name, which all of them have: their numbers alone tell them apart.
NAMELESS = {
    *("participant", "teilnehmerin", "teilnehmer", "participante", "partecipante", "deelnemer", "uczestnik"),
    *("deltagare", "deltager", "deltaker", "osallistuja", "účastník", "résztvevő", "участник", "参加者"),
}

# nbgrader and plain folders, Gradescope, ILIAS, Teams.
WRAPPERS = re.compile(
    r"submitted|submissions|assignment_\d+_export|abgaben"
    r"|student work|aufgaben der schüler|submitted files|提出済みのファイル",
    re.IGNORECASE,
)
WORKING = re.compile(r"working files", re.IGNORECASE)  # of Teams: what students have not handed in
GRADESCOPE = re.compile(r"submission_\d+")
# In a folder of students' folders: Student Work/Submitted files/<student>/<assignment>/Version 2/<file>.
TEAMS = re.compile(r"(?:versi[oó]n|version|versão|versie|versione|バージョン) ?(\d+)", re.IGNORECASE)


class ExportCollector(FileNameCollectorPlugin):
    """nbgrader's collector, with the names of platforms besides its `named_regexp`.

    Where a file may be from several platforms, that platform counts from which others of its export surely are.
    """

    _sure: Mapping[str, int] = MappingProxyType({})
    _users: Mapping[str, str] = MappingProxyType({})
    _told: Collection[str] = ()

    def learn(self, places: Iterable[str], assignments: Iterable[str], told: Mapping[str, str]) -> None:
        """Learn from the places of all files of an export from which platform it is.

        Args:
            places: of its files.
            assignments: names of the assignments.
            told: {<assignment>_<user>: user} as far as Blackboard's own files tell it.
        """
        places = list(places)
        families = ({_family(platform) for platform in _platforms(place)} for place in places)
        self._sure = Counter(family.pop() for family in families if len(family) == 1)
        heads = {match["head"] for place in places if (match := _COMPILED["Blackboard"].match(place))}
        self._users = {**_blackboard_users(heads, assignments), **told}
        self._told = set(told)

    def is_index(self, submitted_file: str) -> bool:
        """Tell whether a file is what Brightspace puts beside the students' folders."""
        return submitted_file == "index.html" and self._sure.get("Brightspace", 0) > 0

    def collect(self, submitted_file: str) -> dict[str, Any] | None:
        """Return the named groups for a file's place in the pile, or None."""
        if self.named_regexp and (own := re.match(self.named_regexp, submitted_file)):
            return own.groupdict()
        if not (matches := _platforms(submitted_file)):
            return None
        platform = max(matches, key=lambda name: self._sure.get(_family(name), 0))
        found = matches[platform].groupdict() | {"platform": platform}
        if platform == "Blackboard":
            head = found["head"]
            found["student_id"] = self._users.get(head, head.partition("_")[2] or head)
            if head.count("_") > 1 and head not in self._told:
                found["doubt"] = (
                    "Blackboard's file names do not tell where the assignment ends and the user begins in "
                    f"{readable(head)!r}; the user is taken to be {readable(found['student_id'])!r}"
                )
        return found


def _platforms(place: str) -> dict[str, re.Match]:
    """Return the platforms that a file may be from, by its place."""
    matches = {platform: pattern.match(place) for platform, pattern in _COMPILED.items()}
    return {platform: match for platform, match in matches.items() if match}


def _family(platform: str) -> str:
    return platform.partition(",")[0]


def blackboard_user(place: str, text: str) -> tuple[str, str] | None:
    """Return (<assignment>_<user>, user) from what Blackboard writes beside a submission: "Name: Ada (ada)" and so on.

    None where it is no such file.
    """
    match = _COMPILED["Blackboard"].match(place)
    said = re.match(r"[^\n(]*\((?P<user>[^()\n]+)\)\s*$", text, re.MULTILINE)
    told = match and match["part"] and said and match["head"].endswith(f"_{said['user']}")
    return (match["head"], said["user"]) if match and said and told else None


def _blackboard_users(heads: set[str], assignments: Iterable[str]) -> dict[str, str]:
    """Return the user for each <assignment>_<user> of one export, which is of one assignment."""
    words = [known for head in heads for known in _ends(head) if names.assignment_of(known, assignments)]
    certain = {*words, *(head.partition("_")[0] for head in heads if head.count("_") == 1)}
    rest = [head for head in heads if not any(head.startswith(f"{known}_") for known in certain)]
    # What several have in common up to a "_" is the assignment.
    common = [end for end in _ends(min(rest, default="")) if all(head.startswith(f"{end}_") for head in rest)]
    certain |= set(common[-1:] if len(rest) > 1 else common[:1])
    users = {}
    for head in heads:
        known = max((known for known in certain if head.startswith(f"{known}_")), key=len, default="")
        users[head] = head[len(known) + 1 :] if known else head
    return users


def _ends(head: str) -> list[str]:
    """Return what a name may begin with, up to each of its underscores."""
    return [head[: match.start()] for match in re.finditer("_", head) if 0 < match.start() < len(head) - 1]


@dataclass(frozen=True)
class Gradescope:
    """What submission_metadata.yml says of one submission_<number>: its students, and when it was handed in."""

    students: tuple[str, ...]
    time: datetime | None


def gradescope(text: str | bytes) -> dict[str, Gradescope]:
    """Return {submission: Gradescope} from the submission_metadata.yml of a Gradescope export.

    A student is known by the student number, else by the e-mail address, else by the name; a number that students of
    several addresses have tells nothing.

    Raises:
        ValueError: it is not such a file.
    """
    try:
        data = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ValueError("submission_metadata.yml is no YAML") from error
    if not isinstance(data, dict):
        raise ValueError("submission_metadata.yml names no submissions")
    entries = {str(name): entry for name, entry in data.items() if isinstance(entry, dict)}
    people = {name: _submitters(entry) for name, entry in entries.items()}
    addresses: dict[str, set[str]] = {}
    for person in (person for group in people.values() for person in group):
        addresses.setdefault(str(person.get(":sid")), set()).add(str(person.get(":email")))
    shared = {number for number, own in addresses.items() if len(own) > 1}

    def known(person: dict) -> str:
        keys = (":email", ":name") if str(person.get(":sid")) in shared else (":sid", ":email", ":name")
        return next((str(person[key]) for key in keys if person.get(key)), "")

    return {
        name: Gradescope(
            tuple(dict.fromkeys(filter(None, map(known, people[name])))), times.utc(entry.get(":created_at"))
        )
        for name, entry in entries.items()
    }


def _submitters(entry: dict) -> list[dict]:
    submitters = entry.get(":submitters")
    return [person for person in submitters if isinstance(person, dict)] if isinstance(submitters, list) else []
