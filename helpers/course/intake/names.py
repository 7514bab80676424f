"""What the names of files say: which assignment a file holds, which copy of it, and whose a file beside others is."""

import re
from collections.abc import Iterable

from helpers.course.intake.spelling import impossible as impossible
from helpers.course.intake.times import utc as utc

ENDING = re.compile(r"(\.ipynb(\.\w{1,12})*|\.zip|\.json|\.txt)$", re.IGNORECASE)
_DOCUMENT = re.compile(r"\.(pdf|docx?|odt|rtf|html?|py|md|tex|pages|png|jpe?g|rar|7z|gz|tgz|tar|csv)$", re.IGNORECASE)
# What is added to the name of a copy: by Drive, browsers, Windows and macOS, JupyterLab, Canvas; by ILIAS the time.
BEFORE = re.compile(
    r"((copy of|kopie von|copie de|copia de|copia di|cópia de|kopia av|kopie van|kopi af|kopi av|копия)\s+|\d{14}_)",
    re.IGNORECASE,
)
AFTER = re.compile(
    r"(\s*\((\d+)\)|\s*-\s*(?:copy|kopie|copie|copia|cópia|kopia|kopi|копия|コピー|副本) ?(\d*)"
    r"|\s+(?:copy|kopie|copie|copia|cópia|kopia|kopi) ?(\d*)|-(\d{1,3})|\s*(?:のコピー|的副本|의 사본)())$",
    re.IGNORECASE,
)


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
    bare = _DOCUMENT.sub("", name).strip()
    for stem in (ENDING.sub("", name).strip(), plain(name)[0], bare, plain(bare)[0]):
        for assignment in assignments:
            if re.fullmatch(_spelled(assignment), stem, re.IGNORECASE):
                return assignment
    return None


def is_own(name: str, assignment: str) -> bool:
    """Tell whether a file has the name of its assignment, as it was handed out."""
    return name == f"{assignment}.ipynb"


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
        first = re.fullmatch(rf"(?P<student>.+?)[ _.-]+(?:{words})", stem, re.IGNORECASE | re.DOTALL)
        if first and person(first["student"]):
            return person(first["student"]), f"{assignment}{copy}.ipynb"
        last = re.fullmatch(rf"(?:{words})[ _.-]+(?P<student>.+)", ENDING.sub("", name), re.IGNORECASE | re.DOTALL)
        if last and person(last["student"]):
            return person(last["student"]), f"{assignment}.ipynb"
    return None


def _spelled(assignment: str) -> str:
    """Return a pattern for an assignment's name with any separator between its words."""
    return "[ _-]*".join(re.escape(word) for word in re.split(r"[ _-]+", assignment) if word)
