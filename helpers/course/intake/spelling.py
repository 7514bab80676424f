"""Names as they can be shown and kept, whatever characters a file's name has."""

import hashlib
import re
import unicodedata

LONGEST = 100  # characters of a student's name; gradebook.db has room for 128


def readable(name: str) -> str:
    """Return a name in composed Unicode, with a question mark for each character that no name should have."""
    return unicodedata.normalize("NFC", "".join("?" if _is_odd(character) else character for character in name))


def _is_odd(character: str) -> bool:
    # Control characters, line ends, halves of characters (a name that is no UTF-8), and what turns text around or
    # cannot be seen; joiners are letters in some scripts.
    if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
        return True
    return unicodedata.category(character) == "Cf" and character not in "\u200c\u200d"


def impossible(student: str) -> str:
    """Return why a name cannot be a student's, or ""; it becomes the name of a folder and a key of gradebook.db."""
    if not student.strip(". "):
        return "a student's name is empty"
    if student != readable(student) or re.search(r"[/\\]", student) or student.startswith("."):
        return "a student's name has impossible characters"
    if len(student) > LONGEST or len(student.encode()) > 2 * LONGEST:
        return f"a student's name is longer than {LONGEST} characters"
    return ""


def _one_space(name: str) -> str:
    """Return a name with one plain space between its words; a line's end is no space."""
    spaces = "".join(" " if unicodedata.category(character) == "Zs" else character for character in name)
    return re.sub(" +", " ", spaces).strip(" ")


def possible(name: str) -> str:
    """Return a name that a student can have: the name itself, else one like it that no other name becomes."""
    name = unicodedata.normalize("NFC", _one_space(name))
    if not impossible(name):
        return name
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    like = re.sub(r"[/\\?]", "_", readable(name)).strip(". ")
    while len(like) > LONGEST - 10 or len(like.encode()) > 2 * (LONGEST - 10):
        like = like[:-1]
    return f"{like or 'nameless'}~{mark}"
